/* TrakEM2's coordinate transforms: the affine classes as matrices, and where a patch with them lies. */
#include "src/geom/trakem2_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void fnr_t2_ct_reset(fnr_t2_ct *ct)
{
    *ct = (fnr_t2_ct){.affine = fnr_transform_identity(FNR_FRAME_ANY)};
}

/* Exactly n finite numbers.  Some classes keep single precision only, so that their numbers have to be rounded as Java does. */
static bool read_numbers(const char *data, int n, bool as_float, double *v)
{
    static const char space[] = " \t\r\n";
    const char *p = data + strspn(data, space);
    for (int i = 0; i < n; i++) {
        char *end;
        v[i] = as_float ? (double)strtof(p, &end) : strtod(p, &end);
        const size_t gap = strspn(end, space);
        if (end == p || !isfinite(v[i]) || (gap == 0 && *end)) {
            return false;
        }
        p = end + gap;
    }
    return *p == '\0';
}

typedef enum { CT_AFFINE, CT_SIMILARITY, CT_RIGID, CT_TRANSLATION } affine_class;

static const struct {
    const char *name;
    affine_class kind;
    int numbers;
    bool as_float;
} classes[] = {
    {"AffineModel2D", CT_AFFINE, 6, false},
    {"SimilarityModel2D", CT_SIMILARITY, 4, true},
    {"RigidModel2D", CT_RIGID, 3, true},
    {"TranslationModel2D", CT_TRANSLATION, 2, true},
};

static fnr_transform to_matrix(affine_class kind, const double *v)
{
    switch (kind) {
    case CT_SIMILARITY: /* s cos, s sin, tx, ty */
        return (fnr_transform){v[0], v[1], -v[1], v[0], v[2], v[3], FNR_FRAME_ANY, FNR_FRAME_ANY};
    case CT_RIGID: /* angle [rad], tx, ty */
        return (fnr_transform){cos(v[0]), sin(v[0]), -sin(v[0]), cos(v[0]), v[1], v[2], FNR_FRAME_ANY, FNR_FRAME_ANY};
    case CT_TRANSLATION:
        return (fnr_transform){1, 0, 0, 1, v[0], v[1], FNR_FRAME_ANY, FNR_FRAME_ANY};
    case CT_AFFINE:
    default:
        return (fnr_transform){v[0], v[1], v[2], v[3], v[4], v[5], FNR_FRAME_ANY, FNR_FRAME_ANY};
    }
}

bool fnr_t2_ct_append(fnr_t2_ct *ct, const char *class_name, const char *data, fnr_error *err)
{
    static const char package[] = "mpicbg.trakem2.transform.", models[] = "mpicbg.models.";
    if (strncmp(class_name, models, sizeof models - 1) == 0) {
        return true; /* TrakEM2 cannot cast these and shows the patch without them */
    }
    ct->any = true;
    const char *name = strncmp(class_name, package, sizeof package - 1) == 0 ? class_name + sizeof package - 1 : "";
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strcmp(name, classes[i].name) == 0) {
            double v[6];
            if (!read_numbers(data, classes[i].numbers, classes[i].as_float, v)) {
                return fnr_fail(err, FNR_E_FORMAT, "a %s needs %d numbers, not '%.100s'", name, classes[i].numbers, data);
            }
            const fnr_transform next = to_matrix(classes[i].kind, v);
            return fnr_transform_compose(&next, &ct->affine, &ct->affine, err);
        }
    }
    if (!ct->has_nonlinear) {
        ct->has_nonlinear = true;
        snprintf(ct->nonlinear_class, sizeof ct->nonlinear_class, "%s", class_name);
    }
    return true;
}

bool fnr_t2_ct_place(const fnr_t2_ct *ct, const fnr_transform *matrix, int w, int h, fnr_transform *to_world, fnr_error *err)
{
    fnr_transform t = ct->affine;
    if (ct->any) {
        if (w < 1 || h < 1) {
            return fnr_fail(
                err, FNR_E_FORMAT,
                "it has a coordinate transform but no o_width and o_height, so its place is unknown; open and save the "
                "project in TrakEM2");
        }
        /* TrakEM2's mesh always holds the corners, and they bound an affine map.  (int) as in Java: towards zero. */
        double x_min = INFINITY, y_min = INFINITY;
        for (int corner = 0; corner < 4; corner++) {
            const fnr_point q = fnr_transform_apply(&t, (fnr_point){corner & 1 ? w - 1 : 0, corner & 2 ? h - 1 : 0});
            x_min = fmin(x_min, q.x);
            y_min = fmin(y_min, q.y);
        }
        t.m02 -= trunc(x_min);
        t.m12 -= trunc(y_min);
    }
    if (!fnr_transform_compose(matrix, &t, to_world, err)) {
        return false;
    }
    return fnr_transform_is_finite(to_world) || fnr_fail(err, FNR_E_FORMAT, "its transform is not finite");
}
