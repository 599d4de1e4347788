#include "net/tile_net.h"

#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"

/* A side to look from: mirrored along these axes, after exchanging x and y. */
enum { MIRROR_X = 1, MIRROR_Y = 2, MIRROR_Z = 4, TRANSPOSE = 8, SIDES = 16 };

typedef struct {
    fnr_state *state;
    fnr_program *program; /* for the shape */
    fnr_program *turned;  /* for the shape with h and w exchanged; NULL when not needed or the same */
} member;

struct fnr_tile_net {
    const fnr_backend_ops *be;
    fnr_backend *device;
    int sides[SIDES], n_sides;
    int out_channels;
    fnr_shape shape;
    fnr_mode mode;
    bool ready;
    float *side_in, *side_out; /* a turned tile; NULL when there is but one network and one side */
    size_t n_members;
    member members[];
};

/* ---- sides ----------------------------------------------------------------------------------------------------------------- */

static void choose_sides(fnr_tile_net *t, fnr_tta tta, int spatial)
{
    const int allowed = (tta == FNR_TTA_NONE ? 0 : MIRROR_X | MIRROR_Y | (spatial == 3 ? MIRROR_Z : 0)) | (tta == FNR_TTA_ALL ? TRANSPOSE : 0);
    for (int side = 0; side < SIDES; side++) {
        if ((side & ~allowed) == 0) {
            t->sides[t->n_sides++] = side;
        }
    }
}

/* Offset in a (d, h, w) volume of pixel (z, y, x) of the view from `side`, whose extents are (d, w, h) when transposed. */
static ptrdiff_t source_of(const fnr_shape *s, int side, int z, int y, int x)
{
    const int view_h = side & TRANSPOSE ? s->w : s->h, view_w = side & TRANSPOSE ? s->h : s->w;
    z = side & MIRROR_Z ? s->d - 1 - z : z;
    y = side & MIRROR_Y ? view_h - 1 - y : y;
    x = side & MIRROR_X ? view_w - 1 - x : x;
    const int row = side & TRANSPOSE ? x : y, column = side & TRANSPOSE ? y : x;
    return ((ptrdiff_t)z * s->h + row) * s->w + column;
}

typedef struct {
    ptrdiff_t origin, z, y, x; /* offset of the first pixel, and steps to the next one along each axis of the view */
    int d, h, w;               /* of the view */
} walk;

static walk walk_of(const fnr_shape *s, int side)
{
    walk k = {.origin = source_of(s, side, 0, 0, 0), .d = s->d, .h = side & TRANSPOSE ? s->w : s->h, .w = side & TRANSPOSE ? s->h : s->w};
    k.z = s->d > 1 ? source_of(s, side, 1, 0, 0) - k.origin : 0;
    k.y = k.h > 1 ? source_of(s, side, 0, 1, 0) - k.origin : 0;
    k.x = k.w > 1 ? source_of(s, side, 0, 0, 1) - k.origin : 0;
    return k;
}

/* view = what is seen of `from`, channel by channel. */
static void look(const fnr_shape *s, int side, int channels, const float *from, float *view)
{
    const walk k = walk_of(s, side);
    for (int i = 0; i < channels * k.d * k.h; i++) {
        const int channel = i / (k.d * k.h), z = i / k.h % k.d, y = i % k.h;
        const float *row = from + (ptrdiff_t)channel * s->d * s->h * s->w + k.origin + z * k.z + y * k.y;
        for (int x = 0; x < k.w; x++) {
            *view++ = row[x * k.x];
        }
    }
}

/* Puts the view back to where it was seen: as the first of the sum, or added to it. */
static void put_back(const fnr_shape *s, int side, int channels, const float *view, bool first, float *sum)
{
    const walk k = walk_of(s, side);
    for (int i = 0; i < channels * k.d * k.h; i++) {
        const int channel = i / (k.d * k.h), z = i / k.h % k.d, y = i % k.h;
        float *row = sum + (ptrdiff_t)channel * s->d * s->h * s->w + k.origin + z * k.z + y * k.y;
        for (int x = 0; x < k.w; x++) {
            row[x * k.x] = first ? *view : row[x * k.x] + *view;
            view++;
        }
    }
}

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

fnr_tile_net *fnr_tile_net_new(const fnr_backend_ops *be, fnr_backend *device, const fnr_model *const *models, size_t n, fnr_tta tta,
                               fnr_error *err)
{
    fnr_tile_net *t = fnr_calloc(1, sizeof *t + n * sizeof *t->members, "networks", err);
    if (!t) {
        return NULL;
    }
    t->be = be;
    t->device = device;
    t->out_channels = models[0]->desc.out_channels;
    t->n_members = n;
    choose_sides(t, tta, models[0]->desc.spatial);
    for (size_t i = 0; i < n; i++) {
        member *m = &t->members[i];
        if (!be->state_new(device, &models[i]->graph, false, &m->state, err) ||
            !be->state_write(m->state, FNR_STATE_VALUES, models[i]->values, err)) {
            fnr_tile_net_free(t);
            return NULL;
        }
    }
    return t;
}

void fnr_tile_net_drop(fnr_tile_net *t)
{
    for (size_t i = 0; i < t->n_members; i++) {
        fnr_program **programs[] = {&t->members[i].program, &t->members[i].turned};
        for (int k = 0; k < 2; k++) {
            if (*programs[k]) {
                t->be->program_free(*programs[k]);
            }
            *programs[k] = NULL;
        }
    }
    free(t->side_in);
    free(t->side_out);
    t->side_in = t->side_out = NULL;
    t->ready = false;
}

void fnr_tile_net_free(fnr_tile_net *t)
{
    if (!t) {
        return;
    }
    fnr_tile_net_drop(t);
    for (size_t i = 0; i < t->n_members; i++) {
        if (t->members[i].state) {
            t->be->state_free(t->members[i].state);
        }
    }
    free(t);
}

static bool averages(const fnr_tile_net *t)
{
    return t->n_members > 1 || t->n_sides > 1;
}

static size_t out_floats(const fnr_tile_net *t)
{
    return fnr_shape_count(&t->shape) / (size_t)t->shape.c * (size_t)t->out_channels;
}

static bool make_programs(fnr_tile_net *t, fnr_error *err)
{
    const bool turn = (t->sides[t->n_sides - 1] & TRANSPOSE) && t->shape.h != t->shape.w;
    fnr_shape turned = t->shape;
    turned.h = t->shape.w;
    turned.w = t->shape.h;
    for (size_t i = 0; i < t->n_members; i++) {
        member *m = &t->members[i];
        if (!t->be->program_new(t->device, m->state, &t->shape, t->mode, &m->program, err) ||
            (turn && !t->be->program_new(t->device, m->state, &turned, t->mode, &m->turned, err))) {
            return false;
        }
    }
    return true;
}

bool fnr_tile_net_use(fnr_tile_net *t, const fnr_shape *shape, fnr_mode mode, fnr_error *err)
{
    if (t->ready && mode == t->mode && memcmp(shape, &t->shape, sizeof *shape) == 0) {
        return true;
    }
    fnr_tile_net_drop(t);
    t->shape = *shape;
    t->mode = mode;
    t->ready = (!averages(t) || ((t->side_in = fnr_alloc_aligned(fnr_shape_count(shape), sizeof *t->side_in, "turned tile", err)) &&
                                 (t->side_out = fnr_alloc_aligned(out_floats(t), sizeof *t->side_out, "turned tile", err)))) &&
               make_programs(t, err);
    if (!t->ready) {
        fnr_tile_net_drop(t);
    }
    return t->ready;
}

size_t fnr_tile_net_bytes(const fnr_tile_net *t)
{
    size_t bytes = averages(t) ? (fnr_shape_count(&t->shape) + out_floats(t)) * sizeof(float) : 0;
    for (size_t i = 0; i < t->n_members; i++) {
        const member *m = &t->members[i];
        bytes += t->be->program_bytes(m->program) + (m->turned ? t->be->program_bytes(m->turned) : 0);
    }
    return bytes;
}

/* ---- running --------------------------------------------------------------------------------------------------------------- */

bool fnr_tile_net_run(fnr_tile_net *t, const float *in, float *out, fnr_error *err)
{
    if (!averages(t)) {
        return t->be->forward(t->members[0].program, in, out, err);
    }
    for (int k = 0; k < t->n_sides; k++) {
        const int side = t->sides[k];
        look(&t->shape, side, t->shape.c, in, t->side_in);
        for (size_t i = 0; i < t->n_members; i++) {
            member *m = &t->members[i];
            if (!t->be->forward(side & TRANSPOSE && m->turned ? m->turned : m->program, t->side_in, t->side_out, err)) {
                return false;
            }
            put_back(&t->shape, side, t->out_channels, t->side_out, k == 0 && i == 0, out);
        }
    }
    const float inverse = 1.0f / (float)((size_t)t->n_sides * t->n_members);
    const size_t n = out_floats(t);
    for (size_t i = 0; i < n; i++) {
        out[i] *= inverse;
    }
    return true;
}
