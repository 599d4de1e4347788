#include "net/patch.h"

#include <math.h>
#include <string.h>

fnr_patch_map fnr_patch_map_of(const fnr_patch_pose *pose, int h, int w)
{
    const double a = pose->scale * cos(pose->angle), b = pose->scale * sin(pose->angle);
    const double half_h = 0.5 * (h - 1), half_w = 0.5 * (w - 1);
    const double side = pose->mirror ? -1 : 1;
    return (fnr_patch_map){.x0 = pose->x + half_w - side * a * half_w + b * half_h,
                       .y0 = pose->y + half_h - side * b * half_w - a * half_h,
                       .rx = -b,
                       .ry = a,
                       .cx = side * a,
                       .cy = side * b};
}

static bool corners_inside(const fnr_patch_map *m, const fnr_pair *pair, int h, int w)
{
    for (int corner = 0; corner < 4; corner++) {
        const int r = corner & 1 ? h - 1 : 0, c = corner & 2 ? w - 1 : 0;
        const double x = m->x0 + r * m->rx + c * m->cx, y = m->y0 + r * m->ry + c * m->cy;
        if (!(x >= 0 && y >= 0 && x <= pair->w - 1 && y <= pair->h - 1)) {
            return false;
        }
    }
    return true;
}

bool fnr_patch_fits(const fnr_pair *pair, const fnr_patch_pose *pose, int h, int w)
{
    const fnr_patch_map m = fnr_patch_map_of(pose, h, w);
    if (!corners_inside(&m, pair, h, w)) {
        return false;
    }
    for (int r = 0; pair->valid && r < h; r++) {
        for (int c = 0; c < w; c++) {
            const fnr_patch_neighbours p = fnr_patch_neighbours_of(&m, r, c, pair->h, pair->w);
            const uint8_t *v = pair->valid + (size_t)p.y * (size_t)pair->w + p.x;
            const uint8_t *under = v + (p.below ? pair->w : 0);
            if (!(v[0] && v[p.right] && under[0] && under[p.right])) {
                return false;
            }
        }
    }
    return true;
}

static void resample_plane(const fnr_pair *pair, const float *plane, const fnr_patch_map *m, int h, int w, float *out)
{
    for (int r = 0; r < h; r++) {
        for (int c = 0; c < w; c++) {
            const fnr_patch_neighbours p = fnr_patch_neighbours_of(m, r, c, pair->h, pair->w);
            *out++ = fnr_patch_resampled(plane, &p, pair->w);
        }
    }
}

static ptrdiff_t source_of(const fnr_patch_pose *pose, int r, int c, int w, int image_w)
{
    return fnr_patch_source(pose->y, pose->x, pose->mirror, pose->turns, r, c, w, image_w);
}

static void permute_plane(const fnr_pair *pair, const float *plane, const fnr_patch_pose *pose, int h, int w, float *out)
{
    const ptrdiff_t origin = source_of(pose, 0, 0, w, pair->w);
    const ptrdiff_t down = h > 1 ? source_of(pose, 1, 0, w, pair->w) - origin : 0;
    const ptrdiff_t right = w > 1 ? source_of(pose, 0, 1, w, pair->w) - origin : 0;
    for (int r = 0; r < h; r++) {
        const float *from = plane + origin + r * down;
        if (right == 1) {
            memcpy(out, from, (size_t)w * sizeof *out);
        } else {
            for (int c = 0; c < w; c++) {
                out[c] = from[c * right];
            }
        }
        out += w;
    }
}

void fnr_patch_copy(const fnr_pair *pair, const float *from, int channels, const fnr_patch_pose *pose, int d, int h, int w,
                    float *out)
{
    const fnr_patch_map map = pose->resample ? fnr_patch_map_of(pose, h, w) : (fnr_patch_map){0};
    const size_t plane_size = (size_t)pair->h * (size_t)pair->w;
    for (int i = 0; i < channels * d; i++) {
        const int channel = i / d, z = pose->z + i % d;
        const float *plane = from + ((size_t)channel * (size_t)pair->d + (size_t)z) * plane_size;
        if (pose->resample) {
            resample_plane(pair, plane, &map, h, w, out);
        } else {
            permute_plane(pair, plane, pose, h, w, out);
        }
        out += (size_t)h * (size_t)w;
    }
}
