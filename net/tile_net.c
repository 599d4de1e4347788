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
    fnr_flow *flow, *turned_flow; /* of these two; NULL where there are no lanes */
} member;

/* A tile's input and its result.  With lanes and a single view these are the flow's own, so that nothing is copied. */
typedef struct {
    float *in, *out;
} place;

struct fnr_tile_net {
    const fnr_backend_ops *be;
    fnr_backend *device;
    int sides[SIDES], n_sides;
    int out_channels;
    fnr_shape shape;
    bool ready;
    int lanes;                 /* 0: a tile is run at a time */
    place *places;             /* one, or FNR_FLOW_SLOTS for each lane; NULL when flows have them */
    float *side_in, *side_out; /* a turned tile; NULL when there is but one network and one side, or flows have them */
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
    t->lanes = be->flow_new ? be->lanes(device) : 0;
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

static void drop_member(const fnr_backend_ops *be, member *m)
{
    fnr_flow **flows[] = {&m->flow, &m->turned_flow};
    fnr_program **programs[] = {&m->program, &m->turned};
    for (int k = 0; k < 2; k++) {
        if (*flows[k]) {
            be->flow_free(*flows[k]);
        }
        if (*programs[k]) {
            be->program_free(*programs[k]);
        }
        *flows[k] = NULL;
        *programs[k] = NULL;
    }
}

static int count_places(const fnr_tile_net *t)
{
    return t->lanes ? t->lanes * FNR_FLOW_SLOTS : 1;
}

void fnr_tile_net_drop(fnr_tile_net *t)
{
    for (size_t i = 0; i < t->n_members; i++) {
        drop_member(t->be, &t->members[i]);
    }
    for (int i = 0; t->places && i < count_places(t); i++) {
        free(t->places[i].in);
        free(t->places[i].out);
    }
    free(t->places);
    free(t->side_in);
    free(t->side_out);
    t->places = NULL;
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

static bool make_program(fnr_tile_net *t, const member *m, const fnr_shape *shape, fnr_program **program, fnr_flow **flow, fnr_error *err)
{
    return t->be->program_new(t->device, m->state, shape, FNR_MODE_INFER, program, err) && (!t->lanes || t->be->flow_new(*program, flow, err));
}

static bool make_programs(fnr_tile_net *t, fnr_error *err)
{
    const bool turn = (t->sides[t->n_sides - 1] & TRANSPOSE) && t->shape.h != t->shape.w;
    fnr_shape turned = t->shape;
    turned.h = t->shape.w;
    turned.w = t->shape.h;
    for (size_t i = 0; i < t->n_members; i++) {
        member *m = &t->members[i];
        if (!make_program(t, m, &t->shape, &m->program, &m->flow, err) ||
            (turn && !make_program(t, m, &turned, &m->turned, &m->turned_flow, err))) {
            return false;
        }
    }
    return true;
}

static bool make_buffers(fnr_tile_net *t, fnr_error *err)
{
    static const char what[] = "prediction tile", turned[] = "turned tile";
    const size_t in = fnr_shape_count(&t->shape), out = out_floats(t);
    if (t->lanes && !averages(t)) {
        return true;
    }
    const int n = count_places(t);
    t->places = fnr_calloc((size_t)n, sizeof *t->places, what, err);
    bool ok = t->places != NULL;
    for (int i = 0; ok && i < n; i++) {
        ok = (t->places[i].in = fnr_alloc_aligned(in, sizeof(float), what, err)) && (t->places[i].out = fnr_alloc_aligned(out, sizeof(float), what, err));
    }
    return ok && (t->lanes || !averages(t) ||
                  ((t->side_in = fnr_alloc_aligned(in, sizeof *t->side_in, turned, err)) &&
                   (t->side_out = fnr_alloc_aligned(out, sizeof *t->side_out, turned, err))));
}

bool fnr_tile_net_use(fnr_tile_net *t, const fnr_shape *shape, fnr_error *err)
{
    if (t->ready && memcmp(shape, &t->shape, sizeof *shape) == 0) {
        return true;
    }
    fnr_tile_net_drop(t);
    t->shape = *shape;
    t->ready = make_buffers(t, err) && make_programs(t, err);
    if (!t->ready) {
        fnr_tile_net_drop(t);
    }
    return t->ready;
}

size_t fnr_tile_net_bytes(const fnr_tile_net *t)
{
    const size_t tile = (fnr_shape_count(&t->shape) + out_floats(t)) * sizeof(float);
    size_t programs = 0, flows = 0;
    for (size_t i = 0; i < t->n_members; i++) {
        const member *m = &t->members[i];
        programs += t->be->program_bytes(m->program) + (m->turned ? t->be->program_bytes(m->turned) : 0);
        flows += (m->flow != NULL) + (m->turned_flow != NULL);
    }
    /* A flow has each tile twice: here and on the device. */
    const size_t places = t->places ? (t->lanes ? FNR_FLOW_SLOTS : 1) : 0, sides = t->side_in ? 1 : 0;
    return programs + (places + sides + 2 * FNR_FLOW_SLOTS * flows) * tile;
}

int fnr_tile_net_lanes(const fnr_tile_net *t)
{
    return t->lanes;
}

int fnr_tile_net_views(const fnr_tile_net *t)
{
    return t->n_sides * (int)t->n_members;
}

void fnr_tile_net_ends(fnr_tile_net *t, int lane, int at, float **in, const float **out)
{
    if (t->places) {
        *in = t->places[lane * FNR_FLOW_SLOTS + at].in;
        *out = t->places[lane * FNR_FLOW_SLOTS + at].out;
    } else {
        t->be->flow_ends(t->members[0].flow, lane, at, in, out);
    }
}

/* ---- running --------------------------------------------------------------------------------------------------------------- */

/* A network from a side; views are counted side by side, network by network. */
typedef struct {
    int side;
    bool turned, first, last;
    member *by;
} view_of_tile;

static view_of_tile view_at(fnr_tile_net *t, int view)
{
    member *m = &t->members[(size_t)view % t->n_members];
    const int side = t->sides[(size_t)view / t->n_members];
    return (view_of_tile){.side = side, .turned = (side & TRANSPOSE) && m->turned, .first = view == 0, .last = view + 1 == fnr_tile_net_views(t), .by = m};
}

static void add_view(const fnr_tile_net *t, const view_of_tile *v, const float *seen, float *sum)
{
    put_back(&t->shape, v->side, t->out_channels, seen, v->first, sum);
    if (v->last) {
        const float inverse = 1.0f / (float)((size_t)t->n_sides * t->n_members);
        const size_t n = out_floats(t);
        for (size_t i = 0; i < n; i++) {
            sum[i] *= inverse;
        }
    }
}

bool fnr_tile_net_run(fnr_tile_net *t, fnr_error *err)
{
    const place *tile = &t->places[0];
    if (!averages(t)) {
        return t->be->forward(t->members[0].program, tile->in, tile->out, err);
    }
    for (int i = 0; i < fnr_tile_net_views(t); i++) {
        const view_of_tile v = view_at(t, i);
        if (v.by == t->members) { /* all networks see the same */
            look(&t->shape, v.side, t->shape.c, tile->in, t->side_in);
        }
        if (!t->be->forward(v.turned ? v.by->turned : v.by->program, t->side_in, t->side_out, err)) {
            return false;
        }
        add_view(t, &v, t->side_out, tile->out);
    }
    return true;
}

bool fnr_tile_net_push(fnr_tile_net *t, int lane, int at, long turn, int view, fnr_error *err)
{
    const view_of_tile v = view_at(t, view);
    fnr_flow *flow = v.turned ? v.by->turned_flow : v.by->flow;
    const int slot = (int)(turn % FNR_FLOW_SLOTS);
    if (t->places) {
        float *in;
        const float *out;
        t->be->flow_ends(flow, lane, slot, &in, &out);
        look(&t->shape, v.side, t->shape.c, t->places[lane * FNR_FLOW_SLOTS + at].in, in);
    }
    return t->be->flow_push(flow, lane, slot, err);
}

bool fnr_tile_net_take(fnr_tile_net *t, int lane, int at, long turn, int view, bool wait, bool *done, fnr_error *err)
{
    const view_of_tile v = view_at(t, view);
    fnr_flow *flow = v.turned ? v.by->turned_flow : v.by->flow;
    const int slot = (int)(turn % FNR_FLOW_SLOTS);
    if (!t->be->flow_take(flow, lane, slot, wait, done, err)) {
        return false;
    }
    if (*done && t->places) {
        float *in;
        const float *out;
        t->be->flow_ends(flow, lane, slot, &in, &out);
        add_view(t, &v, out, t->places[lane * FNR_FLOW_SLOTS + at].out);
    }
    return true;
}
