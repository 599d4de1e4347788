#include "tests/support/support.h"

#include "src/sim/noise.h"
#include "src/sim/shape.h"

static fnr_sim_shape make(double a, double b, double angle, double roughness, double bend)
{
    fnr_rng rng = fnr_rng_at(7, 1, 2);
    fnr_sim_shape s;
    fnr_sim_shape_make(&s, &(fnr_sim_shape_spec){.a = a, .b = b, .angle = angle, .roughness = roughness, .bend = bend}, &rng);
    s.x = 1e5;
    s.y = -2e5;
    return s;
}

static void a_circle_gives_true_distances(void **state)
{
    (void)state;
    const fnr_sim_shape s = make(900, 900, 0.4, 0, 0);
    for (int k = 0; k < 40; k++) {
        const double angle = 0.161 * k, r = 50.0 * k;
        const fnr_sim_near n = fnr_sim_shape_near(&s, s.x + r * cos(angle), s.y + r * sin(angle));
        assert_at_most(fabs((double)n.distance - (r - 900.0)), 0.5);
        assert_true(n.turn >= 0 && n.turn < FNR_SIM_TURNS);
    }
    assert_at_most(fabs((double)s.reach - 1.02 * 900), 0.5);
}

/* The ellipse's first axis points along `angle`, x towards y: its ends are known by hand. */
static void an_ellipse_lies_along_its_axis(void **state)
{
    (void)state;
    const double angle = 0.5;
    const fnr_sim_shape s = make(2000, 700, angle, 0, 0);
    const double c = cos(angle), d = sin(angle);
    assert_at_most(fabs((double)fnr_sim_shape_near(&s, s.x + 2000 * c, s.y + 2000 * d).distance), 1.0);
    assert_at_most(fabs((double)fnr_sim_shape_near(&s, s.x - 700 * d, s.y + 700 * c).distance), 1.0);
    /* 100 nm further out on both axes */
    assert_at_most(fabs((double)fnr_sim_shape_near(&s, s.x + 2100 * c, s.y + 2100 * d).distance - 100), 10.0);
    assert_at_most(fabs((double)fnr_sim_shape_near(&s, s.x - 800 * d, s.y + 800 * c).distance - 100), 5.0);
    assert_true(fnr_sim_shape_near(&s, s.x + 1900 * d, s.y - 1900 * c).distance > 900);
}

/* Of an irregular outline the distance is checked against the nearest point of the outline, found by brute force. */
static void distances_near_a_rough_outline(void **state)
{
    (void)state;
    const fnr_sim_shape s = make(2000, 1300, -0.7, 0.08, 0.3);
    double outline[2000][2];
    int n = 0, checked = 0;
    for (int k = 0; k < 2000; k++) { /* along each ray from the centre, bisect for the sign change */
        const double angle = 6.283185307179586 * k / 2000;
        double lo = 0, hi = 3000;
        for (int i = 0; i < 40; i++) {
            const double r = 0.5 * (lo + hi);
            *(fnr_sim_shape_near(&s, s.x + r * cos(angle), s.y + r * sin(angle)).distance < 0 ? &lo : &hi) = r;
        }
        outline[n][0] = s.x + lo * cos(angle);
        outline[n++][1] = s.y + lo * sin(angle);
        assert_true(lo < (double)s.reach);
    }
    double sum = 0;
    fnr_rng rng = fnr_rng_at(3, 3, 3);
    for (int k = 0; k < 4000; k++) {
        const double x = s.x + 2600 * (2 * fnr_rng_uniform(&rng) - 1), y = s.y + 2600 * (2 * fnr_rng_uniform(&rng) - 1);
        const double d = (double)fnr_sim_shape_near(&s, x, y).distance;
        double nearest = 1e9;
        for (int i = 0; i < n; i++) {
            nearest = fmin(nearest, hypot(x - outline[i][0], y - outline[i][1]));
        }
        if (nearest < 400) {
            sum += fabs(fabs(d) - nearest) / 400;
            checked++;
        }
    }
    assert_true(checked > 500);
    assert_at_most(sum / checked, 0.08);
}

static void tables_wrap(void **state)
{
    (void)state;
    fnr_rng rng = fnr_rng_at(1, 2, 3);
    fnr_sim_ring ring;
    fnr_sim_ring_waves(&ring, 1, 5, &rng);
    assert_true(ring.at[0] == ring.at[FNR_SIM_TURNS]);
    double mean = 0;
    for (int i = 0; i < FNR_SIM_TURNS; i++) {
        mean += (double)ring.at[i] / FNR_SIM_TURNS;
    }
    assert_at_most(fabs(mean), 1e-5);
    assert_true(fnr_sim_ring_bump(1, 127, 10) == fnr_sim_ring_bump(3, 1, 10)); /* across the seam */
    assert_true(fnr_sim_ring_bump(5, 5, 3) == 1.0f && fnr_sim_ring_bump(9, 5, 3) == 0.0f);
}

static void noise_is_smooth_bounded_and_keyed(void **state)
{
    (void)state;
    double sum = 0, squares = 0, step = 0, differ = 0;
    const int n = 20000;
    for (int i = 0; i < n; i++) {
        const double x = 0.37 * i - 3000, y = 0.11 * i;
        const double v = (double)fnr_sim_noise(5, x, y);
        assert_true(v >= -1 && v <= 1);
        sum += v / n;
        squares += v * v / n;
        step = fmax(step, fabs(v - (double)fnr_sim_noise(5, x + 0.01, y)));
        differ += fabs(v - (double)fnr_sim_noise(6, x, y)) / n;
    }
    assert_at_most(fabs(sum), 0.02);
    assert_at_most(fabs(sqrt(squares) - 0.35), 0.08);
    assert_at_most(step, 0.08);
    assert_true(differ > 0.25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_circle_gives_true_distances),     cmocka_unit_test(an_ellipse_lies_along_its_axis),
        cmocka_unit_test(distances_near_a_rough_outline),    cmocka_unit_test(tables_wrap),
        cmocka_unit_test(noise_is_smooth_bounded_and_keyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
