#include <limits.h>

#include "src/cli/command.h"
#include "src/sim/simulate.h"

static const fnr_option options[] = {
    {"seed", 0, "N", NULL, "which case (default 1)"},
    {"rows", 0, "N", NULL, "rows of EM tiles"},
    {"cols", 0, "N", NULL, "columns of EM tiles"},
    {"tile-px", 0, "PX", NULL, "extent of a tile [EM px]"},
    {"rotation", 0, "DEG", NULL, "rotation EM -> IF; drawn near +90 or -90 otherwise"},
    {"widefield", 0, NULL, NULL, "raw wide-field MBP (halo, background, camera noise) instead of deconvolved"},
    {0},
};

static int main_simulate(fnr_run *run, const fnr_args *args, fnr_error *err)
{
    fnr_sim_options o;
    int seed;
    fnr_sim_defaults(&o);
    if (args->n_positional != 1) {
        return fnr_usage_error(err, "simulate", "expected one folder to write to");
    }
    if (!fnr_args_int(args, "seed", 0, INT_MAX, 1, &seed, err) || !fnr_args_int(args, "rows", 1, 100, o.rows, &o.rows, err) ||
        !fnr_args_int(args, "cols", 1, 100, o.cols, &o.cols, err) || !fnr_args_int(args, "tile-px", 128, 8192, o.tile_px, &o.tile_px, err) ||
        !fnr_args_number(args, "rotation", -360, 360, o.rotation_deg, &o.rotation_deg, err)) {
        return FNR_EXIT_USAGE;
    }
    o.seed = (uint64_t)seed;
    o.widefield = fnr_args_value(args, "widefield") != NULL;
    if (!fnr_simulate(args->positional[0], &o, run->cancel, err)) {
        return fnr_exit_of(err);
    }
    fnr_log_info(run->log, "wrote a synthetic section with exact truth to %s", args->positional[0]);
    return FNR_EXIT_OK;
}

const fnr_command fnr_cmd_simulate = {
    .name = "simulate",
    .summary = "Makes a synthetic section: EM tiles, MBP montage, manual projects, exact truth.",
    .usage = "DIR [--seed N] [options]",
    .details = "For demonstrations and tests: DIR gets em/*.tif, mbp.tif, manual_a.xml, manual_b.xml and truth.csv.  Everything is drawn by\n"
               "the program; nothing in it is measured tissue.",
    .options = options,
    .uses_config = false,
    .main = main_simulate,
};
