#include "src/cli/command.h"
#include "src/pipeline/info.h"

static const fnr_option options[] = {
    {"mbp-match", 0, "TEXT", "images.mbp_match", "projects: part of the title or file name that marks MBP patches"},
    {0},
};

static int main_info(fnr_run *run, const fnr_args *args, fnr_error *err)
{
    if (args->n_positional < 1) {
        return fnr_usage_error(err, "info", "expected at least one file");
    }
    for (int i = 0; i < args->n_positional; i++) {
        if (i > 0) {
            putchar('\n');
        }
        if (!fnr_info_file(&run->config, args->positional[i], stdout, err)) {
            return fnr_exit_of(err);
        }
    }
    return FNR_EXIT_OK;
}

const fnr_command fnr_cmd_info = {
    .name = "info",
    .summary = "Explains a model, an image or a TrakEM2 project.",
    .usage = "FILE...",
    .details = "Models: architecture, parameters, pixel size, receptive field, training record.  Images: size, type, pages, "
               "pixel size and where it\n"
               "comes from.  TrakEM2 projects: layers, patches, calibration, placements that can be trained on.",
    .options = options,
    .uses_config = false,
    .main = main_info,
};
