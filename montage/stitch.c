/* The whole way: load and reduce the tiles, match neighbours, learn the grid's steps, match what is left, solve. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "montage/neighbours.h"
#include "montage/solve.h"
#include "src/core/mem.h"
#include "src/core/threads.h"
#include "src/image/tiff.h"

/* A pair whose place is known has fewer chances for a wrong peak: this much less significance will do. */
static const double LOCATED_BONUS = 2.0;
/* Correlation of the refined overlap.  Tiles of different sections reach 0.2, true neighbours 0.9 (see README.md): below the first
 * limit no match is believed; above the second the peak need not be as high and as lonely. */
static const double CORRELATION_MIN = 0.3, CORRELATION_SURE = 0.6;
static const double SURE_BONUS = 1.5, SURE_SECOND = 0.15;

typedef struct {
    fnr_tileset *set;
    const fnr_stitch_options *opt;
    const fnr_cancel *cancel;
    fnr_reduction reduction;
    fnr_tile_copy *copies;
    size_t first; /* the first tile that could be loaded */
    fnr_neighbours pairs;
    bool again; /* second pass: only pairs that have been located since */
    fnr_error *errors; /* of each pair */
} stitcher;

/* ---- loading ---------------------------------------------------------------------------------------------------------------------*/

/* A fault of the tile is noted with the tile. */
static bool load(const stitcher *s, size_t i, fnr_image *image)
{
    fnr_tile *t = &s->set->tiles[i];
    fnr_error err = {0};
    const bool ok = s->opt->load ? s->opt->load(s->opt->load_ctx, i, image, &err) : fnr_tiff_read(t->path, NULL, image, &err);
    if (ok) {
        t->w = image->v.w;
        t->h = image->v.h;
    } else {
        snprintf(t->problem, sizeof t->problem, "%s", err.message);
    }
    return ok;
}

static void copy_tile(stitcher *s, size_t i, const fnr_image *image)
{
    fnr_error err = {0};
    if (!fnr_tile_copy_new(&s->copies[i], &image->v, s->reduction, &err)) {
        snprintf(s->set->tiles[i].problem, sizeof s->set->tiles[i].problem, "%s", err.message);
    }
}

static void load_one(void *ctx, size_t k)
{
    stitcher *s = ctx;
    const size_t i = s->first + 1 + k;
    fnr_image image = {0};
    if (!fnr_cancelled(s->cancel) && load(s, i, &image)) {
        copy_tile(s, i, &image);
    }
    fnr_image_free(&image);
}

/* The first tile decides how much all are reduced. */
static bool load_tiles(stitcher *s, fnr_error *err)
{
    fnr_image image = {0};
    s->copies = fnr_calloc(s->set->count + 1, sizeof *s->copies, "the tiles' reduced copies", err);
    if (!s->copies) {
        return false;
    }
    while (s->first < s->set->count && !load(s, s->first, &image)) {
        s->first++;
    }
    if (s->first < s->set->count) {
        s->reduction = fnr_reduction_choose(image.v.w, image.v.h, s->set->count, s->opt->memory);
        copy_tile(s, s->first, &image);
        fnr_image_free(&image);
        fnr_parallel_for(s->set->count - s->first - 1, load_one, s);
    }
    return !fnr_cancelled(s->cancel) || fnr_fail(err, FNR_E_CANCELLED, "stopped while loading the tiles");
}

/* ---- matching --------------------------------------------------------------------------------------------------------------------*/

static bool believable(const fnr_neighbour_pair *p, const fnr_stitch_options *opt)
{
    const fnr_link *l = &p->link;
    const bool sure = l->correlation >= CORRELATION_SURE;
    return l->correlation >= CORRELATION_MIN &&
           l->significance >= opt->min_significance - (p->located ? LOCATED_BONUS : 0) - (sure ? SURE_BONUS : 0) &&
           l->second <= opt->max_second + (sure ? SURE_SECOND : 0);
}

static void match_one(void *ctx, size_t i)
{
    stitcher *s = ctx;
    fnr_neighbour_pair *p = &s->pairs.pairs[i];
    if (fnr_cancelled(s->cancel) || p->accepted || (s->again && (p->kind == FNR_PAIR_STAGE || !p->located))) {
        return;
    }
    fnr_link *l = &p->link;
    if (fnr_overlap_measure(&s->copies[l->a], &s->copies[l->b], s->reduction, p->boxes, p->n_boxes, s->opt->min_overlap, l,
                            &s->errors[i])) {
        p->accepted = believable(p, s->opt);
    }
}

static bool match_pass(stitcher *s, fnr_error *err)
{
    fnr_parallel_for(s->pairs.count, match_one, s);
    for (size_t i = 0; i < s->pairs.count; i++) {
        if (s->errors[i].code != FNR_OK) {
            *err = s->errors[i];
            return false;
        }
    }
    return !fnr_cancelled(s->cancel) || fnr_fail(err, FNR_E_CANCELLED, "stopped while matching the tiles");
}

static int by_tiles(const void *pa, const void *pb)
{
    const fnr_link *a = pa, *b = pb;
    return a->a != b->a ? (a->a > b->a) - (a->a < b->a) : (a->b > b->b) - (a->b < b->b);
}

static bool match_tiles(stitcher *s, fnr_error *err)
{
    if (!fnr_neighbours_find(&s->pairs, s->set, s->opt, err)) {
        return false;
    }
    s->errors = fnr_calloc(s->pairs.count + 1, sizeof *s->errors, "the matches", err);
    if (!s->errors || !match_pass(s, err)) {
        return false;
    }
    if (fnr_neighbours_learn_steps(&s->pairs, s->set, s->opt) > 0) {
        s->again = true;
        if (!match_pass(s, err)) {
            return false;
        }
    }
    s->set->links = fnr_calloc(s->pairs.count + 1, sizeof *s->set->links, "the matches", err);
    for (size_t i = 0; s->set->links && i < s->pairs.count; i++) {
        if (s->pairs.pairs[i].accepted) {
            s->set->links[s->set->n_links++] = s->pairs.pairs[i].link;
        }
    }
    if (s->set->links) {
        qsort(s->set->links, s->set->n_links, sizeof *s->set->links, by_tiles);
    }
    return s->set->links;
}

/* ---- positions -------------------------------------------------------------------------------------------------------------------*/

/* Shifts group g to its nominal positions in the mean, or to smallest coordinates of 0. */
static void anchor_group(fnr_tileset *set, int g)
{
    double x = 0, y = 0, min_x = INFINITY, min_y = INFINITY;
    size_t n = 0;
    for (size_t i = 0; i < set->count; i++) {
        const fnr_tile *t = &set->tiles[i];
        if (t->group != g) {
            continue;
        }
        min_x = fmin(min_x, t->x);
        min_y = fmin(min_y, t->y);
        if (t->has_nominal) {
            x += t->x - t->nominal_x;
            y += t->y - t->nominal_y;
            n++;
        }
    }
    for (size_t i = 0; i < set->count; i++) {
        fnr_tile *t = &set->tiles[i];
        if (t->group == g) {
            t->x -= n > 0 ? x / (double)n : min_x;
            t->y -= n > 0 ? y / (double)n : min_y;
        }
    }
}

static void forget_results(fnr_tileset *set)
{
    free(set->links);
    set->links = NULL;
    set->n_links = 0;
    set->groups = 0;
    set->isolated = set->count;
    set->rms_residual = set->max_residual = 0;
    for (size_t i = 0; i < set->count; i++) {
        fnr_tile *t = &set->tiles[i];
        t->group = -1;
        t->x = t->has_nominal ? t->nominal_x : 0;
        t->y = t->has_nominal ? t->nominal_y : 0;
        t->problem[0] = '\0';
        t->w = t->h = 0;
    }
}

bool fnr_tileset_stitch(fnr_tileset *set, const fnr_stitch_options *opt, const fnr_cancel *cancel, fnr_error *err)
{
    const fnr_stitch_options defaults = FNR_STITCH_DEFAULTS;
    fnr_error local = {0};
    stitcher s = {.set = set, .opt = opt ? opt : &defaults, .cancel = cancel, .reduction = {1, 1}};
    forget_results(set);
    const bool ok =
        load_tiles(&s, &local) && match_tiles(&s, &local) && fnr_tileset_solve(set, s.opt->max_residual, &local);
    for (int g = 0; ok && g < set->groups; g++) {
        anchor_group(set, g);
    }
    for (size_t i = 0; s.copies && i < set->count; i++) {
        fnr_tile_copy_free(&s.copies[i]);
    }
    free(s.copies);
    free(s.errors);
    fnr_neighbours_free(&s.pairs);
    if (!ok) {
        forget_results(set);
        if (err) {
            *err = local;
        }
    }
    return ok;
}
