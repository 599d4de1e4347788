/* A look at the text of a safetensors header before a JSON parser gets it.  Internal to the reader. */
#ifndef FNR_NET_ST_SCAN_H
#define FNR_NET_ST_SCAN_H

#include <stddef.h>
#include "src/core/err.h"

/* Refuses what cJSON would take or choke on: bytes that are not UTF-8, zero characters in strings (they would cut names), numbers
 * that are no non-negative integers, deep nesting, and more than FNR_ST_MAX_VALUES values. Not a parser: brackets may mismatch. */
bool fnr_st_scan(const char *text, size_t size, const char *file, fnr_error *err);

#endif
