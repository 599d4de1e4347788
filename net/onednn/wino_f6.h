/* not alone: part of wino_body.h */
/* One-dimensional transforms of F(6, 3): interpolation points 0, +-1/2, +-1, +-2, infinity.  Pairs of points +-p share an even and
 * an odd part; q and r are the other two. */

/* t(p), t(-p) of B^T d: coefficients of x (x + p) (x^2 - q^2) (x^2 - r^2); sum = q^2 + r^2, prod = q^2 r^2. */
INLINE void input_pair(const vec *d, float p, float sum, float prod, vec *t, size_t t_step)
{
    const vec even = vfma(vset1(prod), d[2], vfma(vset1(-sum), d[4], d[6]));
    const vec odd = vfma(vset1(prod), d[1], vfma(vset1(-sum), d[3], d[5]));
    t[0] = vfma(vset1(p), odd, even);
    t[t_step] = vfma(vset1(-p), odd, even);
}

/* B^T d, `step` vectors between the elements of d and of t. */
INLINE void input_1d(const vec *from, int d_step, vec *t, size_t t_step)
{
    vec d[8];
    UNROLL for (int i = 0; i < 8; i++)
    {
        d[i] = from[i * d_step];
    }
    const vec ends = vset1(5.25f); /* (x^2 - 1/4) (x^2 - 1) (x^2 - 4) = x^6 - 5.25 x^4 + 5.25 x^2 - 1 */
    t[0] = vfma(ends, d[2] - d[4], d[6] - d[0]);
    input_pair(d, 0.5f, 5.0f, 4.0f, t + t_step, t_step);
    input_pair(d, 1.0f, 4.25f, 1.0f, t + 3 * t_step, t_step);
    input_pair(d, 2.0f, 1.25f, 0.25f, t + 5 * t_step, t_step);
    t[7 * t_step] = vfma(ends, d[3] - d[5], d[7] - d[1]);
}

/* A^T m: powers of the points. */
INLINE void output_1d(const vec *m, size_t m_step, vec *y, int y_step)
{
    const vec s1 = m[m_step] + m[2 * m_step], d1 = m[m_step] - m[2 * m_step];
    const vec s2 = m[3 * m_step] + m[4 * m_step], d2 = m[3 * m_step] - m[4 * m_step];
    const vec s3 = m[5 * m_step] + m[6 * m_step], d3 = m[5 * m_step] - m[6 * m_step];
    y[0] = m[0] + (s1 + (s2 + s3));
    y[y_step] = vfma(vset1(0.5f), d1, vfma(vset1(2.0f), d3, d2));
    y[2 * y_step] = vfma(vset1(0.25f), s1, vfma(vset1(4.0f), s3, s2));
    y[3 * y_step] = vfma(vset1(0.125f), d1, vfma(vset1(8.0f), d3, d2));
    y[4 * y_step] = vfma(vset1(0.0625f), s1, vfma(vset1(16.0f), s3, s2));
    y[5 * y_step] = vfma(vset1(0.03125f), d1, vfma(vset1(32.0f), d3, d2)) + m[7 * m_step];
}

/* u(p), u(-p) of G g, divided by n, the derivative of the product of all (x - point) at p. */
INLINE void filter_pair(const vec g[3], float p, float n, vec *u, size_t u_step)
{
    const vec even = vfma(vset1(p * p), g[2], g[0]), scale = vset1(1 / n);
    u[0] = vfma(vset1(p), g[1], even) * scale;
    u[u_step] = vfma(vset1(-p), g[1], even) * scale;
}

/* G g. */
INLINE void filter_1d(const vec *from, int g_step, vec *u, size_t u_step)
{
    const vec g[3] = {from[0], from[g_step], from[2 * g_step]};
    u[0] = -g[0];
    filter_pair(g, 0.5f, 1.40625f, u + u_step, u_step);
    filter_pair(g, 1.0f, -4.5f, u + 3 * u_step, u_step);
    filter_pair(g, 2.0f, 90.0f, u + 5 * u_step, u_step);
    u[7 * u_step] = g[2];
}
