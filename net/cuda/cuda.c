/* The CUDA backend's table, and what the plug-in exports. */
#include <stdio.h>
#include <stdlib.h>

#include "net/cuda/entry.h"
#include "net/cuda/feed.h"
#include "net/cuda/flow.h"
#include "net/cuda/state.h"
#include "net/plugin.h"
#include "src/core/mem.h"

static void cu_close(fnr_backend *b)
{
    if (!b) {
        return;
    }
    fnr_cu_team_free(b->team);
    for (int i = 0; i < b->n_gpus; i++) {
        fnr_cu_gpu_close(&b->gpus[i]);
    }
    free(b);
}

static bool open_gpus(fnr_backend *b, int wanted, fnr_error *err)
{
    int count;
    if (!fnr_cu_count(&count, err)) {
        return false;
    }
    if (wanted > count || wanted > FNR_CU_MAX_GPUS) {
        return fnr_fail(err, FNR_E_USAGE, "compute.gpus = %d, but this machine has %d GPU%s (and at most %d are used)", wanted, count,
                        count == 1 ? "" : "s", FNR_CU_MAX_GPUS);
    }
    for (int i = 0; i < wanted; i++) {
        if (!fnr_cu_gpu_open(&b->gpus[i], i, i, err)) {
            return false;
        }
        b->n_gpus++;
    }
    return true;
}

static bool cu_open(const fnr_backend_options *opt, fnr_backend **out, fnr_error *err)
{
    fnr_backend *b = fnr_calloc(1, sizeof *b, "CUDA backend", err);
    if (!b) {
        return false;
    }
    b->type = opt->precision == FNR_PRECISION_BF16 ? FNR_CU_BF16 : FNR_CU_FLOAT32;
    b->exact = opt->precision == FNR_PRECISION_FLOAT32;
    b->max_bytes = opt->max_bytes;
    if (!open_gpus(b, opt->gpus > 0 ? opt->gpus : 1, err) || !fnr_cu_team_new(b->gpus, b->n_gpus, &b->team, err)) {
        cu_close(b);
        return false;
    }
    snprintf(b->name, sizeof b->name, "%d x %s, %s, cuDNN %zu", b->n_gpus, b->gpus[0].name,
             b->type == FNR_CU_BF16 ? "bf16" : b->exact ? "float32" : "tf32", cudnnGetVersion());
    *out = b;
    return true;
}

static int cu_lanes(const fnr_backend *b)
{
    return b->n_gpus;
}

static const char *cu_device_name(const fnr_backend *b)
{
    return b->name;
}

static const fnr_backend_ops cuda_ops = {
    .name = "cuda",
    .description = "NVIDIA GPU, cuDNN 9 and own kernels",
    .precisions = 1u << FNR_PRECISION_FLOAT32 | 1u << FNR_PRECISION_TF32 | 1u << FNR_PRECISION_BF16,
    .open = cu_open,
    .close = cu_close,
    .state_new = fnr_cu_state_new,
    .state_free = fnr_cu_state_free,
    .state_write = fnr_cu_state_write,
    .state_read = fnr_cu_state_read,
    .program_new = fnr_cu_program_new,
    .program_free = fnr_cu_program_free,
    .program_bytes = fnr_cu_program_bytes,
    .forward = fnr_cu_program_forward,
    .mse = fnr_cu_program_mse,
    .set_output_grad = fnr_cu_program_set_output_grad,
    .backward = fnr_cu_program_backward,
    .adam = fnr_cu_state_adam,
    .feed_new = fnr_cu_feed_new,
    .feed_free = fnr_cu_feed_free,
    .feed_step = fnr_cu_feed_step,
    .feed_losses = fnr_cu_feed_losses,
    .lanes = cu_lanes,
    .flow_new = fnr_cu_flow_new,
    .flow_free = fnr_cu_flow_free,
    .flow_ends = fnr_cu_flow_ends,
    .flow_push = fnr_cu_flow_push,
    .flow_take = fnr_cu_flow_take,
    .device_name = cu_device_name,
};

extern const fnr_plugin fnr_cuda_plugin;
__attribute__((visibility("default"))) const fnr_plugin fnr_cuda_plugin = {
    .version = FNR_VERSION, .ops_bytes = sizeof(fnr_backend_ops), .ops = &cuda_ops};
