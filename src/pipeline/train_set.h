/* The images of a training, whatever they come from: manual TrakEM2 projects or lists of pairs. */
#ifndef FNR_PIPELINE_TRAIN_SET_H
#define FNR_PIPELINE_TRAIN_SET_H

#include "src/pipeline/pairs.h"

/* One image: where it comes from and what was measured when it was looked at first. */
typedef struct {
    const char *name;                /* for messages; borrowed */
    const fnr_placement *placement;  /* or ... */
    const fnr_list_row *row;         /* ... */
    bool validation;
    bool has_patch;                  /* room for a patch of valid pixels */
    int d, h, w;
    size_t group;                    /* images whose targets are scaled together */
    fnr_pair_pixels pixels;          /* scaled; empty when they are not kept in memory */
} fnr_train_item;

/* How the targets of a group become z-scores: one pair of numbers per channel. */
typedef struct {
    double n, sum, squares;
} fnr_target_sums;

typedef struct {
    const fnr_config *config; /* borrowed */
    fnr_placements placements;
    fnr_pair_list list;
    fnr_train_item *items;
    size_t count;
    int in_channels, out_channels;
    fnr_target_sums *sums;    /* group * out_channels + channel */
    size_t n_groups;
    fnr_montage_cache montage;
    fnr_train_item **train, **val; /* borrow from the items */
    size_t n_train, n_val;
    bool buffered;            /* not all pixels stay in memory ... */
    int buffer;               /* ... but those of so many images at a time */
    double if_nm;             /* pixel size of the MBP images (the first one's); 0 with lists */
    double pixel_nm;          /* pixel size of the pairs; 0 = unknown (3D) */
} fnr_train_set;

/* Finds the images: reads projects or lists, no pixels.  Projects and lists cannot be mixed; lists alone give volumes. */
bool fnr_train_set_find(const char *const *inputs, size_t n, const fnr_config *config, fnr_log *log, fnr_train_set *out, fnr_error *err);

/* Loads, resamples and normalises every image.  Unreadable ones are left out with a warning; fewer than one usable image is an
 * error.  Every k-th image (data.validation_fraction) is held back, or those that a list names.  When the images need more than
 * data.max_mb they are only measured, and loaded again when they are needed. */
bool fnr_train_set_load(fnr_train_set *s, fnr_log *log, const fnr_cancel *cancel, fnr_error *err);
void fnr_train_set_free(fnr_train_set *s);

/* The images for the loop; they borrow the set, which serves one thread at a time. */
void fnr_train_set_sources(fnr_train_set *s, fnr_pair_source *train, fnr_pair_source *val);

/* Files behind an item, at most `max`; how many there are. */
size_t fnr_train_item_files(const fnr_train_set *s, const fnr_train_item *item, const char **out, size_t max);

#endif
