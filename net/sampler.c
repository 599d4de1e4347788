#include "net/sampler.h"

#include <math.h>
#include <stdlib.h>

#include "net/augment.h"
#include "net/patch.h"
#include "net/pool.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* How often a rotated or scaled patch is drawn before it is taken unresampled. */
enum { MAX_ATTEMPTS = 16 };

struct fnr_sampler {
    fnr_netdesc desc;
    fnr_sampler_options opt;
    fnr_pool *pool; /* the images of each step */
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
    if (o->buffer < 0 || (o->buffer > 0 && o->buffer_steps < 1)) {
        return fnr_fail(err, FNR_E_USAGE, "a buffer of %d images, one exchanged after %d steps", o->buffer, o->buffer_steps);
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

static void explain_no_patch(const fnr_pair_source *source, const fnr_sampler_options *o, fnr_error *err)
{
    fnr_pair p, largest = {.h = 0};
    size_t at = 0, valid = 0;
    for (size_t i = 0; i < source->count; i++) {
        source->describe(source->ctx, i, &p);
        if ((double)p.h * p.w > (double)largest.h * largest.w) {
            largest = p;
            at = i;
        }
    }
    if (source->count == 0) {
        fnr_fail(err, FNR_E_USAGE, "there are no training images");
        return;
    }
    if (!source->load(source->ctx, at, &p, err)) {
        return;
    }
    const size_t pixels = (size_t)p.h * (size_t)p.w;
    for (size_t i = 0; i < pixels; i++) {
        valid += !p.valid || p.valid[i];
    }
    fnr_fail(
        err, FNR_E_USAGE,
        "no training image holds a patch of %d x %d px: the largest, '%s', has %d x %d px, %.0f %% of them with a known target; "
        "use smaller patches or a smaller pixel size",
        o->patch_w, o->patch_h, p.name, p.w, p.h, 100.0 * (double)valid / (double)pixels);
    source->unload(source->ctx, &p);
}

/* ---- life ----------------------------------------------------------------------------------------------------------------- */

static void describe_borrowed(void *ctx, size_t i, fnr_pair *out)
{
    *out = ((const fnr_pair *)ctx)[i];
}

static bool load_borrowed(void *ctx, size_t i, fnr_pair *out, fnr_error *err)
{
    (void)err;
    *out = ((const fnr_pair *)ctx)[i];
    return true;
}

static void unload_borrowed(void *ctx, fnr_pair *pair)
{
    (void)ctx;
    (void)pair;
}

fnr_pair_source fnr_pairs_source(const fnr_pair *pairs, size_t n)
{
    return (fnr_pair_source){.ctx = (void *)pairs, .count = n, .describe = describe_borrowed, .load = load_borrowed, .unload = unload_borrowed};
}

bool fnr_sampler_takes(const fnr_netdesc *desc, const fnr_pair *pair, const fnr_sampler_options *opt)
{
    fnr_places p;
    fnr_sampler_options plain = *opt;
    plain.foreground = 0;
    const bool takes = fnr_places_find(desc, pair, &plain, &p, NULL) && p.valid.corners > 0;
    fnr_places_free(&p);
    return takes;
}

fnr_sampler *fnr_sampler_new_from(const fnr_netdesc *desc, const fnr_pair_source *source, const fnr_sampler_options *opt, long first, fnr_error *err)
{
    bool none = false;
    if (!check_options(desc, opt, err)) {
        return NULL;
    }
    fnr_sampler *s = fnr_calloc(1, sizeof *s, "sampler", err);
    if (!s) {
        return NULL;
    }
    s->desc = *desc;
    s->opt = *opt;
    s->pool = fnr_pool_new(desc, source, opt, first, &none, err);
    if (none) {
        explain_no_patch(source, opt, err);
    }
    if (!s->pool) {
        fnr_sampler_free(s);
        return NULL;
    }
    return s;
}

fnr_sampler *fnr_sampler_new(const fnr_netdesc *desc, const fnr_pair *pairs, size_t n_pairs, const fnr_sampler_options *opt,
                             fnr_error *err)
{
    const fnr_pair_source source = fnr_pairs_source(pairs, n_pairs);
    return fnr_sampler_new_from(desc, &source, opt, 0, err);
}

void fnr_sampler_free(fnr_sampler *s)
{
    if (s) {
        fnr_pool_free(s->pool);
        free(s);
    }
}

void fnr_sampler_pass(fnr_sampler *s, long step)
{
    fnr_pool_pass(s->pool, step);
}

void fnr_sampler_stop(fnr_sampler *s)
{
    fnr_pool_stop(s->pool);
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
    *place = fnr_pool_get(s->pool, step, (size_t)fnr_rng_below(&rng, fnr_pool_width(s->pool)));
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

size_t fnr_sampler_images(const fnr_sampler *s)
{
    return fnr_pool_stays(s->pool) ? fnr_pool_width(s->pool) : 0;
}

const fnr_pair *fnr_sampler_image(const fnr_sampler *s, size_t i)
{
    return fnr_pool_get(s->pool, 0, i)->pair;
}

void fnr_sampler_orders(const fnr_sampler *s, long step, fnr_patch_order *orders)
{
    const fnr_sampler_options *o = &s->opt;
    for (int item = 0; item < o->batch; item++) {
        fnr_rng rng = fnr_rng_at(o->seed, (uint64_t)step, (uint64_t)item);
        const size_t image = (size_t)fnr_rng_below(&rng, fnr_pool_width(s->pool));
        const fnr_places *p = fnr_pool_get(s->pool, step, image);
        const fnr_patch_pose pose = draw_pose(s, p, &rng);
        const fnr_augment a = draw_augment(o, &rng);
        fnr_patch_order *to = &orders[item];
        *to = (fnr_patch_order){.image = (int)image,
                                .z = pose.z,
                                .y = pose.y,
                                .x = pose.x,
                                .mirror = pose.mirror,
                                .turns = pose.turns,
                                .resample = pose.resample,
                                .gamma = fabs(a.gamma) > FNR_AUGMENT_LEAST_GAMMA ? a.gamma : 0,
                                .gain = (float)a.gain,
                                .offset = (float)a.offset,
                                .noise_sd = (float)a.noise_sd,
                                .noise_key = rng.key,
                                .noise_counter = rng.counter};
        if (pose.resample) {
            to->map = fnr_patch_map_of(&pose, o->patch_h, o->patch_w);
        }
        if (a.blur_px > FNR_AUGMENT_LEAST_BLUR) {
            to->radius = fnr_augment_taps(a.blur_px, to->taps);
        }
    }
}

bool fnr_sampler_batch(const fnr_sampler *s, long step, float *x, float *y, fnr_error *err)
{
    if (!fnr_pool_wait(s->pool, step, err)) {
        return false;
    }
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
    return true;
}
