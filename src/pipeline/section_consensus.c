/* What the section knows as a whole: tiles are stitched to each other by their EM, agree on one similarity to the montage, and
 * help those that cannot fix their own place. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "montage/tileset.h"
#include "register/consensus.h"
#include "src/core/mem.h"
#include "src/pipeline/section.h"

/* A refined place further than this many standard deviations (but at least the tolerance) from where the section has the tile is
 * another place. */
static const double gate_sigmas = 4;

/* Tiles share mistakes of the prediction with their neighbours, which covariances that know nothing of each other do not show: errors
 * were 1.4 to 2 times what they say on sections A and B, each predicted by a network trained on the others (README.md of register/). */
static const double shared_mistakes = 1.5;

/* That the section as a whole is right, once it was found: never wrong in 308 trials on wrong montages (make bench-wrong). */
static const double section_probability = 0.99;

/* Of a candidate that was not followed to the end, and of a place that a person has looked at. */
static const double unknown_sd_px = 2, reviewed_sd_px = 0.5;

typedef struct {
    fnr_section *s;
    fnr_consensus_tile *tiles;
    fnr_registration *near; /* per tile: its fit near where the section has it; has_transform: there is one */
    fnr_consensus_options options;
    fnr_consensus section;
    fnr_register_options fit; /* of the fits near predictions */
} helping;

static fnr_transform tile_to_net(const fnr_section *s, const fnr_section_tile *t)
{
    const double f = t->em_nm / s->net_nm;
    return fnr_transform_resample(f, f, FNR_FRAME_TILE, FNR_FRAME_NET);
}

static bool to_tile_frame(const fnr_section *s, const fnr_section_tile *t, const fnr_transform *net_to_if, fnr_transform *out)
{
    const fnr_transform to_net = tile_to_net(s, t);
    return fnr_transform_compose(net_to_if, &to_net, out, NULL);
}

/* The place itself is in c->places already. */
static void add_place(fnr_consensus_tile *c, const fnr_registration *r)
{
    c->sd_px[c->n_places] = r->has_covariance ? r->expected_error_px : unknown_sd_px;
    memset(c->cov[c->n_places], 0, sizeof c->cov[c->n_places]);
    if (r->has_covariance) {
        memcpy(c->cov[c->n_places], r->covariance, sizeof r->covariance);
    }
    c->scores[c->n_places++] = r->score;
}

static void fill_places(const fnr_section *s, const fnr_section_tile *t, fnr_consensus_tile *c)
{
    const fnr_registration *r = &t->reg;
    if (t->review.decision == FNR_REJECTED) {
        return;
    }
    if (t->review.decision == FNR_ACCEPTED && r->has_transform) { /* here and nowhere else */
        c->places[0] = t->tile_to_if;
        c->sd_px[0] = fmin(reviewed_sd_px, r->has_covariance ? r->expected_error_px : reviewed_sd_px);
        c->scores[0] = 1;
        c->n_places = 1;
        return;
    }
    if (r->has_transform && to_tile_frame(s, t, &r->t, &c->places[0])) {
        add_place(c, r);
    }
    /* candidate 0 is the place above, before it settled */
    for (int i = 1; i < r->n_candidates && c->n_places > 0 && c->n_places < FNR_CONSENSUS_PLACES; i++) {
        if (to_tile_frame(s, t, &r->candidates[i].t, &c->places[c->n_places])) {
            c->sd_px[c->n_places] = unknown_sd_px;
            c->scores[c->n_places++] = r->candidates[i].score;
        }
    }
}

/* Puts a transform and how far it may be off into the tile. */
static void place(const helping *h, fnr_section_tile *t, const fnr_transform *tile_to_if, const double cov[16])
{
    const fnr_transform to_net = tile_to_net(h->s, t);
    fnr_transform to_tile;
    if (fnr_transform_invert(&to_net, &to_tile, NULL) && fnr_transform_compose(tile_to_if, &to_tile, &t->reg.t, NULL)) {
        t->tile_to_if = *tile_to_if;
        t->reg.has_transform = true;
        t->reg.rotation_deg = fnr_transform_rotation_deg(tile_to_if);
        t->reg.scale = fnr_transform_scale(tile_to_if) * h->s->if_nm / t->em_nm;
        t->reg.expected_error_px = shared_mistakes * fnr_covariance_rms_px(cov, t->w, t->h, fnr_transform_scale(tile_to_if));
        t->reg.probability = section_probability * fnr_error_probability(t->reg.expected_error_px, 1);
        t->reg.probability_5px = section_probability * fnr_error_probability(t->reg.expected_error_px, 5);
        t->reg.has_covariance = false; /* reg.covariance spoke of the tile's own fit */
    }
}

static double gate_px(const helping *h, const fnr_consensus_tile *c)
{
    const double sd = fnr_covariance_rms_px(c->predicted_cov, c->w, c->h, fnr_transform_scale(&c->predicted));
    return fmax(h->options.tolerance_px, gate_sigmas * sd);
}

/* The best place near `start`; false when there is none, or it is not where the section has the tile. */
static bool refine_near(const helping *h, size_t i, const fnr_transform *start, fnr_registration *found, fnr_transform *tile_to_if)
{
    fnr_section *s = h->s;
    const fnr_section_tile *t = &s->tiles[i];
    fnr_image prediction = {0};
    const fnr_transform to_net = tile_to_net(s, t);
    fnr_transform to_tile, net_start;
    const bool ok = fnr_transform_invert(&to_net, &to_tile, NULL) && fnr_transform_compose(start, &to_tile, &net_start, NULL) &&
                    fnr_section_read_prediction(s, t, &prediction, NULL) &&
                    fnr_register_near(s->target, &prediction.v, &net_start, &h->fit, found, NULL) && found->has_transform &&
                    to_tile_frame(s, t, &found->t, tile_to_if);
    fnr_image_free(&prediction);
    return ok && found->score >= s->run->config.consensus.min_score &&
           fnr_transform_mean_distance(tile_to_if, &h->tiles[i].predicted, t->w, t->h) <= gate_px(h, &h->tiles[i]);
}

/* ---- first round: every tile gets the best place near where the section has it ---------------------------------------------- */

static int by_blur(const void *a, const void *b)
{
    const double *p = a, *q = b;
    return (p[0] > q[0]) - (p[0] < q[0]);
}

/* The montage is equally blurred everywhere: what the tiles that know their place best found.  Median, by inverse variance. */
static bool common_blur(helping *h, fnr_error *err)
{
    double(*b)[2] = fnr_calloc(h->s->n_tiles, sizeof *b, "tiles of the section", err), sum = 0, half = 0;
    size_t n = 0;
    if (!b) {
        return false;
    }
    for (size_t i = 0; i < h->s->n_tiles; i++) {
        const fnr_registration *r = &h->s->tiles[i].reg;
        if (h->tiles[i].chosen == 0 && r->has_covariance) {
            b[n][0] = r->blur_px;
            b[n][1] = 1 / (0.01 + r->expected_error_px * r->expected_error_px);
            sum += b[n++][1];
        }
    }
    qsort(b, n, sizeof *b, by_blur);
    for (size_t i = 0; i < n && half < 0.5 * sum; i++) {
        half += b[i][1];
        h->fit.blur_px = b[i][0];
    }
    h->fit.blur_known = n > 0;
    free(b);
    return true;
}

/* A tile's own fit stays when it lies where the section has it and was made with the section's blur. */
static void settle_tile(helping *h, size_t i)
{
    fnr_section_tile *t = &h->s->tiles[i];
    fnr_consensus_tile *c = &h->tiles[i];
    const bool own = t->reg.has_transform && fnr_transform_mean_distance(&t->tile_to_if, &c->predicted, t->w, t->h) <= gate_px(h, c);
    fnr_transform place;
    if (t->review.decision == FNR_ACCEPTED || (own && t->reg.blur_px == h->fit.blur_px)) {
        c->chosen = 0;
    } else if (refine_near(h, i, own ? &t->tile_to_if : &c->predicted, &h->near[i], &place)) {
        c->n_places -= c->n_places == FNR_CONSENSUS_PLACES;
        c->places[c->n_places] = place;
        c->chosen = c->n_places;
        add_place(c, &h->near[i]);
    } else {
        h->near[i].has_transform = false;
        c->chosen = own ? 0 : -1;
    }
}

/* False when the tiles cannot help each other any more. */
static bool settle_tiles(helping *h, fnr_error *err)
{
    if (!common_blur(h, err)) {
        return false;
    }
    for (size_t i = 0; i < h->s->n_tiles; i++) {
        const fnr_section_tile *t = &h->s->tiles[i];
        if (h->tiles[i].has_prediction && t->reg.verdict != FNR_FAILED && t->reg.verdict != FNR_NO_CONTENT && t->review.decision != FNR_REJECTED) {
            settle_tile(h, i);
        } else {
            h->tiles[i].chosen = -1;
        }
    }
    return fnr_consensus_predict(h->tiles, h->s->n_tiles, &h->options, &h->section, err);
}

/* ---- second round: each tile's own place and what the others say of it ------------------------------------------------------- */

static void by_neighbours(const helping *h, size_t i)
{
    fnr_section_tile *t = &h->s->tiles[i];
    char why[sizeof t->reg.reason];
    snprintf(why, sizeof why, "%s", t->reg.reason);
    t->reg.verdict = FNR_BY_NEIGHBOURS;
    t->reg.score = t->reg.peak_ratio = t->reg.flow_inliers = t->reg.flow_rms_px = NAN; /* they spoke of another place */
    place(h, t, &h->tiles[i].predicted, h->tiles[i].predicted_cov);
    snprintf(t->reg.reason, sizeof t->reg.reason, "placed by %d tiles of the section, to about %.1f px (by itself: %.150s)", h->section.agreeing,
             t->reg.expected_error_px, why[0] ? why : "elsewhere");
}

/* The tile's own fit and the section's prediction, weighted by what each is worth. */
static void combine(const helping *h, size_t i)
{
    fnr_section_tile *t = &h->s->tiles[i];
    const fnr_consensus_tile *c = &h->tiles[i];
    const fnr_registration *own = h->near[i].has_transform ? &h->near[i] : &t->reg;
    const fnr_transform own_place = fnr_transform_moved(&c->places[c->chosen], t->w, t->h, (const double[]){0, 0, 0, -h->section.log_scale_bias});
    fnr_transform fused;
    double cov[16];
    if (!own->has_covariance || !fnr_fuse_similarities(&own_place, own->covariance, &c->predicted, c->predicted_cov, t->w, t->h, &fused, cov, NULL)) {
        by_neighbours(h, i);
        return;
    }
    if (t->reg.verdict != FNR_REGISTERED) {
        const double apart = fnr_transform_mean_distance(&own_place, &c->predicted, t->w, t->h);
        snprintf(t->reg.reason, sizeof t->reg.reason, "agrees within %.1f px with %d other tiles of the section", apart, h->section.agreeing - 1);
    }
    t->reg.verdict = FNR_REGISTERED;
    if (c->chosen > 0) { /* found near the prediction, without a search */
        t->reg.peak_ratio = t->reg.flow_inliers = t->reg.flow_rms_px = NAN;
        t->reg.blur_px = own->blur_px;
    }
    t->reg.score = own->score;
    place(h, t, &fused, cov);
}

/* The montage shows the section twice, or something as like it: no tile can tell which is right. */
static void doubt_group(const helping *h)
{
    for (size_t i = 0; i < h->s->n_tiles; i++) {
        fnr_registration *r = &h->s->tiles[i].reg;
        if (h->tiles[i].on_grid && r->verdict == FNR_REGISTERED) {
            r->verdict = FNR_DOUBTFUL;
            snprintf(r->reason, sizeof r->reason, "the section as a whole fits another place of the montage nearly as well (%.0f %% of the support)",
                     100 * h->section.rival);
        }
    }
}

static bool help_tiles(helping *h, fnr_error *err)
{
    fnr_section *s = h->s;
    if (!settle_tiles(h, err)) {
        return false;
    }
    fnr_log_info(s->run->log, "%d tiles agree on rotation %.2f degrees and scale %.5f, to %.2f px; deformed by %.2f px over %.0f px; their own scales are %.2f %% off",
                 h->section.agreeing, fnr_transform_rotation_deg(&h->section.section), fnr_transform_scale(&h->section.section),
                 h->section.sd_px * sqrt(2), h->section.deformation_px, h->section.deformation_reach_px, 100 * h->section.log_scale_bias);
    for (size_t i = 0; i < s->n_tiles; i++) {
        const fnr_section_tile *t = &s->tiles[i];
        if (!h->tiles[i].has_prediction || t->reg.verdict == FNR_FAILED || t->review.decision == FNR_REJECTED || t->review.has_place) {
            continue;
        }
        if (h->tiles[i].chosen >= 0) {
            combine(h, i);
        } else {
            by_neighbours(h, i);
        }
    }
    return true;
}

static void describe_tiles(helping *h, const fnr_tileset *set, int group)
{
    const fnr_section *s = h->s;
    for (size_t i = 0; i < s->n_tiles; i++) {
        const fnr_section_tile *t = &s->tiles[i];
        fnr_consensus_tile *c = &h->tiles[i];
        *c = (fnr_consensus_tile){.on_grid = t->w > 0 && set->tiles[i].group == group, .x = set->tiles[i].x, .y = set->tiles[i].y,
                                  .w = t->w, .h = t->h, .chosen = -1};
        if (c->on_grid) {
            h->options.nominal_scale = t->em_nm / s->if_nm;
            fill_places(s, t, c);
        }
    }
}

static bool help_group(fnr_section *s, const fnr_tileset *set, int group, fnr_error *err)
{
    helping h = {.s = s, .options = fnr_consensus_defaults(), .fit = s->run->config.reg};
    h.options.tolerance_px = s->run->config.consensus.tolerance_px;
    h.options.model = s->run->config.reg.model;
    h.options.if_nm = s->if_nm;
    h.tiles = fnr_calloc(s->n_tiles, sizeof *h.tiles, "tiles of the section", err);
    h.near = fnr_calloc(s->n_tiles, sizeof *h.near, "tiles of the section", err);
    bool ok = h.tiles && h.near;
    if (ok) {
        describe_tiles(&h, set, group);
        ok = fnr_consensus_find(h.tiles, s->n_tiles, &h.options, &h.section, err);
    }
    if (ok && h.section.found && h.section.rival > s->run->config.consensus.max_rival) {
        fnr_log_warn(s->run->log, "the section fits two places of the montage nearly as well (%.0f %% of the support): its tiles are doubtful",
                     100 * h.section.rival);
        doubt_group(&h);
    } else if (ok && h.section.found) {
        ok = help_tiles(&h, err);
    }
    free(h.tiles);
    free(h.near);
    return ok;
}

bool fnr_section_consensus(fnr_section *s, fnr_error *err)
{
    fnr_tileset set = {0};
    bool ok = true;
    if (!s->run->config.consensus.enabled || s->n_tiles < 3) {
        return true;
    }
    for (size_t i = 0; ok && i < s->n_tiles; i++) {
        ok = fnr_tileset_add(&set, s->tiles[i].path, err);
    }
    ok = ok && fnr_tileset_stitch(&set, NULL, s->run->cancel, err);
    if (ok && set.groups == 0) {
        fnr_log_info(s->run->log, "the tiles do not overlap each other (or their names tell no grid): each is judged by itself");
    }
    for (int g = 0; ok && g < set.groups; g++) {
        ok = help_group(s, &set, g, err);
    }
    fnr_tileset_free(&set);
    if (!ok && err->code != FNR_E_CANCELLED) { /* every tile has its own verdict already */
        fnr_log_warn(s->run->log, "the tiles cannot help each other: %s", err->message);
        *err = (fnr_error){0};
        ok = true;
    }
    return ok;
}
