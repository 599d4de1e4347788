/* Patches cut from the images that the GPU keeps: what one thread does. */
#ifndef FNR_NET_CUDA_BODY_FEED_H
#define FNR_NET_CUDA_BODY_FEED_H

#include "net/cuda/kernels.h"

typedef struct {
    size_t item, plane, r, c; /* of an element of the batch; plane counts channels and slices */
} fnr_cu_patch_at;

static FNR_HD fnr_cu_patch_at fnr_cu_patch_place(const fnr_cu_cutter *a, size_t i, int channels)
{
    fnr_cu_patch_at p;
    p.c = i % (size_t)a->w;
    p.r = i / (size_t)a->w % (size_t)a->h;
    p.plane = i / ((size_t)a->w * (size_t)a->h) % ((size_t)channels * (size_t)a->d);
    p.item = i / ((size_t)a->w * (size_t)a->h * (size_t)channels * (size_t)a->d);
    return p;
}

/* The unchanged pixel; `first` is where the image's signal or target begins. */
static FNR_HD float fnr_cu_patch_raw(const fnr_cu_cutter *a, const fnr_cu_patch_at *p, int is_target)
{
    const fnr_patch_order *o = &a->orders[p->item];
    const fnr_cu_image *image = &a->images[o->image];
    const size_t channel = p->plane / (size_t)a->d, z = (size_t)o->z + p->plane % (size_t)a->d;
    const float *plane = a->pixels + (is_target ? image->target : image->signal) +
                         (channel * (size_t)image->d + z) * (size_t)image->h * (size_t)image->w;
    return fnr_patch_pixel(o, plane, image->h, image->w, (int)p->r, (int)p->c, a->w);
}

static FNR_HD float fnr_cu_patch_toned(const fnr_cu_cutter *a, const fnr_cu_patch_at *p, float v)
{
    return fnr_patch_tone(&a->orders[p->item], v, (p->plane * (size_t)a->h + p->r) * (size_t)a->w + p->c);
}

/* Element i of the input; where patches are blurred, the rest follows in two more passes. */
static FNR_HD void fnr_cu_cut_signal(const fnr_cu_cutter *a, size_t i)
{
    const fnr_cu_patch_at p = fnr_cu_patch_place(a, i, a->in_channels);
    const float v = fnr_cu_patch_raw(a, &p, 0);
    a->x[i] = a->blurs ? v : fnr_cu_patch_toned(a, &p, v);
}

static FNR_HD void fnr_cu_cut_target(const fnr_cu_cutter *a, size_t i)
{
    const fnr_cu_patch_at p = fnr_cu_patch_place(a, i, a->out_channels);
    a->y[i] = fnr_cu_patch_raw(a, &p, 1);
}

/* x -> scratch along the row. */
static FNR_HD void fnr_cu_cut_blur_rows(const fnr_cu_cutter *a, size_t i)
{
    const fnr_cu_patch_at p = fnr_cu_patch_place(a, i, a->in_channels);
    const fnr_patch_order *o = &a->orders[p.item];
    a->scratch[i] = o->radius > 0 ? fnr_patch_blurred(a->x + (i - p.c), 1, a->w, (int)p.c, o->taps, o->radius) : a->x[i];
}

/* scratch -> x along the column, then everything else. */
static FNR_HD void fnr_cu_cut_blur_columns(const fnr_cu_cutter *a, size_t i)
{
    const fnr_cu_patch_at p = fnr_cu_patch_place(a, i, a->in_channels);
    const fnr_patch_order *o = &a->orders[p.item];
    const float *column = a->scratch + (i - p.r * (size_t)a->w);
    const float v = o->radius > 0 ? fnr_patch_blurred(column, a->w, a->h, (int)p.r, o->taps, o->radius) : a->scratch[i];
    a->x[i] = fnr_cu_patch_toned(a, &p, v);
}

#endif
