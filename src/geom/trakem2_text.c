/* Getting at the text of a TrakEM2 file: gzip, and repair of what TrakEM2 forgets to escape. */
#include "src/geom/trakem2_parts.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <zlib.h>

#include "src/core/mem.h"

static bool read_all(gzFile file, const char *path, size_t max_bytes, char **text, size_t *size, fnr_error *err)
{
    size_t capacity = 0;
    for (;;) {
        if (*size + 1 >= capacity && !fnr_grow(text, &capacity, capacity ? 2 * capacity : 1 << 16, 1, path, err)) {
            return false;
        }
        const size_t room = capacity - *size - 1;
        const int got = gzread(file, *text + *size, (unsigned)(room < 1 << 24 ? room : 1 << 24));
        if (got < 0) {
            int code;
            const char *reason = gzerror(file, &code);
            return fnr_fail(err, code == Z_ERRNO ? FNR_E_IO : FNR_E_FORMAT, "cannot read %s: %s", path,
                            code == Z_ERRNO ? strerror(errno) : reason);
        }
        if (got == 0) {
            (*text)[*size] = '\0';
            return true;
        }
        *size += (size_t)got;
        if (*size > max_bytes) {
            return fnr_fail(err, FNR_E_LIMIT, "%s holds more than %zu MiB of text", path, max_bytes >> 20);
        }
    }
}

bool fnr_t2_load(const char *path, size_t max_bytes, char **text, size_t *size, fnr_error *err)
{
    char *data = NULL;
    size_t used = 0;
    const int fd = fnr_open_regular(path, NULL, err);
    if (fd < 0) {
        return false;
    }
    gzFile file = gzdopen(fd, "rb");
    if (!file) {
        close(fd);
        return fnr_fail(err, FNR_E_LIMIT, "cannot open %s: out of memory", path);
    }
    bool ok = read_all(file, path, max_bytes, &data, &used, err);
    if (gzclose(file) == Z_BUF_ERROR && ok) {
        ok = fnr_fail(err, FNR_E_FORMAT, "cannot read %s: the gzip file is cut short", path);
    }
    if (!ok) {
        free(data);
        return false;
    }
    *text = data;
    *size = used;
    return true;
}

/* Walks through XML text and copies it; without `out` it only counts what the copy would need. */
typedef struct {
    const char *at, *end;
    char *out;
    size_t used;
    fnr_t2_scan scan;
} walker;

static void put(walker *w, const char *text, size_t n)
{
    if (w->out) {
        memcpy(w->out + w->used, text, n);
    }
    w->used += n;
}

static void copy(walker *w, size_t n)
{
    const size_t left = (size_t)(w->end - w->at);
    n = n < left ? n : left;
    put(w, w->at, n);
    w->at += n;
}

static bool looking_at(const walker *w, const char *text)
{
    const size_t n = strlen(text);
    return (size_t)(w->end - w->at) >= n && strncasecmp(w->at, text, n) == 0;
}

/* Copies up to and including `mark`, or everything. */
static void copy_through(walker *w, const char *mark)
{
    const char *found = memmem(w->at, (size_t)(w->end - w->at), mark, strlen(mark));
    copy(w, found ? (size_t)(found - w->at) + strlen(mark) : (size_t)(w->end - w->at));
}

static bool is_reference(const walker *w)
{
    static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (looking_at(w, names[i])) {
            return true;
        }
    }
    if (!looking_at(w, "&#")) {
        return false;
    }
    const char *p = w->at + 2;
    const bool hex = p < w->end && *p == 'x';
    p += hex;
    const char *digits = p;
    while (p < w->end && (hex ? isxdigit((unsigned char)*p) : isdigit((unsigned char)*p))) {
        p++;
    }
    return p > digits && p < w->end && *p == ';';
}

static void copy_ampersand(walker *w)
{
    if (is_reference(w)) {
        copy(w, 1);
    } else {
        put(w, "&amp;", 5);
        w->at++;
    }
}

/* The DOCTYPE with its internal subset, as it is. */
static void copy_doctype(walker *w)
{
    bool subset = false;
    while (w->at < w->end) {
        const char c = *w->at;
        if (looking_at(w, "<!--")) {
            copy_through(w, "-->");
            continue;
        }
        copy(w, 1);
        if (c == '"' || c == '\'') {
            copy_through(w, c == '"' ? "\"" : "'");
        } else if (c == '[' || c == ']') {
            subset = c == '[';
        } else if (c == '>' && !subset) {
            return;
        }
    }
}

/* A quoted attribute value, opening quote already copied.  False when a tag begins inside: then a quote is missing, and going on
 * would swallow patches. */
static bool copy_value(walker *w, char quote)
{
    while (w->at < w->end) {
        const char c = *w->at;
        if (c == '&') {
            copy_ampersand(w);
        } else if (c == '<') {
            if (looking_at(w, "<t2_") || looking_at(w, "</t2_") || looking_at(w, "</trakem2")) {
                return false;
            }
            put(w, "&lt;", 4);
            w->at++;
        } else {
            copy(w, 1);
            if (c == quote) {
                return true;
            }
        }
    }
    return true;
}

static bool copy_start_tag(walker *w)
{
    static const char patch[] = "<t2_patch";
    if (looking_at(w, patch) && w->at + sizeof patch - 1 < w->end && strchr(" \t\r\n/>", w->at[sizeof patch - 1])) {
        w->scan.patches++;
    }
    while (w->at < w->end) {
        const char c = *w->at;
        copy(w, 1);
        if (c == '>') {
            return true;
        }
        if ((c == '"' || c == '\'') && !copy_value(w, c)) {
            return false;
        }
    }
    return true;
}

static bool walk(walker *w)
{
    while (w->at < w->end) {
        if (*w->at == '&') {
            copy_ampersand(w);
        } else if (*w->at != '<') {
            const char *next = w->at + 1;
            while (next < w->end && *next != '<' && *next != '&') {
                next++;
            }
            copy(w, (size_t)(next - w->at));
        } else if (looking_at(w, "<!--")) {
            copy_through(w, "-->");
        } else if (looking_at(w, "<![CDATA[")) {
            copy_through(w, "]]>");
        } else if (looking_at(w, "<?")) {
            copy_through(w, "?>");
        } else if (looking_at(w, "<!DOCTYPE")) {
            copy_doctype(w);
        } else if (!copy_start_tag(w)) {
            return false;
        }
    }
    return true;
}

bool fnr_t2_repair(char **text, size_t *size, fnr_t2_scan *scan, fnr_error *err)
{
    walker w = {.at = *text, .end = *text + *size};
    if (*size >= 2 &&
        (memchr(*text, 0, *size < 4 ? *size : 4) || !memcmp(*text, "\xFF\xFE", 2) || !memcmp(*text, "\xFE\xFF", 2))) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "the text is not in an 8-bit encoding; save it as UTF-8 or Latin-1");
    }
    if (!walk(&w)) {
        size_t line = 1;
        for (const char *p = *text; p < w.at; p++) {
            line += *p == '\n';
        }
        return fnr_fail(err, FNR_E_FORMAT, "line %zu: a tag begins inside an attribute; is a quote missing?", line);
    }
    *scan = w.scan;
    scan->ended = memmem(*text, *size, "</trakem2", strlen("</trakem2")) != NULL;
    if (w.used == *size) {
        return true;
    }
    char *repaired = fnr_calloc(w.used + 1, 1, "a TrakEM2 project", err);
    if (!repaired) {
        return false;
    }
    w = (walker){.at = *text, .end = *text + *size, .out = repaired};
    walk(&w);
    free(*text);
    *text = repaired;
    *size = w.used;
    return true;
}
