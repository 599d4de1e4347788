/* A graph compiled for one shape: what each operation runs, where every tensor lies.
 *
 * Time: operation i runs forward at 1 + i and backward at a time after all forward ones; 0 is before everything.  Buffers live
 * over spans of it (plan.h).
 *
 * Inference works on one sample at a time: the result cannot depend on the neighbours in a batch, and parts of concatenated
 * tensors are dense, so that every producer can write into them. */
#ifndef FNR_NET_ONEDNN_PROGRAM_H
#define FNR_NET_ONEDNN_PROGRAM_H

#include "net/backend.h"
#include "net/host_state.h"
#include "net/onednn/conv.h"
#include "net/onednn/edge.h"
#include "net/onednn/half.h"
#include "net/onednn/norm.h"
#include "net/onednn/onednn.h"
#include "net/onednn/wino.h"

/* A tensor in the plan. */
typedef struct {
    int buffer; /* -1 = none */
    size_t offset, sample_stride; /* floats */
} fnr_dn_place;

#define FNR_DN_NOWHERE ((fnr_dn_place){.buffer = -1})

typedef struct {
    fnr_shape shape;
    fnr_dn_extent extent;
    int producer, uses;      /* step that writes it (-1: the input), operations that read it */
    fnr_dn_place home;       /* where readers find it */
    fnr_dn_place copy;       /* part of a concatenated tensor that the producer fills as well */
    fnr_dn_place grads[2];   /* its gradient is the sum of these */
    int n_grads;
} fnr_dn_value;

typedef enum {
    FNR_DN_FUSED, /* done by the step in front of it */
    FNR_DN_CONV,  /* oneDNN, both kinds of convolution: what the others do not do */
    FNR_DN_WINO,  /* wino.h: 3x3 and 3x3x3 */
    FNR_DN_HALF,  /* half.h: 2x2 and 2x2x2 with stride 2, and transposed */
    FNR_DN_FIRST, /* edge.h: the input's few channels -> blocks */
    FNR_DN_LAST,  /* edge.h: blocks -> the output's few channels */
    FNR_DN_NORM,
    FNR_DN_JOIN
} fnr_dn_kind;

typedef struct {
    const fnr_op *op;
    fnr_dn_kind kind;
    int fused;             /* inference: the norm that this convolution does as well, -1 = none */
    int out;               /* value written: the operation's own, or the fused norm's */
    const fnr_op *feeder;  /* training NORM: convolution in front whose bias is left to this norm's statistics */
    bool leaves_bias;      /* training convolution: its bias is left to the norm behind it */
    bool affine_pass;      /* CONV: bias (and norm) need a pass of their own over the output */
    bool put[2], sum_dy;   /* JOIN: inputs that must be copied; the gradient must be summed before use */
    bool split;            /* JOIN: never made; its readers take the parts from where they are */
    fnr_dn_conv conv;
    fnr_dn_wino wino, wino_back, wino_grad; /* the last two are training's */
    fnr_dn_half half;
    int filter_buffer;           /* WINO, HALF in inference: packed weights */
    fnr_dn_edge edge;
    fnr_dn_norm norm;      /* of a NORM; in front of that the affine of a convolution's output */
    int norm_buffer, expand_buffer, shrink_buffer;
    fnr_dn_place dy, dx[2];
} fnr_dn_step;

struct fnr_program {
    struct fnr_i8_program *int8; /* does all the work in its place when set */
    fnr_backend *backend;
    fnr_state *state;
    const fnr_graph *graph;
    fnr_mode mode; /* INFER or TRAIN */
    bool winograd;
    fnr_shape input; /* as asked for */
    int samples, passes; /* samples worked on at a time, passes for the whole batch */
    fnr_dn_value *values;
    fnr_dn_step *steps;
    int n_steps;
    fnr_dn_plan plan;
    bool input_planes, output_planes; /* the graph's ends are edge convolutions */
    fnr_dn_planes in_planes, grad_planes;
    int in_planes_buffer, grad_planes_buffer, output_buffer, output_grad_buffer, dense_buffer, scratch_buffer, filter_buffer;
    size_t dense_floats, scratch_floats, filter_floats;
    bool keep_filters; /* each convolution has packed weights of its own; else they are packed for every use */
    float *output, *output_grad; /* dense; training */
    uint64_t version;            /* of the state when weights were last packed */
    bool forward_done, grad_given;
};

/* compile.c: steps, homes, primitives. */
bool fnr_dn_compile(fnr_program *p, fnr_error *err);
/* gradients.c: where gradients lie. */
bool fnr_dn_plan_gradients(fnr_program *p, fnr_error *err);
/* weights.c: brings the program's copies of the parameters up to date with the state. */
bool fnr_dn_refresh(fnr_program *p, fnr_error *err);
fnr_dn_norm_params fnr_dn_params_of_norm(const fnr_program *p, const fnr_op *norm, const fnr_op *feeder);
/* The tensors that make up a value: itself, or the parts of a split concatenation. */
fnr_dn_parts fnr_dn_parts_of(const fnr_program *p, int value);

/* wino_step.c: planning, weights, both passes of a WINO step. */
bool fnr_dn_wino_suits(const fnr_program *p, const fnr_op *op);
bool fnr_dn_wino_plan(fnr_program *p, fnr_dn_step *s, fnr_error *err);
void fnr_dn_wino_refresh(const fnr_program *p, const fnr_dn_step *s);
void fnr_dn_wino_forward(const fnr_program *p, const fnr_dn_step *s);
void fnr_dn_wino_backward(const fnr_program *p, const fnr_dn_step *s, bool want_dx);
/* half_step.c: the same of a HALF step. */
bool fnr_dn_half_suits(const fnr_program *p, const fnr_op *op);
bool fnr_dn_half_plan(fnr_program *p, fnr_dn_step *s, fnr_error *err);
void fnr_dn_half_refresh(const fnr_program *p, const fnr_dn_step *s);
void fnr_dn_half_forward(const fnr_program *p, const fnr_dn_step *s);
void fnr_dn_half_backward(const fnr_program *p, const fnr_dn_step *s, bool want_dx);
/* run.c */
bool fnr_dn_forward(fnr_program *p, const float *x, float *y, fnr_error *err);
bool fnr_dn_backward(fnr_program *p, float *dx, fnr_error *err);

static inline int fnr_dn_forward_time(int step)
{
    return 1 + step;
}

static inline int fnr_dn_backward_time(const fnr_program *p, int step)
{
    return 2 + p->n_steps + (p->n_steps - 1 - step);
}

static inline fnr_dn_tensor fnr_dn_at(const fnr_program *p, fnr_dn_place where)
{
    if (where.buffer < 0) {
        return (fnr_dn_tensor){0};
    }
    return (fnr_dn_tensor){.data = fnr_dn_plan_data(&p->plan, where.buffer) + where.offset, .sample_stride = where.sample_stride};
}

static inline size_t fnr_dn_sample_floats(const fnr_program *p, int value)
{
    const fnr_dn_extent *e = &p->values[value].extent;
    return (size_t)e->blocks * (size_t)p->backend->dev.block * e->pixels;
}

/* A place of its own for a tensor like `value`. */
bool fnr_dn_place_new(fnr_program *p, int value, int time, fnr_dn_place *out, fnr_error *err);

static inline const float *fnr_dn_param(const fnr_program *p, int id)
{
    return id < 0 ? NULL : p->state->values + p->graph->params[id].offset;
}

static inline float *fnr_dn_param_grad(const fnr_program *p, int id)
{
    return id < 0 ? NULL : p->state->grads + p->graph->params[id].offset;
}

#endif
