/* safetensors container: strict reader (the file is hostile until proven otherwise) and writer.
 *
 *   u64 LE N | N bytes of JSON header, padded with spaces | tensor bytes, little-endian, C order, no holes
 *
 * The rules are those of the reference implementation (huggingface/safetensors, tensor.rs); its error cases are refused here too. */
#ifndef FNR_NET_SAFETENSORS_H
#define FNR_NET_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>
#include "src/core/err.h"

#define FNR_ST_MAX_RANK 8
#define FNR_ST_MAX_HEADER ((uint64_t)100000000)
/* Values in the header's JSON. A model has a few thousand; the bound keeps a hostile header from filling the memory. */
#define FNR_ST_MAX_VALUES ((size_t)1000000)

typedef struct {
    char *name;
    char dtype[8]; /* "F32", "I64", ... */
    int rank;      /* 0 is a scalar */
    int64_t dims[FNR_ST_MAX_RANK];
    const void *data; /* into the file buffer; may be unaligned, so copy it out with memcpy */
    size_t bytes;
} fnr_st_tensor;

typedef struct {
    char *key, *value;
} fnr_st_meta;

typedef struct {
    fnr_st_tensor *tensors; /* in file order */
    size_t n_tensors;
    fnr_st_meta *meta;
    size_t n_meta;
    char *buffer; /* owns the file's bytes */
} fnr_st_file;

/* Reads a whole file of at most max_bytes. *out is untouched on failure; release it with fnr_st_free. */
bool fnr_st_read(const char *path, size_t max_bytes, fnr_st_file *out, fnr_error *err);
/* Parses bytes in memory (fuzzing); takes ownership of buffer (malloc) on success and failure. */
bool fnr_st_parse(char *buffer, size_t size, const char *name_for_messages, fnr_st_file *out, fnr_error *err);
void fnr_st_free(fnr_st_file *f);
const fnr_st_tensor *fnr_st_find(const fnr_st_file *f, const char *name); /* NULL when absent */
const char *fnr_st_meta_find(const fnr_st_file *f, const char *key);      /* NULL when absent */

/* A name from a file, made fit for a message: control characters (terminals obey them) become '?', long names end in "...". */
typedef struct {
    char text[128];
} fnr_st_name;
fnr_st_name fnr_st_printable(const char *name);

/* Writes tensors (data, dims, dtype, bytes, name of each used) in the reference writer's order; atomic. */
bool fnr_st_write(const char *path, const fnr_st_tensor *tensors, size_t n, const fnr_st_meta *meta, size_t n_meta, fnr_error *err);

#endif
