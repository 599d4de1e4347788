/* Patches -> a TrakEM2 project that is valid against the DTD it carries. */
#include "src/geom/trakem2_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "src/core/hash.h"
#include "src/core/mem.h"
#include "src/core/text.h"

/* Stricter than TrakEM2's own, which its files do not satisfy.  TrakEM2 reads it line by line: one whole declaration per line,
 * one attribute per ATTLIST, "[" ends a line, "]" begins one. */
static const char dtd[] = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n"
                          "<!DOCTYPE trakem2 [\n"
                          "\t<!ELEMENT trakem2 (project,t2_layer_set)>\n"
                          "\t<!ELEMENT project (anything)>\n"
                          "\t<!ATTLIST project id NMTOKEN #REQUIRED>\n"
                          "\t<!ATTLIST project title CDATA #REQUIRED>\n"
                          "\t<!ATTLIST project unuid NMTOKEN #REQUIRED>\n"
                          "\t<!ATTLIST project mipmaps_folder CDATA #REQUIRED>\n"
                          "\t<!ATTLIST project storage_folder CDATA #REQUIRED>\n"
                          "\t<!ATTLIST project mipmaps_format CDATA #IMPLIED>\n"
                          "\t<!ATTLIST project image_resizing_mode CDATA #IMPLIED>\n"
                          "\t<!ELEMENT anything EMPTY>\n"
                          "\t<!ATTLIST anything id NMTOKEN #REQUIRED>\n"
                          "\t<!ATTLIST anything expanded (true|false) #IMPLIED>\n"
                          "\t<!ELEMENT t2_layer_set (t2_calibration,t2_layer*)>\n"
                          "\t<!ATTLIST t2_layer_set oid NMTOKEN #REQUIRED>\n"
                          "\t<!ATTLIST t2_layer_set width CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_layer_set height CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_layer_set transform CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_layer_set title CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_layer_set links CDATA #IMPLIED>\n"
                          "\t<!ATTLIST t2_layer_set layer_width CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_layer_set layer_height CDATA #REQUIRED>\n"
                          "\t<!ELEMENT t2_calibration EMPTY>\n"
                          "\t<!ATTLIST t2_calibration pixelWidth CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_calibration pixelHeight CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_calibration pixelDepth CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_calibration unit CDATA #REQUIRED>\n"
                          "\t<!ELEMENT t2_layer (t2_patch*)>\n"
                          "\t<!ATTLIST t2_layer oid NMTOKEN #REQUIRED>\n"
                          "\t<!ATTLIST t2_layer thickness CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_layer z CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_layer title CDATA #REQUIRED>\n"
                          "\t<!ELEMENT t2_patch EMPTY>\n"
                          "\t<!ATTLIST t2_patch oid NMTOKEN #REQUIRED>\n"
                          "\t<!ATTLIST t2_patch width CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_patch height CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_patch transform CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_patch title CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_patch links CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_patch type (0|1|2|3|4) #REQUIRED>\n"
                          "\t<!ATTLIST t2_patch file_path CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_patch style CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_patch o_width NMTOKEN #REQUIRED>\n"
                          "\t<!ATTLIST t2_patch o_height NMTOKEN #REQUIRED>\n"
                          "\t<!ATTLIST t2_patch min CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_patch max CDATA #REQUIRED>\n"
                          "\t<!ATTLIST t2_patch mres NMTOKEN #IMPLIED>\n"
                          "\t<!ATTLIST t2_patch locked (true|false) #IMPLIED>\n"
                          "\t<!ATTLIST t2_patch visible (true|false) #IMPLIED>\n"
                          "] >\n\n";

/* One id space for all objects. */
enum { ID_PROJECT = 0, ID_LAYER_SET = 1, ID_THING = 2, ID_FIRST = 3 };

typedef struct {
    FILE *out;
    const fnr_t2_project *p;
    const fnr_t2_style *styles;
    char folder[FNR_PATH_MAX]; /* of the project file */
    char unuid[64];
} writer;

/* ---- text ---- */

/* Plain ASCII whatever the text, so that no reader can mistake the encoding. */
static void put_code_point(FILE *out, unsigned c)
{
    if (c > 0x7E || strchr("&<>\"'", (int)c)) {
        fprintf(out, "&#%u;", c);
    } else {
        fputc((int)c, out);
    }
}

/* What XML cannot hold is written as fnr_text_escape does: the way back to a file must not be lost. */
static bool put_escaped(FILE *out, const char *text, fnr_error *err)
{
    char *utf8 = fnr_text_escape(text, fnr_text_is_printable, err);
    if (!utf8) {
        return false;
    }
    const char *end = utf8 + strlen(utf8);
    for (const char *s = utf8; s < end;) {
        unsigned c = '?';
        s += fnr_utf8_length(s, (size_t)(end - s), &c);
        put_code_point(out, c);
    }
    free(utf8);
    return true;
}

/* TrakEM2 drops every title that contains "null", in whatever case, when it loads it: write "n_ll". */
static bool put_title(FILE *out, const char *title, fnr_error *err)
{
    char *shown = fnr_strdup(title ? title : "", err);
    for (char *s = shown; s && (s = strcasestr(s, "null")) != NULL;) {
        s[1] = '_';
    }
    const bool ok = shown && put_escaped(out, shown, err);
    free(shown);
    return ok;
}

/* ---- the project ---- */

static bool check_patch(const writer *w, size_t i, fnr_error *err)
{
    const fnr_t2_patch *patch = &w->p->patches[i];
    const char *why = NULL;
    if (!patch->file_path || !patch->file_path[0]) {
        why = "no file";
    } else if (patch->o_width < 1 || patch->o_height < 1) {
        why = "no size";
    } else if (patch->type < 0 || patch->type > 4) {
        why = "no pixel type";
    } else if (patch->layer < 0 || (size_t)patch->layer >= w->p->n_layers) {
        why = "no layer";
    } else if (!fnr_transform_is_finite(&patch->to_world) || !isfinite(patch->min) || !isfinite(patch->max)) {
        why = "a transform or display range that is not finite";
    } else if (patch->has_nonlinear) {
        why = "a non-linear coordinate transform, which cannot be written";
    }
    return !why || fnr_fail(err, FNR_E_INTERNAL, "patch %zu ('%.100s') of a TrakEM2 project has %s", i,
                            patch->title ? patch->title : "", why);
}

/* As TrakEM2 wants it: relative, with the slice.  "./" keeps a colon from looking like a drive. */
static bool file_attribute(const writer *w, const fnr_t2_patch *patch, char out[FNR_PATH_MAX + 64], fnr_error *err)
{
    char path[FNR_PATH_MAX], slice[32] = "";
    if (!fnr_path_relative(path, patch->file_path, w->folder, err)) {
        return false;
    }
    if (patch->slice > 0) {
        snprintf(slice, sizeof slice, "-----#slice=%d", patch->slice);
    }
    snprintf(out, FNR_PATH_MAX + 64, "%s%s%s", strchr(path, ':') && path[0] != '/' ? "./" : "", path, slice);
    return true;
}

static bool write_patch(const writer *w, size_t i, fnr_error *err)
{
    const fnr_t2_patch *patch = &w->p->patches[i];
    const fnr_t2_style style = w->styles ? w->styles[i] : (fnr_t2_style){1.0, 0xFFFF00};
    const fnr_transform *t = &patch->to_world;
    char path[FNR_PATH_MAX + 64];
    if (!check_patch(w, i, err) || !file_attribute(w, patch, path, err)) {
        return false;
    }
    fprintf(w->out, "\t\t\t<t2_patch oid=\"%zu\" width=\"%d.0\" height=\"%d.0\"", ID_FIRST + w->p->n_layers + i, patch->o_width,
            patch->o_height);
    fprintf(w->out, " transform=\"matrix(%.17g,%.17g,%.17g,%.17g,%.17g,%.17g)\" title=\"", t->m00, t->m10, t->m01, t->m11, t->m02,
            t->m12);
    if (!put_title(w->out, patch->title, err)) {
        return false;
    }
    fprintf(w->out, "\" links=\"\" type=\"%d\" file_path=\"", patch->type);
    if (!put_escaped(w->out, path, err)) {
        return false;
    }
    fprintf(w->out, "\" style=\"fill-opacity:%g;stroke:#%06x;\"", style.opacity, style.stroke_rgb & 0xFFFFFFu);
    fprintf(w->out, " o_width=\"%d\" o_height=\"%d\" min=\"%.17g\" max=\"%.17g\" mres=\"32\"", patch->o_width, patch->o_height,
            patch->min, patch->max);
    fprintf(w->out, "%s%s/>\n", patch->locked ? " locked=\"true\"" : "", patch->visible ? "" : " visible=\"false\"");
    return true;
}

static bool write_layer(const writer *w, size_t index, fnr_error *err)
{
    const fnr_t2_layer *layer = &w->p->layers[index];
    if (!isfinite(layer->z) || !isfinite(layer->thickness)) {
        return fnr_fail(err, FNR_E_INTERNAL, "layer %zu of a TrakEM2 project has a z or thickness that is not finite", index);
    }
    fprintf(w->out, "\t\t<t2_layer oid=\"%zu\" thickness=\"%.17g\" z=\"%.17g\" title=\"", ID_FIRST + index, layer->thickness,
            layer->z);
    if (!put_title(w->out, layer->title, err)) {
        return false;
    }
    fputs("\">\n", w->out);
    for (size_t i = 0; i < w->p->n_patches; i++) {
        if (w->p->patches[i].layer == (int)index && !write_patch(w, i, err)) {
            return false;
        }
    }
    fputs("\t\t</t2_layer>\n", w->out);
    return true;
}

/* The canvas reaches from the origin to the farthest corner of a patch. */
static fnr_point canvas(const fnr_t2_project *p)
{
    fnr_point far = {1, 1};
    for (size_t i = 0; i < p->n_patches; i++) {
        const fnr_t2_patch *patch = &p->patches[i];
        for (int corner = 0; corner < 4; corner++) {
            const fnr_point q = fnr_transform_apply(&patch->to_world, (fnr_point){corner & 1 ? patch->o_width - 0.5 : -0.5,
                                                                                  corner & 2 ? patch->o_height - 0.5 : -0.5});
            far.x = fmax(far.x, ceil(q.x + 0.5));
            far.y = fmax(far.y, ceil(q.y + 0.5));
        }
    }
    return far;
}

static bool write_project(const writer *w, const char *title, fnr_error *err)
{
    const double nm = w->p->pixel_nm;
    const fnr_point size = canvas(w->p);
    fputs(dtd, w->out);
    fprintf(w->out, "<trakem2>\n\t<project id=\"%d\" title=\"", ID_PROJECT);
    if (!put_title(w->out, title, err)) {
        return false;
    }
    fprintf(w->out, "\" unuid=\"%s\" mipmaps_folder=\"trakem2.%s/trakem2.mipmaps/\" storage_folder=\"\"", w->unuid, w->unuid);
    fprintf(w->out,
            " mipmaps_format=\"4\" image_resizing_mode=\"Area downsampling\">\n\t\t<anything id=\"%d\" expanded=\"true\"/>\n",
            ID_THING);
    fprintf(
        w->out,
        "\t</project>\n\t<t2_layer_set oid=\"%d\" width=\"20.0\" height=\"20.0\" transform=\"matrix(1.0,0.0,0.0,1.0,0.0,0.0)\"",
        ID_LAYER_SET);
    fprintf(w->out, " title=\"Top Level\" links=\"\" layer_width=\"%.1f\" layer_height=\"%.1f\">\n", size.x, size.y);
    fprintf(w->out, "\t\t<t2_calibration pixelWidth=\"%.17g\" pixelHeight=\"%.17g\" pixelDepth=\"%.17g\" unit=\"%s\"/>\n",
            nm > 0 ? nm : 1, nm > 0 ? nm : 1, nm > 0 ? nm : 1, nm > 0 ? "nm" : "pixel");
    for (size_t i = 0; i < w->p->n_layers; i++) {
        if (!write_layer(w, i, err)) {
            return false;
        }
    }
    fputs("\t</t2_layer_set>\n</trakem2>\n", w->out);
    return true;
}

/* TrakEM2 keeps its image caches by unuid and patch id.  So the unuid follows the images, not the clock: the same images in new
 * places find their cache again, other images cannot meet a stale one. */
static bool make_unuid(writer *w, fnr_error *err)
{
    fnr_hasher *h = fnr_hasher_new();
    if (!h) {
        return fnr_fail(err, FNR_E_LIMIT, "not enough memory for a digest");
    }
    char line[256], path[FNR_PATH_MAX + 64];
    bool ok = true;
    for (size_t i = 0; ok && i < w->p->n_patches; i++) {
        const fnr_t2_patch *patch = &w->p->patches[i];
        ok = check_patch(w, i, err) && file_attribute(w, patch, path, err);
        if (ok) {
            snprintf(line, sizeof line, "%d %d %d %d %.17g %.17g", patch->layer, patch->o_width, patch->o_height, patch->type,
                     patch->min, patch->max);
            fnr_hasher_add_text(h, path);
            fnr_hasher_add_text(h, line);
        }
    }
    fnr_digest digest;
    fnr_hasher_finish(h, &digest);
    uint64_t part[3];
    for (int i = 0; i < 3; i++) {
        char hex[17];
        snprintf(hex, sizeof hex, "%.16s", digest.hex + 16 * i);
        part[i] = strtoull(hex, NULL, 16);
    }
    /* Looks like TrakEM2's "milliseconds.hash.hash". */
    snprintf(w->unuid, sizeof w->unuid, "%" PRIu64 ".%" PRIu64 ".%" PRIu64,
             UINT64_C(1500000000000) + part[0] % UINT64_C(100000000000), part[1] % 1000000000, part[2] % 1000000000);
    return ok;
}

/* Without this folder TrakEM2 takes the project for one that crashed. */
static bool make_cache_folder(const writer *w, fnr_error *err)
{
    char name[FNR_PATH_MAX], path[FNR_PATH_MAX];
    snprintf(name, sizeof name, "trakem2.%s/trakem2.mipmaps", w->unuid);
    return fnr_path_join(path, w->folder, name, err) && fnr_mkdirs(path, err);
}

bool fnr_t2_write(const char *path, const char *title, const fnr_t2_project *p, const fnr_t2_style *styles, fnr_error *err)
{
    writer w = {.p = p, .styles = styles};
    fnr_atomic file;
    fnr_path_dir(w.folder, path);
    if (!make_unuid(&w, err) || !make_cache_folder(&w, err) || !fnr_atomic_open(&file, path, err)) {
        fnr_error_prefix(err, "cannot write the TrakEM2 project %s", path);
        return false;
    }
    w.out = file.file;
    if (!write_project(&w, title, err)) {
        fnr_atomic_abort(&file);
        return false;
    }
    return fnr_atomic_commit(&file, err);
}
