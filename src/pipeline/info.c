#include "src/pipeline/info.h"

#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "src/geom/trakem2.h"
#include "src/image/tiff.h"
#include "src/pipeline/convert.h"
#include "src/pipeline/pairs.h"

void fnr_info_row(FILE *out, const char *name, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (char *c = text; *c; c++) { /* texts come from files */
        *c = (unsigned char)*c < 32 || *c == 127 ? '?' : *c;
    }
    fprintf(out, "%-18.40s%s\n", name, text);
}

static void head_line(FILE *out, const char *path, const char *kind)
{
    struct stat st;
    const double bytes = stat(path, &st) == 0 ? (double)st.st_size : 0;
    fnr_info_row(out, "file", "%s (%s, %.4g %s)", path, kind, bytes < 1e6 ? bytes / 1e3 : bytes / 1e6, bytes < 1e6 ? "kB" : "MB");
}

/* ---- images ---------------------------------------------------------------------------------------------------------------- */

static const char *compression_name(int compression)
{
    static const struct {
        int number;
        const char *name;
    } known[] = {{1, "uncompressed"}, {4, "CCITT group 4"}, {5, "LZW"},      {7, "JPEG"},     {8, "deflate"},
                 {32773, "PackBits"}, {32946, "deflate"},   {34887, "LERC"}, {34925, "LZMA"}, {50000, "Zstandard"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].number == compression) {
            return known[i].name;
        }
    }
    return "compressed";
}

static void say_pixels(const fnr_tiff_info *t, FILE *out)
{
    char planes[80] = "";
    if (t->ome_dimension_order[0] || t->size_z > 1 || t->size_c > 1 || t->size_t_ > 1) {
        snprintf(planes, sizeof planes, " (z %d, channels %d, time points %d)", t->size_z, t->size_c, t->size_t_);
    }
    fnr_info_row(out, "size", "%d x %d px, %d page%s%s", t->w, t->h, t->pages, t->pages == 1 ? "" : "s", planes);
    fnr_info_row(out, "pixels", "%d-bit %s, %d sample%s each%s%s", t->bits,
                 t->is_float    ? "float"
                 : t->is_signed ? "signed"
                                : "unsigned",
                 t->samples, t->samples == 1 ? "" : "s",
                 t->is_palette ? ", palette"
                 : t->is_rgb   ? ", RGB"
                               : "",
                 t->min_is_white ? ", white is zero" : "");
    fnr_info_row(out, "stored", "%s, %s, %s", t->big ? "BigTIFF" : "classic TIFF", compression_name(t->compression),
                 t->tiled ? "tiles" : "strips");
}

static void say_pixel_size(const fnr_tiff_info *t, FILE *out)
{
    static const char *const sources[] = {[FNR_NM_UNKNOWN] = "nothing",
                                          [FNR_NM_OME] = "OME-XML",
                                          [FNR_NM_IMAGEJ] = "ImageJ's description",
                                          [FNR_NM_MICROSCOPE] = "the microscope's own tag",
                                          [FNR_NM_RESOLUTION] = "the resolution tags"};
    if (t->nm > 0) {
        fnr_info_row(out, "pixel size", "%.6g x %.6g nm, from %s", t->nm, t->nm_y, sources[t->nm_source]);
        fnr_info_row(out, "extent", "%.4g x %.4g um", t->w * t->nm / 1000, t->h * t->nm_y / 1000);
    } else {
        fnr_info_row(out, "pixel size", "unknown: the file does not tell it; give --em-nm or --if-nm");
    }
}

static bool info_image(const char *path, FILE *out, fnr_error *err)
{
    fnr_tiff_info t;
    if (!fnr_tiff_probe(path, &t, err)) {
        return false;
    }
    head_line(out, path, t.ome_dimension_order[0] ? "OME-TIFF" : "TIFF");
    say_pixels(&t, out);
    say_pixel_size(&t, out);
    if (t.samples > 1) {
        fnr_info_row(out, "note", "several samples per pixel: save it as grey before use");
    }
    return true;
}

/* ---- projects -------------------------------------------------------------------------------------------------------------- */

static void say_layers(const fnr_t2_project *p, FILE *out)
{
    const size_t most = 8;
    for (size_t i = 0; i < p->n_layers && i < most; i++) {
        size_t n = 0;
        for (size_t k = 0; k < p->n_patches; k++) {
            n += p->patches[k].layer == (int)i;
        }
        fnr_info_row(out, i == 0 ? "layers" : "", "\"%.60s\" at z = %g: %zu patch%s",
                     p->layers[i].title ? p->layers[i].title : "", p->layers[i].z, n, n == 1 ? "" : "es");
    }
    if (p->n_layers > most) {
        fnr_info_row(out, "", "... and %zu more", p->n_layers - most);
    }
}

static void say_placements(const fnr_config *config, const char *path, FILE *out)
{
    fnr_error why = {0};
    fnr_placements placed;
    if (fnr_placements_read(&path, 1, config, NULL, &placed, &why)) {
        fnr_info_row(out, "training pairs",
                     "%zu EM patches lie over an MBP patch (\"%s\" in its title or file name) and can be used", placed.count,
                     config->images.mbp_match);
        fnr_placements_free(&placed);
    } else {
        fnr_info_row(out, "training pairs", "none: %s", why.message);
    }
}

static bool info_project(const fnr_config *config, const char *path, FILE *out, fnr_error *err)
{
    fnr_t2_project p;
    if (!fnr_t2_read(path, &p, err)) {
        return false;
    }
    size_t hidden = 0, bent = 0, absent = 0;
    for (size_t i = 0; i < p.n_patches; i++) {
        hidden += !p.patches[i].visible;
        bent += p.patches[i].has_nonlinear;
        absent += !fnr_is_file(p.patches[i].file_path);
    }
    head_line(out, path, "TrakEM2 project");
    if (p.pixel_nm > 0) {
        fnr_info_row(out, "calibration", "%.6g nm per world pixel", p.pixel_nm);
    } else {
        fnr_info_row(out, "calibration", "none");
    }
    fnr_info_row(out, "patches", "%zu in %zu layer%s; %zu hidden, %zu with non-linear transforms, %zu whose image is not there",
                 p.n_patches, p.n_layers, p.n_layers == 1 ? "" : "s", hidden, bent, absent);
    say_layers(&p, out);
    say_placements(config, path, out);
    fnr_t2_free(&p);
    return true;
}

/* ---- any file -------------------------------------------------------------------------------------------------------------- */

bool fnr_info_file(const fnr_config *config, const char *path, FILE *out, fnr_error *err)
{
    unsigned char head[4] = {0};
    size_t n;
    if (!fnr_read_head(path, head, sizeof head, &n, err)) {
        return false;
    }
    if (n == 4 && (!memcmp(head, "II", 2) || !memcmp(head, "MM", 2)) &&
        (head[2] == 42 || head[3] == 42 || head[2] == 43 || head[3] == 43)) {
        return info_image(path, out, err);
    }
    const bool utf8_mark = n == 4 && head[0] == 0xef && head[1] == 0xbb && head[2] == 0xbf;
    if (n == 4 && (head[0] == '<' || utf8_mark || (head[0] == 0x1f && head[1] == 0x8b))) {
        return info_project(config, path, out, err);
    }
    if (fnr_model_format_of_file(path) == FNR_FORMAT_UNKNOWN) {
        return fnr_fail(err, FNR_E_UNSUPPORTED,
                        "%s: neither a model (safetensors, model.p, ONNX, bioimage.io), nor a TIFF, nor a TrakEM2 project", path);
    }
    fnr_model m;
    fnr_model_format format;
    if (!fnr_model_read_any(path, false, &m, &format, err)) {
        return false;
    }
    head_line(out, path, fnr_model_format_name(format));
    fnr_info_model(&m, out);
    fnr_model_free(&m);
    return true;
}
