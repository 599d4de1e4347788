#include "src/pipeline/config.h"

#include <stdlib.h>

#define AT(field) offsetof(fnr_config, field)

static const fnr_setting rows[] = {
    {"images.em_nm", FNR_SET_FLOAT, AT(images.em_nm), 0, 1000, "0", "nm", NULL, "Pixel size of the EM tiles; 0 takes it from the files."},
    {"images.if_nm", FNR_SET_FLOAT, AT(images.if_nm), 0, 10000, "0", "nm", NULL, "Pixel size of the MBP montage; 0 takes it from the file."},
    {"images.if_page", FNR_SET_INT, AT(images.if_page), 1, 65535, "1", "", NULL, "Page (channel) of the montage file that holds MBP, from 1."},
    {"images.mbp_match", FNR_SET_TEXT, AT(images.mbp_match), 0, 0, "mbp", "", NULL,
     "Text in the title or file name that marks the MBP patch of a manual project (any case)."},

    {"net.spatial", FNR_SET_INT, AT(net.spatial), 2, 3, "2", "", NULL, "Dimensions of a new network: 2 for images, 3 for stacks."},
    {"net.pixel_nm", FNR_SET_FLOAT, AT(net.pixel_nm), 0.1, 1000, "40", "nm", NULL, "Pixel size at which a 2D network sees the EM; a 3D one takes stacks as they are."},
    {"net.base_channels", FNR_SET_INT, AT(net.base_channels), 1, 256, "16", "", NULL, "Channels of the first level; they double at every level."},
    {"net.depth", FNR_SET_INT, AT(net.depth), 1, 6, "3", "", NULL, "Halvings of the resolution."},
    {"net.precision", FNR_SET_CHOICE, AT(net.precision), 0, 0, "float32", "", "float32 tf32 bf16 int8",
     "Numbers in which convolutions are computed; tf32 and bf16 need the device cuda, int8 predicts in 2D on the processor."},

    {"data.target_scaling", FNR_SET_CHOICE, AT(data.target_scaling), 0, 0, "montage", "", "image montage",
     "z-score MBP over each tile (as the paper) or over all registered tiles of a montage."},
    {"data.annotators", FNR_SET_CHOICE, AT(data.annotators), 0, 0, "mean", "", "each mean",
     "Tiles registered by several people: train on each version, or on their mean."},
    {"data.validation_fraction", FNR_SET_FLOAT, AT(data.validation_fraction), 0, 0.5, "0.08", "", NULL, "Share of the tiles held back for validation."},

    {"data.max_mb", FNR_SET_INT, AT(data.max_mb), 1, 1048576, "4096", "MiB", NULL,
     "Memory for training images; of more than fit, some are used at a time and exchanged in the background."},
    {"data.buffer_steps", FNR_SET_INT, AT(train.sampler.buffer_steps), 1, 1000000, "32", "steps", NULL,
     "Steps after which one of the images in memory is exchanged, when not all fit."},
    {"data.signal_channels", FNR_SET_TEXT, AT(data.signal_channels), 0, 0, "", "", NULL,
     "Lists of pairs: channels of each signal file, from 1, with commas between them; empty = all."},
    {"data.target_channels", FNR_SET_TEXT, AT(data.target_channels), 0, 0, "", "", NULL,
     "Lists of pairs: channels of each target file, from 1, with commas between them; empty = all."},

    {"train.steps", FNR_SET_INT, AT(train_plain.steps), 1, 100000000, "20000", "steps", NULL, "Optimiser steps."},
    {"train.batch", FNR_SET_INT, AT(train.sampler.batch), 1, 1024, "8", "patches", NULL, "Patches per step."},
    {"train.patch", FNR_SET_INT, AT(train_plain.patch), 16, 4096, "64", "px", NULL, "Extent of the square patches, a multiple of 2^depth."},
    {"train.patch_z", FNR_SET_INT, AT(train_plain.patch_z), 2, 4096, "32", "px", NULL, "3D: planes of a patch, a multiple of 2^depth."},
    {"train.seed", FNR_SET_INT, AT(train_plain.seed), 0, 2147483647, "1", "", NULL, "Seed of the initial weights and of the patches."},
    {"train.lr", FNR_SET_FLOAT, AT(train.adam.lr), 1e-8, 1, "0.001", "", NULL, "Adam's learning rate."},
    {"train.beta1", FNR_SET_FLOAT, AT(train.adam.beta1), 0, 0.99999, "0.5", "", NULL, "Adam's first decay."},
    {"train.beta2", FNR_SET_FLOAT, AT(train.adam.beta2), 0, 0.9999999, "0.999", "", NULL, "Adam's second decay."},
    {"train.lr_schedule", FNR_SET_CHOICE, AT(train.lr_schedule), 0, 0, "cosine", "", "constant cosine step", "Learning rate over time."},
    {"train.lr_warmup", FNR_SET_INT, AT(train_plain.warmup), 0, 1000000, "0", "steps", NULL, "Steps of linear warm-up."},
    {"train.lr_final", FNR_SET_FLOAT, AT(train.lr_final), 0, 1, "0.01", "", NULL,
     "Learning rate at the end as a fraction (cosine), or the factor applied at 60 % and 85 % of the steps (step)."},
    {"train.channel_weights", FNR_SET_TEXT, AT(train_plain.channel_weights), 0, 0, "", "", NULL,
     "Weights of the target channels in the loss, with commas between them; empty = all equal."},
    {"train.validate_every", FNR_SET_INT, AT(train_plain.validate_every), 0, 10000000, "500", "steps", NULL, "Steps between validations; 0 = never."},
    {"train.patience", FNR_SET_INT, AT(train_plain.patience), 0, 1000000, "0", "validations", NULL,
     "End early after this many validations without a better validation r; 0 = never."},
    {"train.checkpoint_s", FNR_SET_FLOAT, AT(train.checkpoint_every_s), 0, 60, "30", "s", NULL, "Seconds between writes of the last state."},
    {"train.flip", FNR_SET_BOOL, AT(train.sampler.flip), 0, 0, "true", "", NULL, "Mirror patches at random."},
    {"train.turn", FNR_SET_BOOL, AT(train.sampler.turn), 0, 0, "true", "", NULL, "Turn patches by random quarter turns."},
    {"train.scale_jitter", FNR_SET_FLOAT, AT(train.sampler.scale_jitter), 0, 1, "0", "", NULL,
     "Random size change by up to this fraction, with random rotation; 0 = off."},
    {"train.gain_jitter", FNR_SET_FLOAT, AT(train.sampler.gain_jitter), 0, 4, "0.25", "", NULL, "Random EM contrast change, up to a factor of 1 + this."},
    {"train.offset_jitter", FNR_SET_FLOAT, AT(train.sampler.offset_jitter), 0, 4, "0.25", "sd", NULL, "Random EM brightness change."},
    {"train.gamma_jitter", FNR_SET_FLOAT, AT(train.sampler.gamma_jitter), 0, 1, "0", "", NULL, "Random EM contrast curve."},
    {"train.noise", FNR_SET_FLOAT, AT(train.sampler.noise_sd), 0, 4, "0.1", "sd", NULL, "White noise added to the EM, up to this level."},
    {"train.blur", FNR_SET_FLOAT, AT(train.sampler.blur_px), 0, 8, "0", "px", NULL, "Gaussian blur of the EM, sigma up to this."},
    {"train.foreground", FNR_SET_FLOAT, AT(train.sampler.foreground), 0, 1, "0", "", NULL,
     "Probability that a patch is centred on a bright pixel of the target, where its image has one; 0 = off."},
    {"train.foreground_quantile", FNR_SET_FLOAT, AT(train.sampler.foreground_quantile), 0, 0.9999, "0", "", NULL,
     "What is bright: above this quantile of the image's target; 0 = above Otsu's threshold."},

    {"predict.tile", FNR_SET_INT, AT(predict.tile), 0, 65536, "0", "px", NULL, "Extent of a prediction tile; 0 chooses the fastest that compute.max_mb allows. Others change no bit, and small ones take many times as long."},
    {"predict.tta", FNR_SET_CHOICE, AT(predict.tta), 0, 0, "none", "", "none flips all",
     "Mean over several sides: as it is, mirrored (4 in 2D, 8 in 3D), or all symmetries of the square (8 and 16)."},

    {"register.channel", FNR_SET_INT, AT(reg_channel), 1, 1024, "1", "", NULL,
     "Output channel of the network that is registered to the montage, from 1."},
    {"register.scale_min", FNR_SET_FLOAT, AT(reg.scale_min), 0.2, 1.5, "0.92", "", NULL, "Smallest scale searched, relative to nominal."},
    {"register.scale_max", FNR_SET_FLOAT, AT(reg.scale_max), 0.5, 5, "1.03", "", NULL, "Largest scale searched, relative to nominal."},
    {"register.rotation_min", FNR_SET_FLOAT, AT(reg.rotation_min_deg), -180, 180, "-180", "deg", NULL, "Start of the rotations searched."},
    {"register.rotation_max", FNR_SET_FLOAT, AT(reg.rotation_max_deg), -180, 180, "180", "deg", NULL, "End of the rotations searched."},
    {"register.content_level", FNR_SET_FLOAT, AT(reg.content_level), 0.01, 0.99, "0.5", "", NULL,
     "A pixel counts as content above this fraction of the prediction's maximum."},
    {"register.content_fraction", FNR_SET_FLOAT, AT(reg.content_fraction), 0, 1, "0.01", "", NULL, "A tile needs more than this fraction of such pixels."},
    {"register.candidates", FNR_SET_INT, AT(reg.candidates), 1, FNR_MAX_CANDIDATES, "8", "", NULL, "Coarse peaks that are refined."},
    {"register.min_score", FNR_SET_FLOAT, AT(reg.min_score), 0, 1, "0.5", "", NULL, "Below this final correlation a tile is doubtful."},
    {"register.min_peak_ratio", FNR_SET_FLOAT, AT(reg.min_peak_ratio), 1, 10, "1.1", "", NULL,
     "Below this ratio of the best to the second distinct candidate a tile is doubtful."},
    {"register.max_flow", FNR_SET_FLOAT, AT(reg.max_flow_px), 0.5, 50, "5", "IF px", NULL, "Largest residual displacement considered."},
    {"register.content_contrast", FNR_SET_FLOAT, AT(reg.content_contrast), 0, 100, "0.5", "sd", NULL,
     "A tile's brightest structures must rise this far above its background; 0 takes anything."},
    {"register.min_overlap", FNR_SET_FLOAT, AT(reg.min_overlap), 0.05, 1, "0.5", "", NULL, "Fraction of a tile that must lie on the montage."},
    {"register.min_flow_inliers", FNR_SET_FLOAT, AT(reg.min_flow_inliers), 0.01, 1, "0.6", "", NULL,
     "Below this share of residual flow that agrees with the fit a tile is doubtful."},
    {"register.max_expected_error", FNR_SET_FLOAT, AT(reg.max_expected_error_px), 0.01, 100, "1.5", "IF px", NULL,
     "A tile whose content fixes its place less well than this is doubtful."},
    {"register.min_probability", FNR_SET_FLOAT, AT(reg.min_probability), 0, 1, "0.5", "", NULL,
     "A tile that is right within 1 px with a smaller probability is doubtful; 0 asks for none."},
    {"register.compression_knee", FNR_SET_FLOAT, AT(reg.compression_knee), 0.01, 100, "0.3", "", NULL,
     "Intensities x are compared as x / (x + knee * typical sheath): sheaths differ in brightness."},
    {"register.invert", FNR_SET_BOOL, AT(reg.invert), 0, 0, "false", "", NULL, "Myelin is dark in the montage."},
    {"register.model", FNR_SET_CHOICE, AT(reg.model), 0, 0, "similarity", "", "rigid similarity affine", "Kind of the final transform."},

    {"consensus.enabled", FNR_SET_BOOL, AT(consensus.enabled), 0, 0, "true", "", NULL,
     "Stitch overlapping tiles by their EM and let them help each other."},
    {"consensus.tolerance", FNR_SET_FLOAT, AT(consensus.tolerance_px), 0.5, 100, "4", "IF px", NULL,
     "Tiles agree when they lie within this distance of where the others put them."},
    {"consensus.max_rival", FNR_SET_FLOAT, AT(consensus.max_rival), 0, 1, "0.5", "", NULL,
     "Above this support of a second place, relative to the first, a section is ambiguous and its tiles doubtful."},
    {"consensus.min_score", FNR_SET_FLOAT, AT(consensus.min_score), 0, 1, "0.4", "", NULL,
     "A place found only with the help of the section needs this correlation."},

    {"compute.threads", FNR_SET_INT, AT(compute.threads), 0, 1024, "0", "", NULL, "Threads; 0 uses all processors."},
    {"compute.max_mb", FNR_SET_INT, AT(compute.max_mb), 0, 1048576, "0", "MiB", NULL,
     "Memory for network activations in prediction; 0 = half of what there is, or less when that is enough; on a GPU 1024."},
    {"compute.device", FNR_SET_TEXT, AT(compute.device), 0, 0, "auto", "", NULL, "What runs the network: auto, cuda, cpu, onednn or ref."},
    {"compute.gpus", FNR_SET_INT, AT(compute.gpus), 1, 64, "1", "", NULL, "Device cuda: GPUs that work together."},
    {"compute.winograd_train", FNR_SET_BOOL, AT(compute.winograd_train), 0, 0, "true", "", NULL,
     "Winograd convolutions in training (faster, relative error below 1e-5).  Without, 3D training on AVX2 takes minutes per step."},

    {"report.picture_px", FNR_SET_INT, AT(report.picture_px), 64, 2048, "360", "px", NULL, "Longer side of a tile's pictures in the report."},
};

const fnr_settings_table fnr_config_table = {rows, sizeof rows / sizeof *rows};

bool fnr_config_load(fnr_config *c, const char *path, fnr_error *err)
{
    *c = (fnr_config){0};
    return fnr_settings_defaults(&fnr_config_table, c, err) && (!path || fnr_settings_read_ini(&fnr_config_table, c, path, err));
}

static bool check(const fnr_config *c, fnr_error *err)
{
    const int grid = 1 << c->net.depth;
    if (c->train_plain.patch % grid) {
        return fnr_fail(err, FNR_E_USAGE, "train.patch = %d is not a multiple of 2^net.depth = %d", c->train_plain.patch, grid);
    }
    if (c->net.spatial == 3 && c->train_plain.patch_z % grid) {
        return fnr_fail(err, FNR_E_USAGE, "train.patch_z = %d is not a multiple of 2^net.depth = %d", c->train_plain.patch_z, grid);
    }
    if (c->predict.tile % grid) {
        return fnr_fail(err, FNR_E_USAGE, "predict.tile = %d is not a multiple of 2^net.depth = %d", c->predict.tile, grid);
    }
    if (c->reg.scale_min >= c->reg.scale_max) {
        return fnr_fail(err, FNR_E_USAGE, "register.scale_min = %g is not below register.scale_max = %g", c->reg.scale_min, c->reg.scale_max);
    }
    if (c->reg.rotation_min_deg >= c->reg.rotation_max_deg) {
        return fnr_fail(err, FNR_E_USAGE, "register.rotation_min = %g is not below register.rotation_max = %g", c->reg.rotation_min_deg,
                        c->reg.rotation_max_deg);
    }
    return true;
}

static bool read_weights(fnr_config *c, fnr_error *err)
{
    const char *text = c->train_plain.channel_weights, *at = text;
    double sum = 0;
    int n = 0;
    while (*at) {
        char *end;
        const double v = strtod(at, &end);
        if (end == at || (*end && *end != ',') || !(v >= 0 && v <= 1e6) || n == FNR_TRAIN_MAX_WEIGHTS) {
            return fnr_fail(err, FNR_E_USAGE, "train.channel_weights = %s: write numbers that are not negative, with commas between them", text);
        }
        c->train.channel_weights[n++] = v;
        sum += v;
        at = *end ? end + 1 : end;
    }
    c->train.n_channel_weights = n;
    return n == 0 || sum > 0 || fnr_fail(err, FNR_E_USAGE, "train.channel_weights = %s: one of them must be above zero", text);
}

bool fnr_config_finish(fnr_config *c, fnr_error *err)
{
    if (!check(c, err) || !read_weights(c, err)) {
        return false;
    }
    c->train.steps = c->train_plain.steps;
    c->train.validate_every = c->train_plain.validate_every;
    c->train.patience = c->train_plain.patience;
    c->train.lr_warmup = c->train_plain.warmup;
    c->train.adam.eps = 1e-8; /* PyTorch's default, which the paper's code keeps */
    c->train.sampler.patch_d = c->net.spatial == 3 ? c->train_plain.patch_z : 1;
    c->train.sampler.patch_h = c->train.sampler.patch_w = c->train_plain.patch;
    c->train.sampler.seed = (uint64_t)c->train_plain.seed;
    return true;
}
