/* Settings from one table: parsing, range checks, --help, --print-config, configs/default.ini and the run record all come from
 * the same rows.  The table itself (with the offsets into the program's fnr_config) stands in src/pipeline/config.c. */
#ifndef FNR_CORE_SETTINGS_H
#define FNR_CORE_SETTINGS_H

#include <stddef.h>
#include <stdio.h>
#include "src/core/err.h"

typedef enum {
    FNR_SET_INT,    /* int */
    FNR_SET_FLOAT,  /* double */
    FNR_SET_BOOL,   /* bool; true/false, yes/no, on/off, 1/0 */
    FNR_SET_CHOICE, /* int: index into the space-separated list `choices` */
    FNR_SET_TEXT    /* char[FNR_SET_TEXT_MAX] */
} fnr_setting_type;

#define FNR_SET_TEXT_MAX 256

typedef struct {
    const char *name; /* "section.key" */
    fnr_setting_type type;
    size_t offset;       /* into the struct that holds the values */
    double min, max;     /* inclusive; for INT and FLOAT */
    const char *def;     /* default, as text */
    const char *unit;    /* "px", "nm", ... or "" */
    const char *choices; /* CHOICE only */
    const char *help;    /* one sentence */
} fnr_setting;

typedef struct {
    const fnr_setting *rows;
    size_t count;
} fnr_settings_table;

bool fnr_settings_defaults(const fnr_settings_table *t, void *values, fnr_error *err);
/* One assignment; `where` ("file.ini line 3", "--set") begins the message when the name or value is wrong; unknown names list
 * the nearest known one. */
bool fnr_settings_set(const fnr_settings_table *t, void *values, const char *name, const char *text, const char *where, fnr_error *err);
/* Reads an INI file with inih: [section] key = value, lines of at most 198 bytes; of two entries with one name the last wins.
 * Every unknown or bad entry is an error that names file and line; the entries before it are set by then. */
bool fnr_settings_read_ini(const fnr_settings_table *t, void *values, const char *path, fnr_error *err);
/* Value as text that fnr_settings_set reads back to the same bits. */
void fnr_settings_format(const fnr_setting *row, const void *values, char *buf, size_t size);
/* An INI file with every setting, its unit, range and help as comments. */
void fnr_settings_write_ini(const fnr_settings_table *t, const void *values, FILE *out);
const fnr_setting *fnr_settings_find(const fnr_settings_table *t, const char *name);

#endif
