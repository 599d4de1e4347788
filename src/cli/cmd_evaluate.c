#include <stdio.h>

#include "src/cli/command.h"
#include "src/core/fs.h"
#include "src/pipeline/evaluate.h"

static const fnr_option options[] = {
    {"truth", 0, "FILE", NULL, "known transforms: truth.csv (columns tile, transform) or a TrakEM2 project"},
    {"min-myelin", 0, "F", NULL, "count only tiles whose myelin_fraction is above F (where the truth tells it)"},
    {"success-px", 0, "PX", NULL, "a tile counts as found within this error (default 5)"},
    {"tile-px", 0, "PX", NULL, "extent of the tiles, when neither file tells it"},
    {"if-nm", 0, "NM", NULL, "pixel size of the montage, to print nm as well"},
    {0},
};

static int main_evaluate(fnr_run *run, const fnr_args *args, fnr_error *err)
{
    const char *truth_path = fnr_args_value(args, "truth");
    double tile_px;
    fnr_eval_options o = {.success_px = 5};
    fnr_eval_set result = {0}, truth = {0};
    fnr_eval_summary summary;
    char path[FNR_PATH_MAX];
    if (args->n_positional != 1) {
        return fnr_usage_error(err, "evaluate", "expected one result: an output folder, a transforms.csv or a TrakEM2 project");
    }
    if (!truth_path) {
        return fnr_usage_error(err, "evaluate", "--truth FILE is missing");
    }
    if (!fnr_args_number(args, "min-myelin", 0, 1, 0, &o.min_myelin, err) || !fnr_args_number(args, "success-px", 0, 1e6, 5, &o.success_px, err) ||
        !fnr_args_number(args, "tile-px", 1, 1e6, 0, &tile_px, err) || !fnr_args_number(args, "if-nm", 0, 1e5, 0, &o.if_nm, err)) {
        return FNR_EXIT_USAGE;
    }
    o.tile_px = (int)tile_px;
    snprintf(path, sizeof path, "%s", args->positional[0]);
    const bool ok = (!fnr_is_dir(path) || fnr_path_join(path, args->positional[0], "transforms.csv", err)) &&
                    fnr_eval_read(path, run->config.images.mbp_match, &result, err) &&
                    fnr_eval_read(truth_path, run->config.images.mbp_match, &truth, err) && fnr_evaluate(&result, &truth, &o, stdout, &summary, err);
    fnr_eval_free(&result);
    fnr_eval_free(&truth);
    return ok ? FNR_EXIT_OK : fnr_exit_of(err);
}

const fnr_command fnr_cmd_evaluate = {
    .name = "evaluate",
    .summary = "Compares a result with known transforms.",
    .usage = "RESULT --truth FILE [options]",
    .details = "The error of a tile is the mean displacement over its area between the two transforms, in montage pixels.",
    .options = options,
    .uses_config = false,
    .main = main_evaluate,
};
