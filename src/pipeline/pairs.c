#include "src/pipeline/pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/cv/cv.h"

void fnr_montage_cache_free(fnr_montage_cache *cache)
{
    fnr_image_free(&cache->pixels);
    *cache = (fnr_montage_cache){0};
}

bool fnr_montage_load(fnr_montage_cache *cache, const fnr_placement *p, const fnr_config *config, fnr_error *err)
{
    if (cache->path && !strcmp(cache->path, p->mbp_path) && cache->page == p->mbp_page) {
        return true;
    }
    fnr_image file = {0};
    fnr_montage_cache_free(cache);
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
static bool cut_target(const fnr_montage_cache *mbp, const fnr_em_tile *tile, const fnr_transform *tile_to_if, fnr_image *target, fnr_image *valid,
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

/* The pixels of a dense image, which is emptied. */
static void *take_pixels(fnr_image *im)
{
    void *px = im->v.px;
    *im = (fnr_image){0};
    return px;
}

bool fnr_placement_load(const fnr_montage_cache *cache, const fnr_placement *p, const fnr_config *config, fnr_pair_pixels *out, fnr_error *err)
{
    fnr_em_tile tile;
    fnr_image target = {0}, valid = {0};
    if (!fnr_tile_load(p->em_path, config->images.em_nm, config->net.pixel_nm, &tile, err)) {
        return false;
    }
    const bool ok = cut_target(cache, &tile, &p->tile_to_if, &target, &valid, err);
    if (ok) {
        *out = (fnr_pair_pixels){.d = 1, .h = tile.net.v.h, .w = tile.net.v.w, .in_channels = 1, .out_channels = 1, .nm = config->net.pixel_nm};
        out->signal = take_pixels(&tile.net);
        out->target = take_pixels(&target);
        out->valid = take_pixels(&valid);
    }
    fnr_image_free(&target);
    fnr_image_free(&valid);
    fnr_tile_free(&tile);
    return ok;
}
