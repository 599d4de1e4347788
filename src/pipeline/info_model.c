#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "src/pipeline/info.h"

static size_t trained_parameters(const fnr_model *m)
{
    size_t n = 0;
    for (int i = 0; i < m->graph.n_params; i++) {
        n += fnr_role_is_trained(m->graph.params[i].role) ? m->graph.params[i].count : 0;
    }
    return n;
}

static void say_network(const fnr_model *m, FILE *out)
{
    const fnr_netdesc *d = &m->desc;
    const size_t trained = trained_parameters(m);
    const int reach = fnr_netdesc_receptive_field(d);
    fnr_info_row(out, "network", "%dD U-Net (pytorch_fnet): %d channel%s in, %d out, %d base channels, depth %d", d->spatial,
                 d->in_channels, d->in_channels == 1 ? "" : "s", d->out_channels, d->base_channels, d->depth);
    fnr_info_row(out, "parameters", "%zu trained, %zu running statistics", trained, m->graph.param_floats - trained);
    if (m->pixel_nm > 0) {
        fnr_info_row(out, "pixel size", "%g nm", m->pixel_nm);
        fnr_info_row(out, "sees", "%d px (%.3g um) to each side; works on multiples of %d px", reach, reach * m->pixel_nm / 1000,
                     fnr_netdesc_grid(d));
    } else {
        fnr_info_row(out, "pixel size", "unknown; `fnet-register convert IN OUT --pixel-nm NM` writes it into the model");
        fnr_info_row(out, "sees", "%d px to each side; works on multiples of %d px", reach, fnr_netdesc_grid(d));
    }
}

static void say_training(const fnr_model *m, FILE *out)
{
    const fnr_history_row *best = fnr_model_best(m), *last = m->n_history > 0 ? &m->history[m->n_history - 1] : NULL;
    if (m->moment1) {
        fnr_info_row(out, "training", "state after step %ld, with Adam's moments: can be continued", m->step);
    }
    if (best) {
        fnr_info_row(out, "best", "r = %.4f on the validation tiles at step %ld (MSE %.4g)", best->val_r, best->step,
                     best->val_loss);
    }
    if (last) {
        fnr_info_row(out, "last", "step %ld: training loss %.4g, %zu validations so far", last->step, last->loss, m->n_history);
    }
}

/* A value of the record in a few words. */
static void say_item(const cJSON *item, FILE *out)
{
    const cJSON *path = cJSON_GetObjectItemCaseSensitive(item, "path");
    if (cJSON_IsString(item)) {
        fnr_info_row(out, item->string, "%.200s", item->valuestring);
    } else if (cJSON_IsNumber(item)) {
        fnr_info_row(out, item->string, "%g", item->valuedouble);
    } else if (cJSON_IsString(path)) {
        fnr_info_row(out, item->string, "%.200s", path->valuestring);
    } else if (cJSON_IsArray(item)) {
        const cJSON *first = cJSON_GetArrayItem(item, 0), *first_path = cJSON_GetObjectItemCaseSensitive(first, "path");
        const char *text = cJSON_GetStringValue(cJSON_IsString(first) ? first : first_path);
        fnr_info_row(out, item->string, "%d%s%.150s%s", cJSON_GetArraySize(item), text ? ": " : "", text ? text : "",
                     text && cJSON_GetArraySize(item) > 1 ? ", ..." : "");
    }
}

static void say_record(const fnr_model *m, FILE *out)
{
    static const char *const settings[] = {"train.steps", "train.batch",       "train.patch",
                                           "train.lr",    "train.lr_schedule", "train.seed"};
    cJSON *record = m->record ? cJSON_Parse(m->record) : NULL;
    const cJSON *item, *all = cJSON_GetObjectItemCaseSensitive(record, "settings");
    int rows = 0;
    cJSON_ArrayForEach(item, record)
    {
        if (item->string && item != all && rows++ < 12) {
            say_item(item, out);
        }
    }
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(all, settings[i]));
        if (text) {
            fnr_info_row(out, settings[i], "%.100s", text);
        }
    }
    if (!record) {
        fnr_info_row(out, "record", "none");
    }
    cJSON_Delete(record);
}

void fnr_info_model(const fnr_model *m, FILE *out)
{
    say_network(m, out);
    say_training(m, out);
    say_record(m, out);
}
