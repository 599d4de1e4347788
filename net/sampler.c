#include "net/sampler.h"

#include <math.h>
#include <stdlib.h>

#include "net/augment.h"
#include "net/patch.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* How often a rotated or scaled patch is drawn before it is taken unresampled. */
enum { MAX_ATTEMPTS = 16 };

/* A run of valid patch corners in one row of an image. */
typedef struct {
    int y, x;
    uint64_t before; /* corners in all runs above and to the left of it */
} corner_run;

/* All valid patch corners of one image. */
typedef struct {
    const fnr_pair *pair;
    corner_run *runs;
    size_t n_runs, capacity;
    uint64_t corners;
} placement;

struct fnr_sampler {
    fnr_netdesc desc;
    fnr_sampler_options opt;
    placement *places; /* images that hold at least one patch */
    size_t n_places;
};

/* ---- where patches may lie ----------------------------------------------------------------------------------------------- */

static bool add_run(placement *p, int y, int x, int count, fnr_error *err)
{
    if (!fnr_grow(&p->runs, &p->capacity, p->n_runs, sizeof *p->runs, "patch positions", err)) {
        return false;
    }
    p->runs[p->n_runs++] = (corner_run){.y = y, .x = x, .before = p->corners};
    p->corners += (uint64_t)count;
    return true;
}

/* column[x]: valid pixels in a row that end at (x, y) and go up. A patch whose last row is y fits where pw neighbours reach ph.
 */
static bool add_row(placement *p, const int *column, int y, int ph, int pw, fnr_error *err)
{
    const int w = p->pair->w;
    int streak = 0;
    for (int x = 0; x <= w; x++) {
        if (x < w && column[x] >= ph) {
            streak++;
            continue;
        }
        if (streak >= pw && !add_run(p, y - ph + 1, x - streak, streak - pw + 1, err)) {
            return false;
        }
        streak = 0;
    }
    return true;
}

static bool find_corners(placement *p, int ph, int pw, fnr_error *err)
{
    const fnr_pair *pair = p->pair;
    int *column = fnr_calloc((size_t)pair->w, sizeof *column, "patch positions", err);
    bool ok = column != NULL;
    for (int y = 0; ok && y < pair->h; y++) {
        for (int x = 0; x < pair->w; x++) {
            const bool valid = !pair->valid || pair->valid[(size_t)y * (size_t)pair->w + (size_t)x];
            column[x] = valid ? column[x] + 1 : 0;
        }
        ok = add_row(p, column, y, ph, pw, err);
    }
    free(column);
    return ok;
}

static const corner_run *run_of(const placement *p, uint64_t corner)
{
    size_t low = 0, high = p->n_runs; /* the last run with before <= corner */
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (p->runs[middle].before <= corner) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &p->runs[low];
}

/* ---- checks -------------------------------------------------------------------------------------------------------------- */

static bool check_options(const fnr_netdesc *desc, const fnr_sampler_options *o, fnr_error *err)
{
    const int grid = fnr_netdesc_grid(desc);
    const bool depth_ok = desc->spatial == 2 ? o->patch_d == 1 : o->patch_d > 0 && o->patch_d % grid == 0;
    if (o->patch_h < 1 || o->patch_w < 1 || o->patch_h % grid || o->patch_w % grid || !depth_ok) {
        return fnr_fail(err, FNR_E_USAGE,
                        "training patches of %d x %d x %d (d, h, w): a network of depth %d needs multiples of %d%s", o->patch_d,
                        o->patch_h, o->patch_w, desc->depth, grid, desc->spatial == 2 ? ", and d = 1 in 2D" : "");
    }
    if (o->patch_h > FNR_SAMPLER_MAX_PATCH || o->patch_w > FNR_SAMPLER_MAX_PATCH) {
        return fnr_fail(err, FNR_E_USAGE, "training patches may have at most %d px a side", FNR_SAMPLER_MAX_PATCH);
    }
    if (o->turn && o->patch_h != o->patch_w) {
        return fnr_fail(err, FNR_E_USAGE, "quarter turns need square patches, not %d x %d", o->patch_h, o->patch_w);
    }
    if (o->batch < 1) {
        return fnr_fail(err, FNR_E_USAGE, "a batch of %d patches", o->batch);
    }
    const double amounts[] = {o->scale_jitter, o->gain_jitter, o->offset_jitter, o->noise_sd, o->gamma_jitter, o->blur_px};
    for (size_t i = 0; i < sizeof amounts / sizeof *amounts; i++) {
        if (!(amounts[i] >= 0 && amounts[i] <= FNR_SAMPLER_MAX_BLUR)) {
            return fnr_fail(err, FNR_E_USAGE, "augmentation of %g: amounts must lie between 0 and %g", amounts[i],
                            FNR_SAMPLER_MAX_BLUR);
        }
    }
    return true;
}

static void explain_no_patch(const fnr_pair *pairs, size_t n, const fnr_sampler_options *o, fnr_error *err)
{
    const fnr_pair *largest = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!largest || (double)pairs[i].h * pairs[i].w > (double)largest->h * largest->w) {
            largest = &pairs[i];
        }
    }
    if (!largest) {
        fnr_fail(err, FNR_E_USAGE, "there are no training images");
        return;
    }
    size_t valid = 0;
    const size_t pixels = (size_t)largest->h * (size_t)largest->w;
    for (size_t i = 0; i < pixels; i++) {
        valid += !largest->valid || largest->valid[i];
    }
    fnr_fail(
        err, FNR_E_USAGE,
        "no training image holds a patch of %d x %d px: the largest, '%s', has %d x %d px, %.0f %% of them with a known target; "
        "use smaller patches or a smaller pixel size",
        o->patch_w, o->patch_h, largest->name, largest->w, largest->h, 100.0 * (double)valid / (double)pixels);
}

fnr_sampler *fnr_sampler_new(const fnr_netdesc *desc, const fnr_pair *pairs, size_t n_pairs, const fnr_sampler_options *opt,
                             fnr_error *err)
{
    if (!check_options(desc, opt, err)) {
        return NULL;
    }
    fnr_sampler *s = fnr_calloc(1, sizeof *s, "sampler", err);
    if (s) {
        s->desc = *desc;
        s->opt = *opt;
        s->places = fnr_calloc(n_pairs + 1, sizeof *s->places, "sampler", err);
    }
    bool ok = s && s->places;
    for (size_t i = 0; ok && i < n_pairs; i++) {
        placement *p = &s->places[s->n_places];
        p->pair = &pairs[i];
        ok = pairs[i].d < opt->patch_d || find_corners(p, opt->patch_h, opt->patch_w, err);
        s->n_places += p->corners > 0;
    }
    if (ok && s->n_places == 0) {
        explain_no_patch(pairs, n_pairs, opt, err);
        ok = false;
    }
    if (!ok) {
        fnr_sampler_free(s);
        return NULL;
    }
    return s;
}

void fnr_sampler_free(fnr_sampler *s)
{
    if (s) {
        for (size_t i = 0; s->places && i <= s->n_places; i++) {
            free(s->places[i].runs);
        }
        free(s->places);
        free(s);
    }
}

/* ---- drawing ------------------------------------------------------------------------------------------------------------- */

static double uniform_between(fnr_rng *rng, double low, double high)
{
    return low + (high - low) * fnr_rng_uniform(rng);
}

/* exp(u), u uniform in [-log(1 + jitter), log(1 + jitter)]. */
static double log_uniform(fnr_rng *rng, double jitter)
{
    return exp(uniform_between(rng, -1, 1) * log1p(jitter));
}

static fnr_patch_pose draw_place(const fnr_sampler *s, const placement *p, fnr_rng *rng)
{
    const uint64_t corner = fnr_rng_below(rng, p->corners);
    const corner_run *run = run_of(p, corner);
    fnr_patch_pose pose = {.y = run->y, .x = run->x + (int)(corner - run->before), .scale = 1};
    pose.z = (int)fnr_rng_below(rng, (uint64_t)(p->pair->d - s->opt.patch_d + 1));
    pose.mirror = s->opt.flip && fnr_rng_below(rng, 2);
    return pose;
}

static fnr_patch_pose draw_pose(const fnr_sampler *s, const placement *p, fnr_rng *rng)
{
    const fnr_sampler_options *o = &s->opt;
    for (int i = 0; o->scale_jitter > 0 && i < MAX_ATTEMPTS; i++) {
        fnr_patch_pose pose = draw_place(s, p, rng);
        pose.resample = true;
        pose.scale = log_uniform(rng, o->scale_jitter);
        pose.angle = uniform_between(rng, -M_PI, M_PI);
        if (fnr_patch_fits(p->pair, &pose, o->patch_h, o->patch_w)) {
            return pose;
        }
    }
    fnr_patch_pose pose = draw_place(s, p, rng);
    pose.turns = o->turn ? (int)fnr_rng_below(rng, 4) : 0;
    return pose;
}

static fnr_augment draw_augment(const fnr_sampler_options *o, fnr_rng *rng)
{
    return (fnr_augment){.gain = log_uniform(rng, o->gain_jitter),
                         .offset = uniform_between(rng, -o->offset_jitter, o->offset_jitter),
                         .noise_sd = uniform_between(rng, 0, o->noise_sd),
                         .gamma = uniform_between(rng, -o->gamma_jitter, o->gamma_jitter),
                         .blur_px = uniform_between(rng, 0, o->blur_px)};
}

/* The stream of one item; its first draw is the image. */
static fnr_rng stream_of(const fnr_sampler *s, long step, int item, const placement **place)
{
    fnr_rng rng = fnr_rng_at(s->opt.seed, (uint64_t)step, (uint64_t)item);
    *place = &s->places[fnr_rng_below(&rng, s->n_places)];
    return rng;
}

const fnr_pair *fnr_sampler_pair(const fnr_sampler *s, long step, int item)
{
    const placement *place;
    (void)stream_of(s, step, item, &place);
    return place->pair;
}

void fnr_sampler_batch(const fnr_sampler *s, long step, float *x, float *y)
{
    const fnr_sampler_options *o = &s->opt;
    const size_t plane = (size_t)o->patch_h * (size_t)o->patch_w;
    const int in_planes = s->desc.in_channels * o->patch_d, out_planes = s->desc.out_channels * o->patch_d;
    for (int item = 0; item < o->batch; item++) {
        const placement *p;
        fnr_rng rng = stream_of(s, step, item, &p);
        const fnr_patch_pose pose = draw_pose(s, p, &rng);
        const fnr_augment augment = draw_augment(o, &rng);
        fnr_patch_copy(p->pair, p->pair->signal, s->desc.in_channels, &pose, o->patch_d, o->patch_h, o->patch_w, x);
        fnr_patch_copy(p->pair, p->pair->target, s->desc.out_channels, &pose, o->patch_d, o->patch_h, o->patch_w, y);
        for (int i = 0; i < in_planes; i++) {
            fnr_augment_plane(&augment, &rng, x + (size_t)i * plane, o->patch_h, o->patch_w);
        }
        x += (size_t)in_planes * plane;
        y += (size_t)out_planes * plane;
    }
}
