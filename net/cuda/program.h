/* A graph compiled for one shape: what each operation runs, where every tensor lies.  The same on every GPU of the team; each works
 * on its share of the batch.
 *
 * Time: operation i runs forward at 1 + i and backward at a time after all forward ones; 0 is before everything.  Buffers live over
 * spans of it (plan.h).  Tensors are channels-last, in the backend's type; the network's thin ends (one channel in front of the
 * first convolution, one behind the last) are float32. */
#ifndef FNR_NET_CUDA_PROGRAM_H
#define FNR_NET_CUDA_PROGRAM_H

#include "net/cuda/dnn.h"
#include "net/cuda/kernels.h"
#include "net/cuda/plan.h"
#include "net/cuda/team.h"

struct fnr_backend {
    fnr_cu_gpu gpus[FNR_CU_MAX_GPUS];
    int n_gpus;
    fnr_cu_team *team;
    fnr_cu_type type; /* of activations and of convolutions' operands */
    bool exact;       /* no TF32 */
    size_t max_bytes;
    char name[320];
};

/* Parameters on one GPU, in the order of `offsets`. */
typedef struct {
    float *values, *grads, *moment1, *moment2; /* the last three only when training */
    uint16_t *low;                             /* bfloat16 copy of the values; NULL in float32 */
    fnr_cu_step_numbers *numbers;
    int *broken;                               /* a loss was not finite */
} fnr_cu_params;

struct fnr_state {
    fnr_backend *backend;
    const fnr_graph *graph;
    bool training;
    size_t *offsets;       /* of each parameter, in floats: trained ones first, each aligned for cuDNN */
    size_t trained, total; /* floats */
    fnr_cu_params ranks[FNR_CU_MAX_GPUS];
    uint64_t version;      /* grows whenever values may have changed */
};

/* A tensor in the plan: number c of row r is at offset + r * stride + c of the buffer (counted in numbers). */
typedef struct {
    int buffer; /* -1 = none */
    size_t offset, stride;
} fnr_cu_place;

#define FNR_CU_NOWHERE ((fnr_cu_place){.buffer = -1})

typedef struct {
    fnr_shape shape; /* of one GPU's share */
    size_t rows;
    fnr_cu_type type;
    int producer, uses; /* step that writes it (-1: the input), operations that read it */
    fnr_cu_place home;  /* where readers find it */
    fnr_cu_place copy;  /* part of a concatenated tensor that the producer fills as well */
    fnr_cu_place grads[FNR_CU_MAX_SOURCES]; /* its gradient is the sum of these */
    int n_grads;
} fnr_cu_value;

typedef enum {
    FNR_CU_STEP_FUSED, /* done by the step in front of it */
    FNR_CU_STEP_CONV,  /* cuDNN */
    FNR_CU_STEP_FIRST, /* one channel -> many */
    FNR_CU_STEP_LAST,  /* many -> one */
    FNR_CU_STEP_NORM,
    FNR_CU_STEP_JOIN
} fnr_cu_kind;

/* One pass of a convolution. */
typedef struct {
    fnr_cu_conv_key key;
    fnr_cu_plans *plans; /* one for each GPU; those with count 0 go by plain loops */
    size_t workspace;    /* bytes */
    int kept, offered;   /* plan that the first GPU found to be the fastest, of so many */
} fnr_cu_conv;

typedef struct {
    const fnr_op *op;
    fnr_cu_kind kind;
    int fused;            /* inference: the norm that this convolution does as well, -1 = none */
    int out;              /* value written: the operation's own, or the fused norm's */
    int feeder;           /* training NORM: parameter id of the bias left out in front of it, -1 = none */
    bool leaves_bias;     /* training convolution: its bias is left to the norm behind it */
    bool put[2];          /* JOIN: inputs that must be copied */
    fnr_cu_conv forward, data, filter;
    bool bias_apart;      /* CONV: bias and ReLU need a pass of their own */
    int weights, biases;  /* buffers of folded parameters (inference) */
    int vectors, slots;   /* buffers of a NORM: mean, inv_sd, scale, two means of gradients; the ranks' sums */
    fnr_cu_place dy, dx;  /* gradient of the output as one tensor, or as several in the value; of the first input */
    bool sums_dy;         /* dy is the value's gradients added up first */
} fnr_cu_step;

/* What a program has on one GPU. */
typedef struct {
    char *block;
    void *workspace;
    double *loss, *host_loss; /* host_loss is pinned */
} fnr_cu_rank;

struct fnr_program {
    fnr_backend *backend;
    fnr_state *state;
    const fnr_graph *graph;
    fnr_mode mode;
    fnr_shape input; /* as asked for: the whole batch */
    int n_ranks;     /* GPUs that share a batch: all, or one where inference has fewer samples (all can run it: flow.c) */
    int share;       /* samples for each of them */
    fnr_cu_value *values;
    fnr_cu_step *steps;
    int n_steps;
    fnr_cu_plan plan;
    int planes_in, planes_out; /* buffers: input and target, and output, in the host's order */
    int scratch;               /* buffer: partial sums of reductions */
    int low_grads;             /* buffer: a weight gradient before it becomes float32 */
    size_t scratch_bytes, low_bytes, workspace;
    fnr_cu_rank ranks[FNR_CU_MAX_GPUS];
    uint64_t version; /* of the state when weights were last folded */
    bool forward_done, grad_given;
};

/* compile.c: steps, homes, gradients, memory, convolution plans. */
bool fnr_cu_compile(fnr_program *p, fnr_error *err);
/* gradients.c: where gradients lie. */
bool fnr_cu_plan_gradients(fnr_program *p, fnr_error *err);
/* choose.c: cuDNN's plans for every convolution. */
bool fnr_cu_choose_plans(fnr_program *p, fnr_error *err);
/* Times them, keeps the fastest of each. Memory is there. */
bool fnr_cu_tune(fnr_program *p, fnr_error *err);
void fnr_cu_conv_free(fnr_cu_conv *c, int ranks);
bool fnr_cu_conv_run(const fnr_program *p, int rank, const fnr_cu_conv *c, const fnr_cu_conv_data *data, fnr_error *err);
/* forward.c, backward.c: one rank's queue of work. */
bool fnr_cu_fold_weights(fnr_program *p, int rank, fnr_error *err);
bool fnr_cu_forward(fnr_program *p, int rank, fnr_error *err);
/* The same from and to other planes than the program's own (GPU memory, in the host's order). */
bool fnr_cu_forward_between(fnr_program *p, int rank, float *from, float *to, fnr_error *err);
bool fnr_cu_backward(fnr_program *p, int rank, bool want_dx, fnr_error *err);
/* Operands of a norm on one GPU. */
fnr_cu_norm fnr_cu_norm_of(const fnr_program *p, int rank, const fnr_cu_step *s);
fnr_cu_edge fnr_cu_edge_of(const fnr_program *p, int rank, const fnr_cu_step *s);

static inline int fnr_cu_forward_time(int step)
{
    return 1 + step;
}

static inline int fnr_cu_backward_time(const fnr_program *p, int step)
{
    return 2 + p->n_steps + (p->n_steps - 1 - step);
}

static inline bool fnr_cu_training(const fnr_program *p)
{
    return p->mode == FNR_MODE_TRAIN;
}

static inline void *fnr_cu_buffer_at(const fnr_program *p, int rank, int buffer)
{
    return buffer < 0 ? NULL : p->ranks[rank].block + p->plan.buffers[buffer].offset;
}

static inline fnr_cu_slice fnr_cu_at(const fnr_program *p, int rank, fnr_cu_place where, fnr_cu_type type)
{
    if (where.buffer < 0) {
        return (fnr_cu_slice){.data = NULL};
    }
    char *base = fnr_cu_buffer_at(p, rank, where.buffer);
    return (fnr_cu_slice){.data = base + where.offset * fnr_cu_size((int)type), .type = (int)type, .stride = where.stride};
}

static inline float *fnr_cu_param(const fnr_program *p, int rank, int id)
{
    return id < 0 ? NULL : p->state->ranks[rank].values + p->state->offsets[id];
}

static inline float *fnr_cu_param_grad(const fnr_program *p, int rank, int id)
{
    return id < 0 ? NULL : p->state->ranks[rank].grads + p->state->offsets[id];
}

/* Channels that a kernel can take together: FNR_CU_GROUP where these places allow it. */
static inline int fnr_cu_group_of(int channels, const fnr_cu_place *places, int count)
{
    bool fits = channels % FNR_CU_GROUP == 0;
    for (int i = 0; i < count; i++) {
        fits = fits && (places[i].buffer < 0 || (places[i].offset % FNR_CU_GROUP == 0 && places[i].stride % FNR_CU_GROUP == 0));
    }
    return fits ? FNR_CU_GROUP : 1;
}

/* Cuts a sum over rows: enough parts to fill the GPU, and threads side by side in a block. */
static inline fnr_cu_cut fnr_cu_cut_of(size_t rows, int channels, int group, int sms)
{
    const size_t least = 64, wanted = 4 * (size_t)(sms > 0 ? sms : 1), parts = (rows + least - 1) / least;
    const int groups = channels / group;
    fnr_cu_cut c = {.rows = rows, .group = group, .groups = groups};
    c.rows_per_part = (rows + (parts < wanted ? parts : wanted) - 1) / (parts < wanted ? parts : wanted);
    c.parts = (int)((rows + c.rows_per_part - 1) / c.rows_per_part);
    c.groups_per_block = groups < FNR_CU_BLOCK ? groups : FNR_CU_BLOCK;
    c.lanes = FNR_CU_BLOCK / c.groups_per_block;
    return c;
}

#endif
