#include "src/sim/cells.h"

#include <math.h>
#include "src/core/mem.h"

static const double pi = 3.14159265358979323846;

static double between(fnr_rng *rng, double lo, double hi)
{
    return lo + (hi - lo) * fnr_rng_uniform(rng);
}

static double clamp(double v, double lo, double hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static double log_normal(fnr_rng *rng, double median, double sigma, double lo, double hi)
{
    return clamp(median * exp(sigma * fnr_rng_normal(rng)), lo, hi);
}

/* mean * (1 + variation * waves), never below `least`. */
static void wavy_ring(fnr_sim_ring *out, double mean, double variation, double least, fnr_rng *rng)
{
    fnr_sim_ring_waves(out, 1, 4, rng);
    for (int i = 0; i <= FNR_SIM_TURNS; i++) {
        out->at[i] = (float)fmax(least, mean * (1.0 + variation * out->at[i]));
    }
}

/* Thin Schwann cytoplasm all round, thick on one or two sides. */
static void make_skirt(fnr_sim_ring *out, double radius, fnr_rng *rng)
{
    double at[2], height[2], width[2];
    for (int k = 0; k < 2; k++) {
        at[k] = FNR_SIM_TURNS * fnr_rng_uniform(rng);
        height[k] = clamp(radius * between(rng, 0.0, k ? 0.2 : 0.5), 0.0, 1500.0);
        width[k] = FNR_SIM_TURNS * between(rng, 0.1, 0.4);
    }
    for (int i = 0; i <= FNR_SIM_TURNS; i++) {
        const double crescent =
            fmax(height[0] * fnr_sim_ring_bump(i, at[0], width[0]), height[1] * fnr_sim_ring_bump(i, at[1], width[1]));
        out->at[i] = (float)(40.0 + crescent);
    }
}

static void make_fibre(fnr_sim_cell *c, double grain, fnr_rng *rng)
{
    /* The thicker the axon the thicker its myelin: inner over outer diameter (g-ratio) near 0.65. */
    const double axon = log_normal(rng, 1800.0, 0.45, 900.0, 6000.0);
    const double g = between(rng, 0.58, 0.74), sheath = clamp(0.5 * axon * (1.0 / g - 1.0), 300.0, 1000.0);
    const double radius = 0.5 * axon + sheath;
    const double aspect = clamp(1.05 + 0.55 * fabs(fnr_rng_normal(rng)), 1.05, radius / (1.45 * sheath));
    const fnr_sim_shape_spec spec = {.a = radius * sqrt(aspect),
                                     .b = radius / sqrt(aspect),
                                     .angle = grain + 0.5 * fnr_rng_normal(rng),
                                     .roughness = between(rng, 0.03, 0.12),
                                     .bend = fnr_rng_uniform(rng) < 0.35 ? between(rng, -0.8, 0.8) : 0.0,
                                     .notch = fnr_rng_uniform(rng) < 0.25 ? between(rng, 0.15, 0.5) : 0.0};
    fnr_sim_shape_make(&c->outline, &spec, rng);
    wavy_ring(&c->wall, sheath, between(rng, 0.06, 0.2), 220.0, rng);
    for (int i = 0; i <= FNR_SIM_TURNS; i++) { /* where the outline folds inwards the sheath must leave room for the axon */
        c->wall.at[i] = (float)fmin(c->wall.at[i], 0.72 * spec.b * c->outline.radius.at[i]);
    }
    make_skirt(&c->skirt, radius, rng);
    c->shade = fnr_rng_uniform(rng) < 0.06 ? (float)between(rng, 0.55, 0.75) : (float)between(rng, 0.93, 1.07); /* dark axons */
    c->stain = fnr_rng_uniform(rng) < 0.08 ? 0.0f : (float)log_normal(rng, 1.0, 0.5, 0.2, 3.5);
}

static void make_nucleus(fnr_sim_cell *c, double grain, fnr_rng *rng)
{
    const double b = between(rng, 1200.0, 2400.0);
    const fnr_sim_shape_spec spec = {.a = b * between(rng, 1.2, 2.4),
                                     .b = b,
                                     .angle = grain + 0.4 * fnr_rng_normal(rng),
                                     .roughness = between(rng, 0.04, 0.12),
                                     .bend = between(rng, -0.3, 0.3)};
    fnr_sim_shape_make(&c->outline, &spec, rng);
    wavy_ring(&c->wall, between(rng, 150.0, 450.0), 0.6, 70.0, rng);
    c->shade = (float)between(rng, 0.6, 1.1);
}

static void make_vessel(fnr_sim_cell *c, double grain, fnr_rng *rng)
{
    const double b = between(rng, 2500.0, 5500.0);
    const fnr_sim_shape_spec spec = {.a = b * between(rng, 1.0, 1.7),
                                     .b = b,
                                     .angle = grain + 0.6 * fnr_rng_normal(rng),
                                     .roughness = between(rng, 0.02, 0.06),
                                     .bend = between(rng, -0.2, 0.2)};
    fnr_sim_shape_make(&c->outline, &spec, rng);
    wavy_ring(&c->wall, between(rng, 200.0, 450.0), 0.6, 90.0, rng);
    c->shade = (float)between(rng, 0.85, 1.1);
}

static void make_process(fnr_sim_cell *c, double grain, fnr_rng *rng)
{
    const double b = between(rng, 120.0, 380.0);
    const fnr_sim_shape_spec spec = {.a = b * between(rng, 4.0, 14.0),
                                     .b = b,
                                     .angle = grain + 0.6 * fnr_rng_normal(rng),
                                     .roughness = between(rng, 0.05, 0.15),
                                     .bend = between(rng, -5.0, 5.0)};
    fnr_sim_shape_make(&c->outline, &spec, rng);
    c->shade = (float)between(rng, 0.6, 1.0);
}

static void make_bundle(fnr_sim_cell *c, double grain, fnr_rng *rng)
{
    const double b = log_normal(rng, 800.0, 0.5, 350.0, 2200.0);
    const fnr_sim_shape_spec spec = {.a = b * between(rng, 1.1, 2.4),
                                     .b = b,
                                     .angle = grain + 0.5 * fnr_rng_normal(rng),
                                     .roughness = between(rng, 0.08, 0.2),
                                     .bend = between(rng, -0.6, 0.6)};
    fnr_sim_shape_make(&c->outline, &spec, rng);
    c->shade = (float)between(rng, 0.85, 1.1);
}

static void make_body(fnr_sim_cell *c, double grain, fnr_rng *rng)
{
    const double b = log_normal(rng, 180.0, 0.7, 50.0, 800.0);
    const fnr_sim_shape_spec spec = {.a = b * between(rng, 1.0, 1.5),
                                     .b = b,
                                     .angle = grain + between(rng, 0.0, pi),
                                     .roughness = fnr_rng_uniform(rng) < 0.5 ? 0.03 : 0.25};
    fnr_sim_shape_make(&c->outline, &spec, rng);
    c->shade = (float)between(rng, 0.2, 1.6);
}

void fnr_sim_cell_make(fnr_sim_cell *out, fnr_sim_kind kind, double grain, fnr_rng *rng)
{
    static void (*const make[])(fnr_sim_cell *, double, fnr_rng *) = {
        [FNR_SIM_VESSEL] = make_vessel, [FNR_SIM_NUCLEUS] = make_nucleus, [FNR_SIM_PROCESS] = make_process,
        [FNR_SIM_BUNDLE] = make_bundle, [FNR_SIM_BODY] = make_body,       [FNR_SIM_FIBRE] = make_fibre,
    };
    *out = (fnr_sim_cell){.kind = kind, .key = fnr_rng_u64(rng)};
    make[kind](out, grain, rng);
    float widest = 0;
    for (int i = 0; i < FNR_SIM_TURNS; i++) {
        widest = fmaxf(widest, out->skirt.at[i]);
    }
    out->reach = out->outline.reach + 1.3f * widest; /* the skirt is measured in first-order distances */
}

typedef struct {
    fnr_sim_part_kind kind;
    int tries;
    double a_lo, a_hi, aspect_hi; /* first semi-axis [nm]; a / b from 1 */
    double depth;                 /* least distance of the centre from the wall, relative to a */
    double apart;                 /* least distance from other parts, relative to the sum of the first axes */
} part_rule;

static bool clear_of_parts(const fnr_sim_scene *s, size_t first, const fnr_sim_part *p, double apart)
{
    for (size_t i = first; i < s->n_parts; i++) {
        if (hypot(s->parts[i].x - p->x, s->parts[i].y - p->y) < apart * (double)(s->parts[i].a + p->a)) {
            return false;
        }
    }
    return true;
}

/* Throws parts into the cell's inside and keeps those that fit. */
static bool throw_parts(fnr_sim_scene *s, fnr_sim_cell *c, const part_rule *rule, fnr_rng *rng, fnr_error *err)
{
    for (int k = 0; k < rule->tries; k++) {
        const double angle = between(rng, 0.0, pi), a = between(rng, rule->a_lo, rule->a_hi),
                     b = a / between(rng, 1.0, rule->aspect_hi);
        const double reach = (double)c->outline.reach;
        fnr_sim_part p = {.kind = rule->kind, .a = (float)a, .b = (float)b, .cos = (float)cos(angle), .sin = (float)sin(angle)};
        p.x = c->outline.x + reach * between(rng, -1.0, 1.0);
        p.y = c->outline.y + reach * between(rng, -1.0, 1.0);
        p.shade = (float)between(rng, 0.8, 1.15);
        p.key = fnr_rng_u64(rng);
        const fnr_sim_near near = fnr_sim_shape_near(&c->outline, p.x, p.y);
        const double wall = c->kind == FNR_SIM_BUNDLE ? 0.0 : (double)fnr_sim_ring_at(&c->wall, near.turn);
        if (-(double)near.distance < wall + rule->depth * a || !clear_of_parts(s, c->first_part, &p, rule->apart)) {
            continue;
        }
        if (!fnr_grow(&s->parts, &s->parts_capacity, s->n_parts, sizeof *s->parts, "parts of simulated cells", err)) {
            return false;
        }
        s->parts[s->n_parts++] = p;
    }
    return true;
}

bool fnr_sim_cell_fill(fnr_sim_scene *scene, fnr_sim_cell *cell, fnr_rng *rng, fnr_error *err)
{
    const double area = pi * (double)cell->outline.a * (double)cell->outline.b * 1e-6; /* um^2 */
    part_rule rules[2];
    int n = 0;
    switch (cell->kind) {
    case FNR_SIM_FIBRE:
        rules[n++] = (part_rule){FNR_SIM_MITOCHONDRION, 2 + (int)area, 110.0, 420.0, 2.2, 1.1, 1.1};
        rules[n++] = (part_rule){FNR_SIM_VESICLE, (int)(0.7 * area), 40.0, 160.0, 1.3, 1.3, 1.1};
        break;
    case FNR_SIM_BUNDLE:
        rules[n++] = (part_rule){FNR_SIM_AXON, 12 + (int)(6.0 * area), 180.0, 560.0, 1.0, 0.55, 0.62};
        break;
    case FNR_SIM_VESSEL:
        if (fnr_rng_uniform(rng) < 0.6) {
            rules[n++] = (part_rule){FNR_SIM_ERYTHROCYTE, 6, 1500.0, 3200.0, 2.0, 1.05, 1.0};
        }
        break;
    default:
        break;
    }
    cell->first_part = scene->n_parts;
    for (int i = 0; i < n; i++) {
        if (!throw_parts(scene, cell, &rules[i], rng, err)) {
            return false;
        }
    }
    cell->n_parts = scene->n_parts - cell->first_part;
    return true;
}
