#include "src/pipeline/tile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/image/raster.h"
#include "src/pipeline/em_source.h"

bool fnr_pixel_size(const char *path, double given, const char *option, double *nm, fnr_error *err)
{
    fnr_tiff_info info;
    if (!fnr_tiff_probe(path, &info, err)) {
        return false;
    }
    if (given > 0) {
        *nm = given;
        return true;
    }
    if (!(info.nm > 0)) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: the file does not tell its pixel size; give it with %s", path, option);
    }
    if (info.nm_y > 0 && fabs(info.nm_y / info.nm - 1) > 1e-3) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: pixels of %g x %g nm are not square; give one size with %s", path, info.nm, info.nm_y, option);
    }
    *nm = info.nm;
    return true;
}

/* Fewer network pixels than this show no structure to register by: most often the pixel size is wrong. */
enum { MIN_NET_PX = 16 };

static bool large_enough(const char *path, const fnr_em_source *s, double net_nm, fnr_error *err)
{
    return (s->w >= MIN_NET_PX && s->h >= MIN_NET_PX) ||
           fnr_fail(err, FNR_E_FORMAT, "%s: only %d x %d px at the network's %g nm; is the pixel size right?", path, s->w, s->h, net_nm);
}

bool fnr_tile_load(const char *path, double em_nm, double net_nm, fnr_em_tile *out, fnr_error *err)
{
    fnr_image file = {0};
    fnr_raster raster = {0};
    fnr_em_source source;
    fnr_em_tile t = {0};

    const bool ok = fnr_pixel_size(path, em_nm, "--em-nm", &t.em_nm, err) && fnr_tiff_read(path, NULL, &file, err) &&
                    fnr_raster_from_view(&raster, &file.v, err) && fnr_em_source_open(&source, &raster, path, t.em_nm, net_nm, err) &&
                    large_enough(path, &source, net_nm, err) &&
                    fnr_image_new(&t.net, source.w, source.h, 1, 1, FNR_F32, err) &&
                    fnr_em_source_read(&source, 0, 0, source.w, source.h, t.net.v.px, err);
    if (ok) {
        t.w = file.v.w;
        t.h = file.v.h;
        t.dtype = file.v.dtype;
        t.to_net = source.to_net;
        t.grey_lo = source.lo;
        t.grey_hi = source.hi;
        t.net.v.nm = net_nm;
        *out = t;
    } else {
        fnr_tile_free(&t);
    }
    fnr_raster_release(&raster);
    fnr_image_free(&file);
    return ok;
}

void fnr_tile_free(fnr_em_tile *t)
{
    fnr_image_free(&t->net);
}

static bool is_tiff_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (!strcasecmp(dot, ".tif") || !strcasecmp(dot, ".tiff"));
}

bool fnr_tile_list(const char *dir, fnr_listing *out, fnr_error *err)
{
    fnr_listing all;
    if (!fnr_list_dir(dir, &all, err)) {
        return false;
    }
    const size_t found = all.count;
    size_t kept = 0;
    for (size_t i = 0; i < all.count; i++) {
        if (is_tiff_name(all.names[i])) {
            all.names[kept++] = all.names[i];
        } else {
            free(all.names[i]);
        }
    }
    all.count = kept;
    if (kept == 0) {
        fnr_listing_free(&all);
        return fnr_fail(err, FNR_E_IO, "%s: no .tif or .tiff files among its %zu files; give the folder that holds the EM tiles", dir, found);
    }
    *out = all;
    return true;
}
