/* Shared by the TrakEM2 tests: small projects as text. */
#ifndef FNR_TESTS_GEOM_TRAKEM2_SUPPORT_H
#define FNR_TESTS_GEOM_TRAKEM2_SUPPORT_H

#include "tests/support/support.h"

#include "src/geom/trakem2.h"

/* A project around `patches` (complete t2_patch elements of one layer). */
#define T2_HEAD                                                                                                                  \
    "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<!DOCTYPE trakem2_anything [\n\t<!ELEMENT project (anything)>\n"           \
    "\t<!ELEMENT anything EMPTY>\n] >\n<trakem2>\n<project id=\"0\" title=\"p\" unuid=\"17.1.2\"></project>\n"                   \
    "<t2_layer_set oid=\"1\" layer_width=\"100\" layer_height=\"80\">\n"
#define T2_LAYER            "<t2_layer oid=\"2\" thickness=\"1.5\" z=\"3.0\" title=\"s0\">\n"
#define T2_TAIL             "</t2_layer>\n</t2_layer_set>\n</trakem2>\n"
#define T2_PROJECT(patches) T2_HEAD T2_LAYER patches T2_TAIL

static inline const char *t2_path(const char *name)
{
    static char path[4][512];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", fnr_test_tmpdir(), name);
    return out;
}

static inline const char *t2_file_of(const char *name, const char *text, size_t size)
{
    const char *path = t2_path(name);
    FILE *file = fopen(path, "wb"); /* not fnr_write_file: some tests write hundreds, and it syncs each */
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* Reads text that has to be a good project; release with fnr_t2_free. */
static inline fnr_t2_project t2_read_text(const char *text)
{
    fnr_error err = {0};
    fnr_t2_project p = {0};
    assert_ok(fnr_t2_read(t2_file_of("p.xml", text, strlen(text)), &p, &err), err);
    return p;
}

static inline void t2_assert_transform(const fnr_transform *t, double m00, double m10, double m01, double m11, double m02,
                                       double m12, double tolerance)
{
    const double got[] = {t->m00, t->m10, t->m01, t->m11, t->m02, t->m12}, want[] = {m00, m10, m01, m11, m02, m12};
    for (int i = 0; i < 6; i++) {
        if (!(fabs(got[i] - want[i]) <= tolerance * fmax(1, fabs(want[i])))) {
            fail_msg("entry %d of a transform is %.17g instead of %.17g", i, got[i], want[i]);
        }
    }
}

#endif
