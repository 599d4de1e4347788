/* A backend at work, for tests that run over every backend of this build: variants (a backend with its options), the table of
 * tests for all of them, and a rig of device, state, program and guarded buffers for one graph. */
#ifndef FNR_TESTS_NET_RIG_H
#define FNR_TESTS_NET_RIG_H

#include "tests/support/support.h"
#include "net/backend.h"

typedef struct {
    const char *name; /* "ref", "onednn", "onednn-winograd" */
    const fnr_backend_ops *ops;
    fnr_backend_options options;
} fnr_variant;

/* Every backend of the build; onednn with and without Winograd. Returns how many. FNR_TEST_THREADS sets their threads. */
size_t fnr_variants(const fnr_variant **out);

/* As fnr_backend_list, or the one that the environment variable FNR_TEST_BACKEND names (tests/cuda). */
const fnr_backend_ops *const *fnr_test_backends(void);

/* Runs each test once per variant (as "variant: name"), `state` being its fnr_variant. */
int fnr_run_for_variants(const struct CMUnitTest *tests, size_t count);
/* The same without ref, for comparisons with ref. */
int fnr_run_for_others(const struct CMUnitTest *tests, size_t count);

typedef struct {
    const fnr_variant *variant;
    fnr_backend *backend;
    fnr_state *state;
    fnr_program *program;
    fnr_graph graph; /* owned */
    fnr_mode mode;
    fnr_shape in, out;
    size_t n_in, n_out;
    float *x, *y, *dy, *dx; /* guarded; of n_in, n_out, n_out, n_in floats */
    float *values, *grads;  /* guarded; graph.param_floats */
} fnr_rig;

/* Takes over the graph.  Skips the test when the device does not open here (no GPU). */
void fnr_rig_new(fnr_rig *rig, const fnr_variant *variant, fnr_graph graph, const fnr_shape *input, fnr_mode mode);
/* Checks all guards. */
void fnr_rig_free(fnr_rig *rig);
/* values -> device, forward on x -> y. */
void fnr_rig_forward(fnr_rig *rig);
/* dy -> device, backward -> dx, grads. */
void fnr_rig_backward(fnr_rig *rig);

/* Graphs of one operation.  Parameters are called weight, bias, mean, var. */
fnr_graph fnr_graph_of_conv(int spatial, int c_in, int c_out, int kernel);
fnr_graph fnr_graph_of_convt(int spatial, int c_in, int c_out);
fnr_graph fnr_graph_of_norm(int spatial, int channels, bool relu);
/* A 1x1 convolution to c_new channels, then concat(that, input): the input is read twice. */
fnr_graph fnr_graph_of_concat(int spatial, int channels, int c_new);

/* The parameter's place in a flat vector of the rig. */
float *fnr_rig_param(const fnr_rig *rig, float *flat, const char *name);
/* A convolution's bias that goes straight into a batch norm. */
bool fnr_is_bias_before_norm(const fnr_graph *g, int param);
/* Reproducible numbers, uniform in [low, high). */
void fnr_test_fill(float *p, size_t n, unsigned seed, double low, double high);

#endif
