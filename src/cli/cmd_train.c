#include "src/cli/command.h"
#include "src/core/fs.h"
#include "src/pipeline/stage_train.h"

static const fnr_option options[] = {
    {"output", 'o', "FILE", NULL, "model to write (.safetensors); the last state and the loss curve go beside it"},
    {"resume", 'r', NULL, NULL, "continue an interrupted training, bit for bit"},
    {"force", 0, NULL, NULL, "replace an earlier training of the same name"},
    {"em-nm", 0, "NM", "images.em_nm", "pixel size of the EM tiles, when the files do not tell it"},
    {"if-nm", 0, "NM", "images.if_nm", "pixel size of the MBP images, when the files do not tell it"},
    {"target-channel", 0, "LIST", "data.target_channels", "lists of pairs: channels of the target files, from 1 (1,3); all when not given"},
    {"steps", 0, "N", "train.steps", "optimiser steps"},
    {"seed", 0, "N", "train.seed", "seed of weights and patches"},
    {0},
};

static int main_job(fnr_run *run, const fnr_args *args, fnr_error *err)
{
    const char *model = fnr_args_value(args, "output");
    if (args->n_positional < 1) {
        return fnr_usage_error(err, "train", "expected at least one TrakEM2 project with manual registrations, or a list of pairs (.csv)");
    }
    if (!model) {
        return fnr_usage_error(err, "train", "-o MODEL is missing");
    }
    if (fnr_is_dir(model)) {
        return fnr_usage_error(err, "train", "-o %s is a folder; give the name of the model's file, e.g. %s/model.safetensors", model, model);
    }
    if (fnr_args_value(args, "resume") && fnr_args_value(args, "force")) {
        return fnr_usage_error(err, "train", "--resume goes on, --force begins anew: give one of them");
    }
    const fnr_train_job job = {.projects = args->positional, .n_projects = (size_t)args->n_positional, .model_path = model,
                               .resume = fnr_args_value(args, "resume") != NULL, .force = fnr_args_value(args, "force") != NULL};
    return fnr_stage_train(run, &job, err) ? FNR_EXIT_OK : fnr_exit_of(err);
}

const fnr_command fnr_cmd_train = {
    .name = "train",
    .summary = "Trains the network on tiles registered by hand in TrakEM2.",
    .usage = "PROJECT.xml... | LIST.csv... -o MODEL [-c CONFIG] [options]",
    .details = "In each project, EM patches placed over an MBP patch of the same layer become training pairs.  configs/em-mbp-fast.ini trains in\n"
               "under half an hour on two cores; configs/em-mbp-paper.ini is the recipe of the paper.  Ctrl-C stops cleanly; --resume continues.\n"
               "A list holds one pair of images that lie on each other per row: signal,target[,target2...][,set]; several columns, or pages of a\n"
               "file, become channels.  With net.spatial = 3 the files are stacks.",
    .options = options,
    .uses_config = true,
    .main = main_job,
};
