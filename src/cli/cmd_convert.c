#include "src/cli/command.h"
#include "src/core/fs.h"
#include "src/pipeline/convert.h"

static const fnr_option options[] = {
    {"pixel-nm", 0, "NM", NULL, "pixel size at which the network works, when the input does not tell it"},
    {"weights-only", 0, NULL, NULL, "leave out the optimiser's state"},
    {"paper", 0, NULL, NULL, "model.p as the paper's code reads it (stream of pickles) instead of the current zip"},
    {"fold", 0, NULL, NULL, "ONNX: multiply batch norms into the convolutions"},
    {"name", 0, "TEXT", NULL, "bioimage.io: name of the model (5 to 128 letters, digits, _+-() and spaces)"},
    {"description", 0, "TEXT", NULL, "bioimage.io: one or two sentences"},
    {"author", 0, "NAME", NULL, "bioimage.io: who made the model"},
    {"license", 0, "SPDX", NULL, "bioimage.io: licence of the weights, e.g. CC-BY-4.0"},
    {0},
};

static int main_convert(fnr_run *run, const fnr_args *args, fnr_error *err)
{
    fnr_convert_job job = {0};
    if (args->n_positional != 2) {
        return fnr_usage_error(err, "convert", "expected two files, got %d argument%s", args->n_positional,
                               args->n_positional == 1 ? "" : "s");
    }
    if (!fnr_args_number(args, "pixel-nm", 0.01, 1e6, 0, &job.pixel_nm, err)) {
        return FNR_EXIT_USAGE;
    }
    job.in = args->positional[0];
    job.out = args->positional[1];
    if (fnr_same_file(job.in, job.out)) {
        return fnr_usage_error(err, "convert", "%s would be overwritten by its own conversion; give another name", job.in);
    }
    job.weights_only = fnr_args_value(args, "weights-only") != NULL;
    job.layout = fnr_args_value(args, "paper") ? FNR_CHECKPOINT_PAPER : FNR_CHECKPOINT_CURRENT;
    job.onnx.fold = fnr_args_value(args, "fold") != NULL;
    job.info = (fnr_package_info){.name = fnr_args_value(args, "name"),
                                  .description = fnr_args_value(args, "description"),
                                  .author = fnr_args_value(args, "author"),
                                  .license = fnr_args_value(args, "license")};
    return fnr_convert(run, &job, err) ? FNR_EXIT_OK : fnr_exit_of(err);
}

const fnr_command fnr_cmd_convert = {
    .name = "convert",
    .summary = "Converts models: safetensors, pytorch_fnet's model.p, ONNX, bioimage.io package.",
    .usage = "IN OUT [options]",
    .details = "The ending of OUT tells the format: .safetensors, .p (or .pt, .pth), .onnx, .zip (bioimage.io).  IN is known by "
               "its content.\n"
               "safetensors and model.p keep everything, the optimiser's state included; ONNX and packages are for using the "
               "network elsewhere.\n"
               "No code in a model.p is ever run: whatever is not a tensor, text, number or dictionary is refused.",
    .options = options,
    .uses_config = false,
    .main = main_convert,
};
