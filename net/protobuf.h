/* The protocol buffers wire format, as far as ONNX needs it: fields in a row, each a number with a type.  Facts: protobuf's
 * "Encoding" page.  Reading never allocates; fields point into the bytes read. */
#ifndef FNR_NET_PROTOBUF_H
#define FNR_NET_PROTOBUF_H

#include "net/buffer.h"

enum { FNR_PB_VARINT = 0, FNR_PB_FIXED64 = 1, FNR_PB_BYTES = 2, FNR_PB_FIXED32 = 5 };

/* A message, or the part of it that is still to be read. */
typedef struct {
    const unsigned char *at, *end;
} fnr_pb;

typedef struct {
    int number, type;
    uint64_t value; /* VARINT, FIXED32, FIXED64 */
    fnr_pb bytes;   /* BYTES: a message, a text, packed numbers */
} fnr_pb_field;

typedef enum { FNR_PB_FIELD, FNR_PB_END, FNR_PB_BROKEN } fnr_pb_result;
fnr_pb_result fnr_pb_next(fnr_pb *message, fnr_pb_field *out);
/* One bare varint, as in packed integers. */
bool fnr_pb_varint(fnr_pb *bytes, uint64_t *out);

void fnr_pb_put_int(fnr_buffer *b, int field, int64_t value);
void fnr_pb_put_float(fnr_buffer *b, int field, float value);
void fnr_pb_put_bytes(fnr_buffer *b, int field, const void *data, size_t size);
void fnr_pb_put_text(fnr_buffer *b, int field, const char *text);
/* Adds a message that was written to a buffer of its own, and empties that buffer for the next one. */
void fnr_pb_put_message(fnr_buffer *b, int field, fnr_buffer *message);

#endif
