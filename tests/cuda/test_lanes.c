/* Tiles on their way through one or two GPUs: results keep their bits whatever the number of GPUs, both are given tiles, each has its
 * next tile before the host waits for the last one, and failures leave nothing behind.  Skips where there are not two;
 * tests/cuda/test_emulated.sh runs it on two pretended ones. */
#include "tests/cuda/tiles_case.h"

enum { H = 67, W = 101, LANES = 2 };

/* ---- the backend, watched ---------------------------------------------------------------------------------------------------- */

static struct {
    const fnr_backend_ops *real;
    int in_flight[LANES], pushes[LANES], most[LANES]; /* most: in flight */
    int idle_waits;  /* the host waited while the GPU had room for a tile */
    int slow, asked; /* this lane says that it is done at every so many a question alone; -1 = none */
    int refuse_from, refuse; /* pushes that fail for lack of memory: the first one, and how many */
} watch;

static bool watched_push(fnr_flow *f, int lane, int slot, fnr_error *err)
{
    const int number = watch.pushes[0] + watch.pushes[1];
    if (watch.refuse > 0 && number >= watch.refuse_from) {
        watch.refuse--;
        return fnr_fail(err, FNR_E_LIMIT, "no memory");
    }
    watch.pushes[lane]++;
    watch.in_flight[lane]++;
    watch.most[lane] = watch.in_flight[lane] > watch.most[lane] ? watch.in_flight[lane] : watch.most[lane];
    return watch.real->flow_push(f, lane, slot, err);
}

static bool watched_take(fnr_flow *f, int lane, int slot, bool wait, bool *done, fnr_error *err)
{
    if (!wait && lane == watch.slow && ++watch.asked % 1000) {
        *done = false;
        return true;
    }
    watch.idle_waits += wait && watch.in_flight[lane] < FNR_FLOW_SLOTS;
    const bool ok = watch.real->flow_take(f, lane, slot, wait, done, err);
    watch.in_flight[lane] -= ok && *done;
    return ok;
}

static tiles_device open_watched(int gpus, fnr_backend_ops *ops)
{
    tiles_device d = tiles_open(gpus);
    memset(&watch, 0, sizeof watch);
    watch.real = d.ops;
    watch.slow = -1;
    *ops = *d.ops;
    ops->flow_push = watched_push;
    ops->flow_take = watched_take;
    d.ops = ops;
    return d;
}

/* ---- pictures ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    float *in[4], *out[4];
    size_t image;
    int next_row, reads, fail_read;
} series;

static bool read_rect(void *ctx, size_t image, int x, int y, int w, int h, float *dst, fnr_error *err)
{
    series *s = ctx;
    if (s->reads++ == s->fail_read) {
        return fnr_fail(err, FNR_E_LIMIT, "tape torn");
    }
    for (int r = y; r < y + h; r++) {
        memcpy(dst, s->in[image] + r * W + x, (size_t)w * sizeof *dst);
        dst += w;
    }
    return true;
}

static bool take_rows(void *ctx, size_t image, int y, int count, const float *rows, fnr_error *err)
{
    series *s = ctx;
    (void)err;
    assert_int_equal(image, s->image);
    assert_int_equal(y, s->next_row);
    memcpy(s->out[image] + y * W, rows, (size_t)count * W * sizeof *rows);
    s->next_row += count;
    if (s->next_row == H) {
        s->next_row = 0;
        s->image++;
    }
    return true;
}

static series series_new(void)
{
    series s = {.fail_read = -1};
    for (unsigned i = 0; i < 4; i++) {
        s.in[i] = fnr_test_noise(H * W, 3 + i);
        s.out[i] = fnr_test_noise(H * W, 99);
    }
    return s;
}

static void series_free(series *s)
{
    for (int i = 0; i < 4; i++) {
        free(s->in[i]);
        free(s->out[i]);
    }
}

static bool run_series(fnr_predictor *p, series *s, fnr_error *err)
{
    s->image = 0;
    s->next_row = s->reads = 0;
    memset(watch.pushes, 0, sizeof watch.pushes);
    watch.idle_waits = 0;
    return fnr_predict_series(p, 4, W, H, read_rect, s, take_rows, s, NULL, err);
}

/* By whole images, one at a time, on the first GPU. */
static void check_series(const tiles_device *d, const fnr_model *m, const series *s)
{
    fnr_error err = {0};
    fnr_predictor *whole = fnr_predictor_new(d->ops, d->device, m, &(fnr_predict_options){.tile = 200}, &err);
    float *want = malloc(H * W * sizeof *want);
    assert_true(whole && want);
    for (int i = 0; i < 4; i++) {
        assert_ok(fnr_predict_array(whole, 1, H, W, s->in[i], want, NULL, &err), err);
        assert_memory_equal(s->out[i], want, H * W * sizeof *want);
    }
    free(want);
    fnr_predictor_free(whole);
}

/* ---- tests ------------------------------------------------------------------------------------------------------------------- */

/* Watched GPUs, a small network on them, images for it. */
typedef struct {
    fnr_backend_ops ops;
    tiles_device device;
    fnr_model model;
    fnr_predictor *predictor;
    series images;
} lanes_case;

static void case_predictor(lanes_case *c, int tile)
{
    fnr_error err = {0};
    fnr_predictor_free(c->predictor);
    c->predictor = fnr_predictor_new(c->device.ops, c->device.device, &c->model, &(fnr_predict_options){.tile = tile}, &err);
    assert_ok(c->predictor != NULL, err);
}

/* tile 0: as large as the memory allows. */
static void case_open(lanes_case *c, int gpus, int tile)
{
    c->predictor = NULL;
    c->device = open_watched(gpus, &c->ops);
    fnr_test_model(&(fnr_netdesc){2, 1, 1, 2, 1}, 9, false, &c->model);
    c->images = series_new();
    case_predictor(c, tile);
}

static void case_close(lanes_case *c)
{
    series_free(&c->images);
    fnr_predictor_free(c->predictor);
    c->device.ops->close(c->device.device);
    fnr_model_free(&c->model);
}

static void a_series_keeps_every_gpu_busy(void **state)
{
    (void)state;
    const int tiles[] = {14, 200};
    for (int gpus = 1; gpus <= LANES; gpus++) {
        for (int k = 0; k < 2; k++) {
            fnr_error err = {0};
            lanes_case c;
            case_open(&c, gpus, tiles[k]);
            assert_ok(run_series(c.predictor, &c.images, &err), err);
            const int all = k == 0 ? 4 * 5 * 8 : 4;
            assert_int_equal(watch.pushes[0] + watch.pushes[1], all);
            assert_true(gpus == 1 || (watch.pushes[0] >= all / 4 && watch.pushes[1] >= all / 4));
            for (int i = 0; i < gpus; i++) {
                assert_int_equal(watch.most[i], FNR_FLOW_SLOTS);
            }
            assert_true(watch.idle_waits <= 1); /* for the last tile, when there is no next one */
            check_series(&c.device, &c.model, &c.images);
            case_close(&c);
        }
    }
}

static void a_slow_gpu_gets_fewer_tiles(void **state)
{
    (void)state;
    fnr_error err = {0};
    lanes_case c;
    case_open(&c, 2, 14);
    watch.slow = 0;
    assert_ok(run_series(c.predictor, &c.images, &err), err);
    assert_true(2 * watch.pushes[0] < watch.pushes[1]);
    check_series(&c.device, &c.model, &c.images);
    case_close(&c);
}

/* Several networks, from several sides, 2D and 3D. */
static float *averaged(int gpus, int spatial, int tta, int tile)
{
    const int d = spatial == 3 ? 4 : 1, h = 22, w = 44;
    const fnr_netdesc desc = {spatial, 1, 1, 2, 1};
    fnr_model first, second;
    fnr_test_model(&desc, 9, false, &first);
    fnr_test_model(&desc, 10, false, &second);
    const fnr_model *models[] = {&first, &second};
    fnr_error err = {0};
    tiles_device g = tiles_open(gpus);
    float *in = fnr_test_noise((size_t)d * (size_t)h * (size_t)w, 5), *out = fnr_test_noise((size_t)d * (size_t)h * (size_t)w, 99);
    fnr_predictor *p = fnr_predictor_new_mean(g.ops, g.device, models, 2, &(fnr_predict_options){.tile = tile, .tta = tta}, &err);
    assert_ok(p != NULL && fnr_predict_array(p, d, h, w, in, out, NULL, &err), err);
    fnr_predictor_free(p);
    g.ops->close(g.device);
    fnr_model_free(&first);
    fnr_model_free(&second);
    free(in);
    return out;
}

static void averages_do_not_depend_on_gpus_or_tiles(void **state)
{
    (void)state;
    for (int spatial = 2; spatial <= 3; spatial++) {
        const size_t bytes = (spatial == 3 ? 4 : 1) * 22 * 44 * sizeof(float);
        const int tta = spatial == 3 ? FNR_TTA_FLIPS : FNR_TTA_ALL;
        float *one = averaged(1, spatial, tta, 60), *tiled = averaged(1, spatial, tta, 10), *two = averaged(2, spatial, tta, 10);
        assert_memory_equal(tiled, one, bytes);
        assert_memory_equal(two, one, bytes);
        free(one);
        free(tiled);
        free(two);
    }
}

static void no_memory_at_work_halves_tiles_too(void **state)
{
    (void)state;
    fnr_error err = {0};
    lanes_case c;
    case_open(&c, 2, 0);
    watch.refuse_from = 1; /* the second tile: the first one is on its way */
    watch.refuse = 2;
    assert_ok(run_series(c.predictor, &c.images, &err), err);
    assert_in_range(c.images.reads, 4 * 5 * 4, 4 * 5 * 4 + 4); /* cut along x, then y; a few were read in vain */
    check_series(&c.device, &c.model, &c.images);
    case_predictor(&c, 14);
    watch.refuse_from = 20; /* rows of the first image are given away */
    watch.refuse = 1;
    assert_false(run_series(c.predictor, &c.images, &err));
    assert_int_equal(err.code, FNR_E_LIMIT);
    assert_int_equal(watch.in_flight[0] + watch.in_flight[1], 0);
    assert_ok(run_series(c.predictor, &c.images, &err), err);
    check_series(&c.device, &c.model, &c.images);
    case_close(&c);
}

static void a_broken_source_leaves_nothing_under_way(void **state)
{
    (void)state;
    fnr_error err = {0};
    lanes_case c;
    case_open(&c, 2, 14);
    c.images.fail_read = 45;
    assert_false(run_series(c.predictor, &c.images, &err));
    assert_string_equal(err.message, "tape torn"); /* and not taken for a GPU without memory */
    assert_int_equal(watch.in_flight[0] + watch.in_flight[1], 0);
    c.images.fail_read = -1;
    assert_ok(run_series(c.predictor, &c.images, &err), err);
    check_series(&c.device, &c.model, &c.images);
    case_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_series_keeps_every_gpu_busy),
        cmocka_unit_test(a_slow_gpu_gets_fewer_tiles),
        cmocka_unit_test(averages_do_not_depend_on_gpus_or_tiles),
        cmocka_unit_test(no_memory_at_work_halves_tiles_too),
        cmocka_unit_test(a_broken_source_leaves_nothing_under_way),
    };
    return cmocka_run_group_tests_name("lanes", tests, NULL, NULL);
}
