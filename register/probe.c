/* Guesses at why nothing registers: asked only then, because each costs a search. */
#include <string.h>

#include "register/register.h"

static bool mirrored(const fnr_view *v, fnr_image *out, fnr_error *err)
{
    if (!fnr_image_new(out, v->w, v->h, 1, 1, FNR_F32, err)) {
        return false;
    }
    for (int y = 0; y < v->h; y++) {
        for (int x = 0; x < v->w; x++) {
            memcpy(fnr_at(&out->v, v->w - 1 - x, y, 0, 0), fnr_at(v, x, y, 0, 0), sizeof(float));
        }
    }
    out->v.nm = v->nm;
    return true;
}

bool fnr_register_probe(const fnr_target *target, const fnr_view *prediction, fnr_probe what, const fnr_register_options *opt,
                        const fnr_cancel *cancel, fnr_registration *out, fnr_error *err)
{
    fnr_view changed = *prediction;
    if (what == FNR_PROBE_MIRRORED) {
        fnr_image flipped;
        if (!mirrored(prediction, &flipped, err)) {
            return false;
        }
        const bool ok = fnr_register_tile(target, &flipped.v, opt, cancel, out, err);
        fnr_image_free(&flipped);
        return ok;
    }
    changed.nm *= what == FNR_PROBE_DOUBLE ? 0.5 : 2; /* larger montage pixels: the tile covers fewer of them */
    return fnr_register_tile(target, &changed, opt, cancel, out, err);
}
