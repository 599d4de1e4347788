/* What the section knows as a whole: tiles are stitched to each other by their EM, agree on one similarity to the montage, and
 * help those that cannot fix their own place. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "montage/tileset.h"
#include "register/consensus.h"
#include "src/core/mem.h"
#include "src/pipeline/section.h"

/* The section's own spread is never believed to be smaller than this. */
static const double least_sd_px = 0.15, least_sd_rotation_deg = 0.03, least_sd_log_scale = 0.0005;

/* A refined place further than this many standard deviations (but at least the tolerance) from where the section has the tile is
 * another place. */
static const double gate_sigmas = 4;

/* Of a candidate that was not followed to the end, and of a place that a person has looked at. */
static const double unknown_sd_px = 2, reviewed_sd_px = 0.5;

static const double radians = M_PI / 180;

typedef struct {
    fnr_section *s;
    fnr_consensus section;
    double prior[16]; /* covariance of the section's prediction of a tile */
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
        c->sd_px[c->n_places] = r->has_covariance ? r->expected_error_px : unknown_sd_px;
        c->scores[c->n_places++] = r->score;
    }
    /* candidate 0 is the place above, before it settled */
    for (int i = 1; i < r->n_candidates && c->n_places > 0 && c->n_places < FNR_CONSENSUS_PLACES; i++) {
        if (to_tile_frame(s, t, &r->candidates[i].t, &c->places[c->n_places])) {
            c->sd_px[c->n_places] = unknown_sd_px;
            c->scores[c->n_places++] = r->candidates[i].score;
        }
    }
}

static void set_prior(helping *h)
{
    const double sd = fmax(least_sd_px, h->section.sd_px), rotation = radians * fmax(least_sd_rotation_deg, h->section.sd_rotation_deg);
    const double scale = fmax(least_sd_log_scale, h->section.sd_log_scale);
    memset(h->prior, 0, sizeof h->prior);
    h->prior[0] = h->prior[5] = sd * sd;
    h->prior[10] = rotation * rotation;
    h->prior[15] = scale * scale;
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
        t->reg.expected_error_px = fnr_covariance_rms_px(cov, t->w, t->h, fnr_transform_scale(tile_to_if));
        t->reg.has_covariance = false; /* reg.covariance spoke of the tile's own fit */
    }
}

static double gate_px(const helping *h, const fnr_section_tile *t)
{
    const double sd = fnr_covariance_rms_px(h->prior, t->w, t->h, fnr_transform_scale(&h->section.section));
    return fmax(h->s->run->config.consensus.tolerance_px, gate_sigmas * sd);
}

/* The best place near where the section has the tile; false when there is none within the gate. */
static bool refine_near(const helping *h, fnr_section_tile *t, const fnr_transform *predicted, fnr_registration *found, fnr_transform *tile_to_if)
{
    fnr_section *s = h->s;
    fnr_image prediction = {0};
    const fnr_transform to_net = tile_to_net(s, t);
    fnr_transform to_tile, start;
    const bool ok = fnr_transform_invert(&to_net, &to_tile, NULL) && fnr_transform_compose(predicted, &to_tile, &start, NULL) &&
                    fnr_section_read_prediction(s, t, &prediction, NULL) &&
                    fnr_register_near(s->target, &prediction.v, &start, &s->run->config.reg, found, NULL) && found->has_transform &&
                    to_tile_frame(s, t, &found->t, tile_to_if);
    fnr_image_free(&prediction);
    return ok && fnr_transform_mean_distance(tile_to_if, predicted, t->w, t->h) <= gate_px(h, t);
}

static void by_neighbours(const helping *h, fnr_section_tile *t, const fnr_transform *predicted)
{
    char why[sizeof t->reg.reason];
    snprintf(why, sizeof why, "%s", t->reg.reason);
    t->reg.verdict = FNR_BY_NEIGHBOURS;
    t->reg.score = t->reg.peak_ratio = t->reg.flow_inliers = t->reg.flow_rms_px = NAN; /* they spoke of another place */
    place(h, t, predicted, h->prior);
    snprintf(t->reg.reason, sizeof t->reg.reason, "placed by %d tiles of the section, to about %.1f px (by itself: %.150s)", h->section.agreeing,
             t->reg.expected_error_px, why[0] ? why : "elsewhere");
}

/* The tile's own fit and the section's prediction, weighted by what each is worth. */
static void combine(const helping *h, fnr_section_tile *t, const fnr_registration *own, const fnr_transform *own_place, const fnr_transform *predicted)
{
    fnr_transform fused = *own_place;
    double cov[16];
    if (!own->has_covariance ||
        !fnr_fuse_similarities(own_place, own->covariance, predicted, h->prior, t->w, t->h, &fused, cov, NULL)) {
        by_neighbours(h, t, predicted);
        return;
    }
    if (t->reg.verdict != FNR_REGISTERED) {
        const double apart = fnr_transform_mean_distance(own_place, predicted, t->w, t->h);
        snprintf(t->reg.reason, sizeof t->reg.reason, "agrees within %.1f px with %d other tiles of the section", apart, h->section.agreeing);
    }
    t->reg.verdict = FNR_REGISTERED;
    if (own != &t->reg && own->n_candidates <= 1) { /* found near the prediction, without a search */
        t->reg.peak_ratio = t->reg.flow_inliers = t->reg.flow_rms_px = NAN;
    }
    t->reg.score = own->score;
    place(h, t, &fused, cov);
}

static void help_tile(const helping *h, fnr_section_tile *t, const fnr_consensus_tile *c)
{
    const fnr_registration own = t->reg;
    fnr_registration found;
    fnr_transform near_place;
    if (!c->has_prediction || own.verdict == FNR_FAILED || t->review.decision == FNR_REJECTED || t->review.has_place) {
        return;
    }
    if (own.verdict == FNR_NO_CONTENT) {
        by_neighbours(h, t, &c->predicted);
    } else if (own.has_transform && fnr_transform_mean_distance(&t->tile_to_if, &c->predicted, t->w, t->h) <= gate_px(h, t)) {
        combine(h, t, &own, &t->tile_to_if, &c->predicted);
    } else if (refine_near(h, t, &c->predicted, &found, &near_place) && found.score >= h->s->run->config.consensus.min_score) {
        combine(h, t, &found, &near_place, &c->predicted);
    } else {
        by_neighbours(h, t, &c->predicted);
    }
}

/* The montage shows the section twice, or something as like it: no tile can tell which is right. */
static void doubt_group(fnr_section *s, const fnr_consensus_tile *tiles, double rival)
{
    for (size_t i = 0; i < s->n_tiles; i++) {
        fnr_registration *r = &s->tiles[i].reg;
        if (tiles[i].on_grid && r->verdict == FNR_REGISTERED) {
            r->verdict = FNR_DOUBTFUL;
            snprintf(r->reason, sizeof r->reason, "the section as a whole fits another place of the montage nearly as well (%.0f %% of the support)",
                     100 * rival);
        }
    }
}

static bool help_group(fnr_section *s, const fnr_tileset *set, int group, fnr_error *err)
{
    helping h = {.s = s};
    fnr_consensus_options options = fnr_consensus_defaults();
    options.tolerance_px = s->run->config.consensus.tolerance_px;
    fnr_consensus_tile *tiles = fnr_calloc(s->n_tiles, sizeof *tiles, "tiles of the section", err);
    if (!tiles) {
        return false;
    }
    for (size_t i = 0; i < s->n_tiles; i++) {
        const fnr_section_tile *t = &s->tiles[i];
        tiles[i].on_grid = t->w > 0 && set->tiles[i].group == group;
        tiles[i].x = set->tiles[i].x;
        tiles[i].y = set->tiles[i].y;
        tiles[i].w = t->w;
        tiles[i].h = t->h;
        if (tiles[i].on_grid) {
            fill_places(s, t, &tiles[i]);
        }
    }
    const bool ok = fnr_consensus_find(tiles, s->n_tiles, &options, &h.section, err);
    if (ok && h.section.found && h.section.rival > s->run->config.consensus.max_rival) {
        fnr_log_warn(s->run->log, "the section fits two places of the montage nearly as well (%.0f %% of the support): its tiles are doubtful",
                     100 * h.section.rival);
        doubt_group(s, tiles, h.section.rival);
    } else if (ok && h.section.found) {
        fnr_log_info(s->run->log, "%d tiles agree on rotation %.2f degrees and scale %.5f, to %.2f px", h.section.agreeing,
                     fnr_transform_rotation_deg(&h.section.section), fnr_transform_scale(&h.section.section), h.section.sd_px * sqrt(2));
        set_prior(&h);
        for (size_t i = 0; i < s->n_tiles; i++) {
            help_tile(&h, &s->tiles[i], &tiles[i]);
        }
    }
    free(tiles);
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
