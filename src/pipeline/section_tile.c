/* One tile of a section: load -> predict -> register, each step taken from an earlier run's files when its key is unchanged. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/timer.h"
#include "src/pipeline/artifact.h"
#include "src/pipeline/record.h"
#include "src/pipeline/registration_record.h"
#include "src/pipeline/section.h"

static const char *const predict_settings[] = {"images.em_nm", "net.pixel_nm", "net.precision", "predict.tta", "register.channel", NULL};
static const char *const register_settings[] = {"images.if_nm", "images.if_page", "register.", NULL};
static const fnr_stage predict_stage = {"predict", 1, predict_settings};
static const fnr_stage register_stage = {"register", 5, register_settings};

typedef struct {
    fnr_digest predict, registration;
} tile_keys;

static tile_keys keys_of(const fnr_section *s, const fnr_section_tile *tile)
{
    tile_keys k;
    fnr_config used = s->run->config;
    used.net.pixel_nm = s->net_nm; /* the model's own wins over the setting */
    k.predict = fnr_stage_key(&predict_stage, &used, (fnr_digest[]){tile->digest, s->models.digest}, 2);
    k.registration = fnr_stage_key(&register_stage, &s->run->config, (fnr_digest[]){k.predict, s->mbp_digest}, 2);
    return k;
}

void fnr_section_no_result(fnr_section_tile *tile, fnr_verdict verdict, const char *reason)
{
    tile->reg = (fnr_registration){.verdict = verdict, .scale = NAN, .rotation_deg = NAN, .score = NAN, .peak_ratio = NAN, .content = NAN,
                                   .flow_inliers = NAN, .flow_rms_px = NAN, .expected_error_px = NAN};
    snprintf(tile->reg.reason, sizeof tile->reg.reason, "%s", reason);
}

/* ---- prediction ------------------------------------------------------------------------------------------------------------ */

static bool prediction_path(const fnr_section *s, const fnr_section_tile *tile, char path[FNR_PATH_MAX], fnr_error *err)
{
    return fnr_artifact_path(&predict_stage, s->job.out_dir, tile->name, ".prediction.tif", path, err);
}

bool fnr_section_read_prediction(const fnr_section *s, const fnr_section_tile *tile, fnr_image *out, fnr_error *err)
{
    char path[FNR_PATH_MAX];
    if (!prediction_path(s, tile, path, err) || !fnr_tiff_read(path, NULL, out, err)) {
        return false;
    }
    out->v.nm = s->net_nm;
    return true;
}

/* The record of an earlier run's prediction, when it was made from the same tile by the same model and its file is still the one
 * that was recorded: a run killed between the two leaves a newer file beside an older record. */
static cJSON *find_prediction(const fnr_section *s, const fnr_section_tile *tile, const fnr_digest *key)
{
    char path[FNR_PATH_MAX];
    fnr_digest file;
    cJSON *record = fnr_artifact_find(&predict_stage, s->job.out_dir, tile->name, key);
    if (record && (!prediction_path(s, tile, path, NULL) || !fnr_hash_file(path, &file, NULL) ||
                   strcmp(fnr_record_text(record, "sha256", ""), file.hex))) {
        cJSON_Delete(record);
        record = NULL;
    }
    return record;
}

/* A whole number of a record within [least, most]; what a person changed there must not become an index. */
static bool recorded_int(const cJSON *record, const char *name, int least, int most, int *out)
{
    const double v = fnr_record_number(record, name, NAN);
    const bool ok = v >= least && v <= most;
    *out = ok ? (int)v : least;
    return ok;
}

static bool reuse_prediction(const fnr_section *s, fnr_section_tile *tile, const fnr_digest *key, fnr_image *prediction)
{
    int w, h, dtype;
    cJSON *record = find_prediction(s, tile, key);
    const bool found = record && recorded_int(record, "width", 1, 1 << 30, &w) && recorded_int(record, "height", 1, 1 << 30, &h) &&
                       recorded_int(record, "dtype", FNR_U8, FNR_F32, &dtype) && fnr_record_number(record, "em_nm", 0) > 0 &&
                       fnr_section_read_prediction(s, tile, prediction, NULL);
    if (found) {
        tile->w = w;
        tile->h = h;
        tile->dtype = (fnr_dtype)dtype;
        tile->em_nm = fnr_record_number(record, "em_nm", 0);
        tile->grey_lo = fnr_record_number(record, "grey_lo", 0);
        tile->grey_hi = fnr_record_number(record, "grey_hi", 255);
        tile->predict_s = fnr_record_number(record, "seconds", 0);
    }
    cJSON_Delete(record);
    return found;
}

static void store_prediction(fnr_section *s, const fnr_section_tile *tile, const fnr_digest *key, const fnr_image *prediction)
{
    char path[FNR_PATH_MAX];
    fnr_error err = {0};
    fnr_digest file;
    cJSON *record = cJSON_CreateObject();
    cJSON_AddNumberToObject(record, "width", tile->w);
    cJSON_AddNumberToObject(record, "height", tile->h);
    cJSON_AddNumberToObject(record, "dtype", tile->dtype);
    fnr_record_add_number(record, "em_nm", tile->em_nm);
    fnr_record_add_number(record, "net_nm", s->net_nm);
    fnr_record_add_number(record, "grey_lo", tile->grey_lo);
    fnr_record_add_number(record, "grey_hi", tile->grey_hi);
    fnr_record_add_number(record, "seconds", tile->predict_s);
    if (!fnr_artifact_prepare(&predict_stage, s->job.out_dir, &err) || !prediction_path(s, tile, path, &err) ||
        !fnr_tiff_write(path, &prediction->v, &(fnr_tiff_write_options){.compress = true}, &err) ||
        !fnr_hash_file(path, &file, &err) || !cJSON_AddStringToObject(record, "sha256", file.hex) ||
        !fnr_artifact_commit(&predict_stage, s->job.out_dir, tile->name, key, record, &err)) {
        fnr_section_note_write_error(s, &err);
    }
    cJSON_Delete(record);
}

static bool predict_tile(fnr_section *s, fnr_section_tile *tile, fnr_image *prediction, fnr_error *err)
{
    const double start = fnr_now_s();
    fnr_em_tile em;
    if (!fnr_tile_load(tile->path, s->run->config.images.em_nm, s->net_nm, &em, err)) {
        return false;
    }
    tile->w = em.w;
    tile->h = em.h;
    tile->dtype = em.dtype;
    tile->em_nm = em.em_nm;
    tile->grey_lo = em.grey_lo;
    tile->grey_hi = em.grey_hi;
    const fnr_view *v = &em.net.v;
    fnr_image all = {0}; /* every channel */
    const bool ok = fnr_image_new(&all, v->w, v->h, 1, s->models.models[0].desc.out_channels, FNR_F32, err) &&
                    fnr_predict_array(s->predictor, 1, v->h, v->w, v->px, all.v.px, s->run->cancel, err) &&
                    fnr_image_to_f32(&all.v, 0, s->run->config.reg_channel - 1, prediction, err);
    fnr_image_free(&all);
    fnr_tile_free(&em);
    prediction->v.nm = s->net_nm;
    tile->predict_s = fnr_now_s() - start;
    return ok;
}

/* ---- registration ---------------------------------------------------------------------------------------------------------- */

static bool register_prediction(fnr_section *s, fnr_section_tile *tile, const fnr_digest *key, const fnr_image *prediction, fnr_error *err)
{
    fnr_error write_err = {0};
    const double start = fnr_now_s();
    if (!fnr_register_tile(s->target, &prediction->v, &s->run->config.reg, s->run->cancel, &tile->reg, err)) {
        return false;
    }
    tile->register_s = fnr_now_s() - start;
    cJSON *record = fnr_registration_to_json(&tile->reg);
    fnr_record_add_number(record, "seconds", tile->register_s);
    if (!fnr_artifact_commit(&register_stage, s->job.out_dir, tile->name, key, record, &write_err)) {
        fnr_section_note_write_error(s, &write_err);
    }
    cJSON_Delete(record);
    return true;
}

static void set_tile_transform(const fnr_section *s, fnr_section_tile *tile)
{
    const double f = tile->em_nm / s->net_nm;
    const fnr_transform to_net = fnr_transform_resample(f, f, FNR_FRAME_TILE, FNR_FRAME_NET);
    if (tile->reg.has_transform && !fnr_transform_compose(&tile->reg.t, &to_net, &tile->tile_to_if, NULL)) {
        tile->reg.has_transform = false;
    }
}

bool fnr_section_process_tile(fnr_section *s, fnr_section_tile *tile)
{
    fnr_image prediction = {0};
    fnr_error tile_err = {0};
    bool ok = fnr_hash_file(tile->path, &tile->digest, &tile_err) && fnr_section_tile_fits(s, tile, &tile_err);
    const tile_keys keys = keys_of(s, tile);
    if (ok && !reuse_prediction(s, tile, &keys.predict, &prediction)) {
        ok = predict_tile(s, tile, &prediction, &tile_err);
        if (ok) {
            store_prediction(s, tile, &keys.predict, &prediction);
        }
    }
    if (ok) {
        cJSON *record = fnr_artifact_find(&register_stage, s->job.out_dir, tile->name, &keys.registration);
        tile->reused = record && fnr_registration_from_json(record, &tile->reg);
        tile->register_s = tile->reused ? fnr_record_number(record, "seconds", 0) : 0;
        cJSON_Delete(record);
        ok = tile->reused || register_prediction(s, tile, &keys.registration, &prediction, &tile_err);
    }
    fnr_image_free(&prediction);
    if (ok) {
        set_tile_transform(s, tile);
    } else if (tile_err.code == FNR_E_CANCELLED) {
        return false;
    } else {
        fnr_section_no_result(tile, FNR_FAILED, tile_err.message);
    }
    return true;
}

const char *fnr_section_plan_tile(const fnr_section *s, fnr_section_tile *tile)
{
    if (!fnr_hash_file(tile->path, &tile->digest, NULL)) {
        return "nothing (the file cannot be read)";
    }
    const tile_keys keys = keys_of(s, tile);
    cJSON *predicted = find_prediction(s, tile, &keys.predict);
    cJSON *registered = fnr_artifact_find(&register_stage, s->job.out_dir, tile->name, &keys.registration);
    const char *plan = !predicted ? "predict, register" : !registered ? "register" : "nothing (done, inputs and settings unchanged)";
    cJSON_Delete(predicted);
    cJSON_Delete(registered);
    return plan;
}
