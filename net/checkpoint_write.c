#include "net/checkpoint.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/model_keys.h"
#include "net/model_tensors.h"
#include "net/pickle_write.h"
#include "net/zip.h"
#include "src/core/fs.h"
#include "src/core/mem.h"

typedef struct {
    char name[24]; /* zip: "model/data/KEY", of which the key is the end */
    const void *data;
    size_t element, count;
} storage;

enum { KEY_AT = sizeof "model/data/" - 1 };

typedef struct {
    const fnr_model *m;
    bool stream; /* the paper's layout in the stream container */
    fnr_buffer pickle;
    storage *storages;
    size_t n_storages;
    int64_t iterations;
} writer;

/* ---- the object ------------------------------------------------------------------------------------------------------------ */

static void put_tensor(writer *w, const void *data, bool is_long, int rank, const int *dims)
{
    fnr_pickle_tensor_ref t = {.is_long = is_long, .rank = rank, .stream = w->stream};
    storage *s = &w->storages[w->n_storages];
    snprintf(s->name, sizeof s->name, "model/data/%zu", w->n_storages++);
    s->data = data;
    s->element = is_long ? 8 : 4;
    s->count = 1;
    for (int i = 0; i < rank; i++) {
        t.dims[i] = dims[i];
        s->count *= (size_t)dims[i];
    }
    t.key = s->name + KEY_AT;
    fnr_pickle_tensor(&w->pickle, &t);
}

static void put_state_dict(writer *w)
{
    const fnr_graph *g = &w->m->graph;
    fnr_pickle_open_ordered_dict(&w->pickle);
    for (int i = 0; i < g->n_params; i++) {
        const fnr_param *p = &g->params[i];
        fnr_pickle_text(&w->pickle, p->name);
        put_tensor(w, w->m->values + p->offset, false, p->rank, p->dims);
        /* PyTorch before 0.4.1 knows no counters of batches and refuses them; later ones do without. */
        if (p->role == FNR_PARAM_RUNNING_VAR && !w->stream) {
            char name[sizeof p->name + 32];
            snprintf(name, sizeof name, "%.*s.num_batches_tracked", (int)(strrchr(p->name, '.') - p->name), p->name);
            fnr_pickle_text(&w->pickle, name);
            put_tensor(w, &w->iterations, true, 0, NULL);
        }
    }
    fnr_pickle_close_dict(&w->pickle);
}

/* A number among the settings of the training record. */
static double setting(const cJSON *record, const char *name, double otherwise)
{
    const cJSON *settings = cJSON_GetObjectItemCaseSensitive(record, "settings");
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(settings, name));
    char *end = NULL;
    const double v = text ? strtod(text, &end) : otherwise;
    return text && (end == text || *end) ? otherwise : v;
}

typedef struct {
    double lr, beta1, beta2;
} adam_settings;

static adam_settings settings_of(const fnr_model *m)
{
    cJSON *record = m->record ? cJSON_Parse(m->record) : NULL;
    const adam_settings s = {setting(record, "train.lr", 1e-3), setting(record, "train.beta1", 0.5),
                             setting(record, "train.beta2", 0.999)};
    cJSON_Delete(record);
    return s;
}

static void put_betas(writer *w, const adam_settings *s)
{
    fnr_pickle_open_tuple(&w->pickle);
    fnr_pickle_real(&w->pickle, s->beta1);
    fnr_pickle_real(&w->pickle, s->beta2);
    fnr_pickle_close_tuple(&w->pickle);
}

static void put_parameter_group(writer *w, const adam_settings *s)
{
    fnr_buffer *b = &w->pickle;
    int n = 0;
    fnr_pickle_open_dict(b);
    fnr_pickle_text(b, "lr");
    fnr_pickle_real(b, s->lr);
    fnr_pickle_text(b, "betas");
    put_betas(w, s);
    fnr_pickle_text(b, "eps");
    fnr_pickle_real(b, 1e-8);
    fnr_pickle_text(b, "weight_decay");
    fnr_pickle_int(b, 0);
    fnr_pickle_text(b, "amsgrad");
    fnr_pickle_bool(b, false);
    fnr_pickle_text(b, "params");
    fnr_pickle_open_list(b);
    for (int i = 0; i < w->m->graph.n_params; i++) {
        if (fnr_role_is_trained(w->m->graph.params[i].role)) {
            fnr_pickle_int(b, n++);
        }
    }
    fnr_pickle_close_list(b);
    fnr_pickle_close_dict(b);
}

/* torch.optim.Adam's state_dict. `step` is a plain integer, which every version takes (and 1.12 and later turn into a tensor). */
static void put_optimizer(writer *w, const adam_settings *s)
{
    fnr_buffer *b = &w->pickle;
    const fnr_graph *g = &w->m->graph;
    int n = 0;
    fnr_pickle_open_dict(b);
    fnr_pickle_text(b, "state");
    fnr_pickle_open_dict(b);
    for (int i = 0; i < g->n_params && w->m->moment1; i++) {
        const fnr_param *p = &g->params[i];
        if (!fnr_role_is_trained(p->role)) {
            continue;
        }
        fnr_pickle_int(b, n++);
        fnr_pickle_open_dict(b);
        fnr_pickle_text(b, "step");
        fnr_pickle_int(b, w->m->step);
        fnr_pickle_text(b, "exp_avg");
        put_tensor(w, w->m->moment1 + p->offset, false, p->rank, p->dims);
        fnr_pickle_text(b, "exp_avg_sq");
        put_tensor(w, w->m->moment2 + p->offset, false, p->rank, p->dims);
        fnr_pickle_close_dict(b);
    }
    fnr_pickle_close_dict(b);
    fnr_pickle_text(b, "param_groups");
    fnr_pickle_open_list(b);
    put_parameter_group(w, s);
    fnr_pickle_close_list(b);
    fnr_pickle_close_dict(b);
}

static void put_integer(fnr_buffer *b, const char *key, int value)
{
    fnr_pickle_text(b, key);
    fnr_pickle_int(b, value);
}

/* Keyword arguments of pytorch_fnet's Net(): its 2D network takes none. */
static void put_net_arguments(writer *w)
{
    const fnr_netdesc *d = &w->m->desc;
    const bool as_it_comes = d->spatial == 2 && d->base_channels == 32 && d->depth == 4;
    fnr_buffer *b = &w->pickle;
    fnr_pickle_open_dict(b);
    if (!as_it_comes) {
        put_integer(b, "depth", d->depth);
        put_integer(b, "mult_chan", d->base_channels);
    }
    if (d->in_channels != 1) {
        put_integer(b, "in_channels", d->in_channels);
    }
    if (d->out_channels != 1) {
        put_integer(b, "out_channels", d->out_channels);
    }
    fnr_pickle_close_dict(b);
}

/* The keys in front of nn_state that tell which network and which optimiser it is. */
static void put_description(writer *w, const adam_settings *s)
{
    fnr_buffer *b = &w->pickle;
    const bool flat = w->m->desc.spatial == 2;
    if (w->stream) {
        fnr_pickle_text(b, "nn_module");
        fnr_pickle_text(b, flat ? "fnet_nn_2d" : "fnet_nn_3d_params");
        fnr_pickle_text(b, "nn_kwargs");
        put_net_arguments(w);
        return;
    }
    fnr_pickle_text(b, "fnet_model_class");
    fnr_pickle_text(b, "fnet.fnet_model.Model");
    fnr_pickle_text(b, "fnet_model_kwargs");
    fnr_pickle_open_dict(b);
    fnr_pickle_text(b, "betas");
    put_betas(w, s);
    fnr_pickle_text(b, "init_weights");
    fnr_pickle_bool(b, true);
    fnr_pickle_text(b, "lr");
    fnr_pickle_real(b, s->lr);
    fnr_pickle_text(b, "nn_class");
    fnr_pickle_text(b, flat ? "fnet.nn_modules.fnet_nn_2d.Net" : "fnet.nn_modules.fnet_nn_3d_params.Net");
    fnr_pickle_text(b, "nn_kwargs");
    put_net_arguments(w);
    fnr_pickle_close_dict(b);
    fnr_pickle_text(b, "fnet_model_posargs");
    fnr_buffer_text(b, "]");
}

static bool put_own_texts(writer *w, fnr_error *err)
{
    static const char *const keys[] = {KEY_PIXEL_NM, KEY_RECORD, KEY_HISTORY, KEY_LOSS_SUM, KEY_LOSS_COUNT};
    fnr_model_meta meta;
    const bool ok = fnr_model_meta_make(w->m, &meta, err);
    fnr_pickle_text(&w->pickle, "fnet_register");
    fnr_pickle_open_dict(&w->pickle);
    for (size_t i = 0; ok && i < meta.count; i++) {
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            if (!strcmp(meta.rows[i].key, keys[k])) {
                fnr_pickle_text(&w->pickle, keys[k]);
                fnr_pickle_text(&w->pickle, meta.rows[i].value);
            }
        }
    }
    fnr_pickle_close_dict(&w->pickle);
    fnr_model_meta_free(&meta);
    return ok;
}

static bool put_object(writer *w, fnr_error *err)
{
    const adam_settings s = settings_of(w->m);
    fnr_buffer *b = &w->pickle;
    fnr_pickle_begin(b);
    fnr_pickle_open_dict(b);
    put_description(w, &s);
    fnr_pickle_text(b, "nn_state");
    put_state_dict(w);
    fnr_pickle_text(b, "optimizer_state");
    put_optimizer(w, &s);
    fnr_pickle_text(b, "count_iter");
    fnr_pickle_int(b, w->iterations);
    const bool ok = put_own_texts(w, err);
    fnr_pickle_close_dict(b);
    fnr_pickle_end(b);
    return ok;
}

/* ---- containers ------------------------------------------------------------------------------------------------------------ */

static bool write_zip(const writer *w, const char *path, fnr_error *err)
{
    fnr_zip_item *items = fnr_calloc(w->n_storages + 3, sizeof *items, "archive", err);
    if (!items) {
        return false;
    }
    size_t n = 0;
    items[n++] = (fnr_zip_item){"model/data.pkl", w->pickle.data, w->pickle.size};
    items[n++] = (fnr_zip_item){"model/byteorder", "little", 6};
    for (size_t i = 0; i < w->n_storages; i++) {
        const storage *s = &w->storages[i];
        items[n++] = (fnr_zip_item){s->name, s->data, s->count * s->element};
    }
    items[n++] = (fnr_zip_item){"model/version", "3\n", 2};
    const bool ok = fnr_zip_write(path, items, n, err);
    free(items);
    return ok;
}

/* The three pickles in front of the object. */
static void put_stream_head(fnr_buffer *b)
{
    fnr_pickle_begin(b);
    fnr_buffer_add(b, "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 13); /* the magic number as LONG1 */
    fnr_pickle_begin(b);
    fnr_pickle_int(b, 1001);
    fnr_pickle_end(b);
    fnr_pickle_begin(b);
    fnr_pickle_open_dict(b);
    put_integer(b, "protocol_version", 1001);
    fnr_pickle_text(b, "little_endian");
    fnr_pickle_bool(b, true);
    fnr_pickle_text(b, "type_sizes");
    fnr_pickle_open_dict(b);
    put_integer(b, "short", 2);
    put_integer(b, "int", 4);
    put_integer(b, "long", 4); /* what PyTorch writes everywhere */
    fnr_pickle_close_dict(b);
    fnr_pickle_close_dict(b);
    fnr_pickle_end(b);
}

static bool put(fnr_atomic *file, const void *data, size_t size, fnr_error *err)
{
    return fwrite(data, 1, size, file->file) == size || fnr_fail_errno(err, errno, "%s: cannot write", file->path);
}

static bool write_stream(const writer *w, const char *path, fnr_error *err)
{
    fnr_buffer head = {0}, keys = {0};
    fnr_atomic file = {0};
    put_stream_head(&head);
    fnr_pickle_begin(&keys);
    fnr_pickle_open_list(&keys);
    for (size_t i = 0; i < w->n_storages; i++) {
        fnr_pickle_text(&keys, w->storages[i].name + KEY_AT);
    }
    fnr_pickle_close_list(&keys);
    fnr_pickle_end(&keys);
    bool ok = fnr_buffer_check(&head, "a checkpoint", err) && fnr_buffer_check(&keys, "a checkpoint", err) &&
              fnr_atomic_open(&file, path, err) && put(&file, head.data, head.size, err) &&
              put(&file, w->pickle.data, w->pickle.size, err) && put(&file, keys.data, keys.size, err);
    for (size_t i = 0; ok && i < w->n_storages; i++) {
        const storage *s = &w->storages[i];
        const int64_t count = (int64_t)s->count;
        ok = put(&file, &count, sizeof count, err) && put(&file, s->data, s->count * s->element, err);
    }
    ok = ok && fnr_atomic_commit(&file, err);
    fnr_atomic_abort(&file);
    fnr_buffer_free(&head);
    fnr_buffer_free(&keys);
    return ok;
}

bool fnr_checkpoint_write(const char *path, const fnr_model *m, fnr_checkpoint_layout layout, fnr_error *err)
{
    const size_t most = 4 * (size_t)m->graph.n_params;
    const long seen = m->n_history > 0 ? m->history[m->n_history - 1].step : 0;
    writer w = {.m = m, .stream = layout == FNR_CHECKPOINT_PAPER, .iterations = m->moment1 ? m->step : seen};
    w.storages = fnr_calloc(most, sizeof *w.storages, "storages", err);
    const bool ok = w.storages && put_object(&w, err) && fnr_buffer_check(&w.pickle, "a checkpoint", err) &&
                    (w.stream ? write_stream(&w, path, err) : write_zip(&w, path, err));
    free(w.storages);
    fnr_buffer_free(&w.pickle);
    return ok;
}
