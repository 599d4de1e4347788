/* What a finished section leaves for people and programs: transforms.csv, trakem2.xml, run.json. */
#include <math.h>
#include <stdlib.h>

#include "src/core/csv.h"
#include "src/core/mem.h"
#include "src/geom/trakem2.h"
#include "src/image/stats.h"
#include "src/pipeline/record.h"
#include "src/pipeline/section.h"

/* ---- transforms.csv -------------------------------------------------------------------------------------------------------- */

static void csv_number(FILE *out, double v, const char *format)
{
    fputc(',', out);
    if (isfinite(v)) {
        fprintf(out, format, v);
    }
}

static bool csv_row(FILE *out, const fnr_section_tile *t, fnr_error *err)
{
    const fnr_registration *r = &t->reg;
    char text[FNR_TRANSFORM_TEXT] = "";
    if (r->has_transform) {
        fnr_transform_format(&t->tile_to_if, text);
    }
    if (!fnr_csv_put_name(out, t->name, err)) {
        return false;
    }
    fprintf(out, ",%s,", fnr_verdict_name(r->verdict));
    fnr_csv_put_text(out, r->reason);
    fprintf(out, ",%s", text);
    csv_number(out, r->has_transform ? fnr_transform_scale(&t->tile_to_if) : NAN, "%.8f");
    csv_number(out, r->has_transform ? fnr_transform_rotation_deg(&t->tile_to_if) : NAN, "%.5f");
    csv_number(out, r->score, "%.4f");
    csv_number(out, r->has_transform ? r->scale : NAN, "%.6f");
    csv_number(out, r->peak_ratio, "%.3f");
    csv_number(out, r->content, "%.4f");
    csv_number(out, r->flow_inliers, "%.3f");
    csv_number(out, r->flow_rms_px, "%.3f");
    csv_number(out, r->expected_error_px, "%.3f");
    fprintf(out, ",%d,%d,%s", t->w, t->h, fnr_review_name(t->review.decision));
    csv_number(out, r->has_transform ? r->probability : NAN, "%.3f");
    csv_number(out, r->has_transform ? r->probability_5px : NAN, "%.3f");
    csv_number(out, fnr_error_quantile_px(r->expected_error_px, 0.025), "%.3f");
    csv_number(out, fnr_error_quantile_px(r->expected_error_px, 0.975), "%.3f");
    fputc('\n', out);
    return true;
}

static bool write_csv(const fnr_section *s, fnr_error *err)
{
    char path[FNR_PATH_MAX];
    fnr_atomic file;
    if (!fnr_path_join(path, s->job.out_dir, "transforms.csv", err) || !fnr_atomic_open(&file, path, err)) {
        return false;
    }
    fputs("tile,verdict,reason,transform,scale,rotation_deg,score,scale_to_nominal,peak_ratio,content,flow_inliers,flow_rms_px,expected_error_px,width,height,review,probability,probability_5px,error_low_px,error_high_px\n", file.file);
    for (size_t i = 0; i < s->n_tiles; i++) {
        if (!csv_row(file.file, &s->tiles[i], err)) {
            fnr_atomic_abort(&file);
            return false;
        }
    }
    return fnr_atomic_commit(&file, err);
}

/* ---- trakem2.xml ----------------------------------------------------------------------------------------------------------- */

/* The world is the montage: MBP lies under the identity, every EM tile is placed by its patch matrix alone. */
static const int imageplus_type[] = {[FNR_U8] = 0, [FNR_U16] = 1, [FNR_F32] = 2};

static fnr_t2_patch montage_patch(const fnr_section *s, const fnr_stats *stats)
{
    fnr_t2_patch p = {.title = (char *)fnr_path_base(s->job.mbp_path), .file_path = (char *)s->job.mbp_path, .o_width = s->montage.v.w,
                      .o_height = s->montage.v.h, .type = imageplus_type[s->montage.v.dtype], .min = stats->min, .visible = true, .locked = true,
                      .max = fmax(stats->min + 1, fmin(stats->max, stats->mean + 8 * stats->sd)), .to_world = fnr_transform_identity(FNR_FRAME_WORLD)};
    p.to_world.from = FNR_FRAME_ANY;
    if (s->run->config.images.if_page > 1) {
        p.slice = s->run->config.images.if_page;
    }
    return p;
}

static fnr_t2_patch tile_patch(const fnr_section_tile *t)
{
    fnr_t2_patch p = {.title = (char *)t->name, .file_path = (char *)t->path, .o_width = t->w, .o_height = t->h, .type = imageplus_type[t->dtype],
                      .min = t->grey_lo, .max = t->grey_hi, .visible = true, .to_world = t->tile_to_if};
    p.to_world.from = FNR_FRAME_ANY;
    p.to_world.to = FNR_FRAME_WORLD;
    return p;
}

static bool write_trakem2(const fnr_section *s, fnr_error *err)
{
    static const unsigned strokes[FNR_VERDICTS] = {[FNR_REGISTERED] = 0x2ca02c, [FNR_DOUBTFUL] = 0xff7f0e, [FNR_BY_NEIGHBOURS] = 0x1f77b4};
    char path[FNR_PATH_MAX];
    fnr_image plane = {0};
    fnr_t2_patch *patches = fnr_calloc(s->n_tiles + 1, sizeof *patches, "list of patches", err);
    fnr_t2_style *styles = fnr_calloc(s->n_tiles + 1, sizeof *styles, "list of patches", err);
    bool ok = patches && styles && fnr_path_join(path, s->job.out_dir, "trakem2.xml", err) && fnr_image_to_f32(&s->montage.v, 0, 0, &plane, err);
    if (ok) {
        const fnr_stats stats = fnr_stats_of(&plane.v);
        size_t n = 0;
        patches[n] = montage_patch(s, &stats);
        styles[n++] = (fnr_t2_style){1.0, 0xffff00};
        for (size_t i = 0; i < s->n_tiles; i++) {
            if (s->tiles[i].reg.has_transform) {
                patches[n] = tile_patch(&s->tiles[i]);
                styles[n++] = (fnr_t2_style){0.5, strokes[s->tiles[i].reg.verdict]};
            }
        }
        fnr_t2_layer layer = {.z = 0, .thickness = fmax(1, 70.0 / s->if_nm), .title = (char *)"section"};
        const fnr_t2_project project = {.pixel_nm = s->if_nm, .layers = &layer, .n_layers = 1, .patches = patches, .n_patches = n};
        ok = fnr_t2_write(path, "fnet-register", &project, styles, err);
    }
    fnr_image_free(&plane);
    free(patches);
    free(styles);
    return ok;
}

/* ---- run.json -------------------------------------------------------------------------------------------------------------- */

static cJSON *tiles_json(const fnr_section *s)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < s->n_tiles; i++) {
        const fnr_section_tile *t = &s->tiles[i];
        cJSON *item = cJSON_CreateObject();
        fnr_record_add_text(item, "tile", t->name);
        cJSON_AddStringToObject(item, "sha256", t->digest.hex);
        cJSON_AddStringToObject(item, "verdict", fnr_verdict_name(t->reg.verdict));
        fnr_record_add_number(item, "em_nm", t->em_nm);
        fnr_record_add_number(item, "predict_s", t->predict_s);
        fnr_record_add_number(item, "register_s", t->register_s);
        cJSON_AddBoolToObject(item, "reused", t->reused);
        if (t->review.decision != FNR_UNREVIEWED) {
            cJSON_AddStringToObject(item, "review", fnr_review_name(t->review.decision));
            fnr_record_add_text(item, "note", t->review.note);
            fnr_record_add_text(item, "reviewed", t->review.time);
        }
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

static cJSON *counts_json(const fnr_section_summary *sum)
{
    cJSON *counts = cJSON_CreateObject();
    for (int v = 0; v < FNR_VERDICTS; v++) {
        cJSON_AddNumberToObject(counts, fnr_verdict_name((fnr_verdict)v), (double)sum->count[v]);
    }
    return counts;
}

static bool write_run(const fnr_section *s, const fnr_section_summary *sum, fnr_error *err)
{
    char path[FNR_PATH_MAX];
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "program", "fnet-register " FNR_VERSION);
    cJSON_AddStringToObject(json, "started", s->started);
    cJSON_AddStringToObject(json, "backend", s->run->be->description);
    fnr_record_add_text(json, "em_dir", s->job.em_dir);
    cJSON_AddItemToObject(json, "montage", fnr_record_file(s->job.mbp_path, NULL));
    cJSON_AddItemToObject(json, "model", fnr_model_set_record(&s->models));
    fnr_record_add_number(json, "if_nm", s->if_nm);
    fnr_record_add_number(json, "net_nm", s->net_nm);
    if (s->job.review_path) {
        cJSON_AddItemToObject(json, "review", fnr_record_file(s->job.review_path, NULL));
    }
    cJSON_AddItemToObject(json, "settings", fnr_record_settings(&s->run->config));
    cJSON_AddItemToObject(json, "verdicts", counts_json(sum));
    cJSON_AddBoolToObject(json, "finished", !s->stopped);
    fnr_record_add_number(json, "seconds", s->seconds);
    fnr_record_add_number(json, "peak_rss_mib", fnr_peak_rss_mib());
    cJSON_AddItemToObject(json, "tiles", tiles_json(s));
    const bool ok = fnr_path_join(path, s->job.out_dir, "run.json", err) && fnr_record_write(path, json, err);
    cJSON_Delete(json);
    return ok;
}

void fnr_section_export(fnr_section *s, const fnr_section_summary *summary)
{
    fnr_error err = {0};
    if (!write_csv(s, &err)) {
        fnr_section_note_write_error(s, &err);
    }
    if (!write_trakem2(s, &err)) {
        fnr_section_note_write_error(s, &err);
    }
    if (!write_run(s, summary, &err)) {
        fnr_section_note_write_error(s, &err);
    }
}
