#include "net/tile_pixels.h"

#include <string.h>

#include "src/core/reflect.h"

fnr_tile_box fnr_tile_box_of(const fnr_tiling *t, int iz, int iy, int ix)
{
    return (fnr_tile_box){.z = fnr_tile_start(&t->z, iz),
                          .y = fnr_tile_start(&t->y, iy),
                          .x = fnr_tile_start(&t->x, ix),
                          .d = t->z.tiles.extent,
                          .h = t->y.tiles.extent,
                          .w = t->x.tiles.extent};
}

fnr_tile_box fnr_tile_core_of(const fnr_tiling *t, int iz, int iy, int ix)
{
    fnr_tile_box b;
    int end;
    fnr_tile_core(&t->z, iz, &b.z, &end);
    b.d = end - b.z;
    fnr_tile_core(&t->y, iy, &b.y, &end);
    b.h = end - b.y;
    fnr_tile_core(&t->x, ix, &b.x, &end);
    b.w = end - b.x;
    return b;
}

static bool read_box(const fnr_tile_input *from, const fnr_tile_box *b, float *dst, fnr_error *err)
{
    if (from->read) {
        return from->read(from->ctx, from->number, b->x, b->y, b->w, b->h, dst, err);
    }
    for (int i = 0; i < from->channels * b->d * b->h; i++) {
        const int channel = i / (b->d * b->h), z = i / b->h % b->d, y = i % b->h;
        const size_t row = ((size_t)channel * (size_t)from->d + (size_t)(b->z + z)) * (size_t)from->h + (size_t)(b->y + y);
        memcpy(dst, from->array + row * (size_t)from->w + b->x, (size_t)b->w * sizeof *dst);
        dst += b->w;
    }
    return true;
}

/* The part of a tile that lies in the image. */
static fnr_tile_box part_inside(const fnr_tile_box *tile, const fnr_tile_input *image)
{
    fnr_tile_box b = *tile;
    b.d = image->d - tile->z < tile->d ? image->d - tile->z : tile->d;
    b.h = image->h - tile->y < tile->h ? image->h - tile->y : tile->h;
    b.w = image->w - tile->x < tile->w ? image->w - tile->x : tile->w;
    return b;
}

/* `inside` is in raw, the rest is its mirror image. Padding is less than a grid cell and a tile
 * reaches further back than that (or holds the whole axis), so the mirrored pixels are in raw. */
static void pad_tile(const fnr_tile_input *image, const fnr_tile_box *tile, const fnr_tile_box *inside, const float *raw, float *dst)
{
    for (int i = 0; i < image->channels * tile->d * tile->h; i++) {
        const int channel = i / (tile->d * tile->h), z = i / tile->h % tile->d, y = i % tile->h;
        const int from_z = fnr_reflect(tile->z + z, image->d) - tile->z, from_y = fnr_reflect(tile->y + y, image->h) - tile->y;
        const size_t from_plane = (size_t)channel * (size_t)inside->d + (size_t)from_z;
        const float *row = raw + (from_plane * (size_t)inside->h + (size_t)from_y) * (size_t)inside->w;
        memcpy(dst, row, (size_t)inside->w * sizeof *dst);
        for (int x = inside->w; x < tile->w; x++) {
            dst[x] = row[fnr_reflect(tile->x + x, image->w) - tile->x];
        }
        dst += tile->w;
    }
}

bool fnr_tile_fill(const fnr_tile_input *image, const fnr_tile_box *tile, float *raw, float *in, fnr_error *err)
{
    const fnr_tile_box inside = part_inside(tile, image);
    if (inside.d == tile->d && inside.h == tile->h && inside.w == tile->w) {
        return read_box(image, &inside, in, err);
    }
    if (!read_box(image, &inside, raw, err)) {
        return false;
    }
    pad_tile(image, tile, &inside, raw, in);
    return true;
}

void fnr_tile_keep_core(const fnr_tile_box *tile, const fnr_tile_box *core, const float *result, const fnr_tile_output *to)
{
    for (int i = 0; i < to->channels * core->d * core->h; i++) {
        const int channel = i / (core->d * core->h), z = core->z + i / core->h % core->d, y = core->y + i % core->h;
        const size_t from_plane = (size_t)channel * (size_t)tile->d + (size_t)(z - tile->z);
        const size_t from_row = from_plane * (size_t)tile->h + (size_t)(y - tile->y);
        const size_t to_row = ((size_t)channel * (size_t)to->d + (size_t)z) * (size_t)to->h + (size_t)(y - to->y0);
        memcpy(to->data + to_row * (size_t)to->w + core->x, result + from_row * (size_t)tile->w + (core->x - tile->x),
               (size_t)core->w * sizeof *result);
    }
}
