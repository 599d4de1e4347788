#include "src/pipeline/section_pictures.h"

#include <math.h>
#include <stdlib.h>

#include "src/core/mem.h"
#include "src/cv/cv.h"
#include "src/image/stats.h"

/* Room around a tile in the picture of its place [parts of the tile's extent]. */
static const double margin = 0.15;
/* Residual flow is looked at on a grid this fine, in cells where the prediction shows structure. */
enum { CELLS = 14, LEAST_PX = 4, FLOW_FACTOR = 2, PLACED_MAX = 2048 };
static const double structure = 0.3;
/* Longer is no residual but another sheath [IF px]. */
static const double longest_px = 4;

void fnr_section_pictures_free(fnr_section_pictures *p)
{
    fnr_tile_free(&p->em);
    fnr_image_free(&p->prediction);
    fnr_image_free(&p->mbp);
    fnr_image_free(&p->around);
    fnr_image_free(&p->placed);
    *p = (fnr_section_pictures){0};
}

/* EM as fine as the report shows it, never coarser than the network saw it. */
static bool load_em(const fnr_section *s, const fnr_section_tile *t, fnr_em_tile *em)
{
    const int side = s->run->config.report.picture_px, longer = t->w > t->h ? t->w : t->h;
    const double nm = fmin(s->net_nm, t->em_nm * fmax(1.0, longer / (double)(side > 0 ? side : 512)));
    return t->w > 0 && fnr_tile_load(t->path, t->em_nm, nm, em, NULL);
}

/* ---- the montage around a tile --------------------------------------------------------------------------------------------- */

typedef struct {
    double x, y, w, h; /* [IF px] */
} box;

static box box_of(const fnr_section_tile *t)
{
    double lo_x = INFINITY, lo_y = INFINITY, hi_x = -INFINITY, hi_y = -INFINITY;
    for (int i = 0; i < 4; i++) {
        const fnr_point q =
            fnr_transform_apply(&t->tile_to_if, (fnr_point){i % 2 ? t->w - 0.5 : -0.5, i / 2 ? t->h - 0.5 : -0.5});
        lo_x = fmin(lo_x, q.x), hi_x = fmax(hi_x, q.x);
        lo_y = fmin(lo_y, q.y), hi_y = fmax(hi_y, q.y);
    }
    const double extra = margin * fmax(hi_x - lo_x, hi_y - lo_y);
    return (box){floor(lo_x - extra), floor(lo_y - extra), ceil(hi_x - lo_x + 2 * extra), ceil(hi_y - lo_y + 2 * extra)};
}

static bool sample(const fnr_view *from, const fnr_transform *to_from, int w, int h, fnr_image *out)
{
    return fnr_image_new(out, w, h, 1, 1, FNR_F32, NULL) &&
           fnr_cv_warp_affine(from, to_from, FNR_INTERP_CUBIC, FNR_BORDER_ZERO, &out->v, NULL);
}

/* What the pictures of a tile need of the montage: a large one is never converted as a whole. */
typedef struct {
    fnr_image image;
    int x, y; /* its pixel (0, 0) [IF px] */
} patch;

/* Room for the taps of the interpolation [IF px]. */
enum { TAPS = 4 };

static int within(double v, int lo, int hi)
{
    return v > lo ? v < hi ? (int)v : hi : lo;
}

static bool patch_new(const fnr_section *s, const fnr_section_tile *t, patch *p)
{
    const fnr_view *m = &s->montage.v;
    const box b = box_of(t);
    const int x0 = within(b.x - TAPS, 0, m->w - 1), x1 = within(b.x + b.w + TAPS, x0 + 1, m->w);
    const int y0 = within(b.y - TAPS, 0, m->h - 1), y1 = within(b.y + b.h + TAPS, y0 + 1, m->h);
    *p = (patch){.x = x0, .y = y0};
    if (!fnr_image_new(&p->image, x1 - x0, y1 - y0, 1, 1, FNR_F32, NULL)) {
        return false;
    }
    for (int y = y0; y < y1; y++) {
        fnr_row_to_f32(m, x0, y, 0, 0, x1 - x0, fnr_at(&p->image.v, 0, y - y0, 0, 0));
    }
    return true;
}

/* w x h pixels of the montage at to_if of their own. */
static bool sample_montage(const patch *m, const fnr_transform *to_if, int w, int h, fnr_image *out)
{
    fnr_transform to_patch = *to_if;
    to_patch.m02 -= m->x;
    to_patch.m12 -= m->y;
    return sample(&m->image.v, &to_patch, w, h, out);
}

/* MBP under the found transform, sampled like `like`, a picture of the whole tile. */
static bool cut_mbp(const fnr_section_tile *t, const patch *montage, int w, int h, fnr_image *out)
{
    const fnr_transform to_tile = fnr_transform_resample(t->w / (double)w, t->h / (double)h, FNR_FRAME_ANY, FNR_FRAME_TILE);
    fnr_transform to_if;
    return fnr_transform_compose(&t->tile_to_if, &to_tile, &to_if, NULL) && sample_montage(montage, &to_if, w, h, out);
}

/* Background 0, bright structure 1, as far as the quantiles tell. */
static void level(fnr_view *v)
{
    const double lo = fnr_quantile(v, 0.3), hi = fnr_quantile(v, 0.98);
    float *px = v->px;
    for (size_t i = 0; i < (size_t)v->w * (size_t)v->h; i++) {
        const double x = hi > lo ? (px[i] - lo) / (hi - lo) : 0;
        px[i] = x > 0 ? (float)fmin(x, 1.5) : 0;
    }
}

/* ---- in the montage's frame ------------------------------------------------------------------------------------------------ */

static bool cut_place(const fnr_section_tile *t, const patch *montage, const fnr_view *prediction, fnr_section_pictures *p)
{
    const box b = box_of(t);
    if (!(b.w >= 1 && b.h >= 1 && b.w <= 1e6 && b.h <= 1e6)) {
        return false;
    }
    /* finer than the montage: its pixels are few, and the outline of a sheath should not look like stairs */
    const double f = fmin(4, PLACED_MAX / fmax(b.w, b.h));
    const int w = (int)fmax(1, b.w * f), h = (int)fmax(1, b.h * f);
    const fnr_transform to_if = {1 / f, 0, 0, 1 / f, b.x + 0.5 / f - 0.5, b.y + 0.5 / f - 0.5, FNR_FRAME_ANY, FNR_FRAME_IF};
    fnr_transform if_to_net, to_net;
    fnr_image levelled = {0}; /* its background is as black as what lies outside of it */
    bool ok = fnr_image_to_f32(prediction, 0, 0, &levelled, NULL) && fnr_transform_invert(&t->reg.t, &if_to_net, NULL) &&
              fnr_transform_compose(&if_to_net, &to_if, &to_net, NULL);
    if (ok) {
        level(&levelled.v);
        ok = sample_montage(montage, &to_if, w, h, &p->around) && sample(&levelled.v, &to_net, w, h, &p->placed);
    }
    fnr_image_free(&levelled);
    return ok;
}

/* ---- residual flow --------------------------------------------------------------------------------------------------------- */

typedef struct {
    fnr_image fixed, moving, u, v; /* at FLOW_FACTOR times the prediction's size */
} flow;

/* How much both images show of one structure there: the prediction at a pixel, the MBP where the flow leads from it. */
static double weight_at(const flow *f, int x, int y)
{
    const size_t k = (size_t)y * (size_t)f->fixed.v.w + (size_t)x;
    const double to_x = rint(x + (double)((const float *)f->u.v.px)[k]), to_y = rint(y + (double)((const float *)f->v.v.px)[k]);
    if (!(to_x >= 0 && to_y >= 0 && to_x < f->moving.v.w && to_y < f->moving.v.h)) {
        return 0;
    }
    const float here = ((const float *)f->fixed.v.px)[k];
    const float there = ((const float *)f->moving.v.px)[(size_t)to_y * (size_t)f->moving.v.w + (size_t)to_x];
    return here > structure && there > structure ? fmin(here, there) : 0;
}

/* Mean of the flow over one cell, where both images show structure; false where they show too little. */
static bool mean_of_cell(const flow *f, int x0, int y0, int x1, int y1, fnr_report_arrow *a)
{
    const float *u = f->u.v.px, *v = f->v.v.px;
    double sum = 0, x = 0, y = 0, dx = 0, dy = 0;
    for (int j = y0; j < y1; j++) {
        for (int i = x0; i < x1; i++) {
            const size_t k = (size_t)j * (size_t)f->fixed.v.w + (size_t)i;
            const double w = weight_at(f, i, j);
            sum += w;
            x += w * i, y += w * j;
            dx += w * u[k], dy += w * v[k];
        }
    }
    *a = (fnr_report_arrow){x / sum, y / sum, dx / sum, dy / sum};
    return sum > 0.1 * (x1 - x0) * (y1 - y0) && isfinite(dx + dy);
}

static void collect_arrows(const flow *f, double if_per_px, fnr_section_pictures *p)
{
    const int w = f->fixed.v.w, h = f->fixed.v.h, cell = (int)fmax(LEAST_PX, ceil((w > h ? w : h) / (double)CELLS));
    for (int y = 0; y < h; y += cell) {
        for (int x = 0; x < w && p->n_arrows < FNR_ARROWS_MAX; x += cell) {
            fnr_report_arrow a;
            if (mean_of_cell(f, x, y, x + cell < w ? x + cell : w, y + cell < h ? y + cell : h, &a) &&
                hypot(a.dx, a.dy) * if_per_px <= longest_px) {
                p->arrows[p->n_arrows++] = (fnr_report_arrow){(a.x + 0.5) / w, (a.y + 0.5) / w, a.dx / w, a.dy / w};
            }
        }
    }
}

static void find_arrows(const fnr_section_tile *t, const patch *montage, const fnr_view *prediction, fnr_section_pictures *p)
{
    const int w = prediction->w * FLOW_FACTOR, h = prediction->h * FLOW_FACTOR;
    flow f = {0};
    p->if_px_wide = t->w * fnr_transform_scale(&t->tile_to_if);
    if (fnr_image_new(&f.fixed, w, h, 1, 1, FNR_F32, NULL) && fnr_image_new(&f.u, w, h, 1, 1, FNR_F32, NULL) &&
        fnr_image_new(&f.v, w, h, 1, 1, FNR_F32, NULL) && fnr_cv_resize(prediction, &f.fixed.v, NULL) &&
        cut_mbp(t, montage, w, h, &f.moving)) {
        level(&f.fixed.v);
        level(&f.moving.v);
        if (fnr_cv_flow_dis(&f.fixed.v, &f.moving.v, 0, 1.5, &f.u.v, &f.v.v, NULL)) {
            collect_arrows(&f, p->if_px_wide / w, p);
        }
    }
    fnr_image_free(&f.fixed);
    fnr_image_free(&f.moving);
    fnr_image_free(&f.u);
    fnr_image_free(&f.v);
}

/* ---- all of it ------------------------------------------------------------------------------------------------------------- */

static void list_candidates(const fnr_section *s, const fnr_section_tile *t, fnr_section_pictures *p)
{
    const double f = t->em_nm / s->net_nm;
    const fnr_transform to_net = fnr_transform_resample(f, f, FNR_FRAME_TILE, FNR_FRAME_NET);
    for (int i = 0; i < t->reg.n_candidates; i++) {
        fnr_report_candidate *c = &p->candidates[p->n_candidates];
        if (fnr_transform_compose(&t->reg.candidates[i].t, &to_net, &c->tile_to_if, NULL) &&
            fnr_transform_is_finite(&c->tile_to_if)) {
            c->score = t->reg.candidates[i].score;
            p->n_candidates++;
        }
    }
}

void fnr_section_pictures_make(const fnr_section *s, const fnr_section_tile *t, fnr_section_pictures *p, fnr_report_tile *out)
{
    patch montage = {0};
    *p = (fnr_section_pictures){0};
    list_candidates(s, t, p);
    out->em = load_em(s, t, &p->em) ? &p->em.net.v : NULL;
    out->prediction = t->w > 0 && fnr_section_read_prediction(s, t, &p->prediction, NULL) ? &p->prediction.v : NULL;
    if (t->reg.has_transform && patch_new(s, t, &montage)) {
        out->mbp = out->em && cut_mbp(t, &montage, out->em->w, out->em->h, &p->mbp) ? &p->mbp.v : NULL;
        if (out->prediction && cut_place(t, &montage, out->prediction, p)) {
            out->around = &p->around.v;
            out->placed = &p->placed.v;
        }
        if (out->prediction) {
            find_arrows(t, &montage, out->prediction, p);
        }
    }
    fnr_image_free(&montage.image);
    out->candidates = p->candidates;
    out->n_candidates = p->n_candidates;
    out->arrows = p->arrows;
    out->n_arrows = p->n_arrows;
    out->if_px_wide = p->if_px_wide;
}
