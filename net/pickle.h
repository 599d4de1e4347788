/* Reads Python pickles as PyTorch writes them (protocol 2), as data: nothing is imported and nothing is called.  Only the opcodes
 * and the five globals that a checkpoint consists of are known; every other one is refused by its name.  The bytes are hostile
 * until proven otherwise: stack, memo and the number of values are bounded, and no step recurses.
 *
 * Opcodes: Python's Lib/pickletools.py.  Globals: collections.OrderedDict, torch._utils._rebuild_tensor (PyTorch before 0.4) and
 * _rebuild_tensor_v2, torch.FloatStorage, torch.LongStorage. */
#ifndef FNR_NET_PICKLE_H
#define FNR_NET_PICKLE_H

#include <stddef.h>
#include <stdint.h>
#include "src/core/err.h"

#define FNR_PK_MAX_VALUES  ((size_t)1 << 20)
#define FNR_PK_MAX_STACK   ((size_t)1 << 16)
#define FNR_PK_MAX_TENSORS ((size_t)1 << 13) /* the deepest U-Net with its optimiser state has about 1300 */
enum { FNR_PK_MAX_RANK = 8 };

typedef enum {
    FNR_PK_NONE,
    FNR_PK_BOOL,
    FNR_PK_INT,
    FNR_PK_BIG, /* an integer of more than 8 bytes: little-endian two's complement in `text` */
    FNR_PK_REAL,
    FNR_PK_TEXT,
    FNR_PK_TUPLE,
    FNR_PK_LIST,
    FNR_PK_DICT, /* items are key, value, key, value ... */
    FNR_PK_GLOBAL,
    FNR_PK_STORAGE,
    FNR_PK_TENSOR
} fnr_pk_kind;

typedef struct {
    const char *data; /* into the pickle's bytes, not terminated */
    size_t size;
} fnr_pk_text;

typedef struct {
    fnr_pk_kind kind;
    union {
        int64_t integer; /* BOOL, INT; for GLOBAL, STORAGE, TENSOR an index */
        double real;
        fnr_pk_text text;
        struct {
            int first, last, count; /* cells; -1 = none */
        } items;
    };
} fnr_pk_value;

typedef struct {
    int value, next; /* index of a value; of the next cell, -1 = last */
} fnr_pk_cell;

typedef struct {
    fnr_pk_text key;
    bool is_long;  /* int64, else float32 */
    int64_t count; /* elements */
} fnr_pk_storage;

typedef struct {
    int storage;
    int64_t offset; /* elements */
    int rank;
    int64_t dims[FNR_PK_MAX_RANK];
} fnr_pk_tensor; /* dense, C order, within its storage */

typedef struct {
    fnr_pk_value *values;
    fnr_pk_cell *cells;
    fnr_pk_storage *storages;
    fnr_pk_tensor *tensors;
    size_t n_values, n_cells, n_storages, n_tensors;
    size_t values_room, cells_room, storages_room, tensors_room;
    int root;
} fnr_pickle;

/* Runs the pickle at the start of `data`, which must outlive *out; *used is where it ends. */
bool fnr_pickle_read(const char *data, size_t size, const char *file, fnr_pickle *out, size_t *used, fnr_error *err);
void fnr_pickle_free(fnr_pickle *p);

static inline const fnr_pk_value *fnr_pickle_root(const fnr_pickle *p)
{
    return &p->values[p->root];
}
/* The value under a text key, the last one set; NULL when absent or when `dict` is none (NULL is fine). */
const fnr_pk_value *fnr_pickle_get(const fnr_pickle *p, const fnr_pk_value *dict, const char *key);
/* Is it this text, byte by byte? */
bool fnr_pk_is(const fnr_pk_value *v, const char *text);

#endif
