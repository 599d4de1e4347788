#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/command.h"
#include "src/core/fs.h"
#include "src/core/mem.h"
#include "src/pipeline/evaluate_report.h"
#include "src/pipeline/record.h"

static const fnr_option options[] = {
    {"truth", 0, "FILE", NULL,
     "known transforms: a table (columns tile, transform) or a TrakEM2 project; may be given several times"},
    {"manual", 0, "FILE", NULL, "the same: one annotator's project; two or more show how far people differ from each other"},
    {"audit", 0, "FILE", NULL, "look for faults in a manual registration, with or without a RESULT; may be given several times"},
    {"output", 'o', "DIR", NULL, "folder for tiles.csv, summary.csv, summary.json, histogram.svg, audit.csv, evaluation.html"},
    {"mbp-match", 0, "TEXT", "images.mbp_match", "part of the title or file name that marks the MBP image of a project"},
    {"tile-column", 0, "NAME", NULL, "column that identifies tiles in tables (default: tile, the file name in it)"},
    {"min-myelin", 0, "F", NULL, "count only tiles whose myelin_fraction is above F (where the truth tells it)"},
    {"success-px", 0, "PX", NULL, "a tile counts as found within this error (default 5)"},
    {"tile-px", 0, "PX", NULL, "extent of the tiles, when neither file tells it"},
    {"if-nm", 0, "NM", NULL, "pixel size of the montage, for errors in nm (default: what the result's run.json tells)"},
    {"as-published", 0, NULL, NULL, "|dx + dy| per pixel instead of the displacement, as the paper's figures were computed: only to compare with them"},
    {0},
};

enum { MAX_TRUTHS = 8, MAX_COMPARISONS = MAX_TRUTHS * (MAX_TRUTHS + 1) / 2 };

typedef struct {
    const char *path, *label;
    fnr_eval_set set; /* to compare with */
    bool compared;    /* given as truth, not for the audit alone */
} known;

typedef struct {
    char result_path[FNR_PATH_MAX];
    fnr_eval_set result;
    bool has_result;
    known truths[MAX_TRUTHS];
    size_t n_truths;
    fnr_audit audit;
    fnr_eval_comparison comparisons[MAX_COMPARISONS];
    size_t n_comparisons;
} evaluation;

static bool is_truth(const fnr_option *o)
{
    return !strcmp(o->name, "truth") || !strcmp(o->name, "manual");
}

/* FILE.csv:COLUMN is known by its column, another file by its name. */
static const char *label_of(const char *path)
{
    const char *colon = fnr_is_file(path) ? NULL : strrchr(path, ':');
    return colon ? colon + 1 : fnr_path_base(path);
}

/* Two files of one name in different folders are told apart by their paths. */
static void tell_apart(evaluation *e)
{
    for (size_t i = 0; i < e->n_truths; i++) {
        for (size_t k = 0; k < e->n_truths; k++) {
            if (i != k && !strcmp(label_of(e->truths[i].path), label_of(e->truths[k].path))) {
                e->truths[i].label = e->truths[i].path;
            }
        }
    }
}

static bool read_truths(const fnr_run *run, const fnr_args *args, evaluation *e, fnr_error *err)
{
    for (size_t i = 0; i < args->n_given; i++) {
        const bool truth = is_truth(args->given[i].option);
        if (!truth && strcmp(args->given[i].option->name, "audit")) {
            continue;
        }
        if (e->n_truths == MAX_TRUTHS) {
            return fnr_fail(err, FNR_E_USAGE, "more than %d files with known transforms", MAX_TRUTHS);
        }
        known *k = &e->truths[e->n_truths];
        *k = (known){.path = args->given[i].value, .label = label_of(args->given[i].value), .compared = truth};
        if (truth && !fnr_eval_read(k->path, run->config.images.mbp_match, fnr_args_value(args, "tile-column"), &k->set, err)) {
            return false;
        }
        e->n_truths++;
    }
    tell_apart(e);
    return true;
}

static bool read_result(const fnr_run *run, const fnr_args *args, evaluation *e, fnr_error *err)
{
    if (args->n_positional == 0) {
        return true;
    }
    const char *given = args->positional[0];
    snprintf(e->result_path, sizeof e->result_path, "%s", given);
    e->has_result =
        (!fnr_is_dir(given) || fnr_path_join(e->result_path, given, "transforms.csv", err)) &&
        fnr_eval_read(e->result_path, run->config.images.mbp_match, fnr_args_value(args, "tile-column"), &e->result, err);
    return e->has_result;
}

/* Our tables hold bare file names, and a project may have tiles of one name in the folders of many sections: the folder is told
 * by the run's record. */
static bool name_folder(evaluation *e, const char *folder, fnr_error *err)
{
    for (size_t i = 0; i < e->result.count && folder[0]; i++) {
        fnr_eval_row *row = &e->result.rows[i];
        char path[FNR_PATH_MAX];
        if (strchr(row->path, '/') || !fnr_path_join(path, folder, row->path, NULL)) {
            continue;
        }
        free(row->path);
        row->path = fnr_strdup(path, err);
        if (!row->path) {
            return false;
        }
    }
    return true;
}

/* What the run.json beside the result knows: the montage's pixel size, the folder of the tiles. */
static bool use_record(evaluation *e, fnr_eval_options *o, fnr_error *err)
{
    char dir[FNR_PATH_MAX], path[FNR_PATH_MAX];
    fnr_path_dir(dir, e->result_path);
    cJSON *record = e->has_result && fnr_path_join(path, dir, "run.json", NULL) ? fnr_record_read(path, NULL) : NULL;
    const double nm = fnr_record_number(record, "if_nm", 0);
    const bool ok = name_folder(e, fnr_record_text(record, "em_dir", ""), err);
    o->if_nm = o->if_nm > 0 ? o->if_nm : nm;
    cJSON_Delete(record);
    return ok;
}

static bool add_comparison(evaluation *e, const fnr_eval_set *a, const char *name_a, const known *b, const fnr_eval_options *o,
                           fnr_error *err)
{
    fnr_eval_comparison *c = &e->comparisons[e->n_comparisons];
    if (!fnr_eval_compare(a, &b->set, o, c, err)) {
        return false;
    }
    c->a = name_a;
    c->b = b->label;
    c->between_people = a != &e->result;
    e->n_comparisons++;
    return true;
}

/* Tables of people seldom tell how large a tile is, the result does. */
static bool take_sizes(evaluation *e, fnr_error *err)
{
    for (size_t i = 0; i < e->n_truths; i++) {
        for (size_t k = 0; k < e->truths[i].set.count; k++) {
            fnr_eval_row *row = &e->truths[i].set.rows[k];
            const fnr_eval_row *like = NULL;
            if (row->w > 0 && row->h > 0) {
                continue;
            }
            if (!fnr_eval_find(&e->result, row, &like, err)) {
                return false;
            }
            row->w = like ? like->w : row->w;
            row->h = like ? like->h : row->h;
        }
    }
    return true;
}

/* The result against everyone, then everyone against each other. */
static bool compare(evaluation *e, const fnr_eval_options *o, fnr_error *err)
{
    for (size_t i = 0; i < e->n_truths && e->has_result; i++) {
        if (e->truths[i].compared && !add_comparison(e, &e->result, "result", &e->truths[i], o, err)) {
            return false;
        }
    }
    for (size_t i = 0; i < e->n_truths; i++) {
        for (size_t k = i + 1; k < e->n_truths; k++) {
            const known *a = &e->truths[i], *b = &e->truths[k];
            if (a->compared && b->compared && !add_comparison(e, &a->set, a->label, b, o, err)) {
                return false;
            }
        }
    }
    return true;
}

static void print(const evaluation *e, const fnr_eval_options *o)
{
    for (size_t i = 0; i < e->n_comparisons; i++) {
        const fnr_eval_comparison *c = &e->comparisons[i];
        if (c->between_people) {
            printf("\n== %s against %s\n", c->a, c->b);
        } else if (e->n_comparisons > 1) {
            printf("%s== against %s\n", i ? "\n" : "", c->b);
        }
        fnr_eval_print(c, o, stdout);
    }
}

/* Everything that a person made: projects whole, tables as far as they tell. */
static bool audit(const fnr_run *run, const fnr_args *args, evaluation *e, int tile_px, fnr_error *err)
{
    fnr_eval_set sets[MAX_TRUTHS] = {{0}};
    const char *names[MAX_TRUTHS];
    bool ok = true;
    size_t n = 0;
    for (size_t i = 0; ok && i < e->n_truths; i++) {
        const char *path = e->truths[i].path, *match = run->config.images.mbp_match;
        names[n] = e->truths[i].label;
        ok = fnr_eval_is_project(path) ? fnr_audit_project(path, match, &e->audit, &sets[n], err)
                                       : fnr_eval_read(path, match, fnr_args_value(args, "tile-column"), &sets[n], err) &&
                                             fnr_audit_placements(&sets[n], names[n], tile_px, &e->audit, err);
        n += ok;
    }
    ok = ok && fnr_audit_people(sets, names, n, tile_px, &e->audit, err);
    for (size_t i = 0; i < n; i++) {
        fnr_eval_free(&sets[i]);
    }
    return ok;
}

static bool wants_audit(const evaluation *e)
{
    for (size_t i = 0; i < e->n_truths; i++) {
        if (!e->truths[i].compared || fnr_eval_is_project(e->truths[i].path)) {
            return true;
        }
    }
    return false;
}

static bool evaluate(const fnr_run *run, const fnr_args *args, evaluation *e, fnr_eval_options *o, fnr_error *err)
{
    if (!read_result(run, args, e, err) || !read_truths(run, args, e, err)) {
        return false;
    }
    if (!use_record(e, o, err) || !take_sizes(e, err) || !compare(e, o, err)) {
        return false;
    }
    print(e, o);
    const bool look = wants_audit(e);
    if (look) {
        if (!audit(run, args, e, o->tile_px, err)) {
            return false;
        }
        fputs(e->n_comparisons ? "\n== audit of the manual registrations\n" : "", stdout);
        fnr_audit_print(&e->audit, stdout);
    }
    const fnr_eval_report report = {.result = e->has_result ? args->positional[0] : NULL,
                                    .comparisons = e->comparisons,
                                    .n = e->n_comparisons,
                                    .options = *o,
                                    .audit = look ? &e->audit : NULL};
    const char *dir = fnr_args_value(args, "output");
    return !dir || fnr_eval_report_write(dir, &report, err);
}

static void release(evaluation *e)
{
    fnr_eval_free(&e->result);
    for (size_t i = 0; i < e->n_truths; i++) {
        fnr_eval_free(&e->truths[i].set);
    }
    for (size_t i = 0; i < e->n_comparisons; i++) {
        fnr_eval_comparison_free(&e->comparisons[i]);
    }
    fnr_audit_free(&e->audit);
    free(e);
}

static int main_evaluate(fnr_run *run, const fnr_args *args, fnr_error *err)
{
    fnr_eval_options o = {.success_px = 5, .as_published = fnr_args_value(args, "as-published") != NULL};
    const bool truth = fnr_args_value(args, "truth") || fnr_args_value(args, "manual"),
               audit_only = fnr_args_value(args, "audit") && !truth;
    if (args->n_positional != 1 && !(audit_only && args->n_positional == 0)) {
        return fnr_usage_error(err, "evaluate", "expected one result: an output folder, a transforms.csv or a TrakEM2 project");
    }
    if (!truth && !audit_only) {
        return fnr_usage_error(err, "evaluate", "--truth FILE, --manual FILE or --audit FILE is missing");
    }
    if (audit_only && args->n_positional) {
        return fnr_usage_error(err, "evaluate", "to compare %s with it, give the file with --manual instead of --audit",
                               args->positional[0]);
    }
    if (!fnr_args_number(args, "min-myelin", 0, 1, 0, &o.min_myelin, err) ||
        !fnr_args_number(args, "success-px", 0, 1e6, 5, &o.success_px, err) ||
        !fnr_args_int(args, "tile-px", 1, 1000000, 0, &o.tile_px, err) ||
        !fnr_args_number(args, "if-nm", 0, 1e5, 0, &o.if_nm, err)) {
        return FNR_EXIT_USAGE;
    }
    evaluation *e = calloc(1, sizeof *e);
    if (!e) {
        fnr_fail(err, FNR_E_LIMIT, "out of memory");
        return FNR_EXIT_FAILED;
    }
    const bool ok = evaluate(run, args, e, &o, err);
    const size_t faults = fnr_audit_count(&e->audit, FNR_AUDIT_ERROR) + fnr_audit_count(&e->audit, FNR_AUDIT_WARNING);
    release(e);
    return !ok ? fnr_exit_of(err) : audit_only && faults ? FNR_EXIT_DOUBTFUL : FNR_EXIT_OK;
}

const fnr_command fnr_cmd_evaluate = {
    .name = "evaluate",
    .summary = "Compares a result with known transforms; looks for faults in manual ones.",
    .usage = "RESULT --manual FILE... [-o DIR] [options]\n       fnet-register evaluate --audit FILE... [-o DIR]",
    .details = "The error of a tile is the mean displacement over its area between the two transforms, in montage pixels.\n"
               "RESULT and FILE: an output folder, a table (FILE.csv:COLUMN takes the transforms from another column), a TrakEM2 "
               "project.\n"
               "Projects given are audited as well: images that were moved, tiles that were never placed, mirrored, sheared, "
               "exchanged, put over\n"
               "another section or placed twice, and where people disagree.  With --audit alone, exit status 3 says that "
               "something was found.",
    .options = options,
    .uses_config = false,
    .main = main_evaluate,
};
