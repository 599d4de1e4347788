/* One recorded PyTorch run of a network, from fixtures/net/NAME.safetensors or fixtures/net64/NAME/, in one form for both.
 * Parameters are flat vectors of the graph; `has` marks the parameters for which a vector holds a truth. */
#ifndef FNR_TESTS_NET_CASE_H
#define FNR_TESTS_NET_CASE_H

#include "tests/support/net_fixture.h"

enum { FNR_CASE_STEPS = 3 };

typedef struct {
    float *flat; /* graph.param_floats; NULL when the record lacks it */
    bool *has;   /* graph.n_params */
} fnr_case_params;

typedef struct {
    fnr_netdesc desc;
    fnr_shape shape; /* of the input; the output has desc.out_channels */
    fnr_graph graph;
    size_t pixels; /* elements of one input batch, and of one output: both have one channel */
    fnr_case_params init, grads, final, moment1, moment2;
    float *x[FNR_CASE_STEPS], *target[FNR_CASE_STEPS];
    float *output[FNR_CASE_STEPS]; /* in training mode; net64 has that of the first step alone */
    double loss[FNR_CASE_STEPS];
    /* Running statistics behind one forward pass on x[0], and behind four on stats_x (net64 alone). */
    fnr_case_params stats1, stats4;
    float *stats_x;
    /* Evaluation of x[0]: with stats4 on top of init (net64 alone), and with the final parameters. */
    float *eval_stats4, *eval_final;
} fnr_case;

/* Skips without ../shared. */
fnr_case fnr_case_safetensors(const char *name, const fnr_netdesc *desc);
fnr_case fnr_case_net64(const char *name, const fnr_netdesc *desc);
void fnr_case_free(fnr_case *c);

#endif
