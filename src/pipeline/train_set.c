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

/* One image into slot `slot` of the list; true also when it is left out. */
static bool look_at(fnr_train_set *s, size_t from, size_t *kept, fnr_log *log, fnr_error *err)
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
    measure(s, &item, &p);
    s->items[(*kept)++] = item;
    return true;
}

static bool load_all(fnr_train_set *s, fnr_log *log, const fnr_cancel *cancel, fnr_error *err)
{
    const size_t n = s->count;
    fnr_progress progress;
    bool ok = true;
    fnr_progress_begin(&progress, log, "loading pairs", (double)n, 0);
    s->count = 0; /* grows over the items that are kept; those behind hold no pixels yet */
    for (size_t i = 0; ok && i < n; i++) {
        const char *name = s->items[i].name;
        ok = look_at(s, i, &s->count, log, err);
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
    for (size_t i = 0; ok && i < s->count; i++) {
        scale_target(s, &s->items[i], &s->items[i].pixels);
    }
    return ok;
}

/* ---- training and validation ------------------------------------------------------------------------------------------------ */

static fnr_pair pair_of(const fnr_train_item *item)
{
    return (fnr_pair){.name = item->name, .d = item->d, .h = item->h, .w = item->w, .signal = item->pixels.signal, .target = item->pixels.target,
                      .valid = item->pixels.valid};
}

/* Every k-th image goes to validation, unless a list says which. */
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
        s->items[i].validation |= every && i % every == every / 2;
        if (s->items[i].validation) {
            s->val[s->n_val++] = pair_of(&s->items[i]);
        } else {
            s->train[s->n_train++] = pair_of(&s->items[i]);
        }
    }
    return s->n_train > 0 || fnr_fail(err, FNR_E_USAGE, "all %zu images are for validation; nothing is left to train on", s->count);
}

bool fnr_train_set_load(fnr_train_set *s, fnr_log *log, const fnr_cancel *cancel, fnr_error *err)
{
    return load_all(s, log, cancel, err) && split(s, err);
}
