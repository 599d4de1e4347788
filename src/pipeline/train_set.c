#include "src/pipeline/train_set.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/image/stats.h"

void fnr_train_set_free(fnr_train_set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        fnr_pair_pixels_free(&s->items[i].pixels);
    }
    free(s->items);
    free(s->sums);
    free(s->train);
    free(s->val);
    fnr_montage_cache_free(&s->montage);
    fnr_placements_free(&s->placements);
    fnr_pair_list_free(&s->list);
    *s = (fnr_train_set){0};
}

size_t fnr_train_item_files(const fnr_train_set *s, const fnr_train_item *item, const char **out, size_t max)
{
    size_t n = 0;
    if (item->placement) {
        const char *both[] = {item->placement->em_path, item->placement->mbp_path};
        for (; n < 2 && n < max; n++) {
            out[n] = both[n];
        }
        return n;
    }
    for (int i = 0; i < s->list.n_signals && n < max; i++) {
        out[n++] = item->row->signals[i];
    }
    for (int i = 0; i < s->list.n_targets && n < max; i++) {
        out[n++] = item->row->targets[i];
    }
    return n;
}

/* ---- finding --------------------------------------------------------------------------------------------------------------- */

static int by_montage(const void *a, const void *b)
{
    const fnr_placement *p = ((const fnr_train_item *)a)->placement, *q = ((const fnr_train_item *)b)->placement;
    const int order = strcmp(p->mbp_path, q->mbp_path);
    if (order) {
        return order;
    }
    if (p->mbp_page != q->mbp_page) {
        return p->mbp_page < q->mbp_page ? -1 : 1;
    }
    return strcmp(p->em_path, q->em_path);
}

/* Every montage is a group. */
static void order_placements(fnr_train_set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        s->items[i].placement = &s->placements.items[i];
        s->items[i].name = s->placements.items[i].em_path;
    }
    qsort(s->items, s->count, sizeof *s->items, by_montage);
    for (size_t i = 1; i < s->count; i++) {
        const fnr_placement *p = s->items[i - 1].placement, *q = s->items[i].placement;
        s->items[i].group = s->items[i - 1].group + (strcmp(p->mbp_path, q->mbp_path) || p->mbp_page != q->mbp_page);
    }
}

static bool find_inputs(const char *const *inputs, size_t n, fnr_log *log, fnr_train_set *s, fnr_error *err)
{
    const bool lists = fnr_is_pair_list(inputs[0]);
    for (size_t i = 1; i < n; i++) {
        if (fnr_is_pair_list(inputs[i]) != lists) {
            return fnr_fail(err, FNR_E_USAGE, "%s and %s: TrakEM2 projects and lists of pairs (.csv) cannot be mixed in one training", inputs[0],
                            inputs[i]);
        }
    }
    if (!lists && s->config->net.spatial == 3) {
        return fnr_fail(err, FNR_E_USAGE, "%s: a project places single planes, but net.spatial is 3; volumes come from a list of pairs (.csv)", inputs[0]);
    }
    return lists ? fnr_pair_list_read(inputs, n, &s->list, err) : fnr_placements_read(inputs, n, s->config, log, &s->placements, err);
}

bool fnr_train_set_find(const char *const *inputs, size_t n, const fnr_config *config, fnr_log *log, fnr_train_set *out, fnr_error *err)
{
    fnr_train_set s = {.config = config};
    bool ok = find_inputs(inputs, n, log, &s, err);
    const size_t count = s.placements.count + s.list.count; /* one of them is 0 */
    ok = ok && (s.items = fnr_calloc(count, sizeof *s.items, "list of images", err));
    if (!ok) {
        fnr_train_set_free(&s);
        return false;
    }
    s.count = count;
    if (s.placements.count > 0) {
        order_placements(&s);
    }
    for (size_t i = 0; i < s.list.count; i++) {
        const fnr_list_row *row = &s.list.rows[i];
        s.items[i].row = row;
        s.items[i].name = row->signals[0];
        s.items[i].validation = row->validation;
    }
    for (size_t i = 0; config->data.target_scaling == FNR_TARGET_ZSCORE_IMAGE && i < count; i++) {
        s.items[i].group = i;
    }
    s.n_groups = s.items[count - 1].group + 1;
    *out = s;
    return true;
}

/* ---- pixels ---------------------------------------------------------------------------------------------------------------- */

/* False with *skip when only this image is at fault. */
static bool load_item(fnr_train_set *s, const fnr_train_item *item, fnr_pair_pixels *p, bool *skip, fnr_error *err)
{
    *skip = true;
    if (item->row) {
        return fnr_list_row_load(&s->list, item->row, s->config, p, err);
    }
    if (!fnr_montage_load(&s->montage, item->placement, s->config, err)) {
        *skip = false;
        return false;
    }
    s->if_nm = s->if_nm > 0 ? s->if_nm : s->montage.nm;
    return fnr_placement_load(&s->montage, item->placement, s->config, p, err);
}

/* All images must have the channels, and the pixel size, of the first. */
static bool agrees(fnr_train_set *s, const fnr_train_item *item, const fnr_pair_pixels *p, fnr_error *err)
{
    if (s->in_channels == 0) {
        s->in_channels = p->in_channels;
        s->out_channels = p->out_channels;
        s->pixel_nm = p->nm;
    }
    if (p->in_channels != s->in_channels || p->out_channels != s->out_channels) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: %d signal and %d target channels, the images before have %d and %d", item->name, p->in_channels,
                        p->out_channels, s->in_channels, s->out_channels);
    }
    if (fabs(p->nm - s->pixel_nm) > 0.01 * s->pixel_nm) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: pixels of %g nm, those of the images before have %g nm; resample the stacks to one size", item->name, p->nm,
                        s->pixel_nm);
    }
    return true;
}

static size_t pixels_of(const fnr_train_item *item)
{
    return (size_t)item->d * (size_t)item->h * (size_t)item->w;
}

/* Plane by plane, so that an image's share does not depend on how many there are. */
static void measure(fnr_train_set *s, const fnr_train_item *item, const fnr_pair_pixels *p)
{
    const size_t area = (size_t)p->h * (size_t)p->w;
    for (int i = 0; i < p->out_channels * p->d; i++) {
        const fnr_view plane = fnr_view_f32(p->target + (size_t)i * area, p->w, p->h);
        const fnr_stats st = fnr_stats_of(&plane);
        fnr_target_sums *sums = &s->sums[item->group * (size_t)s->out_channels + (size_t)(i / p->d)];
        if (st.count > 0) {
            sums->n += (double)st.count;
            sums->sum += st.mean * (double)st.count;
            sums->squares += (st.sd * st.sd + st.mean * st.mean) * (double)st.count;
        }
    }
}

static size_t bytes_of(const fnr_train_set *s, const fnr_train_item *item)
{
    return pixels_of(item) * (size_t)(s->in_channels + s->out_channels) * sizeof(float) + (size_t)item->h * (size_t)item->w;
}

static void scale_target(const fnr_train_set *s, const fnr_train_item *item, fnr_pair_pixels *p)
{
    const size_t n = pixels_of(item);
    for (int c = 0; c < p->out_channels; c++) {
        const fnr_target_sums *g = &s->sums[item->group * (size_t)s->out_channels + (size_t)c];
        const double mean = g->n > 0 ? g->sum / g->n : 0, variance = g->n > 0 ? g->squares / g->n - mean * mean : 0;
        const double inverse = variance > 0 ? 1 / sqrt(variance) : 0;
        float *px = p->target + (size_t)c * n;
        for (size_t k = 0; k < n; k++) {
            px[k] = isfinite(px[k]) ? (float)((px[k] - mean) * inverse) : 0;
        }
    }
}

static fnr_pair pair_of(const fnr_train_item *item, const fnr_pair_pixels *p)
{
    return (fnr_pair){
        .name = item->name, .d = item->d, .h = item->h, .w = item->w, .signal = p->signal, .target = p->target, .valid = p->valid};
}

/* From now on pixels are loaded when they are needed. */
static void stop_keeping(fnr_train_set *s)
{
    s->buffered = true;
    for (size_t i = 0; i < s->count; i++) {
        fnr_pair_pixels_free(&s->items[i].pixels);
    }
}

/* Keeps the pixels while all of them fit into data.max_mb. */
static void keep(fnr_train_set *s, fnr_train_item *item, size_t *bytes)
{
    *bytes += bytes_of(s, item);
    if (!s->buffered && *bytes > (size_t)s->config->data.max_mb << 20) {
        stop_keeping(s);
    }
    if (s->buffered) {
        fnr_pair_pixels_free(&item->pixels);
    }
}

/* Image `from` of what was found becomes the next one that is used; true also when it is left out. */
static bool look_at(fnr_train_set *s, size_t from, size_t *bytes, fnr_log *log, fnr_error *err)
{
    bool skip;
    fnr_error one = {0};
    fnr_pair_pixels p;
    fnr_train_item item = s->items[from];
    if (!load_item(s, &item, &p, &skip, &one)) {
        if (!skip || one.code == FNR_E_USAGE) {
            *err = one;
            return false;
        }
        fnr_log_warn(log, "left out: %s", one.message);
        return true;
    }
    item.d = p.d;
    item.h = p.h;
    item.w = p.w;
    item.pixels = p;
    const bool fits = agrees(s, &item, &p, err);
    if (fits && !s->sums) {
        s->sums = fnr_calloc(s->n_groups * (size_t)s->out_channels, sizeof *s->sums, "training targets", err);
    }
    if (!fits || !s->sums) {
        fnr_pair_pixels_free(&p);
        return false;
    }
    const fnr_netdesc desc = {.spatial = s->config->net.spatial, .in_channels = s->in_channels, .out_channels = s->out_channels};
    const fnr_pair pair = pair_of(&item, &p);
    item.has_patch = fnr_sampler_takes(&desc, &pair, &s->config->train.sampler);
    measure(s, &item, &p);
    keep(s, &item, bytes);
    s->items[s->count++] = item;
    return true;
}

static bool load_all(fnr_train_set *s, fnr_log *log, const fnr_cancel *cancel, fnr_error *err)
{
    const size_t n = s->count;
    fnr_progress progress;
    bool ok = true;
    size_t bytes = 0;
    fnr_progress_begin(&progress, log, "loading pairs", (double)n, 0);
    s->count = 0; /* grows over the items that are kept; those behind hold no pixels yet */
    for (size_t i = 0; ok && i < n; i++) {
        const char *name = s->items[i].name;
        ok = look_at(s, i, &bytes, log, err);
        if (ok && fnr_cancelled(cancel)) {
            ok = fnr_fail(err, FNR_E_CANCELLED, "stopped while loading the training pairs");
        }
        fnr_progress_update(&progress, (double)(i + 1), "%s", fnr_path_base(name));
    }
    fnr_montage_cache_free(&s->montage);
    if (ok && s->count == 0) {
        ok = fnr_fail(err, FNR_E_IO, "none of the %zu training images could be read; see the warnings above", n);
    }
    fnr_progress_end(&progress, "%zu %s", s->count, s->list.count ? "images" : "tiles");
    for (size_t i = 0; ok && !s->buffered && i < s->count; i++) {
        scale_target(s, &s->items[i], &s->items[i].pixels);
    }
    return ok;
}

/* ---- training and validation ------------------------------------------------------------------------------------------------ */

/* Every k-th image goes to validation, unless a list says which.  A buffer holds only images that patches can be cut from. */
static bool split(fnr_train_set *s, fnr_error *err)
{
    const double fraction = s->config->data.validation_fraction;
    const size_t every = !s->list.has_sets && fraction > 0 && s->count >= 4 ? (size_t)fmax(2, round(1 / fraction)) : 0;
    s->train = fnr_calloc(s->count, sizeof *s->train, "training pairs", err);
    s->val = fnr_calloc(s->count, sizeof *s->val, "validation pairs", err);
    if (!s->train || !s->val) {
        return false;
    }
    for (size_t i = 0; i < s->count; i++) {
        fnr_train_item *item = &s->items[i];
        item->validation |= every && i % every == every / 2;
        if (item->validation) {
            s->val[s->n_val++] = item;
        } else if (item->has_patch || !s->buffered) {
            s->train[s->n_train++] = item;
        }
    }
    return s->n_train > 0 || fnr_fail(err, FNR_E_USAGE, "of %zu images, %zu are for validation and no other holds a patch of %d px (train.patch)", s->count,
                                      s->n_val, s->config->train.sampler.patch_w);
}

/* How many images fit at a time; one more is being loaded meanwhile. */
static void size_buffer(fnr_train_set *s, fnr_log *log)
{
    size_t largest = 1, all = 0;
    for (size_t i = 0; i < s->n_train; i++) {
        const size_t bytes = bytes_of(s, s->train[i]);
        largest = bytes > largest ? bytes : largest;
        all += bytes;
    }
    const size_t fit = ((size_t)s->config->data.max_mb << 20) / largest, buffer = fit > 2 ? fit - 1 : 1;
    s->buffer = (int)(buffer < s->n_train ? buffer : s->n_train);
    if (fit < 2) {
        fnr_log_warn(log, "data.max_mb = %d is less than two training images need (%zu MiB each): one is used at a time", s->config->data.max_mb,
                     (largest >> 20) + 1);
    }
    fnr_log_info(log, "the training images need %zu MiB, more than data.max_mb = %d: %d of %zu are used at a time, one is exchanged every %d steps",
                 (all >> 20) + 1, s->config->data.max_mb, s->buffer, s->n_train, s->config->train.sampler.buffer_steps);
}

bool fnr_train_set_load(fnr_train_set *s, fnr_log *log, const fnr_cancel *cancel, fnr_error *err)
{
    if (!load_all(s, log, cancel, err) || !split(s, err)) {
        return false;
    }
    if (s->buffered) {
        size_buffer(s, log);
    }
    return true;
}

/* ---- sources ---------------------------------------------------------------------------------------------------------------- */

static void describe_item(const fnr_train_item *item, fnr_pair *out)
{
    *out = pair_of(item, &item->pixels);
}

/* Kept pixels are lent; others are loaded, and must be what was measured at the beginning. */
static bool load_pair(fnr_train_set *s, const fnr_train_item *item, fnr_pair *out, fnr_error *err)
{
    bool skip;
    fnr_pair_pixels p;
    if (!s->buffered) {
        describe_item(item, out);
        return true;
    }
    if (!load_item(s, item, &p, &skip, err)) {
        return false;
    }
    if (p.d != item->d || p.h != item->h || p.w != item->w || p.in_channels != s->in_channels || p.out_channels != s->out_channels) {
        fnr_pair_pixels_free(&p);
        return fnr_fail(err, FNR_E_FORMAT, "%s: its size has changed since training began", item->name);
    }
    scale_target(s, item, &p);
    *out = pair_of(item, &p);
    return true;
}

static void describe_train(void *ctx, size_t i, fnr_pair *out)
{
    describe_item(((fnr_train_set *)ctx)->train[i], out);
}

static void describe_val(void *ctx, size_t i, fnr_pair *out)
{
    describe_item(((fnr_train_set *)ctx)->val[i], out);
}

static bool load_train(void *ctx, size_t i, fnr_pair *out, fnr_error *err)
{
    return load_pair(ctx, ((fnr_train_set *)ctx)->train[i], out, err);
}

static bool load_val(void *ctx, size_t i, fnr_pair *out, fnr_error *err)
{
    return load_pair(ctx, ((fnr_train_set *)ctx)->val[i], out, err);
}

static void unload(void *ctx, fnr_pair *pair)
{
    if (((fnr_train_set *)ctx)->buffered) {
        free((void *)pair->signal);
        free((void *)pair->target);
        free((void *)pair->valid);
    }
}

void fnr_train_set_sources(fnr_train_set *s, fnr_pair_source *train, fnr_pair_source *val)
{
    *train = (fnr_pair_source){.ctx = s, .count = s->n_train, .describe = describe_train, .load = load_train, .unload = unload};
    *val = (fnr_pair_source){.ctx = s, .count = s->n_val, .describe = describe_val, .load = load_val, .unload = unload};
}
