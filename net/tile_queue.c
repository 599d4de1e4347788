#include "net/tile_queue.h"

#include <stdlib.h>
#include <time.h>

#include "src/core/mem.h"

/* Between two looks at whether one of several devices is done; a tile takes milliseconds. */
enum { LOOK_AGAIN_NS = 50000 };

/* A device's tiles in the order in which it was given them; those not kept yet are at most FNR_FLOW_SLOTS. */
typedef struct {
    long given, kept;          /* tiles: number n is at place n % FNR_FLOW_SLOTS */
    long pushed, taken;        /* views */
    int views_in, views_out;   /* pushed of the last tile given; taken of the first not kept */
    long tiles[FNR_FLOW_SLOTS]; /* their numbers, by place */
} lane;

typedef struct {
    fnr_tile_net *net;
    const fnr_tile_work *work;
    bool *in_net;
    int views, n_lanes;
    long next, kept; /* tiles */
    lane lanes[];
} queue;

static int place_of(long n)
{
    return (int)(n % FNR_FLOW_SLOTS);
}

static bool from_net(const queue *q, bool ok)
{
    *q->in_net = *q->in_net || !ok;
    return ok;
}

/* ---- in -------------------------------------------------------------------------------------------------------------------- */

static bool wants_tile(const queue *q, const lane *l)
{
    return (l->given == 0 || l->views_in == q->views) && l->given - l->kept < FNR_FLOW_SLOTS && q->next < q->work->tiles;
}

static bool can_push(const queue *q, const lane *l)
{
    return l->pushed - l->taken < FNR_FLOW_SLOTS && ((l->given > 0 && l->views_in < q->views) || wants_tile(q, l));
}

static bool check_cancel(const fnr_tile_work *work, fnr_error *err)
{
    return !fnr_cancelled(work->cancel) || fnr_fail(err, FNR_E_CANCELLED, "prediction stopped");
}

static bool give_tile(queue *q, int at, fnr_error *err)
{
    lane *l = &q->lanes[at];
    float *in;
    const float *out;
    fnr_tile_net_ends(q->net, at, place_of(l->given), &in, &out);
    if (!check_cancel(q->work, err) || !q->work->load(q->work->ctx, q->next, in, err)) {
        return false;
    }
    l->tiles[place_of(l->given++)] = q->next++;
    l->views_in = 0;
    return true;
}

static bool push(queue *q, int at, fnr_error *err)
{
    lane *l = &q->lanes[at];
    if (wants_tile(q, l) && !give_tile(q, at, err)) {
        return false;
    }
    if (!from_net(q, fnr_tile_net_push(q->net, at, place_of(l->given - 1), l->pushed, l->views_in, err))) {
        return false;
    }
    l->views_in++;
    l->pushed++;
    return true;
}

/* ---- out ------------------------------------------------------------------------------------------------------------------- */

/* May the lane's oldest tile be kept?  The tiles of earlier groups all are. */
static bool is_open(const queue *q, const lane *l)
{
    return l->tiles[place_of(l->kept)] / q->work->group == q->kept / q->work->group;
}

static bool keep(queue *q, int at, fnr_error *err)
{
    lane *l = &q->lanes[at];
    const int place = place_of(l->kept);
    float *in;
    const float *out;
    fnr_tile_net_ends(q->net, at, place, &in, &out);
    if (!q->work->keep(q->work->ctx, l->tiles[place], out, err)) {
        return false;
    }
    l->kept++;
    l->views_out = 0;
    q->kept++;
    return true;
}

/* Takes one view of the lane's oldest tile, or keeps the tile. */
static bool take(queue *q, int at, bool wait, bool *moved, fnr_error *err)
{
    lane *l = &q->lanes[at];
    bool done = false;
    if (l->given == l->kept) {
        return true;
    }
    if (l->views_out < q->views && l->pushed > l->taken) {
        if (!from_net(q, fnr_tile_net_take(q->net, at, place_of(l->kept), l->taken, l->views_out, wait, &done, err))) {
            return false;
        }
        l->taken += done;
        l->views_out += done;
    }
    *moved = *moved || done;
    if (l->views_out == q->views && is_open(q, l)) {
        *moved = true;
        return keep(q, at, err);
    }
    return true;
}

/* Nobody can tell which of several lanes will be done first, so they are asked in turn. */
static bool wait_a_little(queue *q, fnr_error *err)
{
    bool moved;
    if (q->n_lanes == 1) {
        return take(q, 0, true, &moved, err);
    }
    (void)nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_NS}, NULL);
    return true;
}

/* One view for each lane that has room, what is done from each; when nothing of that can be, waits. */
static bool advance(queue *q, fnr_error *err)
{
    bool moved = false;
    for (int i = 0; i < q->n_lanes; i++) {
        if (can_push(q, &q->lanes[i])) {
            moved = true;
            if (!push(q, i, err)) {
                return false;
            }
        }
    }
    for (int i = 0; i < q->n_lanes; i++) {
        if (!take(q, i, false, &moved, err)) {
            return false;
        }
    }
    return moved || wait_a_little(q, err);
}

static void settle(queue *q)
{
    for (int i = 0; i < q->n_lanes; i++) {
        for (lane *l = &q->lanes[i]; l->taken < l->pushed; l->taken++) {
            bool done;
            if (l->views_out == q->views) {
                l->views_out = 0;
                l->kept++;
            }
            (void)fnr_tile_net_take(q->net, i, place_of(l->kept), l->taken, l->views_out++, true, &done, NULL);
        }
    }
}

/* ---- all of it ------------------------------------------------------------------------------------------------------------- */

static bool run_one_by_one(fnr_tile_net *net, const fnr_tile_work *work, bool *in_net, fnr_error *err)
{
    float *in;
    const float *out;
    fnr_tile_net_ends(net, 0, 0, &in, &out);
    for (long i = 0; i < work->tiles; i++) {
        if (!check_cancel(work, err) || !work->load(work->ctx, i, in, err)) {
            return false;
        }
        *in_net = !fnr_tile_net_run(net, err);
        if (*in_net || !work->keep(work->ctx, i, out, err)) {
            return false;
        }
    }
    return true;
}

bool fnr_tile_queue_run(fnr_tile_net *net, const fnr_tile_work *work, bool *in_net, fnr_error *err)
{
    const int lanes = fnr_tile_net_lanes(net);
    *in_net = false;
    if (lanes == 0) {
        return run_one_by_one(net, work, in_net, err);
    }
    queue *q = fnr_calloc(1, sizeof *q + (size_t)lanes * sizeof *q->lanes, "queue of tiles", err);
    if (!q) {
        return false;
    }
    q->net = net;
    q->work = work;
    q->in_net = in_net;
    q->views = fnr_tile_net_views(net);
    q->n_lanes = lanes;
    bool ok = true;
    while (ok && q->kept < work->tiles) {
        ok = advance(q, err);
    }
    if (!ok) {
        settle(q);
    }
    free(q);
    return ok;
}
