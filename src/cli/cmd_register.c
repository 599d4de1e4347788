#include <stdio.h>

#include "src/cli/command.h"
#include "src/core/fs.h"
#include "src/pipeline/model_set.h"
#include "src/pipeline/section.h"

static const fnr_option options[] = {
    {"model", 'm', "FILE", NULL, "the trained network (.safetensors); given several times: the mean of their predictions"},
    {"output", 'o', "DIR", NULL, "folder for transforms.csv, trakem2.xml, report.html, run.json"},
    {"review", 0, "FILE", NULL, "the decisions made in report.html (review.csv): accepted tiles keep their place, rejected ones have none"},
    {"em-nm", 0, "NM", "images.em_nm", "pixel size of the EM tiles, when the files do not tell it"},
    {"if-nm", 0, "NM", "images.if_nm", "pixel size of the montage, when the file does not tell it"},
    {"if-page", 0, "N", "images.if_page", "page (channel) of the montage file that holds MBP"},
    {0},
};

/* Whoever mistypes a command's name lands here. */
static int wrong_usage(const fnr_args *args, const char *what, fnr_error *err)
{
    const char *first = args->n_positional > 0 ? args->positional[0] : NULL;
    if (first && !fnr_is_dir(first)) {
        return fnr_usage_error(err, "register", "%s (%s is neither a command nor a folder)", what, first);
    }
    return fnr_usage_error(err, "register", "%s", what);
}

static int main_job(fnr_run *run, const fnr_args *args, fnr_error *err)
{
    const char *models[FNR_MAX_MODELS], *out = fnr_args_value(args, "output");
    const size_t n_models = fnr_args_values(args, "model", models, FNR_MAX_MODELS);
    char what[128];
    if (args->n_positional != 2) {
        snprintf(what, sizeof what, "expected a folder of EM tiles and one MBP image, got %d argument%s", args->n_positional,
                 args->n_positional == 1 ? "" : "s");
        return wrong_usage(args, what, err);
    }
    if (!n_models || !out) {
        return wrong_usage(args, !n_models ? "-m MODEL is missing" : "-o OUT is missing", err);
    }
    fnr_section_summary sum;
    const fnr_section_job job = {args->positional[0], args->positional[1], models, n_models, out, fnr_args_value(args, "review")};
    if (!fnr_stage_section(run, &job, &sum, err)) {
        return fnr_exit_of(err);
    }
    if (run->dry_run) {
        return FNR_EXIT_OK;
    }
    const size_t *n = sum.count;
    const size_t all = n[FNR_REGISTERED] + n[FNR_BY_NEIGHBOURS] + n[FNR_DOUBTFUL] + n[FNR_NO_CONTENT] + n[FNR_FAILED];
    fnr_log_info(run->log, "%zu tiles: %zu registered, %zu placed by their neighbours, %zu doubtful, %zu without content, %zu failed -> %s", all,
                 n[FNR_REGISTERED], n[FNR_BY_NEIGHBOURS], n[FNR_DOUBTFUL], n[FNR_NO_CONTENT], n[FNR_FAILED], out);
    if (sum.outputs_missing) {
        fnr_fail(err, FNR_E_IO, "%s: not everything could be written; see the warnings above", out);
        return FNR_EXIT_FAILED;
    }
    if (n[FNR_FAILED] == all) {
        fnr_fail(err, FNR_E_FORMAT, "%s: no tile could be used (all reasons: %s/transforms.csv): %s", job.em_dir, out, sum.first_failure);
        return FNR_EXIT_FAILED;
    }
    return n[FNR_DOUBTFUL] + n[FNR_FAILED] ? FNR_EXIT_DOUBTFUL : FNR_EXIT_OK;
}

const fnr_command fnr_cmd_register = {
    .name = "register",
    .summary = "Registers every EM tile of a folder to an MBP montage (the default command).",
    .usage = "EM_DIR MBP.tif -m MODEL -o OUT [options]",
    .details = "Predicts MBP from each tile, finds it in the montage over all rotations, and gives every tile a transform (EM tile pixel ->\n"
               "montage pixel, pixel centres at integers) and a verdict: registered, by-neighbours (placed by the other tiles of the section),\n"
               "doubtful, no-content or failed, with the reason.\n"
               "Ctrl-C stops the run and writes what is finished; the same command continues, and computes no finished tile again.",
    .options = options,
    .uses_config = true,
    .main = main_job,
};
