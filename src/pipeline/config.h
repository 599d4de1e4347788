/* Every setting of the program in one struct, described by one table (config.c). */
#ifndef FNR_PIPELINE_CONFIG_H
#define FNR_PIPELINE_CONFIG_H

#include "net/predict.h"
#include "net/train.h"
#include "register/register.h"
#include "src/core/settings.h"

typedef enum { FNR_TARGET_ZSCORE_IMAGE, FNR_TARGET_ZSCORE_MONTAGE } fnr_target_scaling;
typedef enum { FNR_ANNOTATORS_EACH, FNR_ANNOTATORS_MEAN } fnr_annotators;

typedef struct {
    struct {
        double em_nm, if_nm; /* 0 = from the files */
        int if_page;         /* 1-based page of the MBP file */
        char mbp_match[FNR_SET_TEXT_MAX]; /* part of the title or file name that marks the MBP patch of a manual project */
    } images;
    struct {
        int spatial; /* 2 or 3 */
        double pixel_nm;
        int base_channels, depth;
        int precision; /* fnr_precision */
    } net;
    struct {
        int target_scaling; /* fnr_target_scaling */
        int annotators;     /* fnr_annotators */
        double validation_fraction;
        int max_mb; /* for training images */
        char signal_channels[FNR_SET_TEXT_MAX], target_channels[FNR_SET_TEXT_MAX]; /* "1,3"; "" = all */
    } data;
    struct { /* plain values of the table that fnr_config_finish copies into `train` */
        int steps, patch, patch_z, seed, validate_every, patience, warmup;
        char channel_weights[FNR_SET_TEXT_MAX]; /* "1,0.5"; "" = all equal */
    } train_plain;
    fnr_train_options train;
    struct {
        int tile; /* 0 = chosen by compute.max_mb */
        int tta;  /* fnr_tta */
    } predict;
    fnr_register_options reg;
    int reg_channel; /* of the prediction, from 1: the one that is registered to the montage */
    struct {
        bool enabled;
        double tolerance_px, min_score, max_rival;
    } consensus;
    struct {
        int threads;
        int max_mb;
        int gpus; /* cuda: how many */
        char device[FNR_SET_TEXT_MAX];
        bool winograd_train; /* Winograd convolutions in training */
    } compute;
    struct {
        int picture_px; /* longer side of a tile's picture in the report */
    } report;
} fnr_config;

extern const fnr_settings_table fnr_config_table;

/* Defaults, then `path` unless NULL. */
bool fnr_config_load(fnr_config *c, const char *path, fnr_error *err);
/* Copies the table's plain values into the option structs that other modules take, and checks what spans several settings. */
bool fnr_config_finish(fnr_config *c, fnr_error *err);

#endif
