/* not alone: the body of a translation unit, included once per instruction set */
/* The loops behind wino_kernels.h.  The includer defines
 *   BLOCK        floats in a vector: 16 or 8
 *   TARGET       function attribute that switches the instruction set on
 *   vset1 vfma vmax vstream         intrinsics (vfma(a, b, c) = a * b + c in one rounding; vstream stores past the caches)
 *   TILE         outputs of a tile along an axis: 4 or 6; only 4 has gradients of weights
 *   MOST_ROWS, OUTER_ROWS           rows of accumulators that fit the registers, two columns wide
 *   KERNELS      the table to define */

#define INLINE TARGET static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

enum {
    REACH = TILE + 2,
    CACHE_LINE_FLOATS = 16,
    PREFETCH_TILES = 1,
    TURN_TERMS = 128 / BLOCK /* of a turn of a product: its weights, 8 or 16 KiB, fill a part of the first-level cache */
};

static inline const vec *as_vec(const float *p)
{
    return (const vec *)(const void *)p;
}

static inline const float *as_float(const vec *p)
{
    return (const float *)(const void *)p;
}

static inline vec *as_vec_out(float *p)
{
    return (vec *)(void *)p;
}

/* ---- products -------------------------------------------------------------------------------------------------------------- */

INLINE vec apply(vec x, const fnr_dn_affine *f)
{
    vec y = vfma(x - *as_vec(f->mean), *as_vec(f->scale), *as_vec(f->shift));
    return f->relu ? vmax(vset1(0.0f), y) : y; /* NaN passes: max returns its second operand then */
}

/* Terms of one turn of a product: [begin, end).  Its weights stay in the first-level cache while all rows pass. */
typedef struct {
    size_t begin, end;
} turn;

/* Weights are read in order, turn after turn and panel after panel, but each is waited for once: asks for the one that the next
 * full turn has in place of `u`. */
INLINE void prefetch_weights(const vec *u, int columns)
{
    for (int line = 0; line < BLOCK * columns; line += CACHE_LINE_FLOATS) {
        __builtin_prefetch(as_float(u + (size_t)(TURN_TERMS * BLOCK * columns)) + line);
    }
}

/* `rows`, `columns` and `ahead` are constants where this is inlined, so that the accumulators stay in registers. */
INLINE void product_rows(const fnr_dn_product *p, const turn *now, size_t first, int rows, int columns, int row_blocks,
                         bool ahead)
{
    vec acc[MOST_ROWS][2];
    const vec *u = as_vec(p->u) + now->begin * (size_t)(BLOCK * columns);
    UNROLL for (int r = 0; r < rows; r++)
    {
        UNROLL for (int j = 0; j < columns; j++)
        {
            acc[r][j] = now->begin ? *as_vec(p->out[j] + (first + (size_t)r) * p->out_step) : vset1(0.0f);
        }
    }
    for (size_t t = now->begin; t < now->end; t++) {
        const float *a = p->terms[t] + first * (size_t)(row_blocks * BLOCK);
#pragma GCC unroll 2
        for (int c = 0; c < BLOCK; c++, u += columns) {
            if (ahead) {
                prefetch_weights(u, columns);
            }
            UNROLL for (int r = 0; r < rows; r++)
            {
                const vec s = vset1(a[r * row_blocks * BLOCK + c]);
                UNROLL for (int j = 0; j < columns; j++)
                {
                    acc[r][j] = vfma(s, u[j], acc[r][j]);
                }
            }
        }
    }
    UNROLL for (int j = 0; j < columns; j++)
    {
        const fnr_dn_affine *f = now->end == p->n_terms ? p->affine[j] : NULL;
        float *out = p->out[j] + first * p->out_step;
        UNROLL for (int r = 0; r < rows; r++)
        {
            *as_vec_out(out + (size_t)r * p->out_step) = f ? apply(acc[r][j], f) : acc[r][j];
        }
    }
}

/* Rows that are taken MOST_ROWS at a time.  Two that would be left over are worth two times four (8 rows: not 6 + 1 + 1). */
INLINE size_t full_rows(size_t rows)
{
    const size_t left = rows % MOST_ROWS, full = rows - left;
    return left == 2 && MOST_ROWS == 6 && full > 0 ? full - MOST_ROWS : full;
}

INLINE void product_turn(const fnr_dn_product *p, const turn *now, int columns, int row_blocks)
{
    const size_t full = full_rows(p->rows);
    size_t r = 0;
    if (now->end - now->begin == TURN_TERMS && full > 0) {
        product_rows(p, now, r, MOST_ROWS, columns, row_blocks, true);
        r += MOST_ROWS;
    }
    for (; r < full; r += MOST_ROWS) {
        product_rows(p, now, r, MOST_ROWS, columns, row_blocks, false);
    }
#if MOST_ROWS > 8
    for (; r + 8 <= p->rows; r += 8) {
        product_rows(p, now, r, 8, columns, row_blocks, false);
    }
#endif
    for (; r + 4 <= p->rows; r += 4) {
        product_rows(p, now, r, 4, columns, row_blocks, false);
    }
    for (; r < p->rows; r++) {
        product_rows(p, now, r, 1, columns, row_blocks, false);
    }
}

INLINE void product_columns(const fnr_dn_product *p, int columns, int row_blocks)
{
    for (size_t t = 0; t < p->n_terms; t += TURN_TERMS) {
        const turn now = {.begin = t, .end = t + TURN_TERMS < p->n_terms ? t + TURN_TERMS : p->n_terms};
        product_turn(p, &now, columns, row_blocks);
    }
}

TARGET static void multiply(const fnr_dn_product *p)
{
    if (p->columns == 2) {
        p->row_blocks == 2 ? product_columns(p, 2, 2) : product_columns(p, 2, 1);
    } else {
        p->row_blocks == 2 ? product_columns(p, 1, 2) : product_columns(p, 1, 1);
    }
}

INLINE void outer_columns(const fnr_dn_outer *p, int columns)
{
    for (int first = 0; first < BLOCK; first += OUTER_ROWS) {
        vec acc[OUTER_ROWS][2];
        const float *v = p->v + first, *w0 = p->w[0], *w1 = p->w[columns - 1];
        UNROLL for (int c = 0; c < OUTER_ROWS; c++)
        {
            UNROLL for (int j = 0; j < columns; j++)
            {
                acc[c][j] = p->fresh ? vset1(0.0f) : as_vec(p->sums[j])[first + c];
            }
        }
        for (size_t r = 0; r < p->rows; r++, v += p->v_step, w0 += p->w_step, w1 += p->w_step) {
            const vec b[2] = {*as_vec(w0), *as_vec(w1)};
            UNROLL for (int c = 0; c < OUTER_ROWS; c++)
            {
                const vec s = vset1(v[c]);
                UNROLL for (int j = 0; j < columns; j++)
                {
                    acc[c][j] = vfma(s, b[j], acc[c][j]);
                }
            }
        }
        UNROLL for (int c = 0; c < OUTER_ROWS; c++)
        {
            UNROLL for (int j = 0; j < columns; j++)
            {
                as_vec_out(p->sums[j])[first + c] = acc[c][j];
            }
        }
    }
}

TARGET static void outer(const fnr_dn_outer *p)
{
    p->columns == 2 ? outer_columns(p, 2) : outer_columns(p, 1);
}

/* ---- one-dimensional transforms: B^T d, A^T m, G g, and for gradients of weights A y and G^T u ------------------------------
 */

#if TILE == 4
#include "net/onednn/wino_f4.h"
#else
#include "net/onednn/wino_f6.h"
#endif

/* ---- two-dimensional transforms -------------------------------------------------------------------------------------------- */

/* The columns that the next tiles of the same rows will need: processors do not see through so many short streams. */
INLINE void prefetch(const float *x, size_t row_step, int rows)
{
    for (int row = 0; row < rows; row++) {
        UNROLL for (int column = 0; column < TILE; column++)
        {
            __builtin_prefetch(x + (size_t)row * row_step + (PREFETCH_TILES * TILE + column) * BLOCK);
        }
    }
}

INLINE void input_2d(const vec *d, size_t row_step, float *v, size_t v_step)
{
    vec t[REACH * REACH];
    UNROLL for (int y = 0; y < REACH; y++)
    {
        input_1d(d + (size_t)y * row_step, 1, t + y * REACH, 1);
    }
    UNROLL for (int x = 0; x < REACH; x++)
    {
        input_1d(t + x, REACH, as_vec_out(v + (size_t)x * v_step), REACH * v_step / BLOCK);
    }
}

TARGET static void input(const float *x, size_t row_step, const fnr_dn_window *in, const fnr_dn_affine *f, float *v,
                         size_t v_step)
{
    if (!f && in->top == 0 && in->left == 0 && in->bottom == REACH && in->right == REACH) {
        prefetch(x + REACH * BLOCK, row_step, REACH);
        input_2d(as_vec(x), row_step / BLOCK, v, v_step);
        return;
    }
    vec d[REACH * REACH];
    for (int i = 0; i < REACH * REACH; i++) {
        d[i] = vset1(0.0f);
    }
    for (int row = in->top; row < in->bottom; row++) {
        const vec *from = as_vec(x + (size_t)(row - in->top) * row_step);
        for (int column = in->left; column < in->right; column++) {
            const vec value = from[column - in->left];
            d[row * REACH + column] = f ? apply(value, f) : value;
        }
    }
    input_2d(d, REACH, v, v_step);
}

TARGET static void output(const float *m, size_t m_step, const fnr_dn_affine *f, bool stream, float *y, size_t row_step, int h,
                          int w)
{
    vec t[TILE * REACH], out[TILE * TILE];
    UNROLL for (int x = 0; x < REACH; x++)
    {
        output_1d(as_vec(m + (size_t)x * m_step), REACH * m_step / BLOCK, t + x, REACH);
    }
    UNROLL for (int row = 0; row < TILE; row++)
    {
        output_1d(t + row * REACH, 1, out + row * TILE, 1);
    }
    for (int row = 0; row < h; row++) {
        vec *to = as_vec_out(y + (size_t)row * row_step);
        for (int column = 0; column < w; column++) {
            const vec value = f ? apply(out[row * TILE + column], f) : out[row * TILE + column];
            if (stream) {
                vstream(to + column, value);
            } else {
                to[column] = value;
            }
        }
    }
}

TARGET static void filter(const float *g, float *u, size_t u_step)
{
    vec t[3 * REACH];
    UNROLL for (int row = 0; row < 3; row++)
    {
        filter_1d(as_vec(g) + 3 * row, 1, t + row * REACH, 1);
    }
    UNROLL for (int x = 0; x < REACH; x++)
    {
        filter_1d(t + x, REACH, as_vec_out(u + (size_t)x * u_step), REACH * u_step / BLOCK);
    }
}

#if TILE == 4
TARGET static void gradient(const float *dy, size_t row_step, int h, int w, float *v, size_t v_step)
{
    vec y[TILE * TILE], t[TILE * REACH];
    prefetch(dy + TILE * BLOCK, row_step, TILE);
    for (int row = 0; row < TILE; row++) {
        for (int column = 0; column < TILE; column++) {
            y[row * TILE + column] = row < h && column < w ? as_vec(dy + (size_t)row * row_step)[column] : vset1(0.0f);
        }
    }
    UNROLL for (int row = 0; row < TILE; row++)
    {
        gradient_1d(y + row * TILE, 1, t + row * REACH, 1);
    }
    UNROLL for (int x = 0; x < REACH; x++)
    {
        gradient_1d(t + x, REACH, as_vec_out(v + (size_t)x * v_step), REACH * v_step / BLOCK);
    }
}

TARGET static void filter_adjoint(const float *u, size_t u_step, float *g)
{
    vec t[3 * REACH];
    UNROLL for (int x = 0; x < REACH; x++)
    {
        filter_adjoint_1d(as_vec(u + (size_t)x * u_step), REACH * u_step / BLOCK, t + x, REACH);
    }
    UNROLL for (int row = 0; row < 3; row++)
    {
        filter_adjoint_1d(t + row * REACH, 1, as_vec_out(g) + 3 * row, 1);
    }
}
#endif

/* ---- along z: F(2, 3), points 0, +-1, infinity --------------------------------------------------------------------------- */

TARGET static void pair_inputs(size_t pairs, size_t floats, const float *d, float *v, size_t v_step)
{
    for (size_t p = 0; p < pairs; p++, d += 2 * floats, v += floats) {
        for (size_t i = 0; i < floats; i += BLOCK) {
            const vec d1 = *as_vec(d + floats + i), d2 = *as_vec(d + 2 * floats + i);
            *as_vec_out(v + i) = *as_vec(d + i) - d2;
            *as_vec_out(v + v_step + i) = d1 + d2;
            *as_vec_out(v + 2 * v_step + i) = d2 - d1;
            *as_vec_out(v + 3 * v_step + i) = d1 - *as_vec(d + 3 * floats + i);
        }
    }
}

TARGET static void pair_outputs(size_t pairs, size_t floats, const float *m, size_t m_step, float *y)
{
    for (size_t p = 0; p < pairs; p++, m += floats, y += 2 * floats) {
        for (size_t i = 0; i < floats; i += BLOCK) {
            const vec m1 = *as_vec(m + m_step + i), m2 = *as_vec(m + 2 * m_step + i);
            *as_vec_out(y + i) = *as_vec(m + i) + (m1 + m2);
            *as_vec_out(y + floats + i) = (m1 - m2) - *as_vec(m + 3 * m_step + i);
        }
    }
}

const fnr_dn_wino_kernels KERNELS = {
    .block = BLOCK,
    .tile = TILE,
    .multiply = multiply,
    .outer = outer,
    .input = input,
    .output = output,
    .filter = filter,
    .pairs = TILE == 6,
    .pair_inputs = pair_inputs,
    .pair_outputs = pair_outputs,
#if TILE == 4
    .gradient = gradient,
    .filter_adjoint = filter_adjoint,
#endif
};
