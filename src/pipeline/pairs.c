#include "src/pipeline/pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/cv/cv.h"
#include "src/image/stats.h"

/* One MBP image at a time: placements of one montage follow each other. */
typedef struct {
    const char *path;
    int page;
    fnr_image pixels; /* float */
    double nm;
} montage_cache;

static bool load_montage(montage_cache *cache, const fnr_placement *p, const fnr_config *config, fnr_error *err)
{
    if (cache->path && !strcmp(cache->path, p->mbp_path) && cache->page == p->mbp_page) {
        return true;
    }
    fnr_image file = {0};
    fnr_image_free(&cache->pixels);
    cache->path = NULL;
    const bool ok = fnr_pixel_size(p->mbp_path, config->images.if_nm, "--if-nm", &cache->nm, err) &&
                    fnr_tiff_read(p->mbp_path, &(fnr_tiff_read_options){.page = p->mbp_page}, &file, err) &&
                    fnr_image_to_f32(&file.v, 0, 0, &cache->pixels, err);
    fnr_image_free(&file);
    if (ok) {
        cache->path = p->mbp_path;
        cache->page = p->mbp_page;
    }
    return ok;
}

/* MBP resampled into the frame of the tile, and which of its pixels the montage covers. */
static bool cut_target(const montage_cache *mbp, const fnr_em_tile *tile, const fnr_transform *tile_to_if, fnr_image *target, fnr_image *valid,
                       fnr_error *err)
{
    fnr_transform net_to_tile, net_to_if;
    const int w = tile->net.v.w, h = tile->net.v.h;
    if (!fnr_transform_invert(&tile->to_net, &net_to_tile, err) || !fnr_transform_compose(tile_to_if, &net_to_tile, &net_to_if, err) ||
        !fnr_image_new(target, w, h, 1, 1, FNR_F32, err) || !fnr_image_new(valid, w, h, 1, 1, FNR_U8, err) ||
        !fnr_cv_warp_affine(&mbp->pixels.v, &net_to_if, FNR_INTERP_CUBIC, FNR_BORDER_REPLICATE, &target->v, err)) {
        return false;
    }
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            const fnr_point q = fnr_transform_apply(&net_to_if, (fnr_point){x, y});
            const bool inside = q.x >= 0 && q.y >= 0 && q.x <= mbp->pixels.v.w - 1 && q.y <= mbp->pixels.v.h - 1;
            *(uint8_t *)fnr_at(&valid->v, x, y, 0, 0) = inside;
        }
    }
    return true;
}

/* z-score of targets [first, last) with one mean and sd over all of them. */
static void zscore_together(fnr_image *targets, size_t first, size_t last)
{
    double n = 0, sum = 0, squares = 0;
    for (size_t i = first; i < last; i++) {
        const fnr_stats s = fnr_stats_of(&targets[i].v);
        n += (double)s.count;
        sum += s.mean * (double)s.count;
        squares += (s.sd * s.sd + s.mean * s.mean) * (double)s.count;
    }
    const double mean = n > 0 ? sum / n : 0, variance = n > 0 ? squares / n - mean * mean : 0;
    const double inverse = variance > 0 ? 1 / sqrt(variance) : 0;
    for (size_t i = first; i < last; i++) {
        const size_t count = (size_t)targets[i].v.w * (size_t)targets[i].v.h;
        float *px = targets[i].v.px;
        for (size_t k = 0; k < count; k++) {
            px[k] = isfinite(px[k]) ? (float)((px[k] - mean) * inverse) : 0;
        }
    }
}

static int by_montage(const void *a, const void *b)
{
    const fnr_placement *const *p = a, *const *q = b;
    const int order = strcmp((*p)->mbp_path, (*q)->mbp_path);
    if (order) {
        return order;
    }
    if ((*p)->mbp_page != (*q)->mbp_page) {
        return (*p)->mbp_page < (*q)->mbp_page ? -1 : 1;
    }
    return strcmp((*p)->em_path, (*q)->em_path);
}

/* Splits the loaded planes: every k-th tile goes to validation. */
static bool split(fnr_training_set *p, double fraction, fnr_error *err)
{
    const size_t every = fraction > 0 && p->count >= 4 ? (size_t)fmax(2, round(1 / fraction)) : 0;
    p->train = fnr_calloc(p->count, sizeof *p->train, "training pairs", err);
    p->val = fnr_calloc(p->count, sizeof *p->val, "validation pairs", err);
    if (!p->train || !p->val) {
        return false;
    }
    for (size_t i = 0; i < p->count; i++) {
        const fnr_view *s = &p->signals[i].v;
        const fnr_pair pair = {.name = p->names[i], .d = 1, .h = s->h, .w = s->w, .signal = s->px, .target = p->targets[i].v.px,
                               .valid = p->valids[i].v.px};
        if (every && i % every == every / 2) {
            p->val[p->n_val++] = pair;
        } else {
            p->train[p->n_train++] = pair;
        }
    }
    return true;
}

/* One placement into slot p->count; a tile that cannot be read is skipped with a warning. */
static bool load_one(fnr_training_set *p, const fnr_placement *place, montage_cache *mbp, const fnr_config *config, fnr_log *log, fnr_error *err)
{
    fnr_em_tile tile;
    fnr_error tile_err = {0};
    if (!load_montage(mbp, place, config, err)) {
        return false;
    }
    if (!fnr_tile_load(place->em_path, config->images.em_nm, config->net.pixel_nm, &tile, &tile_err)) {
        fnr_log_warn(log, "left out: %s", tile_err.message);
        return true;
    }
    const size_t i = p->count;
    p->names[i] = fnr_strdup(place->em_path, err);
    const bool ok = p->names[i] && cut_target(mbp, &tile, &place->tile_to_if, &p->targets[i], &p->valids[i], err);
    p->signals[i] = tile.net; /* takes over the pixels */
    p->count++;
    return ok;
}

static bool load_all(fnr_training_set *p, const fnr_placement **order, size_t n, const fnr_config *config, fnr_log *log, const fnr_cancel *cancel,
                     fnr_error *err)
{
    montage_cache mbp = {0};
    fnr_progress progress;
    size_t first_of_montage = 0;
    bool ok = true;
    fnr_progress_begin(&progress, log, "loading pairs", (double)n, 0);
    for (size_t i = 0; i < n && ok; i++) {
        const size_t slot = p->count;
        const bool new_montage = mbp.path && (strcmp(mbp.path, order[i]->mbp_path) || mbp.page != order[i]->mbp_page);
        if (new_montage && config->data.target_scaling == FNR_TARGET_ZSCORE_MONTAGE) {
            zscore_together(p->targets, first_of_montage, slot);
            first_of_montage = slot;
        }
        ok = load_one(p, order[i], &mbp, config, log, err);
        if (ok && p->count > slot && config->data.target_scaling == FNR_TARGET_ZSCORE_IMAGE) {
            fnr_zscore(&p->targets[slot].v, NULL);
        }
        if (ok && fnr_cancelled(cancel)) {
            ok = fnr_fail(err, FNR_E_CANCELLED, "stopped while loading the training pairs");
        }
        fnr_progress_update(&progress, (double)(i + 1), "%s", fnr_path_base(order[i]->em_path));
    }
    if (ok && config->data.target_scaling == FNR_TARGET_ZSCORE_MONTAGE) {
        zscore_together(p->targets, first_of_montage, p->count);
    }
    p->if_nm = mbp.nm;
    fnr_progress_end(&progress, "%zu tiles", p->count);
    fnr_image_free(&mbp.pixels);
    return ok;
}

bool fnr_training_set_load(const fnr_placements *placements, const fnr_config *config, fnr_log *log, const fnr_cancel *cancel, fnr_training_set *out,
                    fnr_error *err)
{
    const size_t n = placements->count;
    fnr_training_set p = {0};
    const fnr_placement **order = fnr_calloc(n, sizeof *order, "list of placements", err);
    p.signals = fnr_calloc(n, sizeof *p.signals, "list of tiles", err);
    p.targets = fnr_calloc(n, sizeof *p.targets, "list of tiles", err);
    p.valids = fnr_calloc(n, sizeof *p.valids, "list of tiles", err);
    p.names = fnr_calloc(n, sizeof *p.names, "list of tiles", err);
    bool ok = order && p.signals && p.targets && p.valids && p.names;
    if (ok) {
        for (size_t i = 0; i < n; i++) {
            order[i] = &placements->items[i];
        }
        qsort(order, n, sizeof *order, by_montage);
        ok = load_all(&p, order, n, config, log, cancel, err);
    }
    if (ok && p.count == 0) {
        ok = fnr_fail(err, FNR_E_IO, "none of the %zu registered EM tiles could be read; see the warnings above", n);
    }
    ok = ok && split(&p, config->data.validation_fraction, err);
    free(order);
    if (!ok) {
        fnr_training_set_free(&p);
        return false;
    }
    *out = p;
    return true;
}

void fnr_training_set_free(fnr_training_set *p)
{
    for (size_t i = 0; i < p->count; i++) {
        fnr_image_free(&p->signals[i]);
        fnr_image_free(&p->targets[i]);
        fnr_image_free(&p->valids[i]);
        free(p->names[i]);
    }
    free(p->signals);
    free(p->targets);
    free(p->valids);
    free(p->names);
    free(p->train);
    free(p->val);
    *p = (fnr_training_set){0};
}
