#include "net/ref/ref.h"

#include <stdlib.h>

#include "src/core/mem.h"
#include "src/core/threads.h"

static bool ref_open(const fnr_backend_options *opt, fnr_backend **out, fnr_error *err)
{
    fnr_backend *b = fnr_calloc(1, sizeof *b, "ref backend", err);
    if (!b) {
        return false;
    }
    b->max_bytes = opt->max_bytes;
    if (opt->threads > 0) {
        fnr_threads_set(opt->threads);
    }
    *out = b;
    return true;
}

static void ref_close(fnr_backend *b)
{
    free(b);
}

const fnr_backend_ops fnr_backend_ref = {
    .name = "ref",
    .description = "plain C loops with sums in double: slow, and the definition of every operation",
    .open = ref_open,
    .close = ref_close,
    .state_new = fnr_host_state_new,
    .state_free = fnr_host_state_free,
    .state_write = fnr_host_state_write,
    .state_read = fnr_host_state_read,
    .program_new = fnr_ref_program_new,
    .program_free = fnr_ref_program_free,
    .program_bytes = fnr_ref_program_bytes,
    .forward = fnr_ref_forward,
    .mse = fnr_ref_program_mse,
    .set_output_grad = fnr_ref_set_output_grad,
    .backward = fnr_ref_backward,
    .adam = fnr_host_state_adam,
};
