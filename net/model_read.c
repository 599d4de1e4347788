#include "net/model.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/model_keys.h"
#include "net/model_tensors.h"
#include "src/core/mem.h"

/* The largest network of the family with its moments stays far below. */
#define MAX_FILE_BYTES ((size_t)8 << 30)
/* Deeper nesting is no U-Net that fnr_netdesc_check would take. */
enum { MAX_DEPTH = 16 };

/* ---- metadata ------------------------------------------------------------------------------------------------------------ */

static bool read_integer(const fnr_st_file *f, const char *key, const char *path, long *out, fnr_error *err)
{
    const char *text = fnr_st_meta_find(f, key);
    char *end = NULL;
    errno = 0;
    const long value = text ? strtol(text, &end, 10) : 0;
    if (!text || end == text || *end || errno || value < 0) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: not a model of this program: metadata '%s' is %s", path, key,
                        text ? "not a non-negative integer" : "missing");
    }
    *out = value;
    return true;
}

static bool read_real(const fnr_st_file *f, const char *key, const char *path, double *out, fnr_error *err)
{
    const char *text = fnr_st_meta_find(f, key);
    char *end = NULL;
    const double value = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end || !(value >= 0) || isinf(value)) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: not a model of this program: metadata '%s' is %s", path, key,
                        text ? "not a non-negative number" : "missing");
    }
    *out = value;
    return true;
}

static bool read_desc(const fnr_st_file *f, const char *path, fnr_netdesc *desc, fnr_error *err)
{
    const struct {
        const char *key;
        int *to;
    } fields[] = {{KEY_SPATIAL, &desc->spatial},
                  {KEY_IN_CHANNELS, &desc->in_channels},
                  {KEY_OUT_CHANNELS, &desc->out_channels},
                  {KEY_BASE_CHANNELS, &desc->base_channels},
                  {KEY_DEPTH, &desc->depth}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        long value = 0;
        if (!read_integer(f, fields[i].key, path, &value, err)) {
            return false;
        }
        *fields[i].to = value > INT_MAX ? INT_MAX : (int)value;
    }
    return true;
}

/* From a plain state dict: the outer layers tell the channels, the nesting of the names tells the depth. */
static bool infer_desc(const fnr_st_file *f, const char *path, fnr_netdesc *desc, fnr_error *err)
{
    const fnr_st_tensor *last = fnr_st_find(f, "conv_out.weight");
    const fnr_st_tensor *first = fnr_st_find(f, "net_recurse.sub_2conv_more.conv1.weight");
    if (!last || !first || first->rank != last->rank || (last->rank != 4 && last->rank != 5)) {
        return fnr_fail(
            err, FNR_E_UNSUPPORTED,
            "%s: not a model of this program: it has neither our metadata nor tensors named as pytorch_fnet names them "
            "(conv_out.weight, net_recurse.sub_2conv_more.conv1.weight)",
            path);
    }
    for (int i = 0; i < 2; i++) {
        if (last->dims[i] > INT_MAX || first->dims[i] > INT_MAX) {
            return fnr_fail(err, FNR_E_FORMAT, "%s: tensor extents do not fit the network", path);
        }
    }
    *desc = (fnr_netdesc){.spatial = last->rank - 2,
                          .in_channels = (int)first->dims[1],
                          .out_channels = (int)last->dims[0],
                          .base_channels = (int)last->dims[1]};
    char name[160] = "net_recurse.";
    while (desc->depth < MAX_DEPTH) {
        const size_t used = strlen(name);
        snprintf(name + used, sizeof name - used, "sub_u.sub_2conv_more.conv1.weight");
        if (!fnr_st_find(f, name)) {
            break;
        }
        name[used + strlen("sub_u.")] = 0;
        desc->depth++;
    }
    return true;
}

static double number_or_nan(const cJSON *item)
{
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static bool read_history(const char *text, const char *path, fnr_model *m, fnr_error *err)
{
    cJSON *rows = cJSON_Parse(text);
    bool ok = cJSON_IsArray(rows);
    const size_t n = ok ? (size_t)cJSON_GetArraySize(rows) : 0;
    m->history = n > 0 ? fnr_calloc(n, sizeof *m->history, "training history", err) : NULL;
    if (n > 0 && !m->history) {
        cJSON_Delete(rows);
        return false;
    }
    m->history_capacity = n;
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        const cJSON *step = cJSON_GetArrayItem(row, 0);
        ok = ok && cJSON_GetArraySize(row) == 4 && cJSON_IsNumber(step) && step->valuedouble >= 0 && step->valuedouble < 1e15;
        if (ok) {
            m->history[m->n_history++] = (fnr_history_row){.step = (long)step->valuedouble,
                                                           .loss = number_or_nan(cJSON_GetArrayItem(row, 1)),
                                                           .val_loss = number_or_nan(cJSON_GetArrayItem(row, 2)),
                                                           .val_r = number_or_nan(cJSON_GetArrayItem(row, 3))};
        }
    }
    cJSON_Delete(rows);
    return ok ||
           fnr_fail(err, FNR_E_FORMAT, "%s: metadata '" KEY_HISTORY "' is not a list of [step, loss, val_loss, val_r]", path);
}

static bool read_metadata(const fnr_st_file *f, const char *path, fnr_model *m, fnr_error *err)
{
    const char *record = fnr_st_meta_find(f, KEY_RECORD), *history = fnr_st_meta_find(f, KEY_HISTORY);
    if (fnr_st_meta_find(f, KEY_PIXEL_NM) && !read_real(f, KEY_PIXEL_NM, path, &m->pixel_nm, err)) {
        return false;
    }
    if (record && !(m->record = fnr_strdup(record, err))) {
        return false;
    }
    return !history || read_history(history, path, m, err);
}

/* ---- tensors ------------------------------------------------------------------------------------------------------------- */

static void format_extents(char *buf, size_t size, int rank, const int64_t *dims)
{
    size_t used = 0;
    buf[0] = 0;
    for (int i = 0; i < rank && used < size; i++) {
        used += (size_t)snprintf(buf + used, size - used, "%s%lld", i ? "x" : "", (long long)dims[i]);
    }
}

/* Finds PREFIX + the parameter's name and checks everything but the values. */
static bool find_tensor(const fnr_st_file *f, const char *path, const char *prefix, const fnr_param *p, const fnr_st_tensor **out,
                        fnr_error *err)
{
    char name[192], is[200], wanted[200];
    snprintf(name, sizeof name, "%s%s", prefix, p->name);
    const fnr_st_tensor *t = fnr_st_find(f, name);
    if (!t) {
        return fnr_fail(err, FNR_E_FORMAT, "%s: tensor '%s' is missing: not the network that its description says", path, name);
    }
    if (strcmp(t->dtype, "F32") != 0) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: tensor '%s' has dtype %s; only F32 models are read", path, name, t->dtype);
    }
    int64_t dims[FNR_ST_MAX_RANK] = {0};
    for (int i = 0; i < p->rank; i++) {
        dims[i] = p->dims[i];
    }
    if (t->rank != p->rank || memcmp(t->dims, dims, (size_t)p->rank * sizeof *dims) != 0) {
        format_extents(is, sizeof is, t->rank, t->dims);
        format_extents(wanted, sizeof wanted, p->rank, dims);
        return fnr_fail(err, FNR_E_FORMAT, "%s: tensor '%s' has extents %s, the network needs %s", path, name, is, wanted);
    }
    *out = t;
    return true;
}

static bool copy_tensor(const fnr_st_tensor *t, const char *path, const fnr_param *p, float *flat, fnr_error *err)
{
    float *to = flat + p->offset;
    memcpy(to, t->data, t->bytes);
    for (size_t i = 0; i < p->count; i++) {
        if (!isfinite(to[i])) {
            return fnr_fail(err, FNR_E_FORMAT, "%s: tensor '%s' holds a value that is not finite (element %zu)", path, t->name,
                            i);
        }
        if (p->role == FNR_PARAM_RUNNING_VAR && to[i] < 0) {
            return fnr_fail(err, FNR_E_FORMAT, "%s: tensor '%s' holds a negative variance (element %zu)", path, t->name, i);
        }
    }
    return true;
}

/* Reads PREFIX + every parameter (every trained one when moments are read) into a new flat vector. Memory is asked for only
 * after every tensor was found with its extents, so it is bounded by the size of the file. */
static float *read_flat(const fnr_st_file *f, const char *path, const char *prefix, bool trained_only, const fnr_graph *g,
                        size_t *used, fnr_error *err)
{
    const fnr_st_tensor *t = NULL;
    for (int i = 0; i < g->n_params; i++) {
        const fnr_param *p = &g->params[i];
        if ((!trained_only || fnr_role_is_trained(p->role)) && !find_tensor(f, path, prefix, p, &t, err)) {
            return NULL;
        }
    }
    float *flat = fnr_calloc(g->param_floats, sizeof *flat, "network parameters", err);
    for (int i = 0; flat && i < g->n_params; i++) {
        const fnr_param *p = &g->params[i];
        if (trained_only && !fnr_role_is_trained(p->role)) {
            continue;
        }
        if (!find_tensor(f, path, prefix, p, &t, err) || !copy_tensor(t, path, p, flat, err)) {
            free(flat);
            return NULL;
        }
        ++*used;
    }
    return flat;
}

static bool has_moments(const fnr_st_file *f)
{
    for (size_t i = 0; i < f->n_tensors; i++) {
        if (strncmp(f->tensors[i].name, "adam.", strlen("adam.")) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_training_state(const fnr_st_file *f, const char *path, fnr_model *m, size_t *used, fnr_error *err)
{
    return read_integer(f, KEY_STEP, path, &m->step, err) && read_real(f, KEY_LOSS_SUM, path, &m->loss_sum, err) &&
           read_integer(f, KEY_LOSS_COUNT, path, &m->loss_count, err) &&
           (m->moment1 = read_flat(f, path, PREFIX_MOMENT1, true, &m->graph, used, err)) &&
           (m->moment2 = read_flat(f, path, PREFIX_MOMENT2, true, &m->graph, used, err));
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Tensors that the network has no place for mean that it is another network; PyTorch's counters of batches are not needed. */
static bool check_unused(const fnr_st_file *f, const char *path, const fnr_graph *g, size_t used, fnr_error *err)
{
    if (used == f->n_tensors) {
        return true;
    }
    for (size_t i = 0; i < f->n_tensors; i++) {
        const char *name = f->tensors[i].name;
        const bool moment = strncmp(name, "adam.", strlen("adam.")) == 0;
        if (!ends_with(name, ".num_batches_tracked") && !moment && fnr_graph_find_param(g, name) < 0) {
            return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: tensor '%s' does not belong to the network described", path,
                            fnr_st_printable(name).text);
        }
    }
    return true;
}

bool fnr_model_from_tensors(const fnr_st_file *f, const char *path, fnr_model *out, fnr_error *err)
{
    fnr_model m = {0};
    size_t used = 0;
    bool ok = fnr_st_meta_find(f, KEY_SPATIAL) ? read_desc(f, path, &m.desc, err) : infer_desc(f, path, &m.desc, err);
    if (ok && !(fnr_netdesc_check(&m.desc, err) && fnr_unet_build(&m.desc, &m.graph, err))) {
        fnr_error_prefix(err, "%s", path);
        ok = false;
    }
    ok = ok && read_metadata(f, path, &m, err);
    ok = ok && (m.values = read_flat(f, path, "", false, &m.graph, &used, err)) != NULL;
    ok = ok && (!has_moments(f) || read_training_state(f, path, &m, &used, err));
    ok = ok && check_unused(f, path, &m.graph, used, err);
    if (!ok) {
        fnr_model_free(&m);
        return false;
    }
    *out = m;
    return true;
}

bool fnr_model_read(const char *path, fnr_model *out, fnr_error *err)
{
    fnr_st_file f;
    if (!fnr_st_read(path, MAX_FILE_BYTES, &f, err)) {
        return false;
    }
    const bool ok = fnr_model_from_tensors(&f, path, out, err);
    fnr_st_free(&f);
    return ok;
}
