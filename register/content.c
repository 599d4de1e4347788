/* Does a prediction show myelin at all?  The paper asks for more than 1 % of the pixels above 50 % of the maximum.  One bright
 * sheath would hide all others from that test, and noise has a maximum too.  So brightness is measured from the background,
 * against that of a typical bright structure (intensity-weighted median of what stands out of the noise), and that brightness
 * itself is reported. */
#include <math.h>
#include <stdlib.h>

#include "register/match.h"
#include "src/core/mem.h"

/* Down to pixels of about half an IF pixel: below that there is only noise. */
static bool smooth(const fnr_view *p, double if_nm, fnr_grid *g, fnr_error *err)
{
    fnr_grid fine = {0};
    if (!fnr_grid_new(&fine, p->w, p->h, "a prediction", err)) {
        return false;
    }
    for (int y = 0; y < p->h; y++) {
        fnr_grid_read_row(p, y, fine.px + (size_t)y * (size_t)fine.w);
    }
    for (double nm = p->nm; nm * 2 <= 0.75 * if_nm && fine.w > 8 && fine.h > 8; nm *= 2) {
        fnr_grid half = {0};
        if (!fnr_grid_halve(&fine, &half, err)) {
            fnr_grid_free(&fine);
            return false;
        }
        fnr_grid_free(&fine);
        fine = half;
    }
    *g = fine;
    return true;
}

bool fnr_content_measure(const fnr_view *prediction, double level, double if_nm, fnr_content *out, fnr_error *err)
{
    fnr_grid g = {0};
    if (!smooth(prediction, if_nm, &g, err)) {
        return false;
    }
    const size_t n = (size_t)g.w * (size_t)g.h;
    const fnr_compression c = fnr_compression_fit(g.px, n, 1.0);
    const double threshold = c.background + level * c.knee;
    size_t above = 0;
    for (size_t i = 0; i < n; i++) {
        above += (double)g.px[i] > threshold;
    }
    *out = (fnr_content){.fraction = (double)above / (double)n, .contrast = isfinite(c.knee) ? c.knee : 0};
    fnr_grid_free(&g);
    return true;
}
