#include <string.h>

#include "src/cli/command.h"
#include "src/pipeline/model_set.h"
#include "src/pipeline/predict_file.h"

static const fnr_option options[] = {
    {"model", 'm', "FILE", NULL, "the trained network (.safetensors); given several times: the mean of their predictions"},
    {"output", 'o', "PATH", NULL, "a .tif file for one input, else a folder"},
    {"tta", 0, "SIDES", "predict.tta", "mean over several sides: none, flips or all"},
    {"type", 0, "TYPE", NULL, "float32 (default) or uint16: (value + 4) * 2048, value in sd of the training MBP"},
    {"em-nm", 0, "NM", "images.em_nm", "pixel size of the inputs, when the files do not tell it"},
    {"max-mb", 0, "MIB", "compute.max_mb", "memory for network activations; 0 = half of what there is, or less"},
    {"tile", 0, "PX", "predict.tile", "extent of a prediction tile; the result does not depend on it"},
    {0},
};

static int main_predict(fnr_run *run, const fnr_args *args, fnr_error *err)
{
    const char *models[FNR_MAX_MODELS], *out = fnr_args_value(args, "output"), *type = fnr_args_value(args, "type");
    const size_t n_models = fnr_args_values(args, "model", models, FNR_MAX_MODELS);
    size_t failed;
    if (args->n_positional < 1) {
        return fnr_usage_error(err, "predict", "expected at least one EM image");
    }
    if (!n_models || !out) {
        return fnr_usage_error(err, "predict", "%s is missing", !n_models ? "-m MODEL" : "-o OUT");
    }
    if (type && strcmp(type, "float32") && strcmp(type, "uint16")) {
        return fnr_usage_error(err, "predict", "--type %s: write float32 or uint16", type);
    }
    const fnr_predict_job job = {.models = models, .n_models = n_models, .inputs = args->positional, .n_inputs = (size_t)args->n_positional, .output = out,
                                 .as_u16 = type && !strcmp(type, "uint16")};
    if (!fnr_stage_predict(run, &job, &failed, err)) {
        return fnr_exit_of(err);
    }
    if (failed) {
        fnr_fail(err, FNR_E_IO, "%zu of %zu images could not be predicted", failed, job.n_inputs);
        return FNR_EXIT_FAILED;
    }
    return FNR_EXIT_OK;
}

const fnr_command fnr_cmd_predict = {
    .name = "predict",
    .summary = "Predicts MBP from EM images of any size.",
    .usage = "-m MODEL IN.tif... -o OUT [options]",
    .details = "The output has the network's pixel size.  Large images are worked on in tiles with a halo, and memory stays within\n"
               "compute.max_mb.  The result is the same for every tile size and number of threads, and for every compute.max_mb that\n"
               "holds the image or, in 2D, 1300 MiB; with less memory its last digits differ (5e-6; int8 as much as it errs anyway).  A\n"
               "network with several output channels writes one file for each (NAME.c1.tif, NAME.c2.tif, ...); one with several input\n"
               "channels takes them from the pages of the input.  A 3D network takes stacks of pages and writes stacks.",
    .options = options,
    .uses_config = true,
    .main = main_predict,
};
