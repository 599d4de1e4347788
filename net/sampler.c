#include "net/sampler.h"

#include <math.h>
#include <stdlib.h>

#include "net/augment.h"
#include "net/patch.h"
#include "net/places.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* How often a rotated or scaled patch is drawn before it is taken unresampled. */
enum { MAX_ATTEMPTS = 16 };

struct fnr_sampler {
    fnr_netdesc desc;
    fnr_sampler_options opt;
    fnr_places *places; /* images that hold at least one patch */
    size_t n_places;
};

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
    if (!(o->foreground >= 0 && o->foreground <= 1 && o->foreground_quantile >= 0 && o->foreground_quantile < 1)) {
        return fnr_fail(err, FNR_E_USAGE, "foreground probability %g with quantile %g: needs 0 to 1, and 0 to below 1", o->foreground,
                        o->foreground_quantile);
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
        fnr_places *p = &s->places[s->n_places];
        ok = fnr_places_find(desc, &pairs[i], opt, p, err);
        s->n_places += p->valid.corners > 0;
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
            fnr_places_free(&s->places[i]);
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

static fnr_patch_pose draw_place(const fnr_sampler *s, const fnr_places *p, fnr_rng *rng)
{
    fnr_patch_pose pose = {.scale = 1};
    fnr_places_draw(p, &s->opt, rng, &pose.z, &pose.y, &pose.x);
    pose.mirror = s->opt.flip && fnr_rng_below(rng, 2);
    return pose;
}

static fnr_patch_pose draw_pose(const fnr_sampler *s, const fnr_places *p, fnr_rng *rng)
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
static fnr_rng stream_of(const fnr_sampler *s, long step, int item, const fnr_places **place)
{
    fnr_rng rng = fnr_rng_at(s->opt.seed, (uint64_t)step, (uint64_t)item);
    *place = &s->places[fnr_rng_below(&rng, s->n_places)];
    return rng;
}

const fnr_pair *fnr_sampler_where(const fnr_sampler *s, long step, int item, int *z, int *y, int *x)
{
    const fnr_places *place;
    fnr_rng rng = stream_of(s, step, item, &place);
    const fnr_patch_pose pose = draw_pose(s, place, &rng);
    *z = pose.z;
    *y = pose.y;
    *x = pose.x;
    return place->pair;
}

void fnr_sampler_batch(const fnr_sampler *s, long step, float *x, float *y)
{
    const fnr_sampler_options *o = &s->opt;
    const size_t plane = (size_t)o->patch_h * (size_t)o->patch_w;
    const int in_planes = s->desc.in_channels * o->patch_d, out_planes = s->desc.out_channels * o->patch_d;
    for (int item = 0; item < o->batch; item++) {
        const fnr_places *p;
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
