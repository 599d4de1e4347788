/* Do the pixel sizes make sense?  Asked before a tile is predicted, and answered with all that is known about them. */
#include <math.h>
#include <stdio.h>

#include "src/pipeline/section.h"

enum { TEXT = 200 };

/* "1024 x 768 px of 1000 nm (--em-nm; the file says 8 nm)" */
static void describe(char out[TEXT], int w, int h, double nm, double given, double in_file, const char *option)
{
    char source[80];
    if (!(given > 0)) {
        snprintf(source, sizeof source, "from the file");
    } else if (in_file > 0 && fabs(in_file / given - 1) > 1e-3) {
        snprintf(source, sizeof source, "%s; the file says %.4g nm", option, in_file);
    } else {
        snprintf(source, sizeof source, "%s", option);
    }
    snprintf(out, TEXT, "%d x %d px of %.6g nm (%s)", w, h, nm, source);
}

bool fnr_section_tile_fits(const fnr_section *s, const fnr_section_tile *t, fnr_error *err)
{
    const fnr_config *c = &s->run->config;
    fnr_tiff_info info, montage;
    double em_nm;
    char why[TEXT], tile_text[TEXT], montage_text[TEXT];
    if (!fnr_pixel_size(t->path, c->images.em_nm, "--em-nm", &em_nm, err) || !fnr_tiff_probe(t->path, &info, err)) {
        return false;
    }
    const double w_nm = info.w * em_nm, h_nm = info.h * em_nm;
    if (fnr_register_possible(s->target, w_nm, h_nm, &c->reg, why, sizeof why)) {
        return true;
    }
    describe(tile_text, info.w, info.h, em_nm, c->images.em_nm, info.nm, "--em-nm");
    describe(montage_text, s->montage.v.w, s->montage.v.h, s->if_nm, c->images.if_nm,
             fnr_tiff_probe(s->job.mbp_path, &montage, NULL) ? montage.nm : 0, "--if-nm");
    return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: %s are %.4g x %.4g um, the montage %s is %s, %.4g x %.4g um: %s; are the pixel sizes right?",
                    t->path, tile_text, w_nm / 1000, h_nm / 1000, s->job.mbp_path, montage_text, s->montage.v.w * s->if_nm / 1000,
                    s->montage.v.h * s->if_nm / 1000, why);
}
