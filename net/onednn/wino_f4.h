/* not alone: part of wino_body.h */
/* One-dimensional transforms of F(4, 3). */

/* Interpolation points 0, +-P, +-Q, infinity; A and B are their squares. */
#define P 0.625f
#define Q 1.5f
#define A (P * P)
#define B (Q * Q)

/* B^T d, `step` vectors between the elements of d and of t. */
INLINE void input_1d(const vec *d, int d_step, vec *t, size_t t_step)
{
    const vec d0 = d[0], d1 = d[d_step], d2 = d[2 * d_step], d3 = d[3 * d_step], d4 = d[4 * d_step], d5 = d[5 * d_step];
    const vec sum = vset1(-(A + B)), prod = vset1(A * B);
    const vec e1 = vfma(vset1(-B), d2, d4), o1 = vfma(vset1(-B), d1, d3);
    const vec e2 = vfma(vset1(-A), d2, d4), o2 = vfma(vset1(-A), d1, d3);
    t[0] = vfma(prod, d0, vfma(sum, d2, d4));
    t[t_step] = vfma(vset1(P), o1, e1);
    t[2 * t_step] = vfma(vset1(-P), o1, e1);
    t[3 * t_step] = vfma(vset1(Q), o2, e2);
    t[4 * t_step] = vfma(vset1(-Q), o2, e2);
    t[5 * t_step] = vfma(prod, d1, vfma(sum, d3, d5));
}

/* A^T m. */
INLINE void output_1d(const vec *m, size_t m_step, vec *y, int y_step)
{
    const vec s1 = m[m_step] + m[2 * m_step], d1 = m[m_step] - m[2 * m_step];
    const vec s2 = m[3 * m_step] + m[4 * m_step], d2 = m[3 * m_step] - m[4 * m_step];
    y[0] = m[0] + (s1 + s2);
    y[y_step] = vfma(vset1(P), d1, vset1(Q) * d2);
    y[2 * y_step] = vfma(vset1(A), s1, vset1(B) * s2);
    y[3 * y_step] = vfma(vset1(A * P), d1, vfma(vset1(B * Q), d2, m[5 * m_step]));
}

/* A y. */
INLINE void gradient_1d(const vec *y, int y_step, vec *t, size_t t_step)
{
    const vec y0 = y[0], y1 = y[y_step], y2 = y[2 * y_step], y3 = y[3 * y_step];
    const vec e1 = vfma(vset1(A), y2, y0), o1 = vfma(vset1(A), y3, y1);
    const vec e2 = vfma(vset1(B), y2, y0), o2 = vfma(vset1(B), y3, y1);
    t[0] = y0;
    t[t_step] = vfma(vset1(P), o1, e1);
    t[2 * t_step] = vfma(vset1(-P), o1, e1);
    t[3 * t_step] = vfma(vset1(Q), o2, e2);
    t[4 * t_step] = vfma(vset1(-Q), o2, e2);
    t[5 * t_step] = y3;
}

/* Rows of G are divided by these: the derivative of the product of all (x - point) at the point. */
#define N0 (A * B)
#define N1 (2 * A * (A - B))
#define N2 (2 * B * (B - A))

/* G g. */
INLINE void filter_1d(const vec *g, int g_step, vec *u, size_t u_step)
{
    const vec g0 = g[0], g1 = g[g_step], g2 = g[2 * g_step];
    const vec e1 = vfma(vset1(A), g2, g0), e2 = vfma(vset1(B), g2, g0);
    u[0] = g0 * vset1(1 / N0);
    u[u_step] = vfma(vset1(P), g1, e1) * vset1(1 / N1);
    u[2 * u_step] = vfma(vset1(-P), g1, e1) * vset1(1 / N1);
    u[3 * u_step] = vfma(vset1(Q), g1, e2) * vset1(1 / N2);
    u[4 * u_step] = vfma(vset1(-Q), g1, e2) * vset1(1 / N2);
    u[5 * u_step] = g2;
}

/* G^T u. */
INLINE void filter_adjoint_1d(const vec *u, size_t u_step, vec *g, int g_step)
{
    const vec s1 = (u[u_step] + u[2 * u_step]) * vset1(1 / N1), d1 = (u[u_step] - u[2 * u_step]) * vset1(1 / N1);
    const vec s2 = (u[3 * u_step] + u[4 * u_step]) * vset1(1 / N2), d2 = (u[3 * u_step] - u[4 * u_step]) * vset1(1 / N2);
    g[0] = vfma(vset1(1 / N0), u[0], s1 + s2);
    g[g_step] = vfma(vset1(P), d1, vset1(Q) * d2);
    g[2 * g_step] = vfma(vset1(A), s1, vfma(vset1(B), s2, u[5 * u_step]));
}
