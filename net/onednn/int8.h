/* Inference in 8 bits: 2D U-Nets on unsigned bytes.
 *
 * Numbers.  An activation behind a ReLU is a byte times its channel's step: the byte 255 stands for beta + RANGE |gamma| of the
 * batch norm that made it.  The norm's running statistics describe every pixel of the whole training, so ranges need no other
 * calibration data, belong to the model alone, and no choice of tiles, threads or order can change them.  The steps are folded into
 * the next convolution's weights; these are 16-bit words, as fine as sums that are exact in 32 bits allow.  3x3 convolutions go
 * through Winograd's F(6x6, 3x3) in words: transformed bytes are rounded to whole numbers, the only extra rounding of activations
 * (int8_kernels.h).  The first convolution is computed in float32.
 *
 * As in float32, an output of Winograd depends on all inputs of its 8x8 patch, so that results depend on where 6x6 tiles begin
 * (fnr_backend_ops.blocks).  With `each`, 3x3 convolutions are computed as they are defined instead, every pixel for itself.
 *
 * Memory.  A tensor is NHWC with a border of zeros, one pixel before and six behind, so that no kernel looks where the image ends;
 * concatenations do not exist: the convolution behind one reads two tensors. */
#ifndef FNR_NET_ONEDNN_INT8_H
#define FNR_NET_ONEDNN_INT8_H

#include "net/backend.h"
#include "net/host_state.h"
#include "net/onednn/edge.h"
#include "net/onednn/int8_kernels.h"
#include "net/onednn/plan.h"

/* Standard deviations above its mean that a channel can show: content that is rare in the training lies far out. */
#define FNR_I8_RANGE 12.0

/* Border pixels: Winograd's last patch may reach a tile further. */
#define FNR_I8_BEFORE 1
#define FNR_I8_BEHIND FNR_I8_TILE

typedef struct {
    fnr_shape shape;
    int channels;     /* rounded up to whole chunks */
    int part[2];      /* a concatenation: what it is made of; else -1 */
    int maker;        /* operation that writes it, -1 = none */
    int uses, buffer; /* buffer -1 = none */
    uint8_t *data;    /* first pixel, behind the border */
    size_t row;       /* bytes */
    float *step;      /* [shape.c]: what one unit stands for; owned by the program */
} fnr_i8_value;

typedef enum {
    FNR_I8_FIRST,
    FNR_I8_WINOGRAD, /* 3x3 */
    FNR_I8_DIRECT,   /* 3x3 with `each`, 2x2 with stride 2 */
    FNR_I8_UP,       /* transposed 2x2 */
    FNR_I8_LAST
} fnr_i8_kind;

typedef struct {
    fnr_i8_kind kind;
    const fnr_op *conv, *norm; /* norm NULL: LAST */
    int in[2], out;            /* values; in[1] -1 = none */
    int rows_in;               /* channels of both inputs, rounded: words per pixel */
    int products;              /* of weights with activations: frequencies, 4 taps of UP, 1 */
    int depth;                 /* words in a row of one product */
    int16_t *weights;          /* [groups of 16-output vectors][products][depth * vectors * 16] */
    float *alpha, *beta;       /* per output channel, rounded up; alpha of WINOGRAD per [group][frequency][its outputs] */
    const float *zeros;        /* as many as betas */
    fnr_dn_edge edge;          /* FIRST */
    float *edge_weights;
} fnr_i8_step;

typedef struct fnr_i8_program {
    const fnr_i8_kernels *kernels;
    const fnr_dn_kernels *floats;
    fnr_state *state;
    const fnr_graph *graph;
    fnr_shape input; /* one sample */
    int samples;
    bool each;
    fnr_i8_value *values;
    fnr_i8_step *steps;
    int n_steps;
    fnr_dn_plan plan;
    fnr_dn_planes planes; /* the input with its border */
    int planes_buffer, scratch_buffer;
    int workers;
    size_t scratch_bytes; /* of one worker */
    size_t weight_bytes;
    uint64_t version; /* of the state when weights were last packed */
} fnr_i8_program;

/* each: no output depends on more than its receptive field.  FNR_E_UNSUPPORTED for anything that is no 2D U-Net of convolution,
 * batch norm and ReLU. */
bool fnr_i8_program_new(fnr_state *s, const fnr_shape *shape, bool each, size_t max_bytes, fnr_i8_program **out, fnr_error *err);
void fnr_i8_program_free(fnr_i8_program *p);
size_t fnr_i8_program_bytes(const fnr_i8_program *p);
/* A number in x that is not finite is FNR_E_NUMERIC: bytes have no NaN that would carry it to the output. */
bool fnr_i8_forward(fnr_i8_program *p, const float *x, float *y, fnr_error *err);

/* int8_weights.c: steps, ranges and packed weights from the state. */
bool fnr_i8_refresh(fnr_i8_program *p, fnr_error *err);
/* Fills in what the step's products look like; bytes of its weights and scales. */
size_t fnr_i8_weights_size(const fnr_i8_program *p, fnr_i8_step *s);
bool fnr_i8_weights_new(const fnr_i8_program *p, fnr_i8_step *s, fnr_error *err);
/* int8_run.c */
size_t fnr_i8_scratch_bytes(const fnr_i8_program *p, const fnr_i8_step *s);

static inline int fnr_i8_round_up(int channels)
{
    return (channels + FNR_I8_CHUNK - 1) / FNR_I8_CHUNK * FNR_I8_CHUNK;
}

/* 16-output vectors of the next product, of those that are left. */
static inline int fnr_i8_vectors(const fnr_i8_program *p, int left)
{
    const int vectors = left >= 4 ? 4 : left >= 2 ? 2 : 1;
    return vectors < p->kernels->vectors ? vectors : p->kernels->vectors;
}

/* The words of product q for `vectors` vectors of outputs from the given one on. */
static inline int16_t *fnr_i8_words_of(const fnr_i8_step *s, int vector, int vectors, int q)
{
    return s->weights + (size_t)(vector * s->products + q * vectors) * 16 * (size_t)s->depth;
}

static inline int fnr_i8_taps(const fnr_op *conv)
{
    return conv->kernel * conv->kernel;
}

#endif
