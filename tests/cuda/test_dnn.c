/* cuDNN itself is asked, for an H200 described in words: does it accept our graphs, and has it engines for the network's
 * convolutions?  Needs no GPU (cuDNN 9.8 or newer); nothing is run.  Fused bias and ReLU need the driver and are not asked for. */
#include "tests/support/support.h"

#ifdef FNR_HAVE_CUDA

#include "net/cuda/dnn.h"

static const char h200[] =
    "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,\"multiProcessorCount\":132,"
    "\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":232448,\"reservedSharedMemoryPerBlock\":1024,"
    "\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":0,"
    "\"isTccDriver\":0,\"supportCoopLaunch\":1,\"totalGlobalMem\":150754820096,\"smClockRateKHz\":1980000,\"memClockRateKHz\":3201000,"
    "\"l2CacheSize\":62914560,\"cudaDeviceId\":0,\"deviceVer\":900,\"driverVer\":13000,\"deviceName\":\"NVIDIA H200\"}";

typedef struct {
    int spatial, n, fine_c, coarse_c, d, h, w, kernel;
} window;

static fnr_cu_conv_key key_of(const window *c, fnr_cu_pass pass, fnr_cu_type type)
{
    fnr_cu_conv_key k;
    memset(&k, 0, sizeof k);
    k.pass = pass;
    k.io = k.result = type;
    k.spatial = c->spatial;
    k.n = c->n;
    k.fine_c = c->fine_c;
    k.coarse_c = c->coarse_c;
    k.kernel = c->kernel;
    k.stride = c->kernel == 2 ? 2 : 1;
    k.pad = c->kernel == 3 ? 1 : 0;
    k.exact = type == FNR_CU_FLOAT32;
    const int extent[3] = {c->d, c->h, c->w};
    for (int i = 0; i < 3; i++) {
        k.fine[i] = extent[i];
        k.coarse[i] = i == 0 && c->spatial == 2 ? 1 : extent[i] / k.stride;
    }
    return k;
}

static bool describe(fnr_cu_bag *bag, fnr_cu_target *target)
{
    fnr_error err = {0};
    *target = (fnr_cu_target){0};
    if (!fnr_cu_describe_device(bag, h200, &target->device, &err)) {
        print_message("skipped: this cuDNN takes no description of a device: %s\n", err.message);
        fnr_cu_bag_free(bag);
        return false;
    }
    return true;
}

static void engines_for_the_network(void **state)
{
    (void)state;
    static const window windows[] = {{2, 32, 32, 32, 1, 256, 256, 3}, {2, 32, 32, 64, 1, 128, 128, 2}, {3, 24, 32, 32, 32, 64, 64, 3}};
    fnr_cu_bag bag = {.count = 0};
    fnr_cu_target target;
    if (!describe(&bag, &target)) {
        skip();
    }
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        for (int pass = FNR_CU_FORWARD; pass <= FNR_CU_FILTER; pass++) {
            const fnr_cu_conv_key key = key_of(&windows[i], (fnr_cu_pass)pass, FNR_CU_BF16);
            fnr_cu_plans plans;
            fnr_error err = {0};
            if (!fnr_cu_plans_make(&plans, &target, &key, 1, (size_t)512 << 20, &err)) {
                fail_msg("window %zu, pass %d: %s", i, pass, err.message);
            }
            fnr_cu_plans_free(&plans);
        }
    }
    fnr_cu_bag_free(&bag);
}

/* Odd channels in full float32 are what the tests on a GPU begin with. */
static void engines_in_float32(void **state)
{
    (void)state;
    static const window odd = {2, 3, 17, 33, 1, 13, 6, 3};
    fnr_cu_bag bag = {.count = 0};
    fnr_cu_target target;
    if (!describe(&bag, &target)) {
        skip();
    }
    for (int pass = FNR_CU_FORWARD; pass <= FNR_CU_FILTER; pass++) {
        const fnr_cu_conv_key key = key_of(&odd, (fnr_cu_pass)pass, FNR_CU_FLOAT32);
        fnr_cu_plans plans;
        fnr_error err = {0};
        assert_ok(fnr_cu_plans_make(&plans, &target, &key, 3, (size_t)512 << 20, &err), err);
        if (plans.count > 1) {
            fnr_cu_plans_keep(&plans, 1);
            assert_int_equal(plans.count, 1);
        }
        fnr_cu_plans_free(&plans);
    }
    fnr_cu_bag_free(&bag);
}

/* cuDNN looks at the graph: extents that do not belong together are refused before anything is run. */
static void nonsense_is_refused(void **state)
{
    (void)state;
    static const window right = {2, 2, 32, 32, 1, 16, 16, 3};
    fnr_cu_bag bag = {.count = 0};
    fnr_cu_target target;
    if (!describe(&bag, &target)) {
        skip();
    }
    fnr_cu_conv_key key = key_of(&right, FNR_CU_FORWARD, FNR_CU_BF16);
    key.coarse[1] = 7;
    fnr_cu_plans plans;
    fnr_error err = {0};
    assert_false(fnr_cu_plans_make(&plans, &target, &key, 1, (size_t)1 << 20, &err));
    assert_true(strlen(err.message) > 0);
    fnr_cu_plans_free(&plans);
    fnr_cu_bag_free(&bag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engines_for_the_network),
        cmocka_unit_test(engines_in_float32),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("cuDNN", tests, NULL, NULL);
}

#else

static void no_cuda(void **state)
{
    (void)state;
    print_message("skipped: no CUDA and cuDNN headers\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_cuda)};
    return cmocka_run_group_tests_name("cuDNN", tests, NULL, NULL);
}

#endif
