#include "net/protobuf.h"

#include <string.h>

bool fnr_pb_varint(fnr_pb *bytes, uint64_t *out)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && bytes->at < bytes->end; shift += 7) {
        const unsigned char b = *bytes->at++;
        value |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool fixed(fnr_pb *bytes, size_t size, uint64_t *out)
{
    if ((size_t)(bytes->end - bytes->at) < size) {
        return false;
    }
    *out = 0;
    memcpy(out, bytes->at, size);
    bytes->at += size;
    return true;
}

fnr_pb_result fnr_pb_next(fnr_pb *message, fnr_pb_field *out)
{
    uint64_t tag, size;
    if (message->at == message->end) {
        return FNR_PB_END;
    }
    *out = (fnr_pb_field){0};
    if (!fnr_pb_varint(message, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff) {
        return FNR_PB_BROKEN;
    }
    out->number = (int)(tag >> 3);
    out->type = (int)(tag & 7);
    bool ok = false;
    if (out->type == FNR_PB_VARINT) {
        ok = fnr_pb_varint(message, &out->value);
    } else if (out->type == FNR_PB_FIXED64 || out->type == FNR_PB_FIXED32) {
        ok = fixed(message, out->type == FNR_PB_FIXED64 ? 8 : 4, &out->value);
    } else if (out->type == FNR_PB_BYTES && fnr_pb_varint(message, &size) && size <= (size_t)(message->end - message->at)) {
        out->bytes = (fnr_pb){message->at, message->at + size};
        message->at += size;
        ok = true;
    }
    return ok ? FNR_PB_FIELD : FNR_PB_BROKEN;
}

static void put_varint(fnr_buffer *b, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        fnr_buffer_byte(b, (int)(value & 0x7f) | 0x80);
    }
    fnr_buffer_byte(b, (int)value);
}

static void put_tag(fnr_buffer *b, int field, int type)
{
    put_varint(b, (uint64_t)field << 3 | (uint64_t)type);
}

void fnr_pb_put_int(fnr_buffer *b, int field, int64_t value)
{
    put_tag(b, field, FNR_PB_VARINT);
    put_varint(b, (uint64_t)value);
}

void fnr_pb_put_float(fnr_buffer *b, int field, float value)
{
    put_tag(b, field, FNR_PB_FIXED32);
    fnr_buffer_add(b, &value, sizeof value);
}

void fnr_pb_put_bytes(fnr_buffer *b, int field, const void *data, size_t size)
{
    put_tag(b, field, FNR_PB_BYTES);
    put_varint(b, size);
    fnr_buffer_add(b, data, size);
}

void fnr_pb_put_text(fnr_buffer *b, int field, const char *text)
{
    fnr_pb_put_bytes(b, field, text, strlen(text));
}

void fnr_pb_put_message(fnr_buffer *b, int field, fnr_buffer *message)
{
    b->failed |= message->failed;
    fnr_pb_put_bytes(b, field, message->data, message->size);
    message->size = 0;
}
