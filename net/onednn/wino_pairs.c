/* Winograd along z: output slices in pairs by F(2, 3), at each frequency of the plane.  With d four slices of the transformed
 * input and g three of the transformed weights,
 *   y = A^T [(G g) * (B^T d)],   B^T d = (d0 - d2, d1 + d2, d2 - d1, d1 - d3)
 *                                G g   = (g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2)
 *                                A^T m = (m0 + m1 + m2, m1 - m2 - m3)
 * takes four matrix products where the sum over kernel slices takes six.  (G g is made with the weights, wino.c.)
 *
 * Both transforms are done in a worker's own small scratch, which stays in its second cache: what lies in strips is the same as
 * without pairs.  Of an odd number of slices, the second output of the last pair is computed from zeros behind the
 * image's end and left where nobody reads it. */
#include "net/onednn/wino.h"
#include "net/onednn/wino_strip.h"

/* Both sides of one frequency's products: [term][channel block][row (pair by pair, tile by tile)][channel].  Outputs are those of
 * one panel. */
typedef struct {
    float *v, *m;
    size_t block_step;     /* floats from channel block to channel block */
    size_t v_step, m_step; /* from term to term */
} terms;

static terms terms_of(const fnr_dn_wino *w, size_t rows, float *scratch)
{
    const size_t block_step = rows * (size_t)w->kernels->block, v_step = (size_t)w->in_blocks * block_step;
    return (terms){.v = scratch,
                   .m = scratch + FNR_DN_PAIR_TERMS * v_step,
                   .block_step = block_step,
                   .v_step = v_step,
                   .m_step = 2 * block_step};
}

static size_t rows_of(int slices, int tiles)
{
    const size_t rows = (size_t)((slices + 1) / 2) * (size_t)tiles;
    return (rows + FNR_DN_ROW_UNIT - 1) / FNR_DN_ROW_UNIT * FNR_DN_ROW_UNIT;
}

size_t fnr_dn_pairs_scratch_floats(const fnr_dn_wino *w)
{
    const size_t blocks = (size_t)w->in_blocks + 2; /* of both sides, in one term */
    const size_t floats = FNR_DN_PAIR_TERMS * blocks * rows_of(w->strip_slices, w->strip_tiles) * (size_t)w->kernels->block;
    return w->pairs ? (floats + 31) / 32 * 32 : 0;
}

/* The four products to one or two column blocks. */
static void multiply_panel(const fnr_dn_wino *w, const terms *t, size_t rows, int columns, const float *u)
{
    const size_t block = (size_t)w->kernels->block, in_blocks = (size_t)w->in_blocks;
    for (size_t k = 0; k < FNR_DN_PAIR_TERMS; k++) {
        const float *v[FNR_DN_MOST_TERMS];
        for (size_t b = 0; b < in_blocks; b++) {
            v[b] = t->v + k * t->v_step + b * t->block_step;
        }
        float *m = t->m + k * t->m_step;
        const fnr_dn_product p = {.rows = rows,
                                  .n_terms = in_blocks,
                                  .terms = v,
                                  .row_blocks = 1,
                                  .columns = columns,
                                  .u = u + k * in_blocks * block * (size_t)columns * block,
                                  .out = {m, columns == 2 ? m + t->block_step : NULL},
                                  .out_step = block};
        w->kernels->multiply(&p);
    }
}

void fnr_dn_pairs_multiply(const fnr_dn_wino *w, const fnr_dn_strip *s, const fnr_dn_spectrum *v, const fnr_dn_spectrum *m,
                           int frequency, const float *u, float *scratch)
{
    const size_t block = (size_t)w->kernels->block, rows = rows_of(s->slices, s->tiles);
    const size_t pairs = (size_t)fnr_dn_strip_computed_slices(w, s) / 2, floats = (size_t)s->tiles * block;
    const terms t = terms_of(w, rows, scratch);
    for (int b = 0; b < w->in_blocks; b++) {
        const float *d = fnr_dn_spectrum_at(w, v, frequency, b, 0);
        w->kernels->pair_inputs(pairs, floats, d, t.v + (size_t)b * t.block_step, t.v_step);
    }
    for (int b = 0; b < w->out_blocks; b += 2) {
        const int columns = w->out_blocks - b > 1 ? 2 : 1;
        multiply_panel(w, &t, rows, columns, u);
        for (int j = 0; j < columns; j++) {
            float *y = fnr_dn_spectrum_at(w, m, frequency, b + j, 0);
            w->kernels->pair_outputs(pairs, floats, t.m + (size_t)j * t.block_step, t.m_step, y);
        }
        u += FNR_DN_PAIR_TERMS * (size_t)w->in_blocks * block * (size_t)columns * block;
    }
}
