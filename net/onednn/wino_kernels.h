/* The innermost loops of the Winograd convolutions, and the two small matrix products they and the 2x2 convolutions are made of.
 * One table per instruction set; wino_body.h is compiled once for each.
 *
 * F(m x m, 3x3) of Lavin and Gray (2016), arXiv:1509.09308: a tile of m x m outputs comes from (m + 2) x (m + 2) inputs by
 *   Y = A^T [(G g G^T) * (B^T d B)] A.
 *
 * m = 4: 36 multiplications where the definition has 144.  The interpolation points are 0, +-5/8, +-3/2 and infinity: with them
 * the rounding error is half of that with the usual 0, +-1, +-2 (relative L2 7.5e-7 against 1.6e-6 at 64 channels), and the
 * constants are exact in float32. m = 6: 64 where the definition has 324, a fifth less than m = 4, and as much less memory to
 * pass through the caches.  Points 0,
 * +-1/2, +-1, +-2 and infinity: relative L2 2.0e-6 (the best of a search over multiples of 1/16).
 *
 * Along z, F(2, 3) of matrices of channels, for each frequency of the plane (wino_pairs.c).
 *
 * Every sum runs over channels (and kernel slices) in ascending order, one fused multiply-add after the other, whatever the
 * number of rows: a tile's result does not depend on its neighbours in the strip. */
#ifndef FNR_NET_ONEDNN_WINO_KERNELS_H
#define FNR_NET_ONEDNN_WINO_KERNELS_H

#include "net/onednn/kernels.h"

enum {
    FNR_DN_ROW_UNIT = 4,  /* products are fastest when rows are a multiple of this */
    FNR_DN_PAIR_TERMS = 4 /* products for a pair of output slices */
};

/* out[j][r] = affine(sum over terms t and channels c of terms[t][r][c] * u[t][c][j]) for rows r and column blocks j.  Long sums
 * are made in turns that go on from what out holds: the result is the same to the last bit. */
typedef struct {
    size_t rows, n_terms;
    const float *const *terms; /* row r of a term, `block` channels, lies at terms[t] + r * row_blocks * block */
    int row_blocks;            /* 1 or 2 */
    int columns;               /* 1 or 2 */
    const float *u;            /* [n_terms][block][columns][block] */
    float *out[2];
    size_t out_step;                /* floats from row to row */
    const fnr_dn_affine *affine[2]; /* NULL: none */
} fnr_dn_product;

/* sums[j][c][k] += sum over rows of v[r * v_step + c] * w[j][r * w_step + k]; fresh: = instead of +=. */
typedef struct {
    size_t rows;
    const float *v, *w[2];
    size_t v_step, w_step; /* floats from row to row */
    int columns;           /* 1 or 2 */
    float *sums[2];        /* [block][block] */
    bool fresh;
} fnr_dn_outer;

/* The part of a tile that lies in the image. */
typedef struct {
    int top, left, bottom, right; /* rows [top, bottom), columns [left, right) */
} fnr_dn_window;

typedef struct {
    int block;
    int tile; /* outputs of a tile along an axis, 4 or 6; it has tile + 2 inputs along an axis */
    void (*multiply)(const fnr_dn_product *p);
    void (*outer)(const fnr_dn_outer *p);
    /* B^T d B of a tile: x is its first pixel inside the image, pixels outside count as zero.  f (NULL = none) is applied to
     * those inside.  Frequency i goes to v + i * v_step. */
    void (*input)(const float *x, size_t row_step, const fnr_dn_window *inside, const fnr_dn_affine *f, float *v, size_t v_step);
    /* y = affine(A^T m A), cut to h x w pixels; stream: written past the caches. */
    void (*output)(const float *m, size_t m_step, const fnr_dn_affine *f, bool stream, float *y, size_t row_step, int h, int w);
    /* G g G^T of `block` 3x3 filters side by side. */
    void (*filter)(const float *g, float *u, size_t u_step);
    /* Along z, F(2, 3): B^T d and A^T m of `pairs` pairs of slices of `floats` floats.  d holds 2 * pairs + 2 slices, y gets
     * 2 * pairs; v and m hold each of the four terms for all pairs, term k at k * step. */
    bool pairs; /* it is to be used */
    void (*pair_inputs)(size_t pairs, size_t floats, const float *d, float *v, size_t v_step);
    void (*pair_outputs)(size_t pairs, size_t floats, const float *m, size_t m_step, float *y);
    /* For gradients of weights; tiles of 6 have none (NULL). */
    /* A dy A^T of a tile, of which h x w pixels lie in the image. */
    void (*gradient)(const float *dy, size_t row_step, int h, int w, float *v, size_t v_step);
    /* The adjoint of `filter`, G^T u G. */
    void (*filter_adjoint)(const float *u, size_t u_step, float *g);
} fnr_dn_wino_kernels;

/* Elements of a transformed tile. */
static inline int fnr_dn_wino_frequencies(const fnr_dn_wino_kernels *k)
{
    return (k->tile + 2) * (k->tile + 2);
}

extern const fnr_dn_wino_kernels fnr_dn_wino_avx512, fnr_dn_wino_avx2, fnr_dn_wino6_avx512, fnr_dn_wino6_avx2;

#endif
