/* The innermost loops of the oneDNN backend: what oneDNN does not do, or does slowly (batch norm over two gradient sources, the
 * convolutions from and to a few channels).  One table per instruction set; kernels_body.h is compiled once for each.
 *
 * Activations lie in channel blocks: pixel after pixel, `block` channels side by side (oneDNN's nChw16c and nChw8c).  A kernel
 * works on one channel block of one sample, `pixels` or `width` pixels long; pointers to blocked data are aligned to the block.
 * Sums run in a fixed order that depends on the arguments alone, so results do not depend on the number of threads. */
#ifndef FNR_NET_ONEDNN_KERNELS_H
#define FNR_NET_ONEDNN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#define FNR_DN_MAX_BLOCK 16

/* Per-channel numbers of one block: y = max(scale * (x - mean) + shift, 0), without the maximum unless relu.  The mean is taken off
 * first because a product with x itself would round at the size of the mean. */
typedef struct {
    const float *mean, *scale, *shift;
    bool relu;
} fnr_dn_affine;

/* Gradient of one block: the sum of dy1 and dy2 (NULL = one source only), and the x that went into the norm. */
typedef struct {
    const float *x, *dy1, *dy2;
} fnr_dn_norm_in;

/* Numbers of one Adam step. */
typedef struct {
    float beta1, beta2, one_minus_beta1, one_minus_beta2;
    float step_size;    /* lr / (1 - beta1^t) */
    float inverse_root; /* 1 / sqrt(1 - beta2^t) */
    float eps;
} fnr_dn_adam;

typedef struct {
    const char *name;
    int block;

    /* y = affine(x); written to `copy` as well unless NULL. x == y is fine. */
    void (*affine)(size_t pixels, const float *x, const fnr_dn_affine *f, float *y, float *copy);
    /* Mean and sum of squared deviations from it, per channel. */
    void (*moments)(size_t pixels, const float *x, float *mean, float *m2);
    /* Per channel: sum of g and sum of g * (x - mean), where g is the gradient behind the ReLU. */
    void (*norm_sums)(size_t pixels, const fnr_dn_norm_in *in, const fnr_dn_affine *f, float *sum_g, float *sum_gx);
    /* dx = scale * g + slope * (x - mean) + offset.  dx == in->x is fine. */
    void (*norm_grad)(size_t pixels, const fnr_dn_norm_in *in, const fnr_dn_affine *f, const float *slope, const float *offset, float *dx);
    /* out = a + b (b NULL: copy); sum over the pixels. */
    void (*add)(size_t pixels, const float *a, const float *b, float *out);
    void (*sum)(size_t pixels, const float *x, float *out);

    /* y[x] = affine(sum over r and k = 0..2 of w[r][k] * rows[r][x + k]): few plain channels in, one block out. */
    void (*expand_row)(size_t width, int n_rows, const float *const *rows, const float *w, const fnr_dn_affine *f, float *y);
    /* out[x] = bias + sum over r, k and channels of w[r][k] * rows[r][x + k - 1]: blocks in, one plain channel out.  A NULL row
     * lies outside the image. */
    void (*shrink_row)(size_t width, int n_rows, const float *const *rows, const float *w, float bias, float *out);
    /* acc[r][k] += sum over x of y[x] * rows[r][x + k]: gradient of both kinds of weights. */
    void (*correlate_row)(size_t width, int n_rows, const float *const *rows, const float *y, float *acc);

    /* Adam over n parameters: both moments and the values are updated. */
    void (*adam)(size_t n, const fnr_dn_adam *h, const float *grad, float *m1, float *m2, float *value);
} fnr_dn_kernels;

extern const fnr_dn_kernels fnr_dn_kernels_avx512, fnr_dn_kernels_avx2;

#endif
