#include "tests/support/net_case.h"

#include <cjson/cJSON.h>

#include "net/safetensors.h"
#include "src/core/fs.h"

static fnr_case case_new(const fnr_netdesc *desc)
{
    fnr_case c = {.desc = *desc};
    fnr_error err = {0};
    assert_ok(fnr_unet_build(desc, &c.graph, &err), err);
    return c;
}

static fnr_case_params params_new(const fnr_graph *g)
{
    fnr_case_params p = {.flat = calloc(g->param_floats, sizeof *p.flat), .has = calloc((size_t)g->n_params, sizeof *p.has)};
    assert_true(p.flat && p.has);
    return p;
}

static void params_free(fnr_case_params *p)
{
    free(p->flat);
    free(p->has);
}

static void read_losses(const cJSON *list, double loss[FNR_CASE_STEPS])
{
    assert_int_equal(cJSON_GetArraySize(list), FNR_CASE_STEPS);
    for (int i = 0; i < FNR_CASE_STEPS; i++) {
        loss[i] = cJSON_GetArrayItem(list, i)->valuedouble;
    }
}

void fnr_case_free(fnr_case *c)
{
    fnr_case_params *const params[] = {&c->init, &c->grads, &c->final, &c->moment1, &c->moment2, &c->stats1, &c->stats4};
    for (size_t i = 0; i < sizeof params / sizeof *params; i++) {
        params_free(params[i]);
    }
    for (int i = 0; i < FNR_CASE_STEPS; i++) {
        free(c->x[i]);
        free(c->target[i]);
        free(c->output[i]);
    }
    free(c->stats_x);
    free(c->eval_stats4);
    free(c->eval_final);
    fnr_graph_free(&c->graph);
}

/* ---- fixtures/net: one safetensors file ---- */

static float *st_copy(const fnr_st_file *f, const char *name, size_t count)
{
    const fnr_st_tensor *t = fnr_st_find(f, name);
    if (!t) {
        fail_msg("fixture without %s", name);
        return NULL; /* not reached */
    }
    assert_string_equal(t->dtype, "F32");
    assert_int_equal(t->bytes, count * sizeof(float));
    float *copy = malloc(t->bytes);
    assert_non_null(copy);
    memcpy(copy, t->data, t->bytes);
    return copy;
}

/* All tensors whose name is prefix + a parameter's name. */
static fnr_case_params st_params(const fnr_graph *g, const fnr_st_file *f, const char *prefix)
{
    fnr_case_params p = params_new(g);
    int found = 0;
    for (int i = 0; i < g->n_params; i++) {
        char name[256];
        snprintf(name, sizeof name, "%s%s", prefix, g->params[i].name);
        const fnr_st_tensor *t = fnr_st_find(f, name);
        if (t) {
            assert_int_equal(t->bytes, g->params[i].count * sizeof(float));
            memcpy(p.flat + g->params[i].offset, t->data, t->bytes);
            p.has[i] = true;
            found++;
        }
    }
    assert_true(found > 0);
    return p;
}

static void st_steps(fnr_case *c, const fnr_st_file *f)
{
    const fnr_st_tensor *input = fnr_st_find(f, "step0.input");
    assert_non_null(input);
    const int64_t *dims = input->dims;
    const bool deep = c->desc.spatial == 3;
    assert_int_equal(input->rank, deep ? 5 : 4);
    c->shape = (fnr_shape){c->desc.spatial,         (int)dims[0],           (int)dims[1], deep ? (int)dims[2] : 1,
                           (int)dims[deep ? 3 : 2], (int)dims[deep ? 4 : 3]};
    c->pixels = fnr_shape_count(&c->shape);
    for (int i = 0; i < FNR_CASE_STEPS; i++) {
        char name[64];
        snprintf(name, sizeof name, "step%d.input", i);
        c->x[i] = st_copy(f, name, c->pixels);
        snprintf(name, sizeof name, "step%d.target", i);
        c->target[i] = st_copy(f, name, c->pixels);
        snprintf(name, sizeof name, "step%d.output", i);
        c->output[i] = st_copy(f, name, c->pixels);
    }
}

fnr_case fnr_case_safetensors(const char *name, const fnr_netdesc *desc)
{
    char relative[256];
    snprintf(relative, sizeof relative, "fixtures/net/%s.safetensors", name);
    const char *path = fnr_test_need(relative);
    fnr_case c = case_new(desc);
    fnr_st_file f;
    fnr_error err = {0};
    assert_ok(fnr_st_read(path, (size_t)1 << 30, &f, &err), err);
    st_steps(&c, &f);
    c.init = st_params(&c.graph, &f, "init.");
    c.grads = st_params(&c.graph, &f, "step0.grad.");
    c.final = st_params(&c.graph, &f, "final.");
    c.moment1 = st_params(&c.graph, &f, "adam.exp_avg.");
    c.moment2 = st_params(&c.graph, &f, "adam.exp_avg_sq.");
    c.eval_final = st_copy(&f, "eval.output", c.pixels);
    cJSON *losses = cJSON_Parse(fnr_st_meta_find(&f, "losses"));
    read_losses(losses, c.loss);
    cJSON_Delete(losses);
    fnr_st_free(&f);
    return c;
}

/* ---- fixtures/net64: a folder ---- */

static float *copy_of(const float *from, size_t count)
{
    float *to = malloc(count * sizeof *to);
    assert_non_null(to);
    memcpy(to, from, count * sizeof *to);
    return to;
}

static float *raw32(const char *name, const char *file, size_t count)
{
    char relative[256];
    snprintf(relative, sizeof relative, "fixtures/net64/%s/%s.f32", name, file);
    return fnr_fixture_f32(relative, count);
}

static float *raw64(const char *name, const char *file, size_t count)
{
    char relative[256];
    snprintf(relative, sizeof relative, "fixtures/net64/%s/%s.f64", name, file);
    return fnr_fixture_f64(relative, count);
}

static fnr_case_params raw_params(const fnr_graph *g, const char *name, const char *file, const char *prefix)
{
    char relative[256];
    snprintf(relative, sizeof relative, "fixtures/net64/%s/%s.json", name, file);
    fnr_fixture_index index = fnr_fixture_read_index(relative);
    float *data = raw32(name, file, index.floats);
    fnr_case_params p = params_new(g);
    for (int i = 0; i < index.count; i++) {
        const fnr_fixture_entry *e = &index.entries[i];
        const size_t skip_chars = strlen(prefix);
        if (strncmp(e->name, prefix, skip_chars) != 0) {
            continue;
        }
        const int id = fnr_graph_find_param(g, e->name + skip_chars);
        assert_true(id >= 0);
        assert_int_equal(e->count, g->params[id].count);
        memcpy(p.flat + g->params[id].offset, data + e->offset, e->count * sizeof *data);
        p.has[id] = true;
    }
    free(data);
    fnr_fixture_index_free(&index);
    return p;
}

static bool has_file(const char *name, const char *file)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/fixtures/net64/%s/%s", fnr_test_shared(), name, file);
    return fnr_is_file(path);
}

static void read_config(fnr_case *c, const char *name)
{
    char relative[256];
    snprintf(relative, sizeof relative, "fixtures/net64/%s/config.json", name);
    cJSON *config = fnr_fixture_json(relative);
    const cJSON *shape = cJSON_GetObjectItem(config, "shape");
    const int batch = cJSON_GetObjectItem(config, "batch")->valueint;
    int dims[3] = {1, 1, 1};
    const int axes = cJSON_GetArraySize(shape);
    assert_int_equal(axes, c->desc.spatial);
    for (int i = 0; i < axes; i++) {
        dims[3 - axes + i] = cJSON_GetArrayItem(shape, i)->valueint;
    }
    c->shape = (fnr_shape){c->desc.spatial, batch, 1, dims[0], dims[1], dims[2]};
    c->pixels = fnr_shape_count(&c->shape);
    read_losses(cJSON_GetObjectItem(config, "losses_3_adam_steps_fp64"), c->loss);
    cJSON_Delete(config);
}

fnr_case fnr_case_net64(const char *name, const fnr_netdesc *desc)
{
    char relative[256];
    snprintf(relative, sizeof relative, "fixtures/net64/%s/state0.f32", name);
    fnr_test_need(relative);
    fnr_case c = case_new(desc);
    read_config(&c, name);
    c.x[0] = raw32(name, "x", c.pixels);
    c.target[0] = raw32(name, "y", c.pixels);
    for (int i = 1; i < FNR_CASE_STEPS; i++) { /* the same batch at every step */
        c.x[i] = copy_of(c.x[0], c.pixels);
        c.target[i] = copy_of(c.target[0], c.pixels);
    }
    c.output[0] = raw64(name, "out_train", c.pixels);
    c.init = raw_params(&c.graph, name, "state0", "");
    c.grads = raw_params(&c.graph, name, "grads64", "");
    c.final = raw_params(&c.graph, name, "state3", "");
    if (has_file(name, "adam3.f32")) {
        c.moment1 = raw_params(&c.graph, name, "adam3", "exp_avg.");
        c.moment2 = raw_params(&c.graph, name, "adam3", "exp_avg_sq.");
    }
    c.stats1 = raw_params(&c.graph, name, "bn_after_1_train_fwd", "");
    c.stats4 = raw_params(&c.graph, name, "bn_after_4_train_fwd", "");
    c.stats_x = raw32(name, "bn_x", 4 * c.pixels);
    c.eval_stats4 = raw64(name, "out_eval", c.pixels);
    c.eval_final = raw32(name, "out_eval3", c.pixels);
    return c;
}
