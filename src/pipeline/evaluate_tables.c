/* The figures for programs: CSV and JSON. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/csv.h"
#include "src/core/mem.h"
#include "src/pipeline/evaluate_report.h"
#include "src/pipeline/record.h"

static void number(FILE *out, double v, const char *format)
{
    fputc(',', out);
    if (isfinite(v)) {
        fprintf(out, format, v);
    }
}

void fnr_eval_write_tiles(FILE *out, const fnr_eval_report *r)
{
    fputs("tile,from,to,verdict,error_px,error_nm,within,counted,myelin_fraction\n", out);
    for (size_t k = 0; k < r->n; k++) {
        const fnr_eval_comparison *c = &r->comparisons[k];
        for (size_t i = 0; i < c->n_tiles; i++) {
            const fnr_eval_tile *t = &c->tiles[i];
            fnr_csv_put_name(out, t->tile, NULL);
            fputc(',', out);
            fnr_csv_put_text(out, c->a);
            fputc(',', out);
            fnr_csv_put_text(out, c->b);
            fprintf(out, ",%s", t->verdict);
            number(out, t->px, "%.4f");
            number(out, r->options.if_nm > 0 ? t->px * r->options.if_nm : NAN, "%.1f");
            fprintf(out, ",%d,%d", t->within, t->counts);
            number(out, t->myelin_fraction, "%.5f");
            fputc('\n', out);
        }
        for (size_t i = 0; i < c->n_missing; i++) {
            fnr_csv_put_name(out, c->missing[i], NULL);
            fputc(',', out);
            fnr_csv_put_text(out, c->a);
            fputc(',', out);
            fnr_csv_put_text(out, c->b);
            fputs(",missing,,,0,0,\n", out);
        }
    }
}

/* What is told of every comparison, for both files. */
typedef struct {
    const char *name;
    double value;
} entry;
enum { ENTRIES_MAX = 48 };

static void put(entry *e, size_t *n, const char *name, double value)
{
    e[(*n)++] = (entry){name, value};
}

static size_t entries_of(const fnr_eval_comparison *c, double if_nm, entry e[ENTRIES_MAX])
{
    const fnr_eval_stats *f = &c->found, *a = &c->all;
    size_t n = 0;
    put(e, &n, "tiles", (double)c->counted);
    put(e, &n, "with_transform", (double)c->with_transform);
    put(e, &n, "within", (double)c->within);
    put(e, &n, "success_rate", c->success.value);
    put(e, &n, "success_rate_lo", c->success.lo);
    put(e, &n, "success_rate_hi", c->success.hi);
    put(e, &n, "mean_px", f->mean.value);
    put(e, &n, "mean_px_lo", f->mean.lo);
    put(e, &n, "mean_px_hi", f->mean.hi);
    put(e, &n, "sd_px", f->sd);
    put(e, &n, "median_px", f->median.value);
    put(e, &n, "median_px_lo", f->median.lo);
    put(e, &n, "median_px_hi", f->median.hi);
    put(e, &n, "p95_px", f->p95.value);
    put(e, &n, "p95_px_lo", f->p95.lo);
    put(e, &n, "p95_px_hi", f->p95.hi);
    put(e, &n, "worst_px", f->worst);
    put(e, &n, "all_median_px", a->median.value);
    put(e, &n, "all_p95_px", a->p95.value);
    put(e, &n, "all_worst_px", a->worst);
    put(e, &n, "mean_nm", if_nm > 0 ? f->mean.value * if_nm : NAN);
    put(e, &n, "sd_nm", if_nm > 0 ? f->sd * if_nm : NAN);
    put(e, &n, "median_nm", if_nm > 0 ? f->median.value * if_nm : NAN);
    put(e, &n, "p95_nm", if_nm > 0 ? f->p95.value * if_nm : NAN);
    put(e, &n, "missing", (double)c->n_missing);
    put(e, &n, "registered", (double)c->registered);
    put(e, &n, "registered_wrong", (double)c->registered_wrong);
    return n;
}

void fnr_eval_write_summary(FILE *out, const fnr_eval_report *r)
{
    entry e[ENTRIES_MAX];
    for (size_t k = 0; k < r->n; k++) {
        const fnr_eval_comparison *c = &r->comparisons[k];
        const size_t n = entries_of(c, r->options.if_nm, e);
        if (k == 0) {
            fputs("from,to,kind,success_px", out);
            for (size_t i = 0; i < n; i++) {
                fprintf(out, ",%s", e[i].name);
            }
            fputc('\n', out);
        }
        fnr_csv_put_text(out, c->a);
        fputc(',', out);
        fnr_csv_put_text(out, c->b);
        fprintf(out, ",%s,%g", c->between_people ? "people" : "result", r->options.success_px);
        for (size_t i = 0; i < n; i++) {
            number(out, e[i].value, "%.6g");
        }
        fputc('\n', out);
    }
}

void fnr_eval_write_audit(FILE *out, const fnr_eval_report *r)
{
    fputs("grade,kind,tile,file,amount,unit,finding,advice\n", out);
    for (size_t i = 0; i < r->audit->count; i++) {
        const fnr_audit_finding *f = &r->audit->items[i];
        fprintf(out, "%s,%s,", fnr_audit_grade_names[f->grade], f->kind);
        fnr_csv_put_text(out, f->tile);
        fputc(',', out);
        fnr_csv_put_text(out, f->file);
        number(out, f->amount, "%.4g");
        fprintf(out, ",%s,", f->unit);
        fnr_csv_put_text(out, f->what);
        fputc(',', out);
        fnr_csv_put_text(out, f->advice);
        fputc('\n', out);
    }
}

fnr_eval_stats fnr_eval_floor(const fnr_eval_report *r, fnr_error *err)
{
    size_t n = 0, room = 1;
    for (size_t k = 0; k < r->n; k++) {
        room += r->comparisons[k].n_tiles;
    }
    double *px = fnr_calloc(room, sizeof *px, "distances between people", err);
    for (size_t k = 0; px && k < r->n; k++) {
        const fnr_eval_comparison *c = &r->comparisons[k];
        for (size_t i = 0; c->between_people && i < c->n_tiles; i++) {
            if (c->tiles[i].counts && c->tiles[i].within) {
                px[n++] = c->tiles[i].px;
            }
        }
    }
    const fnr_eval_stats s = fnr_eval_stats_of(px, n, err);
    free(px);
    return s;
}

static cJSON *audit_json(const fnr_audit *a)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < a->count; i++) {
        const fnr_audit_finding *f = &a->items[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "grade", fnr_audit_grade_names[f->grade]);
        cJSON_AddStringToObject(item, "kind", f->kind);
        cJSON_AddStringToObject(item, "tile", f->tile);
        cJSON_AddStringToObject(item, "file", f->file);
        fnr_record_add_number(item, "amount", f->amount);
        cJSON_AddStringToObject(item, "unit", f->unit);
        cJSON_AddStringToObject(item, "finding", f->what);
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

bool fnr_eval_write_json(const char *path, const fnr_eval_report *r, fnr_error *err)
{
    entry e[ENTRIES_MAX];
    fnr_error floor_err = {0};
    const fnr_eval_stats floor_stats = fnr_eval_floor(r, &floor_err);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "program", "fnet-register " FNR_VERSION);
    cJSON_AddStringToObject(json, "result", r->result ? r->result : "");
    fnr_record_add_number(json, "success_px", r->options.success_px);
    fnr_record_add_number(json, "if_nm", r->options.if_nm > 0 ? r->options.if_nm : NAN);
    fnr_record_add_number(json, "min_myelin", r->options.min_myelin);
    fnr_record_add_number(json, "floor_mean_px", floor_stats.mean.value);
    fnr_record_add_number(json, "floor_sd_px", floor_stats.sd);
    cJSON *list = cJSON_AddArrayToObject(json, "comparisons");
    for (size_t k = 0; k < r->n; k++) {
        const fnr_eval_comparison *c = &r->comparisons[k];
        const size_t n = entries_of(c, r->options.if_nm, e);
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "from", c->a);
        cJSON_AddStringToObject(item, "to", c->b);
        cJSON_AddStringToObject(item, "kind", c->between_people ? "people" : "result");
        for (size_t i = 0; i < n; i++) {
            fnr_record_add_number(item, e[i].name, e[i].value);
        }
        cJSON_AddItemToArray(list, item);
    }
    if (r->audit) {
        cJSON_AddItemToObject(json, "audit", audit_json(r->audit));
    }
    const bool ok = fnr_record_write(path, json, err);
    cJSON_Delete(json);
    return ok;
}
