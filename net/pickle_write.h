/* Writes pickles of protocol 2 with the opcodes that net/pickle.h reads, without a memo: equal texts are simply written again. */
#ifndef FNR_NET_PICKLE_WRITE_H
#define FNR_NET_PICKLE_WRITE_H

#include "net/buffer.h"

void fnr_pickle_begin(fnr_buffer *b);
void fnr_pickle_end(fnr_buffer *b);

void fnr_pickle_none(fnr_buffer *b);
void fnr_pickle_bool(fnr_buffer *b, bool value);
void fnr_pickle_int(fnr_buffer *b, int64_t value);
void fnr_pickle_real(fnr_buffer *b, double value);
void fnr_pickle_text(fnr_buffer *b, const char *text);
void fnr_pickle_global(fnr_buffer *b, const char *module, const char *name);

/* Between open and close stand the items; in dictionaries keys and values by turns. */
void fnr_pickle_open_dict(fnr_buffer *b);
void fnr_pickle_open_ordered_dict(fnr_buffer *b);
void fnr_pickle_close_dict(fnr_buffer *b);
void fnr_pickle_open_list(fnr_buffer *b);
void fnr_pickle_close_list(fnr_buffer *b);
void fnr_pickle_open_tuple(fnr_buffer *b);
void fnr_pickle_close_tuple(fnr_buffer *b);

typedef struct {
    const char *key; /* of the storage */
    bool is_long;    /* int64, else float32 */
    int rank, dims[5];
    bool stream; /* stream container: the persistent id has a sixth item */
} fnr_pickle_tensor_ref;
/* A contiguous tensor that fills its storage. */
void fnr_pickle_tensor(fnr_buffer *b, const fnr_pickle_tensor_ref *t);

#endif
