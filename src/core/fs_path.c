/* Paths as text: joining, splitting, and the way from one folder to a file. */
#include "src/core/fs.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

_Static_assert(FNR_PATH_MAX >= PATH_MAX, "realpath() writes up to PATH_MAX bytes");

bool fnr_path_join(char out[FNR_PATH_MAX], const char *dir, const char *name, fnr_error *err)
{
    const bool alone = name[0] == '/' || dir[0] == 0;
    const bool slash = !alone && dir[strlen(dir) - 1] != '/';
    const int n = snprintf(out, FNR_PATH_MAX, "%s%s%s", alone ? "" : dir, slash ? "/" : "", name);
    if (n < 0 || n >= FNR_PATH_MAX) {
        return fnr_fail(err, FNR_E_LIMIT, "the path %.100s.../%.100s is longer than %d bytes", dir, name, FNR_PATH_MAX - 1);
    }
    return true;
}

const char *fnr_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void fnr_path_dir(char out[FNR_PATH_MAX], const char *path)
{
    const char *base = fnr_path_base(path);
    size_t n = (size_t)(base - path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    snprintf(out, FNR_PATH_MAX, "%.*s", (int)(n < FNR_PATH_MAX ? n : FNR_PATH_MAX - 1), n ? path : "");
    if (n == 0) {
        snprintf(out, FNR_PATH_MAX, ".");
    }
}

static bool ends_with(const char *text, size_t n, const char *tail)
{
    const size_t m = strlen(tail);
    return n > m && strncasecmp(text + n - m, tail, m) == 0;
}

void fnr_path_stem(char *out, size_t size, const char *path)
{
    const char *base = fnr_path_base(path);
    size_t n = strlen(base);
    if (ends_with(base, n, ".ome.tif")) {
        n -= strlen(".ome.tif");
    } else if (ends_with(base, n, ".ome.tiff")) {
        n -= strlen(".ome.tiff");
    } else {
        const char *dot = strrchr(base, '.');
        if (dot && dot != base) {
            n = (size_t)(dot - base);
        }
    }
    if (size > 0) {
        n = n < size ? n : size - 1;
        memcpy(out, base, n);
        out[n] = 0;
    }
}

/* The absolute path behind `path`, links resolved as far as the file system knows it.  Because `out` has no links left while it
 * grows, ".." is its last component taken away, also below folders that do not exist yet. */
static bool absolute(char out[FNR_PATH_MAX], const char *path, fnr_error *err)
{
    if (path[0] == '/') {
        memcpy(out, "/", 2);
    } else if (!getcwd(out, FNR_PATH_MAX)) {
        return fnr_fail_errno(err, errno, "cannot find the current folder");
    }
    const char *at = path;
    while (*(at += strspn(at, "/"))) {
        const size_t n = strcspn(at, "/");
        char name[FNR_PATH_MAX], longer[FNR_PATH_MAX];
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), at);
        at += n;
        if (!strcmp(name, "..")) {
            char *slash = strrchr(out, '/');
            slash[slash == out ? 1 : 0] = 0;
        } else if (strcmp(name, ".") != 0) {
            if (!fnr_path_join(longer, out, name, err)) {
                return false;
            }
            if (!realpath(longer, out)) {
                memcpy(out, longer, sizeof longer);
            }
        }
    }
    return true;
}

bool fnr_path_relative(char out[FNR_PATH_MAX], const char *target, const char *from_dir, fnr_error *err)
{
    char dir[FNR_PATH_MAX], from[FNR_PATH_MAX], folder[FNR_PATH_MAX], to[FNR_PATH_MAX];
    fnr_path_dir(dir, target); /* the folder's links are resolved, the file's own name stays what the user called it */
    if (!absolute(from, from_dir, err) || !absolute(folder, dir, err) || !fnr_path_join(to, folder, fnr_path_base(target), err)) {
        return false;
    }
    size_t same = 0; /* length of the common folders, up to and including a slash */
    size_t i = 0;
    for (; from[i] && from[i] == to[i]; i++) {
        if (from[i] == '/') {
            same = i + 1;
        }
    }
    if (!from[i] && to[i] == '/') {
        same = i + 1; /* the target lies below from_dir */
    }
    char up[FNR_PATH_MAX] = "";
    size_t used = 0;
    const char *rest = same <= strlen(from) ? from + same : "";
    while (*(rest += strspn(rest, "/"))) {
        rest += strcspn(rest, "/");
        if (used + 4 > sizeof up) {
            return fnr_fail(err, FNR_E_LIMIT, "the path from %.100s to %.100s is too long", from, to);
        }
        memcpy(up + used, "../", 4);
        used += 3;
    }
    return fnr_path_join(out, up, to + same, err);
}
