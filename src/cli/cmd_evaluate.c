#include <stdio.h>
#include <string.h>

#include "src/cli/command.h"
#include "src/core/fs.h"
#include "src/pipeline/evaluate.h"

static const fnr_option options[] = {
    {"truth", 0, "FILE", NULL, "known transforms: a table (columns tile, transform) or a TrakEM2 project; may be given several times"},
    {"manual", 0, "FILE", NULL, "the same: one annotator's project; two or more show how far people differ from each other"},
    {"tile-column", 0, "NAME", NULL, "column that identifies tiles in tables (default: tile, the file name in it)"},
    {"min-myelin", 0, "F", NULL, "count only tiles whose myelin_fraction is above F (where the truth tells it)"},
    {"success-px", 0, "PX", NULL, "a tile counts as found within this error (default 5)"},
    {"tile-px", 0, "PX", NULL, "extent of the tiles, when neither file tells it"},
    {"if-nm", 0, "NM", NULL, "pixel size of the montage, to print nm as well"},
    {0},
};

enum { MAX_TRUTHS = 8 };

typedef struct {
    fnr_eval_set result, truths[MAX_TRUTHS];
    const char *names[MAX_TRUTHS];
    int n_truths;
} inputs;

static bool is_truth(const fnr_option *o)
{
    return !strcmp(o->name, "truth") || !strcmp(o->name, "manual");
}

static bool read_inputs(const fnr_run *run, const fnr_args *args, inputs *in, fnr_error *err)
{
    const char *match = run->config.images.mbp_match, *tile_column = fnr_args_value(args, "tile-column");
    char path[FNR_PATH_MAX];
    snprintf(path, sizeof path, "%s", args->positional[0]);
    if ((fnr_is_dir(path) && !fnr_path_join(path, args->positional[0], "transforms.csv", err)) ||
        !fnr_eval_read(path, match, tile_column, &in->result, err)) {
        return false;
    }
    for (size_t i = 0; i < args->n_given; i++) {
        if (!is_truth(args->given[i].option)) {
            continue;
        }
        if (in->n_truths == MAX_TRUTHS) {
            return fnr_fail(err, FNR_E_USAGE, "more than %d files with known transforms", MAX_TRUTHS);
        }
        if (!fnr_eval_read(args->given[i].value, match, tile_column, &in->truths[in->n_truths], err)) {
            return false;
        }
        in->names[in->n_truths++] = args->given[i].value;
    }
    return true;
}

/* The result against everyone, then everyone against each other. */
static bool compare(const inputs *in, const fnr_eval_options *o, fnr_error *err)
{
    fnr_eval_summary summary;
    for (int i = 0; i < in->n_truths; i++) {
        if (in->n_truths > 1) {
            printf("%s== against %s\n", i ? "\n" : "", in->names[i]);
        }
        if (!fnr_evaluate(&in->result, &in->truths[i], o, stdout, &summary, err)) {
            return false;
        }
    }
    for (int i = 0; i < in->n_truths; i++) {
        for (int k = i + 1; k < in->n_truths; k++) {
            printf("\n== %s against %s\n", in->names[i], in->names[k]);
            if (!fnr_evaluate(&in->truths[i], &in->truths[k], o, stdout, &summary, err)) {
                return false;
            }
        }
    }
    return true;
}

static int main_evaluate(fnr_run *run, const fnr_args *args, fnr_error *err)
{
    fnr_eval_options o = {.success_px = 5};
    inputs in = {0};
    if (args->n_positional != 1) {
        return fnr_usage_error(err, "evaluate", "expected one result: an output folder, a transforms.csv or a TrakEM2 project");
    }
    if (!fnr_args_value(args, "truth") && !fnr_args_value(args, "manual")) {
        return fnr_usage_error(err, "evaluate", "--truth FILE or --manual FILE is missing");
    }
    if (!fnr_args_number(args, "min-myelin", 0, 1, 0, &o.min_myelin, err) || !fnr_args_number(args, "success-px", 0, 1e6, 5, &o.success_px, err) ||
        !fnr_args_int(args, "tile-px", 1, 1000000, 0, &o.tile_px, err) || !fnr_args_number(args, "if-nm", 0, 1e5, 0, &o.if_nm, err)) {
        return FNR_EXIT_USAGE;
    }
    const bool ok = read_inputs(run, args, &in, err) && compare(&in, &o, err);
    fnr_eval_free(&in.result);
    for (int i = 0; i < in.n_truths; i++) {
        fnr_eval_free(&in.truths[i]);
    }
    return ok ? FNR_EXIT_OK : fnr_exit_of(err);
}

const fnr_command fnr_cmd_evaluate = {
    .name = "evaluate",
    .summary = "Compares a result with known transforms.",
    .usage = "RESULT --truth FILE... [options]",
    .details = "The error of a tile is the mean displacement over its area between the two transforms, in montage pixels.\n"
               "RESULT and FILE: an output folder, a table (FILE.csv:COLUMN takes the transforms from another column), a TrakEM2 project.",
    .options = options,
    .uses_config = false,
    .main = main_evaluate,
};
