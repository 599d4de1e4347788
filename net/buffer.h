/* Bytes that grow at the end: what the writers of pickles, ONNX files and packages fill.  Failing to grow is remembered, so that
 * only the end needs checking. */
#ifndef FNR_NET_BUFFER_H
#define FNR_NET_BUFFER_H

#include <stddef.h>
#include <stdint.h>
#include "src/core/err.h"

typedef struct {
    char *data; /* owned; NULL while empty */
    size_t size, room;
    bool failed; /* out of memory: what was added since is lost */
} fnr_buffer;

void fnr_buffer_add(fnr_buffer *b, const void *data, size_t size);
void fnr_buffer_byte(fnr_buffer *b, int byte);
void fnr_buffer_text(fnr_buffer *b, const char *text); /* without its terminating zero */
void fnr_buffer_printf(fnr_buffer *b, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* at most 1 KiB */
/* Little-endian integer of 1 to 8 bytes. */
void fnr_buffer_number(fnr_buffer *b, uint64_t value, size_t bytes);
/* FNR_E_LIMIT when something was lost. */
bool fnr_buffer_check(const fnr_buffer *b, const char *what, fnr_error *err);
void fnr_buffer_free(fnr_buffer *b);

#endif
