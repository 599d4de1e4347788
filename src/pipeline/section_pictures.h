/* What the report shows of a tile, cut from the section's images. */
#ifndef FNR_PIPELINE_SECTION_PICTURES_H
#define FNR_PIPELINE_SECTION_PICTURES_H

#include "src/pipeline/report.h"
#include "src/pipeline/section.h"

enum { FNR_ARROWS_MAX = 256 };

typedef struct {
    fnr_em_tile em;            /* as fine as the report shows it */
    fnr_image prediction, mbp; /* in the tile's frame */
    fnr_image around, placed;  /* in the montage's frame */
    fnr_report_candidate candidates[FNR_MAX_CANDIDATES];
    size_t n_candidates;
    fnr_report_arrow arrows[FNR_ARROWS_MAX];
    size_t n_arrows;
    double if_px_wide;
} fnr_section_pictures;

/* Fills *p with what is to be had (a picture that cannot be made is left empty), and points `out` at it. */
void fnr_section_pictures_make(const fnr_section *s, const fnr_section_tile *t, fnr_section_pictures *p,
                               fnr_report_tile *out);
void fnr_section_pictures_free(fnr_section_pictures *p);

#endif
