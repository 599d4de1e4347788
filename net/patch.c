#include "net/patch.h"

#include <math.h>
#include <string.h>

/* An affine map from patch pixels to image pixels: (x0, y0) + r * (rx, ry) + c * (cx, cy). */
typedef struct {
    double x0, y0, rx, ry, cx, cy;
} patch_map;

static patch_map map_of(const fnr_patch_pose *pose, int h, int w)
{
    const double a = pose->scale * cos(pose->angle), b = pose->scale * sin(pose->angle);
    const double half_h = 0.5 * (h - 1), half_w = 0.5 * (w - 1);
    const double side = pose->mirror ? -1 : 1;
    return (patch_map){.x0 = pose->x + half_w - side * a * half_w + b * half_h,
                       .y0 = pose->y + half_h - side * b * half_w - a * half_h,
                       .rx = -b,
                       .ry = a,
                       .cx = side * a,
                       .cy = side * b};
}

typedef struct {
    int x, y, right, below; /* top-left neighbour, and steps to the others (0 at the last pixel) */
    float fx, fy;
} neighbours;

static double clamp(double v, double high)
{
    return v < 0 ? 0 : v > high ? high : v;
}

/* The four image pixels around patch pixel (r, c). Clamped, because rounding may put a pixel of a border 1e-13 px outside. */
static neighbours neighbours_of(const patch_map *m, int r, int c, const fnr_pair *pair)
{
    const double x = clamp(m->x0 + r * m->rx + c * m->cx, pair->w - 1), y = clamp(m->y0 + r * m->ry + c * m->cy, pair->h - 1);
    neighbours p = {.x = (int)x, .y = (int)y};
    p.right = p.x + 1 < pair->w;
    p.below = p.y + 1 < pair->h;
    p.fx = (float)(x - p.x);
    p.fy = (float)(y - p.y);
    return p;
}

static bool corners_inside(const patch_map *m, const fnr_pair *pair, int h, int w)
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
    const patch_map m = map_of(pose, h, w);
    if (!corners_inside(&m, pair, h, w)) {
        return false;
    }
    for (int r = 0; pair->valid && r < h; r++) {
        for (int c = 0; c < w; c++) {
            const neighbours p = neighbours_of(&m, r, c, pair);
            const uint8_t *v = pair->valid + (size_t)p.y * (size_t)pair->w + p.x;
            const uint8_t *under = v + (p.below ? pair->w : 0);
            if (!(v[0] && v[p.right] && under[0] && under[p.right])) {
                return false;
            }
        }
    }
    return true;
}

static void resample_plane(const fnr_pair *pair, const float *plane, const patch_map *m, int h, int w, float *out)
{
    for (int r = 0; r < h; r++) {
        for (int c = 0; c < w; c++) {
            const neighbours p = neighbours_of(m, r, c, pair);
            const float *v = plane + (size_t)p.y * (size_t)pair->w + p.x;
            const float *under = v + (p.below ? pair->w : 0);
            const float above = v[0] + p.fx * (v[p.right] - v[0]);
            const float beneath = under[0] + p.fx * (under[p.right] - under[0]);
            *out++ = above + p.fy * (beneath - above);
        }
    }
}

/* Offset in the plane of patch pixel (r, c): turned, mirrored, moved. Turns need h == w. */
static ptrdiff_t source_of(const fnr_patch_pose *pose, int r, int c, int w, int image_w)
{
    for (int t = 0; t < pose->turns; t++) {
        const int turned = c;
        c = w - 1 - r;
        r = turned;
    }
    if (pose->mirror) {
        c = w - 1 - c;
    }
    return (ptrdiff_t)(pose->y + r) * image_w + pose->x + c;
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
    const patch_map map = pose->resample ? map_of(pose, h, w) : (patch_map){0};
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
