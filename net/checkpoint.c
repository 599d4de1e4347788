#include "net/checkpoint.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/checkpoint_file.h"
#include "net/model_keys.h"
#include "net/model_tensors.h"
#include "src/core/mem.h"

/* Tensors and metadata being collected. */
typedef struct {
    fnr_checkpoint_file *c;
    const fnr_pickle *p;
    fnr_st_file st;
    size_t room, meta_room;
    size_t tensor_bytes; /* so far; bounded by the file, or a small file could ask for much memory by sharing storages */
    const char *path;
    fnr_error *err;
} reader;

static char *copy_text(fnr_pk_text text, fnr_error *err)
{
    char *copy = fnr_calloc(text.size + 1, 1, "a name", err);
    if (copy) {
        memcpy(copy, text.data, text.size);
    }
    return copy;
}

static bool add_meta(reader *r, const char *key, const char *value)
{
    if (!fnr_grow(&r->st.meta, &r->meta_room, r->st.n_meta, sizeof *r->st.meta, "metadata", r->err)) {
        return false;
    }
    fnr_st_meta *m = &r->st.meta[r->st.n_meta++];
    m->key = fnr_strdup(key, r->err);
    m->value = m->key ? fnr_strdup(value, r->err) : NULL;
    return m->value != NULL;
}

/* PREFIX + name as a tensor of the list. */
static bool add_tensor(reader *r, const char *prefix, fnr_pk_text name, const fnr_pk_value *v)
{
    if (name.size > 150 || memchr(name.data, 0, name.size)) {
        return fnr_fail(r->err, FNR_E_FORMAT, "%s: a tensor's name has %zu bytes: this is no U-Net", r->path, name.size);
    }
    if (v->kind != FNR_PK_TENSOR) {
        return fnr_fail(r->err, FNR_E_FORMAT, "%s: '%s%.*s' is no tensor", r->path, prefix, (int)name.size, name.data);
    }
    if (!fnr_grow(&r->st.tensors, &r->room, r->st.n_tensors, sizeof *r->st.tensors, "tensor list", r->err)) {
        return false;
    }
    const fnr_pk_tensor *from = &r->p->tensors[v->integer];
    const fnr_pk_storage *storage = &r->p->storages[from->storage];
    const size_t element = storage->is_long ? 8 : 4;
    char full[192];
    snprintf(full, sizeof full, "%s%.*s", prefix, (int)name.size, name.data);
    if (fnr_st_find(&r->st, full)) {
        return fnr_fail(r->err, FNR_E_FORMAT, "%s: tensor '%s' occurs twice", r->path, full);
    }
    const char *data = fnr_checkpoint_data(r->c, from->storage, r->err);
    if (!data) {
        return false;
    }
    fnr_st_tensor *t = &r->st.tensors[r->st.n_tensors];
    *t = (fnr_st_tensor){.rank = from->rank, .data = data + (size_t)from->offset * element, .bytes = element};
    snprintf(t->dtype, sizeof t->dtype, "%s", storage->is_long ? "I64" : "F32");
    for (int i = 0; i < from->rank; i++) {
        t->dims[i] = from->dims[i];
        t->bytes *= (size_t)from->dims[i]; /* no overflow: the tensor lies within its storage */
    }
    r->tensor_bytes += t->bytes;
    if (r->tensor_bytes > r->c->size) {
        return fnr_fail(r->err, FNR_E_UNSUPPORTED, "%s: the tensors are larger than the file: several share one storage",
                        r->path);
    }
    t->name = fnr_strdup(full, r->err);
    r->st.n_tensors += t->name != NULL;
    return t->name != NULL;
}

static bool add_state_dict(reader *r, const fnr_pk_value *dict)
{
    const fnr_pickle *p = r->p;
    for (int c = dict->items.first; c >= 0;) {
        const int next = p->cells[c].next;
        const fnr_pk_value *key = &p->values[p->cells[c].value];
        if (key->kind != FNR_PK_TEXT) {
            return fnr_fail(r->err, FNR_E_FORMAT, "%s: the network's state holds something that has no name", r->path);
        }
        if (!add_tensor(r, "", key->text, &p->values[p->cells[next].value])) {
            return false;
        }
        c = p->cells[next].next;
    }
    return true;
}

/* ---- Adam's state ---------------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Is it a parameter, and in which of the groups does pytorch_fnet put it?  Weight decay: convolution weights, then the rest. */
static bool in_group(const fnr_st_tensor *t, int group, int n_groups)
{
    const bool buffer =
        ends_with(t->name, ".running_mean") || ends_with(t->name, ".running_var") || ends_with(t->name, ".num_batches_tracked");
    return !buffer && (n_groups == 1 || (t->rank > 1) == (group == 0));
}

/* `step`: an integer, or (PyTorch 1.12 and later) a tensor of one element. */
static bool read_step(reader *r, const fnr_pk_value *v, long *step)
{
    double value = -1;
    if (v && v->kind == FNR_PK_INT) {
        value = (double)v->integer;
    } else if (v && v->kind == FNR_PK_TENSOR) {
        const fnr_pk_tensor *t = &r->p->tensors[v->integer];
        const fnr_pk_storage *s = &r->p->storages[t->storage];
        const char *data = s->is_long || t->rank > 0 ? NULL : fnr_checkpoint_data(r->c, t->storage, r->err);
        float f = -1;
        if (data) {
            memcpy(&f, data + (size_t)t->offset * sizeof f, sizeof f);
        }
        value = (double)f;
    }
    if (!(value >= 1 && value < 1e15) || value != (double)(long)value) {
        return fnr_fail(r->err, FNR_E_FORMAT, "%s: the optimiser's step is no positive integer", r->path);
    }
    *step = (long)value;
    return true;
}

/* state: {id: {step, exp_avg, exp_avg_sq}}, keyed by position or, before PyTorch 1.6, by address. */
static const fnr_pk_value *find_state(const fnr_pickle *p, const fnr_pk_value *state, int64_t id)
{
    for (int c = state->items.first; c >= 0;) {
        const int next = p->cells[c].next;
        const fnr_pk_value *key = &p->values[p->cells[c].value];
        if (key->kind == FNR_PK_INT && key->integer == id) {
            return &p->values[p->cells[next].value];
        }
        c = p->cells[next].next;
    }
    return NULL;
}

static bool add_moments(reader *r, const fnr_st_tensor *t, const fnr_pk_value *entry, long *step)
{
    const fnr_pk_value *m1 = fnr_pickle_get(r->p, entry, "exp_avg"), *m2 = fnr_pickle_get(r->p, entry, "exp_avg_sq");
    const fnr_pk_text name = {t->name, strlen(t->name)}; /* `t` may move, its name does not */
    long this_step = 0;
    if (!m1 || !m2) {
        return fnr_fail(r->err, FNR_E_UNSUPPORTED,
                        "%s: the optimiser is not Adam ('%s' lacks exp_avg or exp_avg_sq); read the weights alone", r->path,
                        t->name);
    }
    if (!read_step(r, fnr_pickle_get(r->p, entry, "step"), &this_step)) {
        return false;
    }
    if (*step > 0 && this_step != *step) {
        return fnr_fail(r->err, FNR_E_UNSUPPORTED,
                        "%s: parameters were trained for different numbers of steps (%ld and %ld); read the weights alone",
                        r->path, *step, this_step);
    }
    *step = this_step;
    return add_tensor(r, PREFIX_MOMENT1, name, m1) && add_tensor(r, PREFIX_MOMENT2, name, m2);
}

/* One group's ids belong, in order, to the parameters of the group in the order of the state dict. */
static bool add_group(reader *r, const fnr_pk_value *state, const fnr_pk_value *ids, int group, int n_groups, size_t n_weights,
                      long *step)
{
    const fnr_pickle *p = r->p;
    int c = ids && ids->kind == FNR_PK_LIST ? ids->items.first : -1;
    for (size_t i = 0; i < n_weights; i++) {
        if (!in_group(&r->st.tensors[i], group, n_groups)) {
            continue;
        }
        const fnr_pk_value *id = c >= 0 ? &p->values[p->cells[c].value] : NULL;
        const fnr_pk_value *entry = id && id->kind == FNR_PK_INT ? find_state(p, state, id->integer) : NULL;
        if (!entry) {
            return fnr_fail(r->err, FNR_E_FORMAT, "%s: the optimiser has no state for '%s'; read the weights alone", r->path,
                            r->st.tensors[i].name);
        }
        if (!add_moments(r, &r->st.tensors[i], entry, step)) {
            return false;
        }
        c = p->cells[c].next;
    }
    return c < 0 || fnr_fail(r->err, FNR_E_FORMAT,
                             "%s: the optimiser has more parameters than the network; read the weights alone", r->path);
}

static bool add_optimizer(reader *r, const fnr_pk_value *optimizer)
{
    const fnr_pickle *p = r->p;
    const fnr_pk_value *state = fnr_pickle_get(p, optimizer, "state"), *groups = fnr_pickle_get(p, optimizer, "param_groups");
    const size_t n_weights = r->st.n_tensors;
    long step = 0;
    if (!state || state->kind != FNR_PK_DICT || !groups || groups->kind != FNR_PK_LIST) {
        return fnr_fail(r->err, FNR_E_FORMAT, "%s: optimizer_state has no 'state' and 'param_groups'; read the weights alone",
                        r->path);
    }
    if (state->items.count == 0) {
        return true; /* saved before the first step */
    }
    const int n_groups = groups->items.count;
    if (n_groups < 1 || n_groups > 2 || (size_t)state->items.count > 2 * FNR_PK_MAX_TENSORS) {
        return fnr_fail(r->err, FNR_E_UNSUPPORTED, "%s: an optimiser with %d groups of parameters; read the weights alone",
                        r->path, n_groups);
    }
    int c = groups->items.first;
    for (int g = 0; g < n_groups; g++, c = p->cells[c].next) {
        const fnr_pk_value *ids = fnr_pickle_get(p, &p->values[p->cells[c].value], "params");
        if (!add_group(r, state, ids, g, n_groups, n_weights, &step)) {
            return false;
        }
    }
    char text[40];
    snprintf(text, sizeof text, "%ld", step);
    return add_meta(r, KEY_STEP, text);
}

/* ---- the dictionary -------------------------------------------------------------------------------------------------------- */

/* What we put there ourselves; a key of the network's description or of the step would contradict the tensors. */
static bool add_own_texts(reader *r, const fnr_pk_value *own)
{
    static const char *const keys[] = {KEY_PIXEL_NM, KEY_RECORD, KEY_HISTORY, KEY_LOSS_SUM, KEY_LOSS_COUNT};
    const bool training = fnr_st_meta_find(&r->st, KEY_STEP) != NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const fnr_pk_value *v = fnr_pickle_get(r->p, own, keys[i]);
        const bool loss = !strcmp(keys[i], KEY_LOSS_SUM) || !strcmp(keys[i], KEY_LOSS_COUNT);
        if (v && v->kind == FNR_PK_TEXT && (training || !loss)) {
            char *text = copy_text(v->text, r->err);
            const bool ok = text && add_meta(r, keys[i], text);
            free(text);
            if (!ok) {
                return false;
            }
        } else if (training && loss && !add_meta(r, keys[i], "0")) {
            return false;
        }
    }
    return true;
}

static bool collect(reader *r, bool weights_only, long long *count_iter)
{
    const fnr_pickle *p = r->p;
    const fnr_pk_value *root = fnr_pickle_root(p), *state = fnr_pickle_get(p, root, "nn_state");
    const fnr_pk_value *optimizer = fnr_pickle_get(p, root, "optimizer_state"),
                       *iterations = fnr_pickle_get(p, root, "count_iter");
    *count_iter = iterations && iterations->kind == FNR_PK_INT ? iterations->integer : -1;
    if (!state && fnr_pickle_get(p, root, "conv_out.weight")) {
        return add_state_dict(r, root); /* a bare state dict */
    }
    if (!state || state->kind != FNR_PK_DICT) {
        return fnr_fail(r->err, FNR_E_UNSUPPORTED, "%s: a PyTorch file, but no checkpoint of pytorch_fnet: it has no 'nn_state'",
                        r->path);
    }
    const bool training = !weights_only && optimizer && optimizer->kind == FNR_PK_DICT;
    return add_state_dict(r, state) && (!training || add_optimizer(r, optimizer)) &&
           add_own_texts(r, fnr_pickle_get(p, root, "fnet_register"));
}

bool fnr_checkpoint_read(const char *path, const fnr_checkpoint_read_options *opt, fnr_model *out, long long *count_iter,
                         fnr_error *err)
{
    fnr_checkpoint_file c;
    long long iterations = -1;
    if (!fnr_checkpoint_open(path, &c, err)) {
        return false;
    }
    reader r = {.c = &c, .p = &c.pickle, .path = path, .err = err};
    const bool ok = collect(&r, opt && opt->weights_only, &iterations) && fnr_model_from_tensors(&r.st, path, out, err);
    fnr_st_free(&r.st);
    fnr_checkpoint_close(&c);
    if (ok && count_iter) {
        *count_iter = iterations;
    }
    return ok;
}
