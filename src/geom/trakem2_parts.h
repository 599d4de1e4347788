/* Parts of the TrakEM2 reader and writer that are of no interest outside (and to the fuzzer). */
#ifndef FNR_GEOM_TRAKEM2_PARTS_H
#define FNR_GEOM_TRAKEM2_PARTS_H

#include "src/geom/trakem2.h"

#define FNR_T2_MAX_BYTES ((size_t)1 << 30)

/* Text of a file, plain or gzip (told by its first bytes), a zero appended. Caller frees *text. */
bool fnr_t2_load(const char *path, size_t max_bytes, char **text, size_t *size, fnr_error *err);

/* What a look at the raw text tells, to compare with what the XML parser made of it. */
typedef struct {
    size_t patches; /* start tags <t2_patch */
    bool ended;     /* </trakem2> was seen */
} fnr_t2_scan;

/* TrakEM2 writes titles and paths without escaping them.  Turns a bare '&' into "&amp;" and a '<' inside an attribute into "&lt;"
 * so that the parser loses nothing; *text and *size are replaced when something had to change. */
bool fnr_t2_repair(char **text, size_t *size, fnr_t2_scan *scan, fnr_error *err);

/* A coordinate transform list as far as it is affine. */
typedef struct {
    fnr_transform affine; /* product of the affine ones, the first applied first */
    bool any;             /* there is at least one, of whatever class */
    bool has_nonlinear;
    char nonlinear_class[96]; /* the first one */
} fnr_t2_ct;

void fnr_t2_ct_reset(fnr_t2_ct *ct);
/* Appends one transform given by its Java class and data string. */
bool fnr_t2_ct_append(fnr_t2_ct *ct, const char *class_name, const char *data, fnr_error *err);
/* world = matrix . T(-box) . ct, where box is the origin of the bounding box of the transformed w x h image. */
bool fnr_t2_ct_place(const fnr_t2_ct *ct, const fnr_transform *matrix, int w, int h, fnr_transform *to_world, fnr_error *err);

/* Elements in file order; false from a callback (which has filled err) stops the parser. */
typedef struct {
    void *ctx;
    bool (*start)(void *ctx, const char *name, const char **atts, fnr_error *err); /* atts: name, value, ..., NULL; or NULL */
    bool (*end)(void *ctx, const char *name, fnr_error *err);
} fnr_t2_events;

/* What the parser complained about and forgave. */
typedef struct {
    unsigned count;
    char last[256]; /* "line 3: ..." */
} fnr_t2_faults;
/* Forgiving parse without external DTD, network or entities.  *faults starts at zero here and may be watched by the callbacks. */
bool fnr_t2_parse_xml(const char *text, size_t size, const fnr_t2_events *events, fnr_t2_faults *faults, fnr_error *err);

/* Value of an attribute or NULL. TrakEM2 ignores the case of element and attribute names. */
const char *fnr_t2_attribute(const char **atts, const char *name);
/* `otherwise` when absent or not a finite number. */
double fnr_t2_number(const char **atts, const char *name, double otherwise);
int fnr_t2_whole_number(const char **atts, const char *name, int otherwise);
bool fnr_t2_is_true(const char **atts, const char *name, bool otherwise);
/* Copies an id, which will become part of a file name: a character that is not in `allowed` gives "". */
void fnr_t2_identifier(char *out, size_t size, const char *text, const char *allowed);
/* "matrix(m00,m10,m01,m11,m02,m12)" -> ANY to WORLD; NULL is the identity. */
bool fnr_t2_matrix(const char *text, fnr_transform *out, fnr_error *err);
/* TrakEM2 writes a quote as ^#^ and never turns it back; this does. */
void fnr_t2_restore_quotes(char *text);
/* file_path attribute -> path resolved against `folder` (caller frees; "" for none) and slice number (0 = none). */
bool fnr_t2_resolve(const char *folder, const char *given, char **file_path, int *slice, fnr_error *err);

/* fnr_t2_read on text in memory (*text is replaced when it has to be repaired); `path` gives the folder of relative names. */
bool fnr_t2_read_text(char **text, size_t *size, const char *path, fnr_t2_project *out, fnr_error *err);

#endif
