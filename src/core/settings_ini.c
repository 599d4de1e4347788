/* Settings from and to INI files.  Debian's inih is built without line numbers in its handler and with lines of 200 bytes in all,
 * so the lines are fetched by our own reader, which counts them and refuses what inih would cut in two. */
#include "src/core/settings_ini.h"

#include <errno.h>
#include <ini.h>
#include <string.h>

enum {
    LINE_BYTES = 198, /* of an inih buffer of 200: without line feed and terminating zero */
    COMMENT_COLUMNS = 100
};

typedef struct {
    const fnr_settings_table *table;
    void *values;
    const char *path;
    FILE *file;
    int line;
    bool failed; /* the first fault stands in *err; later ones are not looked at */
    fnr_error *err;
} ini_reader_state;

size_t fnr_ini_value_max(const fnr_setting *row)
{
    const char *dot = strchr(row->name, '.');
    const size_t name = strlen(dot ? dot + 1 : row->name) + strlen(" = ");
    const size_t room = name < LINE_BYTES ? LINE_BYTES - name : 0;
    return room < FNR_SET_TEXT_MAX - 1 ? room : FNR_SET_TEXT_MAX - 1;
}

static bool fault(ini_reader_state *r, const char *what)
{
    r->failed = true;
    return fnr_fail(r->err, FNR_E_USAGE, "%s line %d: %s", r->path, r->line, what);
}

/* inih's reader: the next line as fgets gives it.  Blanks in front go, because inih would take an indented "key = value" for a
 * continued value of the key above; comments are emptied, because they may be longer than inih's buffer. */
static char *next_line(char *out, int size, void *stream)
{
    ini_reader_state *r = stream;
    size_t n = 0;
    bool comment = false, any = false;
    int c;
    if (r->failed) {
        return NULL;
    }
    r->line++;
    while ((c = getc(r->file)) != EOF && c != '\n') {
        any = true;
        if (c == 0) {
            fault(r, "holds a zero byte; this is no text file");
            return NULL;
        }
        if (n == 0 && (c == ' ' || c == '\t')) {
            continue;
        }
        comment = comment || (n == 0 && (c == '#' || c == ';'));
        if (comment) {
            n = 1;
            continue;
        }
        if (n + 2 >= (size_t)size || n >= LINE_BYTES) {
            fault(r, "is longer than 198 characters");
            return NULL;
        }
        out[n++] = (char)c;
    }
    if (c == EOF && !any) {
        return NULL;
    }
    n = comment ? 0 : n;
    out[n] = '\n';
    out[n + 1] = 0;
    return out;
}

static int on_entry(void *user, const char *section, const char *key, const char *value)
{
    ini_reader_state *r = user;
    if (r->failed) {
        return 1;
    }
    char name[256], where[FNR_SET_TEXT_MAX + 64];
    snprintf(name, sizeof name, "%s%s%s", section, section[0] ? "." : "", key);
    snprintf(where, sizeof where, "%.*s line %d", FNR_SET_TEXT_MAX, r->path, r->line);
    r->failed = !fnr_settings_set(r->table, r->values, name, value, where, r->err);
    return 1;
}

bool fnr_settings_read_ini(const fnr_settings_table *t, void *values, const char *path, fnr_error *err)
{
    ini_reader_state r = {.table = t, .values = values, .path = path, .err = err};
    r.file = fopen(path, "re");
    if (!r.file) {
        return fnr_fail_errno(err, errno, "cannot open %s", path);
    }
    errno = 0;
    const int bad_line = ini_parse_stream(next_line, &r, on_entry, &r);
    const bool unreadable = ferror(r.file) != 0;
    const int reason = errno;
    fclose(r.file);
    if (bad_line != 0 && (!r.failed || bad_line < r.line)) { /* inih goes on after such a line: report what came first */
        return fnr_fail(err, FNR_E_USAGE, "%s line %d: is neither [section] nor key = value", path, bad_line);
    }
    if (unreadable) {
        return fnr_fail_errno(err, reason, "cannot read %s", path);
    }
    return !r.failed;
}

/* ---- writing ---- */

static void write_wrapped_comment(FILE *out, const char *text)
{
    size_t column = 0;
    for (const char *word = text + strspn(text, " "); *word; word += strspn(word, " ")) {
        const size_t n = strcspn(word, " ");
        if (column == 0 || column + 1 + n > COMMENT_COLUMNS) {
            fprintf(out, "%s#", column ? "\n" : "");
            column = 1;
        }
        fprintf(out, " %.*s", (int)n, word);
        column += 1 + n;
        word += n;
    }
    fputc('\n', out);
}

static void write_limits(FILE *out, const fnr_setting *row)
{
    char text[512];
    switch (row->type) {
    case FNR_SET_INT:
    case FNR_SET_FLOAT:
        snprintf(text, sizeof text, "%.10g to %.10g%s%s; default %s", row->min, row->max, row->unit[0] ? " " : "", row->unit, row->def);
        break;
    case FNR_SET_BOOL: snprintf(text, sizeof text, "true or false; default %s", row->def); break;
    case FNR_SET_CHOICE: snprintf(text, sizeof text, "one of: %s; default %s", row->choices, row->def); break;
    case FNR_SET_TEXT:
        if (!row->def[0]) {
            return;
        }
        snprintf(text, sizeof text, "default %s", row->def);
        break;
    }
    write_wrapped_comment(out, text);
}

void fnr_settings_write_ini(const fnr_settings_table *t, const void *values, FILE *out)
{
    const char *section = "";
    size_t section_length = 0;
    for (size_t i = 0; i < t->count; i++) {
        const fnr_setting *row = &t->rows[i];
        const size_t n = strcspn(row->name, ".");
        if (n != section_length || strncmp(row->name, section, n) != 0) {
            fprintf(out, "%s[%.*s]\n", i ? "\n" : "", (int)n, row->name);
            section = row->name;
            section_length = n;
        }
        char value[FNR_SET_TEXT_MAX];
        fnr_settings_format(row, values, value, sizeof value);
        fputc('\n', out);
        write_wrapped_comment(out, row->help);
        write_limits(out, row);
        fprintf(out, "%s = %s\n", row->name[n] ? row->name + n + 1 : row->name, value);
    }
}
