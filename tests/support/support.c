#include "tests/support/support.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char temp_dir[256];

const char *fnr_test_shared(void)
{
    const char *given = getenv("FNR_SHARED");
    const char *path = given ? given : "../shared";
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? path : NULL;
}

const char *fnr_test_need(const char *relative)
{
    static char path[4][1024]; /* a few at a time */
    static int next;
    const char *shared = fnr_test_shared();
    char *out = path[next++ % 4];
    if (shared) {
        snprintf(out, sizeof path[0], "%s/%s", shared, relative);
    }
    if (!shared || access(out, R_OK) != 0) {
        print_message("skipped: no ../shared/%s\n", relative);
        skip();
    }
    return out;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void remove_temp_dir(void)
{
    nftw(temp_dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fnr_test_tmpdir(void)
{
    if (!temp_dir[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(temp_dir, sizeof temp_dir, "%s/fnr-test-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(temp_dir)) {
            fail_msg("cannot make a folder %s", temp_dir);
        }
        atexit(remove_temp_dir);
    }
    return temp_dir;
}

double fnr_test_rel_l2(const float *a, const float *b, size_t n)
{
    double num = 0, den = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)a[i] - (double)b[i];
        num += d * d;
        den += (double)b[i] * (double)b[i];
    }
    return den > 0 ? sqrt(num / den) : sqrt(num);
}

double fnr_test_max_abs(const float *a, const float *b, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= worst)) { /* NaN is the worst */
            worst = d;
        }
        if (isnan(d)) {
            return d;
        }
    }
    return worst;
}

void fnr_test_at_most(double value, double limit, const char *what, const char *file, int line)
{
    if (!(value <= limit)) {
        print_error("%s = %.9g is not at most %.9g\n", what, value, limit);
        _fail(file, line);
    }
}

enum { GUARD = 64 };
static const float guard_value = -12345.678f;

float *fnr_test_guarded(size_t n)
{
    float *all = malloc((n + 2 * GUARD) * sizeof *all);
    assert_non_null(all);
    for (size_t i = 0; i < GUARD; i++) {
        all[i] = all[GUARD + n + i] = guard_value;
    }
    for (size_t i = 0; i < n; i++) {
        all[GUARD + i] = NAN; /* whoever reads before writing gets caught */
    }
    return all + GUARD;
}

void fnr_test_check_guards(float *p, size_t n)
{
    for (size_t i = 0; i < GUARD; i++) {
        if (memcmp(&p[-1 - (ptrdiff_t)i], &guard_value, sizeof guard_value) || memcmp(&p[n + i], &guard_value, sizeof guard_value)) {
            fail_msg("a guard value beside a buffer of %zu floats was overwritten", n);
        }
    }
}

void fnr_test_guarded_free(float *p)
{
    free(p - GUARD);
}
