#include "src/core/settings.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/core/settings_ini.h"
#include "src/core/text.h"

enum { NUMBER_MAX = 64 };

const fnr_setting *fnr_settings_find(const fnr_settings_table *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (!strcmp(t->rows[i].name, name)) {
            return &t->rows[i];
        }
    }
    return NULL;
}

/* ---- numbers in the C locale, whatever the program's locale is ---- */

static bool parse_double(const char *text, double *out)
{
    /* strtod also reads "nan", "inf" and hexadecimal; a setting is a decimal number. */
    if (!*text || text[strspn(text, "0123456789+-.eE")]) {
        return false;
    }
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c) {
        return false;
    }
    char *end;
    const double value = strtod_l(text, &end, c);
    freelocale(c);
    if (*end || end == text || !isfinite(value)) {
        return false;
    }
    *out = value;
    return true;
}

/* The shortest of 15 to 17 digits that reads back to the same bits. */
static void format_double(double value, char *buf, size_t size)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = c ? uselocale(c) : (locale_t)0;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(buf, size, "%.*g", digits, value);
        if (strtod(buf, NULL) == value) {
            break;
        }
    }
    if (c) {
        uselocale(before);
        freelocale(c);
    }
}

static bool parse_int(const char *text, int *out)
{
    if (!*text || text[strspn(text, "0123456789+-")]) {
        return false;
    }
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (*end || end == text || errno || value < INT32_MIN || value > INT32_MAX) {
        return false;
    }
    *out = (int)value;
    return true;
}

static bool parse_bool(const char *text, bool *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!strcasecmp(text, words[i])) {
            *out = i % 2 == 1;
            return true;
        }
    }
    return false;
}

/* The word number `index` of a space-separated list; its length in *length, NULL behind the last. */
static const char *choice_at(const char *choices, int index, size_t *length)
{
    const char *at = choices + strspn(choices, " ");
    for (; *at && index > 0; index--) {
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    *length = strcspn(at, " ");
    return *at ? at : NULL;
}

static bool parse_choice(const char *choices, const char *text, int *out)
{
    const char *word;
    size_t n;
    for (int i = 0; (word = choice_at(choices, i, &n)) != NULL; i++) {
        if (strlen(text) == n && !strncmp(word, text, n)) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* ---- messages ---- */

__attribute__((format(printf, 3, 4))) static bool refuse(fnr_error *err, const char *where, const char *fmt, ...)
{
    char text[768];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const bool named = where && *where;
    return fnr_fail(err, FNR_E_USAGE, "%s%s%s", named ? where : "", named ? ": " : "", text);
}

static bool refuse_number(fnr_error *err, const char *where, const fnr_setting *row, const char *text)
{
    char low[NUMBER_MAX], high[NUMBER_MAX];
    format_double(row->min, low, sizeof low);
    format_double(row->max, high, sizeof high);
    return refuse(err, where, "%s = '%.80s' is not a %s from %s to %s%s%s", row->name, text,
                  row->type == FNR_SET_INT ? "whole number" : "number", low, high, row->unit[0] ? " " : "", row->unit);
}

static bool refuse_name(const fnr_settings_table *t, const char *name, const char *where, fnr_error *err)
{
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < t->count; i++) {
        const char *known = t->rows[i].name;
        const char *dot = strchr(known, '.');
        size_t d = fnr_text_distance(name, known);
        if (!strchr(name, '.') && dot) { /* the section was forgotten: compare the key alone */
            const size_t key = fnr_text_distance(name, dot + 1);
            d = key < d ? key : d;
        }
        if (d < best) {
            best = d;
            nearest = known;
        }
    }
    return refuse(err, where, "there is no setting '%.80s'; the nearest is '%s'", name, nearest ? nearest : "(none)");
}

/* ---- values ---- */

/* A text must survive being written to an INI file and read again. */
static bool set_text(const fnr_setting *row, char *out, const char *text, const char *where, fnr_error *err)
{
    const size_t n = strlen(text), most = fnr_ini_value_max(row);
    if (n > most) {
        return refuse(err, where, "%s has %zu characters; at most %zu are accepted", row->name, n, most);
    }
    for (const char *at = text; *at; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            return refuse(err, where, "%s holds a control character", row->name);
        }
    }
    if (text[0] == ';' || strstr(text, " ;")) {
        return refuse(err, where, "%s = '%.80s' holds ' ;', which begins a comment in an INI file", row->name, text);
    }
    memcpy(out, text, n + 1);
    return true;
}

static bool set_trimmed(const fnr_setting *row, void *values, const char *text, const char *where, fnr_error *err)
{
    void *slot = (char *)values + row->offset;
    switch (row->type) {
    case FNR_SET_INT: {
        int v;
        if (!parse_int(text, &v) || v < row->min || v > row->max) {
            return refuse_number(err, where, row, text);
        }
        memcpy(slot, &v, sizeof v);
        return true;
    }
    case FNR_SET_FLOAT: {
        double v;
        if (!parse_double(text, &v) || v < row->min || v > row->max) {
            return refuse_number(err, where, row, text);
        }
        memcpy(slot, &v, sizeof v);
        return true;
    }
    case FNR_SET_BOOL: {
        bool v;
        if (!parse_bool(text, &v)) {
            return refuse(err, where, "%s = '%.80s' is neither true nor false", row->name, text);
        }
        memcpy(slot, &v, sizeof v);
        return true;
    }
    case FNR_SET_CHOICE: {
        int v;
        if (!parse_choice(row->choices, text, &v)) {
            return refuse(err, where, "%s = '%.80s' is none of: %s", row->name, text, row->choices);
        }
        memcpy(slot, &v, sizeof v);
        return true;
    }
    case FNR_SET_TEXT: return set_text(row, slot, text, where, err);
    }
    return fnr_fail(err, FNR_E_INTERNAL, "setting %s has an unknown type", row->name);
}

bool fnr_settings_set(const fnr_settings_table *t, void *values, const char *name, const char *text, const char *where, fnr_error *err)
{
    const fnr_setting *row = fnr_settings_find(t, name);
    if (!row) {
        return refuse_name(t, name, where, err);
    }
    static const char space[] = " \t\r\n";
    const char *begin = text + strspn(text, space);
    size_t n = strlen(begin);
    while (n > 0 && strchr(space, begin[n - 1])) {
        n--;
    }
    char trimmed[2 * FNR_SET_TEXT_MAX];
    if (n >= sizeof trimmed) {
        return refuse(err, where, "%s = '%.40s...' is far too long", row->name, begin);
    }
    memcpy(trimmed, begin, n);
    trimmed[n] = 0;
    return set_trimmed(row, values, trimmed, where, err);
}

bool fnr_settings_defaults(const fnr_settings_table *t, void *values, fnr_error *err)
{
    for (size_t i = 0; i < t->count; i++) {
        if (!set_trimmed(&t->rows[i], values, t->rows[i].def, "default", err)) {
            if (err) {
                err->code = FNR_E_INTERNAL; /* the table is at fault, not the user */
            }
            return false;
        }
    }
    return true;
}

void fnr_settings_format(const fnr_setting *row, const void *values, char *buf, size_t size)
{
    const char *slot = (const char *)values + row->offset;
    int i;
    bool b;
    double d;
    size_t n;
    switch (row->type) {
    case FNR_SET_INT:
        memcpy(&i, slot, sizeof i);
        snprintf(buf, size, "%d", i);
        break;
    case FNR_SET_FLOAT:
        memcpy(&d, slot, sizeof d);
        format_double(d, buf, size);
        break;
    case FNR_SET_BOOL:
        memcpy(&b, slot, sizeof b);
        snprintf(buf, size, "%s", b ? "true" : "false");
        break;
    case FNR_SET_CHOICE:
        memcpy(&i, slot, sizeof i);
        const char *word = choice_at(row->choices, i, &n);
        snprintf(buf, size, "%.*s", word ? (int)n : 0, word ? word : "");
        break;
    case FNR_SET_TEXT: snprintf(buf, size, "%s", slot); break;
    }
}
