/* Reading one row of a list of pairs: the part of pair_list.h that works on pixels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/image/resample.h"
#include "src/pipeline/em_source.h"
#include "src/pipeline/pair_list.h"
#include "src/pipeline/stack.h"

void fnr_pair_pixels_free(fnr_pair_pixels *p)
{
    free(p->signal);
    free(p->target);
    free(p->valid);
    *p = (fnr_pair_pixels){0};
}

/* The channels of one file that are wanted, and how they look to the network. */
typedef struct {
    const char *path;
    fnr_stack stack;
    int channels[FNR_LIST_MAX_FILES], n;
} source;

/* "1,3" -> {0, 2}; "" -> all. */
static bool choose_channels(source *s, const char *setting, const char *list, fnr_error *err)
{
    const char *c = list;
    s->n = 0;
    for (int i = 0; !list[0] && i < s->stack.channels; i++) {
        if (s->n == FNR_LIST_MAX_FILES) {
            return fnr_fail(err, FNR_E_LIMIT, "%s: %d channels, at most %d are taken; choose with %s", s->path, s->stack.channels, FNR_LIST_MAX_FILES, setting);
        }
        s->channels[s->n++] = i;
    }
    while (*c) {
        char *end;
        const long channel = strtol(c, &end, 10);
        if (end == c || (*end && *end != ',') || s->n == FNR_LIST_MAX_FILES) {
            return fnr_fail(err, FNR_E_USAGE, "%s = %s: write numbers from 1 with commas between them", setting, list);
        }
        if (channel < 1 || channel > s->stack.channels) {
            return fnr_fail(err, FNR_E_USAGE, "%s = %s: %s has %d channel%s", setting, list, s->path, s->stack.channels, s->stack.channels == 1 ? "" : "s");
        }
        s->channels[s->n++] = (int)channel - 1;
        c = *end ? end + 1 : end;
    }
    return true;
}

static bool open_sources(char *const *paths, int n, const char *setting, const char *channels, int spatial, source *out, fnr_error *err)
{
    for (int i = 0; i < n; i++) {
        out[i].path = paths[i];
        if (!fnr_stack_open(paths[i], spatial, &out[i].stack, err) || !choose_channels(&out[i], setting, channels, err)) {
            return false;
        }
    }
    return true;
}

static int count_channels(const source *s, int n)
{
    int channels = 0;
    for (int i = 0; i < n; i++) {
        channels += s[i].n;
    }
    return channels;
}

/* All files of a row have the extents of the first. */
static bool same_extents(const source *all, int n, const source *first, fnr_error *err)
{
    for (int i = 0; i < n; i++) {
        const fnr_stack *a = &all[i].stack, *b = &first->stack;
        if (a->w != b->w || a->h != b->h || a->depth != b->depth) {
            return fnr_fail(err, FNR_E_FORMAT, "%s has %d x %d x %d px (w, h, d), %s has %d x %d x %d; signal and target must lie on each other",
                            all[i].path, a->w, a->h, a->depth, first->path, b->w, b->h, b->depth);
        }
    }
    return true;
}

/* One plane through the raster that all EM goes through; scores it or leaves the values. */
static bool resample_plane(const char *path, float *plane, const fnr_stack *s, double nm, double net_nm, bool score, fnr_pair_pixels *p, float *dst,
                           fnr_error *err)
{
    fnr_raster raster = {0};
    fnr_em_source em;
    fnr_view v = fnr_view_f32(plane, s->w, s->h);
    bool ok = fnr_raster_from_view(&raster, &v, err);
    if (ok && score) {
        ok = fnr_em_source_open(&em, &raster, path, nm, net_nm, err) && fnr_em_source_read(&em, 0, 0, p->w, p->h, dst, err);
    } else if (ok) {
        const double f = fabs(nm / net_nm - 1) < 1e-4 ? 1 : nm / net_nm;
        ok = fnr_resample(&raster, f, NAN, 0, 0, p->w, p->h, dst, err);
    }
    fnr_raster_release(&raster);
    return ok;
}

static bool read_channel(const source *s, int channel, const fnr_config *c, bool score, fnr_pair_pixels *p, float *dst, fnr_error *err)
{
    const size_t n = (size_t)p->d * (size_t)p->h * (size_t)p->w, file_n = (size_t)s->stack.depth * (size_t)s->stack.h * (size_t)s->stack.w;
    if (c->net.spatial == 3) {
        if (!fnr_stack_read(s->path, &s->stack, channel, dst, err)) {
            return false;
        }
        return !score || fnr_stack_zscore(dst, n) ||
               fnr_fail(err, FNR_E_FORMAT, "%s: every pixel of channel %d has the same value; there is nothing to learn from", s->path, channel + 1);
    }
    float *plane = fnr_alloc_aligned(file_n, sizeof *plane, "training image", err);
    const bool ok = plane && fnr_stack_read(s->path, &s->stack, channel, plane, err) &&
                    resample_plane(s->path, plane, &s->stack, p->nm, c->net.pixel_nm, score, p, dst, err);
    free(plane);
    return ok;
}

/* Extents and pixel size of the arrays. */
static bool set_extents(const source *first, const fnr_config *c, fnr_pair_pixels *p, fnr_error *err)
{
    p->nm = c->images.em_nm > 0 ? c->images.em_nm : first->stack.nm;
    p->d = first->stack.depth;
    p->w = first->stack.w;
    p->h = first->stack.h;
    if (c->net.spatial == 3) {
        return true;
    }
    if (!(p->nm > 0)) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: the file does not tell its pixel size; give it with --em-nm", first->path);
    }
    const double f = fabs(p->nm / c->net.pixel_nm - 1) < 1e-4 ? 1 : p->nm / c->net.pixel_nm;
    p->w = (int)floor(p->w * f + 1e-6);
    p->h = (int)floor(p->h * f + 1e-6);
    return (p->w >= 1 && p->h >= 1) || fnr_fail(err, FNR_E_FORMAT, "%s: nothing is left of it at the network's %g nm; is the pixel size right?", first->path,
                                                c->net.pixel_nm);
}

/* Pixels whose target is no number in some plane are not trained on. */
static bool find_valid(fnr_pair_pixels *p, fnr_error *err)
{
    const size_t area = (size_t)p->h * (size_t)p->w, n = area * (size_t)p->d * (size_t)p->out_channels;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(p->target[i])) {
            continue;
        }
        if (!p->valid) {
            p->valid = fnr_alloc_aligned(area, 1, "training image", err);
            if (!p->valid) {
                return false;
            }
            memset(p->valid, 1, area);
        }
        p->valid[i % area] = 0;
    }
    return true;
}

static bool read_all(const source *s, int n, const fnr_config *c, bool score, fnr_pair_pixels *p, float *dst, fnr_error *err)
{
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < s[i].n; k++) {
            if (!read_channel(&s[i], s[i].channels[k], c, score, p, dst, err)) {
                return false;
            }
            dst += (size_t)p->d * (size_t)p->h * (size_t)p->w;
        }
    }
    return true;
}

bool fnr_list_row_load(const fnr_pair_list *l, const fnr_list_row *row, const fnr_config *config, fnr_pair_pixels *out, fnr_error *err)
{
    fnr_pair_pixels p = {0};
    source *s = fnr_calloc((size_t)(l->n_signals + l->n_targets), sizeof *s, "files of a pair", err), *t = s ? s + l->n_signals : NULL;
    bool ok = s && open_sources(row->signals, l->n_signals, "data.signal_channels", config->data.signal_channels, config->net.spatial, s, err) &&
              open_sources(row->targets, l->n_targets, "data.target_channels", config->data.target_channels, config->net.spatial, t, err) &&
              same_extents(s, l->n_signals + l->n_targets, s, err) && set_extents(s, config, &p, err);
    if (ok) {
        const size_t n = (size_t)p.d * (size_t)p.h * (size_t)p.w;
        p.in_channels = count_channels(s, l->n_signals);
        p.out_channels = count_channels(t, l->n_targets);
        ok = (p.signal = fnr_alloc_aligned(n * (size_t)p.in_channels, sizeof *p.signal, "training image", err)) &&
             (p.target = fnr_alloc_aligned(n * (size_t)p.out_channels, sizeof *p.target, "training image", err)) &&
             read_all(s, l->n_signals, config, true, &p, p.signal, err) && read_all(t, l->n_targets, config, false, &p, p.target, err) &&
             find_valid(&p, err);
    }
    free(s);
    if (!ok) {
        fnr_pair_pixels_free(&p);
        return false;
    }
    p.nm = config->net.spatial == 3 ? p.nm : config->net.pixel_nm;
    *out = p;
    return true;
}
