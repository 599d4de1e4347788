#include "net/model.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/model_keys.h"
#include "net/model_tensors.h"
#include "src/core/mem.h"

bool fnr_model_new(const fnr_netdesc *desc, unsigned long long seed, fnr_model *out, fnr_error *err)
{
    fnr_model m = {.desc = *desc};
    if (!fnr_netdesc_check(desc, err) || !fnr_unet_build(desc, &m.graph, err)) {
        return false;
    }
    m.values = fnr_calloc(m.graph.param_floats, sizeof *m.values, "network parameters", err);
    if (!m.values) {
        fnr_model_free(&m);
        return false;
    }
    fnr_graph_init(&m.graph, seed, m.values);
    *out = m;
    return true;
}

void fnr_model_free(fnr_model *m)
{
    fnr_graph_free(&m->graph);
    free(m->values);
    free(m->record);
    free(m->history);
    free(m->moment1);
    free(m->moment2);
    *m = (fnr_model){0};
}

const fnr_history_row *fnr_model_best(const fnr_model *m)
{
    const fnr_history_row *best = NULL;
    for (size_t i = 0; i < m->n_history; i++) {
        const fnr_history_row *row = &m->history[i];
        if (!isnan(row->val_r) && (!best || row->val_r > best->val_r)) {
            best = row;
        }
    }
    return best;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------ */

static void add_text(fnr_model_meta *c, char *key, char *value)
{
    c->rows[c->count++] = (fnr_st_meta){key, value};
}

static void add_integer(fnr_model_meta *c, char *key, long value)
{
    char *text = c->numbers[c->count];
    snprintf(text, sizeof c->numbers[0], "%ld", value);
    add_text(c, key, text);
}

static void add_real(fnr_model_meta *c, char *key, double value)
{
    char *text = c->numbers[c->count];
    snprintf(text, sizeof c->numbers[0], "%.17g", value);
    add_text(c, key, text);
}

/* NULL when out of memory. cJSON writes doubles so that they read back to the same bits, and NaN as null. */
static char *history_to_json(const fnr_model *m)
{
    cJSON *rows = cJSON_CreateArray();
    bool ok = rows != NULL;
    for (size_t i = 0; ok && i < m->n_history; i++) {
        const fnr_history_row *h = &m->history[i];
        const double row[4] = {(double)h->step, h->loss, h->val_loss, h->val_r};
        ok = cJSON_AddItemToArray(rows, cJSON_CreateDoubleArray(row, 4));
    }
    char *text = ok ? cJSON_PrintUnformatted(rows) : NULL;
    cJSON_Delete(rows);
    return text;
}

bool fnr_model_meta_make(const fnr_model *m, fnr_model_meta *out, fnr_error *err)
{
    fnr_model_meta *c = out;
    *c = (fnr_model_meta){0};
    add_text(c, "format", "pt");
    add_integer(c, KEY_SPATIAL, m->desc.spatial);
    add_integer(c, KEY_IN_CHANNELS, m->desc.in_channels);
    add_integer(c, KEY_OUT_CHANNELS, m->desc.out_channels);
    add_integer(c, KEY_BASE_CHANNELS, m->desc.base_channels);
    add_integer(c, KEY_DEPTH, m->desc.depth);
    add_text(c, KEY_NORMALISATION, "z-score per image");
    if (m->pixel_nm > 0) {
        add_real(c, KEY_PIXEL_NM, m->pixel_nm);
    }
    if (m->record) {
        add_text(c, KEY_RECORD, m->record);
    }
    if (m->n_history > 0) {
        c->history = history_to_json(m);
        if (!c->history) {
            return fnr_fail(err, FNR_E_LIMIT, "out of memory for the training history");
        }
        add_text(c, KEY_HISTORY, c->history);
    }
    if (m->moment1) {
        add_integer(c, KEY_STEP, m->step);
        add_real(c, KEY_LOSS_SUM, m->loss_sum);
        add_integer(c, KEY_LOSS_COUNT, m->loss_count);
    }
    return true;
}

void fnr_model_meta_free(fnr_model_meta *meta)
{
    cJSON_free(meta->history);
    *meta = (fnr_model_meta){0};
}

/* What a file being written consists of. */
typedef struct {
    fnr_st_tensor *tensors;
    char (*names)[192];
    size_t n_tensors;
    fnr_model_meta meta;
} contents;

/* The parameter's part of a flat vector, as tensor PREFIX + name. */
static void add_tensor(contents *c, const fnr_param *p, const char *prefix, const float *flat)
{
    char *name = c->names[c->n_tensors];
    snprintf(name, sizeof c->names[0], "%s%s", prefix, p->name);
    fnr_st_tensor *t = &c->tensors[c->n_tensors++];
    *t = (fnr_st_tensor){
        .name = name, .dtype = "F32", .rank = p->rank, .data = flat + p->offset, .bytes = p->count * sizeof *flat};
    for (int i = 0; i < p->rank; i++) {
        t->dims[i] = p->dims[i];
    }
}

static bool add_all_tensors(contents *c, const fnr_model *m, fnr_error *err)
{
    const size_t most = 3 * (size_t)m->graph.n_params;
    c->tensors = fnr_calloc(most, sizeof *c->tensors, "tensor list", err);
    c->names = c->tensors ? fnr_calloc(most, sizeof *c->names, "tensor names", err) : NULL;
    if (!c->names) {
        return false;
    }
    for (int i = 0; i < m->graph.n_params; i++) {
        const fnr_param *p = &m->graph.params[i];
        add_tensor(c, p, "", m->values);
        if (m->moment1 && fnr_role_is_trained(p->role)) {
            add_tensor(c, p, PREFIX_MOMENT1, m->moment1);
            add_tensor(c, p, PREFIX_MOMENT2, m->moment2);
        }
    }
    return true;
}

bool fnr_model_write(const char *path, const fnr_model *m, fnr_error *err)
{
    contents *c = fnr_calloc(1, sizeof *c, "model file", err);
    const bool ok = c && fnr_model_meta_make(m, &c->meta, err) && add_all_tensors(c, m, err) &&
                    fnr_st_write(path, c->tensors, c->n_tensors, c->meta.rows, c->meta.count, err);
    if (c) {
        free(c->tensors);
        free(c->names);
        fnr_model_meta_free(&c->meta);
    }
    free(c);
    return ok;
}
