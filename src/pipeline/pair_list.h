/* Training pairs as a table: one row per image, files that lie on each other pixel by pixel.
 *
 *   signal,target[,target2,...][,set]          (pytorch_fnet's path_signal, path_target are understood too)
 *
 * Several signal or target columns, and several channels in a file, become channels of the network.  Paths are relative to the
 * table.  `set` holds "train" or "validation"; without it every k-th row is held back. */
#ifndef FNR_PIPELINE_PAIR_LIST_H
#define FNR_PIPELINE_PAIR_LIST_H

#include "net/sampler.h"
#include "src/pipeline/config.h"

enum { FNR_LIST_MAX_FILES = 32 }; /* signals and targets of one row, each */

typedef struct {
    char *signals[FNR_LIST_MAX_FILES], *targets[FNR_LIST_MAX_FILES]; /* owned */
    bool validation;
} fnr_list_row;

typedef struct {
    fnr_list_row *rows;
    size_t count;
    int n_signals, n_targets; /* columns */
    bool has_sets;            /* `set` is given */
} fnr_pair_list;

bool fnr_is_pair_list(const char *path); /* by its ending, .csv */

/* Tables are appended in order; they must have the same columns. */
bool fnr_pair_list_read(const char *const *paths, size_t n, fnr_pair_list *out, fnr_error *err);
void fnr_pair_list_free(fnr_pair_list *l);

/* Owned pixels of one pair: signal z-scored channel by channel, target as in the file. */
typedef struct {
    int d, h, w, in_channels, out_channels;
    double nm;        /* pixel size of the arrays, 0 = unknown (3D only) */
    float *signal;    /* in_channels * d * h * w */
    float *target;    /* out_channels * d * h * w */
    uint8_t *valid;   /* h * w; NULL = everywhere */
} fnr_pair_pixels;
void fnr_pair_pixels_free(fnr_pair_pixels *p);

/* Reads one row: in 2D resampled to net.pixel_nm, in 3D as it is.  data.signal_channels and data.target_channels choose among the
 * channels of each file. */
bool fnr_list_row_load(const fnr_pair_list *l, const fnr_list_row *row, const fnr_config *config, fnr_pair_pixels *out, fnr_error *err);

#endif
