/* TrakEM2 projects: reading manual registrations (TrakEM2's own malformed files and strict ones), writing results.
 * Facts: Patch.getFullCoordinateTransform: world = A . T(-box) . ct(p). */
#ifndef FNR_GEOM_TRAKEM2_H
#define FNR_GEOM_TRAKEM2_H

#include "src/core/fs.h"
#include "src/geom/transform.h"

typedef struct {
    char *title;           /* UTF-8; the file's name where the project has none */
    char *file_path;       /* resolved against the project's folder; slice suffix removed; "" when the project names no file */
    int slice;             /* N of "-----#slice=N", 0 = none */
    int o_width, o_height; /* pixel size of the file, 0 = not written */
    int type;              /* ImagePlus code: 0 8-bit, 1 16-bit, 2 float, 3 palette, 4 RGB; -1 unknown */
    double min, max;       /* display range; both 0 when not written */
    int layer;             /* index into layers */
    bool visible, locked;
    fnr_transform
        to_world;       /* FNR_FRAME_ANY -> FNR_FRAME_WORLD, matrix and affine coordinate transforms composed; may be singular */
    bool has_nonlinear; /* a coordinate transform that is not affine: to_world leaves it out and is only about right */
    char nonlinear_class[96]; /* its Java class */
} fnr_t2_patch;

typedef struct {
    double z, thickness; /* in world pixels */
    char *title;
} fnr_t2_layer;

typedef struct {
    char *path;           /* of the project file */
    double pixel_nm;      /* t2_calibration pixelWidth in nm; 0 when absent or the unit is not a length */
    fnr_t2_layer *layers; /* in the order of the file */
    size_t n_layers;
    fnr_t2_patch *patches; /* in painting order */
    size_t n_patches;
} fnr_t2_project;

/* .xml or .xml.gz (told by content); never touches the network or the DTD; at most 1 GiB.  Reads also the .ct files of patches
 * whose coordinate transforms stand outside.  Patches of nested layer sets are left out.  Forgives what TrakEM2 forgets to
 * escape, but a project of which anything could be lost (cut short, damaged patch, missing .ct file) is refused, as is one that
 * declares entities.  *out is set on success only. */
bool fnr_t2_read(const char *path, fnr_t2_project *out, fnr_error *err);
void fnr_t2_free(fnr_t2_project *p);

/* Writes a project that passes `xmllint --valid` with its embedded DTD and opens in TrakEM2; creates the mipmaps folder that
 * TrakEM2 expects beside it.  Patch file paths are written relative to the XML. Titles and paths are escaped; "null" in a title
 * becomes "n_ll", because TrakEM2 drops titles that contain it.
 * Only title, z, thickness of layers and title, file_path, slice, o_width, o_height, type, min, max, layer, locked, visible and
 * to_world of patches are used, and all of these but the titles and `slice` must be set; `styles` (one per patch) may be NULL
 * (opaque, yellow). */
typedef struct {
    double opacity;
    unsigned stroke_rgb; /* 0xRRGGBB */
} fnr_t2_style;
bool fnr_t2_write(const char *path, const char *title, const fnr_t2_project *p, const fnr_t2_style *styles, fnr_error *err);

#endif
