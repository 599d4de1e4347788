#include "register/consensus.h"

#include <math.h>
#include <stdlib.h>

#include "register/deform.h"
#include "src/core/mem.h"

/* Hypotheses come from single tiles, whose rotation may be off by a degree or two: far tiles are looked for in a wider circle. */
static const double first_gate = 4;      /* times the tolerance */
enum { REFITS = 4 };

fnr_consensus_options fnr_consensus_defaults(void)
{
    return (fnr_consensus_options){.tolerance_px = 4, .min_score = 0.2, .least_sd_px = 0.3, .min_independent = 2.5,
                                   .model = FNR_MODEL_SIMILARITY, .nominal_scale = 0.1, .if_nm = 100};
}

static fnr_transform shift_to_section(const fnr_consensus_tile *t, double sign)
{
    fnr_transform s = fnr_transform_identity(FNR_FRAME_ANY);
    s.from = sign > 0 ? FNR_FRAME_TILE : FNR_FRAME_SECTION;
    s.to = sign > 0 ? FNR_FRAME_SECTION : FNR_FRAME_TILE;
    s.m02 = sign * t->x;
    s.m12 = sign * t->y;
    return s;
}

/* Both compositions cannot fail: the frames are set right here. */
static fnr_transform section_of(const fnr_consensus_tile *t, const fnr_transform *place)
{
    fnr_transform out = {0};
    const fnr_transform to_tile = shift_to_section(t, -1);
    fnr_transform_compose(place, &to_tile, &out, NULL);
    return out;
}

static fnr_transform tile_under(const fnr_consensus_tile *t, const fnr_transform *section)
{
    fnr_transform out = {0};
    const fnr_transform to_section = shift_to_section(t, 1);
    fnr_transform_compose(section, &to_section, &out, NULL);
    return out;
}

/* Mean distance of the four corners: cheaper than over the area, and never smaller by much. */
static double corner_distance(const fnr_transform *a, const fnr_transform *b, int w, int h)
{
    double sum = 0;
    for (int k = 0; k < 4; k++) {
        const fnr_point p = {k & 1 ? w - 1 : 0, k & 2 ? h - 1 : 0}, qa = fnr_transform_apply(a, p), qb = fnr_transform_apply(b, p);
        sum += hypot(qa.x - qb.x, qa.y - qb.y);
    }
    return sum / 4;
}

static fnr_point tile_centre(const fnr_consensus_tile *t)
{
    return (fnr_point){(t->w - 1) / 2.0, (t->h - 1) / 2.0};
}

/* The place of t nearest to where the section puts it, within `gate`; -1 none. */
static int agreeing_place(const fnr_consensus_tile *t, const fnr_transform *section, double gate, double min_score)
{
    const fnr_transform expected = tile_under(t, section);
    int best = -1;
    for (int k = 0; k < t->n_places; k++) {
        const double d = corner_distance(&t->places[k], &expected, t->w, t->h);
        if (t->scores[k] >= min_score && d < gate) {
            gate = d;
            best = k;
        }
    }
    return best;
}

/* Support of a hypothesis: the sum of squared scores of the places that agree. */
static double choose_places(fnr_consensus_tile *tiles, size_t n, const fnr_transform *section, double gate, double min_score)
{
    double support = 0;
    for (size_t i = 0; i < n; i++) {
        fnr_consensus_tile *t = &tiles[i];
        t->chosen = t->on_grid ? agreeing_place(t, section, gate, min_score) : -1;
        if (t->chosen >= 0) {
            support += t->scores[t->chosen] * t->scores[t->chosen];
        }
    }
    return support;
}

/* Inverse variance of a tile's chosen place. */
static double weight_of(const fnr_consensus_tile *t, const fnr_consensus_options *opt)
{
    const double sd = t->sd_px[t->chosen];
    return 1 / (opt->least_sd_px * opt->least_sd_px + sd * sd);
}

/* Least squares over the corners of the chosen places.  A rigid section keeps its nominal scale: it is fitted to points that have it. */
static bool fit_section(const fnr_consensus_tile *tiles, size_t n, const fnr_consensus_options *opt, fnr_transform *section, fnr_error *err)
{
    fnr_point *from = fnr_calloc(4 * n, sizeof *from, "section fit", err), *to = fnr_calloc(4 * n, sizeof *to, "section fit", err);
    double *weights = fnr_calloc(4 * n, sizeof *weights, "section fit", err);
    const double unit = opt->model == FNR_MODEL_RIGID ? opt->nominal_scale : 1;
    size_t m = 0;
    bool ok = from && to && weights;
    for (size_t i = 0; ok && i < n; i++) {
        const fnr_consensus_tile *t = &tiles[i];
        for (int k = 0; t->chosen >= 0 && k < 4; k++) {
            const fnr_point p = {k & 1 ? t->w - 1 : 0, k & 2 ? t->h - 1 : 0};
            from[m] = (fnr_point){unit * (p.x + t->x), unit * (p.y + t->y)};
            to[m] = fnr_transform_apply(&t->places[t->chosen], p);
            weights[m++] = weight_of(t, opt);
        }
    }
    ok = ok && fnr_transform_fit((fnr_model_kind)opt->model, from, to, weights, m, section, err);
    section->m00 *= unit, section->m01 *= unit, section->m10 *= unit, section->m11 *= unit;
    section->from = FNR_FRAME_SECTION;
    section->to = FNR_FRAME_IF;
    free(from);
    free(to);
    free(weights);
    return ok;
}

/* Area of the section that the chosen tiles cover together, in tiles: overlapping tiles hold the same evidence.  Counted on a
 * grid of a sixteenth of the first tile. */
static bool covered_tiles(const fnr_consensus_tile *tiles, size_t n, double *out, fnr_error *err)
{
    double x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY, area = 0;
    size_t agreeing = 0;
    for (size_t i = 0; i < n; i++) {
        const fnr_consensus_tile *t = &tiles[i];
        if (t->chosen >= 0) {
            x0 = fmin(x0, t->x), y0 = fmin(y0, t->y), x1 = fmax(x1, t->x + t->w), y1 = fmax(y1, t->y + t->h);
            area += (double)t->w * t->h;
            agreeing++;
        }
    }
    *out = 0;
    if (agreeing == 0) {
        return true;
    }
    const double mean_area = area / (double)agreeing, cell = fmax(sqrt(mean_area) / 16, fmax(x1 - x0, y1 - y0) / 4096);
    const size_t w = (size_t)((x1 - x0) / cell) + 1, h = (size_t)((y1 - y0) / cell) + 1;
    char *seen = fnr_calloc(w * h, 1, "map of the section", err);
    if (!seen) {
        return false;
    }
    size_t covered = 0;
    for (size_t i = 0; i < n; i++) {
        const fnr_consensus_tile *t = &tiles[i];
        for (double y = t->y; t->chosen >= 0 && y < t->y + t->h; y += cell) {
            for (double x = t->x; x < t->x + t->w; x += cell) {
                char *c = &seen[(size_t)((y - y0) / cell) * w + (size_t)((x - x0) / cell)];
                covered += !*c;
                *c = 1;
            }
        }
    }
    free(seen);
    *out = (double)covered * cell * cell / mean_area;
    return true;
}

static bool agrees(const fnr_consensus_tile *t, int place, const fnr_transform *section, double gate)
{
    const fnr_transform expected = tile_under(t, section);
    return corner_distance(&t->places[place], &expected, t->w, t->h) < gate;
}

/* The hypothesis with the largest support; every place of every tile proposes one.  Places that agree with `other_than` (NULL: none)
 * propose none and do not count. */
static fnr_transform best_hypothesis(fnr_consensus_tile *tiles, size_t n, const fnr_consensus_options *opt, const fnr_transform *other_than,
                                     double *support_out)
{
    fnr_transform best = fnr_transform_identity(FNR_FRAME_ANY);
    const double gate = first_gate * opt->tolerance_px;
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        const fnr_consensus_tile *t = &tiles[i];
        for (int k = 0; t->on_grid && k < t->n_places; k++) {
            if (t->scores[k] < opt->min_score) {
                continue;
            }
            const fnr_transform section = section_of(t, &t->places[k]);
            if (other_than && agrees(t, k, other_than, gate)) {
                continue;
            }
            const double support = choose_places(tiles, n, &section, gate, opt->min_score);
            if (support > most) {
                most = support;
                best = section;
            }
        }
    }
    *support_out = most;
    return best;
}

static double turn_between(const fnr_transform *from, const fnr_transform *to)
{
    const double degrees = fnr_transform_rotation_deg(to) - fnr_transform_rotation_deg(from);
    return (degrees - 360 * round(degrees / 360)) * 3.14159265358979323846 / 180;
}

static bool is_zero(const double cov[16])
{
    double sum = 0;
    for (int i = 0; i < 16; i++) {
        sum += fabs(cov[i]);
    }
    return sum == 0;
}

/* The tile's chosen place relative to where the section has it. */
static void measure(const fnr_consensus_tile *t, const fnr_transform *expected, fnr_deform_tile *d)
{
    const fnr_transform *place = &t->places[t->chosen];
    const fnr_point p = fnr_transform_apply(place, tile_centre(t)), q = fnr_transform_apply(expected, tile_centre(t));
    d->known = true;
    d->value[0] = p.x - q.x;
    d->value[1] = p.y - q.y;
    d->value[2] = turn_between(expected, place);
    d->value[3] = log(fnr_transform_scale(place) / fnr_transform_scale(expected));
    for (int i = 0; i < 16; i++) {
        d->cov[i] = t->cov[t->chosen][i];
    }
    if (is_zero(d->cov)) {
        const double radius = 0.4 * hypot(t->w, t->h) * fnr_transform_scale(expected), sd = t->sd_px[t->chosen];
        d->cov[0] = d->cov[5] = 0.25 * sd * sd; /* half of the squared displacement comes from the shift, half from turn and scale */
        d->cov[10] = d->cov[15] = 0.25 * sd * sd / (radius * radius);
    }
}

static fnr_deform_tile as_deformed(const fnr_consensus_tile *t, const fnr_transform *section)
{
    const fnr_transform expected = tile_under(t, section);
    fnr_deform_tile d = {.centre = fnr_transform_apply(&expected, tile_centre(t)),
                         .half_x = {0.5 * t->w * expected.m00, 0.5 * t->w * expected.m10},
                         .half_y = {0.5 * t->h * expected.m01, 0.5 * t->h * expected.m11}};
    if (t->chosen >= 0) {
        measure(t, &expected, &d);
    }
    return d;
}

/* How well the others predict a tile, where the answer is known; badly known places would make the section look worse than it is. */
static double cross_validated_sd(const fnr_consensus_tile *tiles, const fnr_deform_tile *d, const size_t *which, size_t n,
                                 const fnr_consensus_options *opt)
{
    double sum = 0, weight = 0;
    for (size_t i = 0; i < n; i++) {
        if (d[i].known) {
            const double dx = d[i].value[0] - d[i].mean[0], dy = d[i].value[1] - d[i].mean[1], w = weight_of(&tiles[which[i]], opt);
            sum += w * (dx * dx + dy * dy);
            weight += w;
        }
    }
    return weight > 0 ? sqrt(sum / (2 * weight)) : 0;
}

bool fnr_consensus_predict(fnr_consensus_tile *tiles, size_t n, const fnr_consensus_options *opt, fnr_consensus *out, fnr_error *err)
{
    fnr_deform_tile *d = fnr_calloc(n, sizeof *d, "tiles of a section", err);
    size_t *which = fnr_calloc(n, sizeof *which, "tiles of a section", err), m = 0;
    fnr_deform_model model;
    bool ok = d && which && fit_section(tiles, n, opt, &out->section, err);
    for (size_t i = 0; ok && i < n; i++) {
        if (tiles[i].on_grid) {
            which[m] = i;
            d[m++] = as_deformed(&tiles[i], &out->section);
        }
    }
    const int parameters = opt->model == FNR_MODEL_RIGID ? 3 : opt->model == FNR_MODEL_AFFINE ? 6 : 4;
    ok = ok && fnr_deform_predict(d, m, opt->if_nm, parameters, &model, err);
    for (size_t i = 0; ok && i < m; i++) {
        fnr_consensus_tile *t = &tiles[which[i]];
        const fnr_transform expected = tile_under(t, &out->section);
        t->has_prediction = true;
        if (opt->model == FNR_MODEL_RIGID) {
            d[i].mean[3] = 0;
        }
        t->predicted = fnr_transform_moved(&expected, t->w, t->h, d[i].mean);
        for (int k = 0; k < 16; k++) {
            t->predicted_cov[k] = d[i].mean_cov[k];
        }
    }
    if (ok) {
        out->sd_px = cross_validated_sd(tiles, d, which, m, opt);
        out->log_scale_bias = model.log_scale_bias;
        out->deformation_px = model.sd_px;
        out->deformation_reach_px = model.reach_px;
    }
    free(d);
    free(which);
    return ok;
}

static int count_chosen(const fnr_consensus_tile *tiles, size_t n)
{
    int count = 0;
    for (size_t i = 0; i < n; i++) {
        count += tiles[i].chosen >= 0;
    }
    return count;
}

bool fnr_consensus_find(fnr_consensus_tile *tiles, size_t n, const fnr_consensus_options *opt, fnr_consensus *out, fnr_error *err)
{
    double support, rival_support;
    fnr_consensus c = {.section = best_hypothesis(tiles, n, opt, NULL, &support)};
    if (support > 0) {
        best_hypothesis(tiles, n, opt, &c.section, &rival_support);
        c.rival = rival_support / support;
    }
    for (size_t i = 0; i < n; i++) {
        tiles[i].has_prediction = false;
        tiles[i].chosen = -1;
    }
    double gate = first_gate * opt->tolerance_px;
    for (int k = 0; k < REFITS && c.section.to == FNR_FRAME_IF; k++) {
        choose_places(tiles, n, &c.section, gate, opt->min_score);
        if (count_chosen(tiles, n) == 0 || !fit_section(tiles, n, opt, &c.section, NULL)) {
            break;
        }
        gate = fmax(opt->tolerance_px, gate / 2);
    }
    c.agreeing = count_chosen(tiles, n);
    if (!covered_tiles(tiles, n, &c.independent, err)) {
        return false;
    }
    c.found = c.agreeing >= 3 && c.independent >= opt->min_independent;
    if (c.found && !fnr_consensus_predict(tiles, n, opt, &c, err)) {
        return false;
    }
    *out = c;
    return true;
}
