/* A buffer of images that is refilled while training runs: the same batches however slow the disk is and wherever training begins,
 * never more images in memory than asked, and a clean end when a file is gone. */
#include "tests/net/train_case.h"

#include <pthread.h>
#include <unistd.h>

#include "net/prefetch.h"

enum { N = 7, BUFFER = 3, EVERY = 4, BATCH = 6, P = 4, STEPS = 90, FLOATS = BATCH * P * P };

/* Images whose pixels tell their number; counts what is lent. */
typedef struct {
    fnr_pair pairs[N];
    float px[N][12 * 10];
    int delay_us;
    int fail_at; /* load number that fails; -1 = none */
    pthread_mutex_t mutex;
    int lent, most_lent, n_loads;
    size_t loads[200];
} disk;

static void describe(void *ctx, size_t i, fnr_pair *out)
{
    *out = ((disk *)ctx)->pairs[i];
}

static bool load(void *ctx, size_t i, fnr_pair *out, fnr_error *err)
{
    disk *d = ctx;
    if (d->delay_us) {
        usleep((useconds_t)(d->delay_us * (1 + (int)i % 3)));
    }
    pthread_mutex_lock(&d->mutex);
    const int number = d->n_loads;
    if (number < 200) {
        d->loads[d->n_loads++] = i;
    }
    d->lent++;
    d->most_lent = d->lent > d->most_lent ? d->lent : d->most_lent;
    const bool fails = number == d->fail_at;
    d->lent -= fails;
    pthread_mutex_unlock(&d->mutex);
    *out = d->pairs[i];
    return !fails || fnr_fail(err, FNR_E_IO, "%s: cannot be read", d->pairs[i].name);
}

static void unload(void *ctx, fnr_pair *pair)
{
    disk *d = ctx;
    pthread_mutex_lock(&d->mutex);
    d->lent--;
    pthread_mutex_unlock(&d->mutex);
    pair->signal = pair->target = NULL; /* whoever still uses them fails */
}

static disk *make_disk(int delay_us)
{
    static const char *const names[N] = {"i0", "i1", "i2", "i3", "i4", "i5", "i6"};
    disk *d = calloc(1, sizeof *d);
    assert_non_null(d);
    d->delay_us = delay_us;
    d->fail_at = -1;
    pthread_mutex_init(&d->mutex, NULL);
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 120; k++) {
            d->px[i][k] = (float)(1000 * i + k);
        }
        d->pairs[i] = (fnr_pair){.name = names[i], .d = 1, .h = 12, .w = 10, .signal = d->px[i], .target = d->px[i]};
    }
    return d;
}

static void free_disk(disk *d)
{
    assert_int_equal(d->lent, 0); /* everything was given back */
    pthread_mutex_destroy(&d->mutex);
    free(d);
}

static fnr_pair_source source_of(disk *d)
{
    return (fnr_pair_source){.ctx = d, .count = N, .describe = describe, .load = load, .unload = unload};
}

static const fnr_sampler_options options = {
    .patch_d = 1, .patch_h = P, .patch_w = P, .batch = BATCH, .flip = true, .buffer = BUFFER, .buffer_steps = EVERY, .seed = 21};

/* Batches [first, STEPS) through the threads that make them ahead. */
static void collect(disk *d, long first, float out[STEPS][FLOATS])
{
    fnr_error err = {0};
    const fnr_pair_source source = source_of(d);
    fnr_sampler *s = fnr_sampler_new_from(&tiny, &source, &options, first, &err);
    assert_non_null(s);
    fnr_prefetch *p = fnr_prefetch_start(s, FLOATS, FLOATS, first, STEPS, 3, &err);
    assert_non_null(p);
    for (long step = first; step < STEPS; step++) {
        const float *x, *y;
        fnr_sampler_pass(s, step);
        assert_ok(fnr_prefetch_next(p, &x, &y, &err), err);
        memcpy(out[step], x, sizeof out[step]);
    }
    fnr_prefetch_stop(p);
    fnr_sampler_free(s);
}

static void batches_do_not_depend_on_the_disk(void **state)
{
    (void)state;
    static float fast[STEPS][FLOATS], slow[STEPS][FLOATS], late[STEPS][FLOATS];
    disk *d = make_disk(0);
    collect(d, 0, fast);
    assert_int_equal(d->most_lent, BUFFER + 1);
    /* Every epoch is a permutation, and no two are the same. */
    for (int epoch = 0; epoch < 3; epoch++) {
        int seen = 0;
        for (int i = 0; i < N; i++) {
            seen |= 1 << d->loads[epoch * N + i];
        }
        assert_int_equal(seen, (1 << N) - 1);
    }
    assert_true(memcmp(d->loads, d->loads + N, N * sizeof *d->loads) != 0);
    /* Step s draws from numbers s / EVERY to s / EVERY + BUFFER - 1 of that sequence, from each of them at some time. */
    for (long g = 0; g < STEPS / EVERY; g++) {
        int used = 0;
        for (long step = g * EVERY; step < (g + 1) * EVERY; step++) {
            for (int i = 0; i < BATCH; i++) {
                const size_t image = (size_t)(fast[step][i * P * P] / 1000);
                int slot = -1;
                for (int k = 0; k < BUFFER; k++) {
                    slot = d->loads[g + k] == image ? k : slot;
                }
                assert_true(slot >= 0);
                used |= 1 << slot;
            }
        }
        assert_true(used > 1);
    }
    free_disk(d);
    d = make_disk(700);
    collect(d, 0, slow);
    assert_memory_equal(fast, slow, sizeof fast);
    assert_int_equal(d->most_lent, BUFFER + 1);
    free_disk(d);
    for (long first = 1; first < STEPS; first += 29) {
        d = make_disk(100);
        collect(d, first, late);
        assert_memory_equal(fast[first], late[first], (size_t)(STEPS - first) * sizeof fast[0]);
        free_disk(d);
    }
}

static void a_buffer_for_all_images_is_no_buffer(void **state)
{
    (void)state;
    fnr_error err = {0};
    float x[FLOATS], y[FLOATS], plain[FLOATS];
    fnr_sampler_options o = options;
    o.buffer = N;
    disk *d = make_disk(0);
    const fnr_pair_source source = source_of(d);
    fnr_sampler *s = fnr_sampler_new_from(&tiny, &source, &o, 0, &err);
    o.buffer = 0;
    fnr_sampler *t = fnr_sampler_new(&tiny, d->pairs, N, &o, &err);
    assert_true(s && t);
    for (long step = 50; step >= 0; step--) { /* in any order */
        assert_ok(fnr_sampler_batch(s, step, x, y, &err), err);
        assert_ok(fnr_sampler_batch(t, step, plain, y, &err), err);
        assert_memory_equal(x, plain, sizeof x);
    }
    fnr_sampler_free(s);
    fnr_sampler_free(t);
    free_disk(d);
    o.buffer = 2;
    o.buffer_steps = 0;
    assert_null(fnr_sampler_new_from(&tiny, &source, &o, 0, &err));
    assert_non_null(strstr(err.message, "a buffer of 2 images"));
}

static bool train_buffered(device dev, disk *d, fnr_model *m, observer *o, fnr_error *err)
{
    fnr_train_options opt = small_options(60);
    opt.sampler = options;
    opt.checkpoint_every_s = o->cancel_at >= 0 ? 0 : 60;
    const fnr_pair_source source = source_of(d), none = fnr_pairs_source(NULL, 0);
    const fnr_train_callbacks cb = {.ctx = o, .save = on_save};
    return fnr_train_from(dev.be, dev.device, m, &source, &none, &opt, &cb, &o->cancel, NULL, err);
}

/* Stopped, and stopped by a file that is gone for a while: the same bytes in the end. */
static void training_goes_on_where_it_was(device dev)
{
    fnr_error err = {0};
    fnr_model m;
    observer whole = make_observer("buffer-whole"), parts = make_observer("buffer-parts");
    disk *d = make_disk(0);
    assert_ok(fnr_model_new(&tiny, 3, &m, &err), err);
    assert_ok(train_buffered(dev, d, &m, &whole, &err), err);
    fnr_model_free(&m);
    free_disk(d);

    assert_ok(fnr_model_new(&tiny, 3, &m, &err), err);
    d = make_disk(50);
    d->fail_at = 9;
    assert_false(train_buffered(dev, d, &m, &parts, &err));
    assert_int_equal(err.code, FNR_E_IO);
    assert_non_null(strstr(err.message, "cannot be read; the state is saved: continue when the file is back"));
    char name[8];
    snprintf(name, sizeof name, " i%d:", (int)d->loads[9]);
    assert_non_null(strstr(err.message, name));
    fnr_model_free(&m);
    free_disk(d);
    assert_ok(fnr_model_read(parts.last_path, &m, &err), err);
    /* Number 9 is needed first by step (9 - BUFFER + 1) * EVERY: all steps before it were done. */
    assert_int_equal(m.step, (9 - BUFFER + 1) * EVERY);
    d = make_disk(0);
    parts.cancel_at = 43;
    assert_false(train_buffered(dev, d, &m, &parts, &err));
    assert_int_equal(err.code, FNR_E_CANCELLED);
    parts.cancel.requested = 0;
    parts.cancel_at = -1;
    fnr_model_free(&m);
    assert_ok(fnr_model_read(parts.last_path, &m, &err), err);
    assert_int_equal(m.step, 43);
    assert_ok(train_buffered(dev, d, &m, &parts, &err), err);
    fnr_model_free(&m);
    free_disk(d);
    assert_same_file(whole.last_path, parts.last_path);
}
EACH(training_goes_on_where_it_was)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_do_not_depend_on_the_disk),
        cmocka_unit_test(a_buffer_for_all_images_is_no_buffer),
        cmocka_unit_test(training_goes_on_where_it_was_),
    };
    return cmocka_run_group_tests(tests, make_problem, NULL);
}
