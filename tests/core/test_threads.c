#include "tests/support/support.h"

#include <pthread.h>
#include <stdatomic.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "src/core/threads.h"
#include "src/core/timer.h"

enum { COUNT = 1000 };
typedef struct {
    atomic_int visits[COUNT];
    atomic_int arrived, inner_elsewhere;
    bool met[2];
} shared_state;

static void visit(void *ctx, size_t i)
{
    shared_state *s = ctx;
    atomic_fetch_add(&s->visits[i], 1);
}

static void every_index_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 5; threads += 2) {
        static shared_state s;
        memset(&s, 0, sizeof s);
        fnr_threads_set(threads);
        fnr_parallel_for(COUNT - 1, visit, &s);
        for (size_t i = 0; i < COUNT; i++) {
            assert_int_equal(s.visits[i], i < COUNT - 1);
        }
        fnr_parallel_for(0, visit, &s);
        assert_int_equal(s.visits[0], 1);
    }
}

static void set_and_get(void **state)
{
    (void)state;
#ifdef _OPENMP
    fnr_threads_set(3);
    assert_int_equal(fnr_threads_get(), 3);
    fnr_threads_set(0);
    assert_true(fnr_threads_get() >= 1);
    fnr_threads_set(-5);
    assert_true(fnr_threads_get() >= 1);
#else
    fnr_threads_set(3);
    assert_int_equal(fnr_threads_get(), 1);
#endif
}

#ifdef _OPENMP
/* Each of two bodies waits for the other: only two threads at once can get past. */
static void meet(void *ctx, size_t i)
{
    shared_state *s = ctx;
    const double until = fnr_now_s() + 20;
    atomic_fetch_add(&s->arrived, 1);
    while (atomic_load(&s->arrived) < 2 && fnr_now_s() < until) {
    }
    s->met[i] = atomic_load(&s->arrived) == 2;
}
#endif

static void bodies_really_run_at_once(void **state)
{
    (void)state;
#ifdef _OPENMP
    shared_state s = {0};
    fnr_threads_set(2);
    fnr_parallel_for(2, meet, &s);
    assert_true(s.met[0] && s.met[1]);
#else
    print_message("skipped: this build has no OpenMP\n");
    skip();
#endif
}

typedef struct {
    shared_state *s;
    pthread_t outer;
} nested_context;

static void inner(void *ctx, size_t i)
{
    nested_context *c = ctx;
    visit(c->s, i);
    if (!pthread_equal(pthread_self(), c->outer)) {
        atomic_fetch_add(&c->s->inner_elsewhere, 1);
    }
}

static void outer(void *ctx, size_t i)
{
    (void)i;
    nested_context c = {.s = ctx, .outer = pthread_self()};
    fnr_parallel_for(100, inner, &c);
}

static void nested_loops_stay_on_their_thread(void **state)
{
    (void)state;
    static shared_state s;
    fnr_threads_set(3);
#ifdef _OPENMP
    omp_set_max_active_levels(2); /* what OMP_NESTED=true or another library may do */
#endif
    fnr_parallel_for(20, outer, &s);
    assert_int_equal(s.inner_elsewhere, 0);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(s.visits[i], 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_index_once),
        cmocka_unit_test(set_and_get),
        cmocka_unit_test(bodies_really_run_at_once),
        cmocka_unit_test(nested_loops_stay_on_their_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
