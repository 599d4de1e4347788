/* The element types of safetensors, in the reference implementation's order.  Internal to the reader and the writer. */
#ifndef FNR_NET_ST_DTYPE_H
#define FNR_NET_ST_DTYPE_H

#include <stddef.h>
#include <string.h>

typedef struct {
    char name[8];
    size_t size; /* bytes per element */
} fnr_st_dtype;

/* Ascending; the reference writer sorts tensors by descending position in this list, which puts the strictest alignment first. */
static const fnr_st_dtype fnr_st_dtypes[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
    {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"F64", 8},     {"I64", 8}, {"U64", 8},
};

/* Position in the list above; -1 when unknown. */
static inline int fnr_st_dtype_index(const char *name)
{
    for (size_t i = 0; i < sizeof fnr_st_dtypes / sizeof *fnr_st_dtypes; i++) {
        if (strcmp(fnr_st_dtypes[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

#endif
