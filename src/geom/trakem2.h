/* TrakEM2 projects: reading manual registrations (TrakEM2's own malformed files and strict ones), writing results.
 * Facts: Patch.getFullCoordinateTransform: world = A . T(-box) . ct(p). */
#ifndef FNR_GEOM_TRAKEM2_H
#define FNR_GEOM_TRAKEM2_H

#include "src/core/fs.h"
#include "src/geom/transform.h"

typedef struct {
    char *title;
    char *file_path;     /* resolved against the project's folder; slice suffix removed */
    int slice;           /* N of "-----#slice=N", 0 = none */
    int o_width, o_height; /* pixel size of the file, 0 = not written */
    int type;            /* ImagePlus code, -1 unknown */
    double min, max;     /* display range */
    int layer;           /* index into layers */
    bool visible, locked;
    fnr_transform to_world; /* FNR_FRAME_ANY -> FNR_FRAME_WORLD, matrix and affine coordinate transforms composed */
    bool has_nonlinear;  /* a coordinate transform that is not affine: to_world leaves it out */
    char nonlinear_class[96];
} fnr_t2_patch;

typedef struct {
    double z, thickness;
    char *title;
} fnr_t2_layer;

typedef struct {
    char *path;   /* of the project file */
    double pixel_nm; /* t2_calibration pixelWidth in nm; 0 when absent or the unit is not a length */
    fnr_t2_layer *layers;
    size_t n_layers;
    fnr_t2_patch *patches; /* in painting order */
    size_t n_patches;
} fnr_t2_project;

/* .xml or .xml.gz; never touches the network or the DTD; at most 1 GiB. */
bool fnr_t2_read(const char *path, fnr_t2_project *out, fnr_error *err);
void fnr_t2_free(fnr_t2_project *p);

/* Writes a project that passes `xmllint --valid` with its embedded DTD and opens in TrakEM2; creates the mipmaps folder that
 * TrakEM2 expects beside it.  Patch file paths are written relative to the XML. Titles and paths are escaped.
 * Only title, z, thickness of layers and title, file_path, slice, o_width, o_height, type, min, max, layer, locked, visible and
 * to_world of patches are used; `opacity` and `stroke` per patch may be NULL (1.0, yellow). */
typedef struct {
    double opacity;
    unsigned stroke_rgb; /* 0xRRGGBB */
} fnr_t2_style;
bool fnr_t2_write(const char *path, const char *title, const fnr_t2_project *p, const fnr_t2_style *styles, fnr_error *err);

#endif
