/* Training pairs from manual TrakEM2 projects: every EM patch that lies over an MBP patch of its layer becomes one pair of
 * planes at the network's pixel size, in the frame of the EM tile.  What a training makes of them stands in train_set.h. */
#ifndef FNR_PIPELINE_PAIRS_H
#define FNR_PIPELINE_PAIRS_H

#include "src/core/cancel.h"
#include "src/core/log.h"
#include "src/geom/trakem2.h"
#include "src/pipeline/config.h"
#include "src/pipeline/pair_list.h"
#include "src/pipeline/tile.h"

/* One EM tile placed over one MBP image, by one project or by the mean of several. */
typedef struct {
    char *em_path, *mbp_path; /* owned */
    int mbp_page;             /* 0-based */
    fnr_transform tile_to_if; /* TILE -> IF */
    int em_width, em_height;  /* tile as the project tells it [EM px], 0 unknown */
    int annotators;           /* projects averaged */
} fnr_placement;

typedef struct {
    fnr_placement *items;
    size_t count, capacity;
} fnr_placements;

/* Reads the projects.  A patch that cannot be used (hidden, mirrored, non-linear, no MBP under it) is left out with a warning
 * that says why; no usable patch at all is an error.  With FNR_ANNOTATORS_MEAN placements of the same tile over the same image
 * that differ by less than 5 IF px on average are averaged. */
bool fnr_placements_read(const char *const *projects, size_t n, const fnr_config *config, fnr_log *log, fnr_placements *out, fnr_error *err);
void fnr_placements_free(fnr_placements *p);

/* Does the title or the file name hold `match`?  (setting images.mbp_match) */
bool fnr_patch_is_mbp(const fnr_t2_patch *p, const char *match);
/* Does the centre of `em` fall inside `mbp`, in one layer?  *tile_to_if: EM pixel -> MBP pixel, also when it does not but lies in
 * the same layer. */
bool fnr_patch_lies_over(const fnr_t2_patch *em, const fnr_t2_patch *mbp, fnr_transform *tile_to_if);

/* One MBP image at a time: placements of one montage follow each other. */
typedef struct {
    const char *path; /* borrowed from the placement */
    int page;
    fnr_image pixels; /* float */
    double nm;
} fnr_montage_cache;
void fnr_montage_cache_free(fnr_montage_cache *cache);

/* Brings the placement's MBP image into the cache. */
bool fnr_montage_load(fnr_montage_cache *cache, const fnr_placement *p, const fnr_config *config, fnr_error *err);
/* EM tile, z-scored, at net.pixel_nm, and the MBP under it, unscaled; the montage is in the cache. */
bool fnr_placement_load(const fnr_montage_cache *cache, const fnr_placement *p, const fnr_config *config, fnr_pair_pixels *out, fnr_error *err);

#endif
