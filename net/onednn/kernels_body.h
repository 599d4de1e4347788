/* not alone: the body of a translation unit, included once per instruction set */
/* The loops behind kernels.h, included once per instruction set.  The includer defines
 *   BLOCK            floats in a vector: 16 or 8
 *   TARGET           function attribute that switches the instruction set on
 *   vset1 vfma vmax vsqrt vloadu vstoreu    intrinsics (vfma(a, b, c) = a * b + c in one rounding)
 *   vgate(x, v)      v where x > 0, else 0
 *   KERNELS, KERNELS_NAME                   the table to define
 * Vectors are GCC's vector extension where plain operators do; intrinsics where they do not. */

#define INLINE TARGET static inline __attribute__((always_inline))

static inline const vec *as_vec(const float *p)
{
    return (const vec *)(const void *)p;
}

static inline vec *as_vec_out(float *p)
{
    return (vec *)(void *)p;
}

/* max returns its second operand when one is not a number: NaN passes the ReLU and ends in the loss, where it is found. */
INLINE vec apply(vec centred, vec scale, vec shift, vec low)
{
    return vmax(low, vfma(centred, scale, shift));
}

/* Below every finite number where there is no ReLU. */
INLINE vec lower_bound(const fnr_dn_affine *f)
{
    return vset1(f->relu ? 0.0f : -__builtin_inff());
}

TARGET static void affine(size_t pixels, const float *x, const fnr_dn_affine *f, float *y, float *copy)
{
    const vec mean = *as_vec(f->mean), scale = *as_vec(f->scale), shift = *as_vec(f->shift), low = lower_bound(f);
    const vec *in = as_vec(x);
    vec *out = as_vec_out(y), *out2 = as_vec_out(copy);
    if (copy) {
        for (size_t i = 0; i < pixels; i++) {
            vec v = apply(in[i] - mean, scale, shift, low);
            out[i] = v;
            out2[i] = v;
        }
        return;
    }
    for (size_t i = 0; i < pixels; i++) {
        out[i] = apply(in[i] - mean, scale, shift, low);
    }
}

TARGET static void sum(size_t pixels, const float *x, float *out)
{
    const vec *in = as_vec(x);
    vec s[4] = {vset1(0), vset1(0), vset1(0), vset1(0)};
    size_t i = 0;
    for (; i + 4 <= pixels; i += 4) {
        for (int j = 0; j < 4; j++) {
            s[j] += in[i + j];
        }
    }
    for (; i < pixels; i++) {
        s[0] += in[i];
    }
    *as_vec_out(out) = (s[0] + s[1]) + (s[2] + s[3]);
}

TARGET static void moments(size_t pixels, const float *x, float *mean, float *m2)
{
    const vec *in = as_vec(x);
    vec s[4] = {vset1(0), vset1(0), vset1(0), vset1(0)};
    sum(pixels, x, mean);
    const vec m = *as_vec(mean) * vset1(1.0f / (float)pixels);
    size_t i = 0;
    for (; i + 4 <= pixels; i += 4) {
        for (int j = 0; j < 4; j++) {
            vec d = in[i + j] - m;
            s[j] = vfma(d, d, s[j]);
        }
    }
    for (; i < pixels; i++) {
        vec d = in[i] - m;
        s[0] = vfma(d, d, s[0]);
    }
    *as_vec_out(mean) = m;
    *as_vec_out(m2) = (s[0] + s[1]) + (s[2] + s[3]);
}

/* Gradient behind the ReLU: zero where the forward pass gave zero, found by computing it again with the same rounding. */
INLINE vec masked(vec centred, vec g, const vec *dy2, size_t i, vec scale, vec shift, bool relu)
{
    if (dy2) {
        g += dy2[i];
    }
    return relu ? vgate(vfma(centred, scale, shift), g) : g;
}

INLINE void norm_sums_loop(size_t pixels, const fnr_dn_norm_in *in, const fnr_dn_affine *f, bool two, bool relu, vec *total)
{
    const vec mean = *as_vec(f->mean), scale = *as_vec(f->scale), shift = *as_vec(f->shift);
    const vec *x = as_vec(in->x), *dy1 = as_vec(in->dy1), *dy2 = two ? as_vec(in->dy2) : NULL;
    vec sg[2] = {vset1(0), vset1(0)}, sx[2] = {vset1(0), vset1(0)};
    size_t i = 0;
    for (; i + 2 <= pixels; i += 2) {
        for (int j = 0; j < 2; j++) {
            vec centred = x[i + j] - mean, g = masked(centred, dy1[i + j], dy2, i + j, scale, shift, relu);
            sg[j] += g;
            sx[j] = vfma(g, centred, sx[j]);
        }
    }
    for (; i < pixels; i++) {
        vec centred = x[i] - mean, g = masked(centred, dy1[i], dy2, i, scale, shift, relu);
        sg[0] += g;
        sx[0] = vfma(g, centred, sx[0]);
    }
    total[0] = sg[0] + sg[1];
    total[1] = sx[0] + sx[1];
}

TARGET static void norm_sums(size_t pixels, const fnr_dn_norm_in *in, const fnr_dn_affine *f, float *sum_g, float *sum_gx)
{
    vec total[2];
    if (in->dy2) {
        f->relu ? norm_sums_loop(pixels, in, f, true, true, total) : norm_sums_loop(pixels, in, f, true, false, total);
    } else {
        f->relu ? norm_sums_loop(pixels, in, f, false, true, total) : norm_sums_loop(pixels, in, f, false, false, total);
    }
    *as_vec_out(sum_g) = total[0];
    *as_vec_out(sum_gx) = total[1];
}

INLINE void norm_grad_loop(size_t pixels, const fnr_dn_norm_in *in, const fnr_dn_affine *f, vec slope, vec offset, bool two, bool relu, vec *dx)
{
    const vec mean = *as_vec(f->mean), scale = *as_vec(f->scale), shift = *as_vec(f->shift);
    const vec *x = as_vec(in->x), *dy1 = as_vec(in->dy1), *dy2 = two ? as_vec(in->dy2) : NULL;
    for (size_t i = 0; i < pixels; i++) {
        vec centred = x[i] - mean, g = masked(centred, dy1[i], dy2, i, scale, shift, relu);
        dx[i] = vfma(scale, g, vfma(slope, centred, offset));
    }
}

TARGET static void norm_grad(size_t pixels, const fnr_dn_norm_in *in, const fnr_dn_affine *f, const float *slope, const float *offset, float *dx)
{
    const vec k = *as_vec(slope), o = *as_vec(offset);
    vec *out = as_vec_out(dx);
    if (in->dy2) {
        f->relu ? norm_grad_loop(pixels, in, f, k, o, true, true, out) : norm_grad_loop(pixels, in, f, k, o, true, false, out);
    } else {
        f->relu ? norm_grad_loop(pixels, in, f, k, o, false, true, out) : norm_grad_loop(pixels, in, f, k, o, false, false, out);
    }
}

TARGET static void add(size_t pixels, const float *a, const float *b, float *out)
{
    const vec *va = as_vec(a), *vb = as_vec(b);
    vec *o = as_vec_out(out);
    for (size_t i = 0; i < pixels; i++) {
        vec v = va[i];
        if (b) {
            v += vb[i];
        }
        o[i] = v;
    }
}

INLINE void expand_pixels(int count, size_t x, int n_rows, const float *const *rows, const vec *w, const vec *numbers, vec *y)
{
    vec acc[8];
#pragma GCC unroll 8
    for (int j = 0; j < count; j++) {
        acc[j] = vset1(0);
    }
    for (int r = 0; r < n_rows; r++) {
        const float *row = rows[r] + x;
        for (int k = 0; k < 3; k++) {
            vec wk = w[3 * r + k];
#pragma GCC unroll 8
            for (int j = 0; j < count; j++) {
                acc[j] = vfma(vset1(row[j + k]), wk, acc[j]);
            }
        }
    }
#pragma GCC unroll 8
    for (int j = 0; j < count; j++) {
        y[x + j] = apply(acc[j] - numbers[0], numbers[1], numbers[2], numbers[3]);
    }
}

TARGET static void expand_row(size_t width, int n_rows, const float *const *rows, const float *w, const fnr_dn_affine *f, float *y)
{
    const vec numbers[4] = {*as_vec(f->mean), *as_vec(f->scale), *as_vec(f->shift), lower_bound(f)};
    size_t x = 0;
    for (; x + 8 <= width; x += 8) {
        expand_pixels(8, x, n_rows, rows, as_vec(w), numbers, as_vec_out(y));
    }
    for (; x < width; x++) {
        expand_pixels(1, x, n_rows, rows, as_vec(w), numbers, as_vec_out(y));
    }
}

INLINE float lane_sum(vec v)
{
    float s[BLOCK];
    vstoreu(s, v);
    for (int half = BLOCK / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            s[i] += s[i + half];
        }
    }
    return s[0];
}

/* `count` neighbours that look at columns x - 1 .. x + count; border: some of these may lie outside. */
INLINE void shrink_pixels(int count, bool border, size_t x, size_t width, int n_rows, const float *const *rows, const vec *w, float bias,
                          float *out)
{
    vec acc[8];
#pragma GCC unroll 8
    for (int j = 0; j < count; j++) {
        acc[j] = vset1(0);
    }
    for (int r = 0; r < n_rows; r++) {
        if (!rows[r]) {
            continue;
        }
        const vec *row = as_vec(rows[r]);
        for (int k = 0; k < 3; k++) {
            vec wk = w[3 * r + k];
#pragma GCC unroll 8
            for (int j = 0; j < count; j++) {
                size_t column = x + (size_t)(j + k); /* one more than the column read: no negative numbers */
                if (!border || (column >= 1 && column <= width)) {
                    acc[j] = vfma(row[column - 1], wk, acc[j]);
                }
            }
        }
    }
#pragma GCC unroll 8
    for (int j = 0; j < count; j++) {
        out[x + j] = bias + lane_sum(acc[j]);
    }
}

TARGET static void shrink_row(size_t width, int n_rows, const float *const *rows, const float *w, float bias, float *out)
{
    const vec *wv = as_vec(w);
    shrink_pixels(1, true, 0, width, n_rows, rows, wv, bias, out);
    size_t x = 1;
    for (; x + 9 <= width; x += 8) {
        shrink_pixels(8, false, x, width, n_rows, rows, wv, bias, out);
    }
    for (; x < width; x++) {
        shrink_pixels(1, true, x, width, n_rows, rows, wv, bias, out);
    }
}

TARGET static void correlate_row(size_t width, int n_rows, const float *const *rows, const float *y, float *acc)
{
    const vec *v = as_vec(y);
    vec *total = as_vec_out(acc);
    for (int r = 0; r < n_rows; r += 3) { /* 3x3 kernels: rows come in threes, nine sums stay in registers */
        const float *r0 = rows[r], *r1 = rows[r + 1], *r2 = rows[r + 2];
        vec s[9];
        for (int k = 0; k < 9; k++) {
            s[k] = total[3 * r + k];
        }
        for (size_t x = 0; x < width; x++) {
            vec g = v[x];
            for (int k = 0; k < 3; k++) {
                s[k] = vfma(vset1(r0[x + k]), g, s[k]);
                s[3 + k] = vfma(vset1(r1[x + k]), g, s[3 + k]);
                s[6 + k] = vfma(vset1(r2[x + k]), g, s[6 + k]);
            }
        }
        for (int k = 0; k < 9; k++) {
            total[3 * r + k] = s[k];
        }
    }
}

TARGET static void adam(size_t n, const fnr_dn_adam *h, const float *grad, float *m1, float *m2, float *value)
{
    const vec b1 = vset1(h->beta1), b2 = vset1(h->beta2), c1 = vset1(h->one_minus_beta1), c2 = vset1(h->one_minus_beta2);
    const vec step = vset1(h->step_size), inverse = vset1(h->inverse_root), e = vset1(h->eps);
    for (size_t i = 0; i < n; i += BLOCK) {
        float tail[4][BLOCK] = {{0}};
        const size_t left = n - i < BLOCK ? n - i : BLOCK;
        const bool whole = left == BLOCK;
        const float *gp = grad + i;
        float *ap = m1 + i, *bp = m2 + i, *vp = value + i;
        if (!whole) { /* the last few go through a padded copy */
            memcpy(tail[0], gp, left * sizeof(float));
            memcpy(tail[1], ap, left * sizeof(float));
            memcpy(tail[2], bp, left * sizeof(float));
            memcpy(tail[3], vp, left * sizeof(float));
            gp = tail[0], ap = tail[1], bp = tail[2], vp = tail[3];
        }
        vec g = vloadu(gp);
        vec a = vfma(b1, vloadu(ap), c1 * g);
        vec b = vfma(b2, vloadu(bp), c2 * g * g);
        vstoreu(ap, a);
        vstoreu(bp, b);
        vstoreu(vp, vloadu(vp) - step * a / vfma(vsqrt(b), inverse, e));
        if (!whole) {
            memcpy(m1 + i, ap, left * sizeof(float));
            memcpy(m2 + i, bp, left * sizeof(float));
            memcpy(value + i, vp, left * sizeof(float));
        }
    }
}

const fnr_dn_kernels KERNELS = {
    .name = KERNELS_NAME,
    .block = BLOCK,
    .affine = affine,
    .moments = moments,
    .norm_sums = norm_sums,
    .norm_grad = norm_grad,
    .add = add,
    .sum = sum,
    .expand_row = expand_row,
    .shrink_row = shrink_row,
    .correlate_row = correlate_row,
    .adam = adam,
};
