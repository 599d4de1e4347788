/* The paper's networks (32 base channels, depth 4) in 2D and 3D, weights and input from a hash, against figures computed in
 * float64: outputs, loss, norms and samples of all gradients, running statistics.  In 3D the ref backend takes too long (15 s,
 * minutes under the sanitizers): it is left out unless FNR_TEST_FULL is set. */
#include "tests/support/net_fixture.h"
#include "tests/backend/tolerances.h"

typedef struct {
    const char *name;
    fnr_netdesc desc;
    fnr_shape shape;
} paper;

static const paper paper2d = {"2d_paper_hash", {2, 1, 1, 32, 4}, {2, 1, 1, 1, 64, 64}};
static const paper paper3d = {"3d_paper_hash", {3, 1, 1, 32, 4}, {3, 1, 1, 16, 32, 32}};

/* The fixtures' generator (fixtures/net64/README.md): uniform in [-0.5, 0.5). */
static float hashed(uint32_t i, uint32_t salt)
{
    uint32_t h = i ^ (salt * 0x9E3779B9u);
    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    h ^= h >> 16;
    return (float)(h >> 8) * 0x1p-24f - 0.5f;
}

static float param_value(fnr_param_role role, float r)
{
    switch (role) {
    case FNR_PARAM_WEIGHT:
        return r * (float)((float)sqrt(12) * 0.02f);
    case FNR_PARAM_NORM_WEIGHT:
        return 1 + 0.1f * r;
    case FNR_PARAM_RUNNING_MEAN:
        return 0;
    case FNR_PARAM_RUNNING_VAR:
        return 1;
    case FNR_PARAM_BIAS:
    case FNR_PARAM_NORM_BIAS:
        break;
    }
    return 0.1f * r;
}

static void generate_params(const fnr_graph *g, float *flat)
{
    uint32_t salt = 0; /* trained parameters are counted from 1 */
    for (int i = 0; i < g->n_params; i++) {
        const fnr_param *p = &g->params[i];
        salt += fnr_role_is_trained(p->role);
        for (uint32_t k = 0; k < p->count; k++) {
            flat[p->offset + k] = param_value(p->role, hashed(k, salt));
        }
    }
}

static void generate_images(float *p, size_t n, uint32_t salt)
{
    for (uint32_t i = 0; i < n; i++) {
        p[i] = hashed(i, salt) * (float)sqrt(12);
    }
}

static double norm_of(const float *p, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)p[i] * (double)p[i];
    }
    return sqrt(sum);
}

static double number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItem(object, key);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

static const float *param_named(const fnr_rig *rig, const float *flat, const cJSON *entry, size_t *count)
{
    const int id = fnr_graph_find_param(&rig->graph, cJSON_GetObjectItem(entry, "name")->valuestring);
    assert_true(id >= 0);
    *count = rig->graph.params[id].count;
    return flat + rig->graph.params[id].offset;
}

/* The generator makes what the fixture was made with. */
static void check_generated(const fnr_rig *rig, const paper *p, const cJSON *expect)
{
    char path[256];
    const cJSON *entry;
    cJSON_ArrayForEach(entry, cJSON_GetObjectItem(expect, "first_weights"))
    {
        const int id = fnr_graph_find_param(&rig->graph, entry->string);
        assert_true(id >= 0);
        for (int i = 0; i < cJSON_GetArraySize(entry); i++) {
            assert_true(rig->values[rig->graph.params[id].offset + (size_t)i] ==
                        (float)cJSON_GetArrayItem(entry, i)->valuedouble);
        }
    }
    snprintf(path, sizeof path, "fixtures/net64/%s/x_check.f32", p->name);
    float *x = fnr_fixture_f32(path, rig->n_in);
    assert_memory_equal(x, rig->x, rig->n_in * sizeof *x);
    free(x);
    snprintf(path, sizeof path, "fixtures/net64/%s/y_check.f32", p->name);
    float *target = fnr_fixture_f32(path, rig->n_out);
    assert_memory_equal(target, rig->dy, rig->n_out * sizeof *target);
    free(target);
}

/* Norm, and four samples relative to the tensor's root mean square. */
static void check_gradients(const fnr_rig *rig, const paper *p, const cJSON *expect)
{
    const cJSON *entry, *sample;
    int n = 0;
    cJSON_ArrayForEach(entry, cJSON_GetObjectItem(expect, "grads"))
    {
        size_t count;
        const float *got = param_named(rig, rig->grads, entry, &count);
        const char *name = cJSON_GetObjectItem(entry, "name")->valuestring;
        const double l2 = number(entry, "l2"), rms = l2 / sqrt((double)count);
        n++;
        if (cJSON_IsTrue(cJSON_GetObjectItem(entry, "zero_by_bn"))) {
            assert_true(norm_of(got, count) == 0);
            continue;
        }
        fnr_judge(rig->variant, p->name, FNR_TOL_PAPER_GRADIENT, fabs(norm_of(got, count) - l2) / l2, name);
        cJSON_ArrayForEach(sample, cJSON_GetObjectItem(entry, "samples"))
        {
            const size_t index = (size_t)cJSON_GetArrayItem(sample, 0)->valuedouble;
            const double want = cJSON_GetArrayItem(sample, 1)->valuedouble;
            fnr_judge(rig->variant, p->name, FNR_TOL_PAPER_SAMPLE, fabs((double)got[index] - want) / (rms + fabs(want)), name);
        }
    }
    assert_true(n > 100);
}

static void check_statistics(const fnr_rig *rig, const paper *p, const cJSON *expect)
{
    const cJSON *entry;
    int n = 0;
    cJSON_ArrayForEach(entry, cJSON_GetObjectItem(expect, "running"))
    {
        size_t count;
        const float *got = param_named(rig, rig->values, entry, &count);
        const cJSON *first = cJSON_GetObjectItem(entry, "first");
        const double l2 = number(entry, "l2");
        fnr_judge(rig->variant, p->name, FNR_TOL_STATISTICS, fabs(norm_of(got, count) - l2) / l2, "running statistics");
        for (int i = 0; i < cJSON_GetArraySize(first); i++) {
            const double want = cJSON_GetArrayItem(first, i)->valuedouble;
            fnr_judge(rig->variant, p->name, FNR_TOL_STATISTICS, fabs((double)got[i] - want) / l2, "running statistics");
        }
        n++;
    }
    assert_true(n > 40);
}

static void check_output(const fnr_rig *rig, const paper *p, const char *file, fnr_tolerance_kind kind)
{
    char path[256];
    snprintf(path, sizeof path, "fixtures/net64/%s/%s.f64", p->name, file);
    float *want = fnr_fixture_f64(path, rig->n_out);
    fnr_judge(rig->variant, p->name, kind, fnr_test_rel_l2(rig->y, want, rig->n_out), file);
    free(want);
}

static fnr_graph unet(const paper *p)
{
    fnr_graph g;
    fnr_error err = {0};
    assert_ok(fnr_unet_build(&p->desc, &g, &err), err);
    return g;
}

static void evaluate(const fnr_rig *trained, const paper *p)
{
    fnr_rig rig;
    fnr_rig_new(&rig, trained->variant, unet(p), &p->shape, FNR_MODE_INFER);
    memcpy(rig.values, trained->values, rig.graph.param_floats * sizeof *rig.values);
    memcpy(rig.x, trained->x, rig.n_in * sizeof *rig.x);
    fnr_rig_forward(&rig);
    check_output(&rig, p, "out_eval_after_1_update", FNR_TOL_EVALUATION);
    fnr_rig_free(&rig);
}

static bool too_slow(const fnr_variant *variant, const paper *p)
{
#ifdef __SANITIZE_ADDRESS__
    const bool slow = true;
#else
    const bool slow = p->desc.spatial == 3;
#endif
    return slow && variant->ops == &fnr_backend_ref && !getenv("FNR_TEST_FULL");
}

static void check_paper(const fnr_variant *variant, const paper *p)
{
    if (too_slow(variant, p)) {
        print_message("skipped: slow on the ref backend; FNR_TEST_FULL=1 runs it\n");
        skip();
    }
    char path[256];
    snprintf(path, sizeof path, "fixtures/net64/%s/expect.json", p->name);
    cJSON *expect = fnr_fixture_json(path);
    fnr_rig rig;
    fnr_error err = {0};
    double loss = NAN;
    fnr_rig_new(&rig, variant, unet(p), &p->shape, FNR_MODE_TRAIN);
    generate_params(&rig.graph, rig.values);
    generate_images(rig.x, rig.n_in, 1001);
    generate_images(rig.dy, rig.n_out, 1002); /* the target */
    check_generated(&rig, p, expect);

    fnr_rig_forward(&rig);
    check_output(&rig, p, "out_train", FNR_TOL_OUTPUT);
    assert_ok(variant->ops->mse(rig.program, rig.dy, &loss, &err), err);
    fnr_judge(variant, p->name, FNR_TOL_LOSS, fabs(loss - number(expect, "loss_fp64")) / loss, "loss");
    assert_ok(variant->ops->backward(rig.program, NULL, &err), err);
    assert_ok(variant->ops->state_read(rig.state, FNR_STATE_GRADS, rig.grads, &err), err);
    check_gradients(&rig, p, expect);
    assert_ok(variant->ops->state_read(rig.state, FNR_STATE_VALUES, rig.values, &err), err);
    check_statistics(&rig, p, expect);
    evaluate(&rig, p);
    fnr_rig_free(&rig);
    cJSON_Delete(expect);
}

static void paper_2d(void **state)
{
    check_paper(*state, &paper2d);
}

static void paper_3d(void **state)
{
    check_paper(*state, &paper3d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paper_2d),
        cmocka_unit_test(paper_3d),
    };
    return fnr_run_for_variants(tests, sizeof tests / sizeof *tests);
}
