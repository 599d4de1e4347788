#include "src/pipeline/stack.h"

#include <math.h>
#include <string.h>

/* Which of channel and plane moves faster from page to page: ImageJ's stacks and OME's XYC.. go through the channels first. */
static void set_order(const fnr_tiff_info *info, fnr_stack *s)
{
    const char *order = info->ome_dimension_order, *c = strchr(order, 'C'), *z = strchr(order, 'Z');
    const bool channels_first = c && z ? c < z : true;
    s->page_per_channel = channels_first ? 1 : s->depth;
    s->page_per_z = channels_first ? s->channels : 1;
}

bool fnr_stack_open(const char *path, int spatial, fnr_stack *out, fnr_error *err)
{
    fnr_tiff_info info;
    if (!fnr_tiff_probe(path, &info, err)) {
        return false;
    }
    if (info.size_t_ > 1) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: %d time points; give one file per time point", path, info.size_t_);
    }
    if ((long)info.size_c * info.size_z != info.pages) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: its metadata tell of %d channels and %d planes, but it has %d pages", path, info.size_c, info.size_z,
                        info.pages);
    }
    fnr_stack s = {.w = info.w, .h = info.h, .nm = info.nm, .channels = info.size_c, .depth = info.size_z};
    if (spatial == 2 && info.size_z > 1 && info.size_c > 1) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: a stack of %d planes in %d channels, but the network is 2D; give it single planes", path,
                        info.size_z, info.size_c);
    }
    if (spatial == 2) {
        s.channels = info.pages;
        s.depth = 1;
    }
    set_order(&info, &s);
    if (spatial == 2) {
        s.page_per_channel = 1;
    }
    *out = s;
    return true;
}

static bool read_pages(const char *path, const fnr_stack *s, int page, int depth, float *dst, fnr_error *err)
{
    fnr_image im = {0};
    if (!fnr_tiff_read(path, &(fnr_tiff_read_options){.page = page, .depth = depth}, &im, err)) {
        return false;
    }
    const bool ok = (im.v.w == s->w && im.v.h == s->h && im.v.d == depth) ||
                    fnr_fail(err, FNR_E_FORMAT, "%s: page %d has %d x %d px, the first one %d x %d", path, page + 1, im.v.w, im.v.h, s->w, s->h);
    for (int i = 0; ok && i < depth * s->h; i++) {
        fnr_row_to_f32(&im.v, 0, i % s->h, i / s->h, 0, s->w, dst);
        dst += s->w;
    }
    fnr_image_free(&im);
    return ok;
}

bool fnr_stack_read(const char *path, const fnr_stack *s, int channel, float *dst, fnr_error *err)
{
    const int first = channel * s->page_per_channel;
    if (s->page_per_z == 1) {
        return read_pages(path, s, first, s->depth, dst, err);
    }
    for (int z = 0; z < s->depth; z++) {
        if (!read_pages(path, s, first + z * s->page_per_z, 1, dst + (size_t)z * (size_t)s->h * (size_t)s->w, err)) {
            return false;
        }
    }
    return true;
}

bool fnr_stack_zscore(float *v, size_t n)
{
    double count = 0, sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        const double x = (double)v[i];
        if (isfinite(x)) {
            count++;
            sum += x;
        }
    }
    const double mean = count > 0 ? sum / count : 0;
    for (size_t i = 0; i < n; i++) {
        const double x = (double)v[i] - mean;
        squares += isfinite(x) ? x * x : 0;
    }
    const double sd = count > 0 ? sqrt(squares / count) : 0;
    const bool varies = sd > 1e-6 * fmax(1, fabs(mean));
    for (size_t i = 0; i < n; i++) {
        v[i] = varies && isfinite(v[i]) ? (float)(((double)v[i] - mean) / sd) : 0;
    }
    return varies;
}
