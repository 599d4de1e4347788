#include "net/pickle_write.h"

#include <string.h>

void fnr_pickle_begin(fnr_buffer *b)
{
    fnr_buffer_add(b, "\x80\2", 2);
}

void fnr_pickle_end(fnr_buffer *b)
{
    fnr_buffer_byte(b, '.');
}

void fnr_pickle_none(fnr_buffer *b)
{
    fnr_buffer_byte(b, 'N');
}

void fnr_pickle_bool(fnr_buffer *b, bool value)
{
    fnr_buffer_byte(b, value ? 0x88 : 0x89);
}

void fnr_pickle_int(fnr_buffer *b, int64_t value)
{
    if (value == (int32_t)value) {
        fnr_buffer_byte(b, 'J');
        fnr_buffer_number(b, (uint64_t)value, 4);
    } else {
        fnr_buffer_add(b, "\x8a\10", 2);
        fnr_buffer_number(b, (uint64_t)value, 8);
    }
}

void fnr_pickle_real(fnr_buffer *b, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    fnr_buffer_byte(b, 'G');
    fnr_buffer_number(b, __builtin_bswap64(bits), 8);
}

void fnr_pickle_text(fnr_buffer *b, const char *text)
{
    const size_t n = strlen(text);
    b->failed |= n > UINT32_MAX;
    fnr_buffer_byte(b, 'X');
    fnr_buffer_number(b, n, 4);
    fnr_buffer_add(b, text, n);
}

void fnr_pickle_global(fnr_buffer *b, const char *module, const char *name)
{
    fnr_buffer_byte(b, 'c');
    fnr_buffer_text(b, module);
    fnr_buffer_byte(b, '\n');
    fnr_buffer_text(b, name);
    fnr_buffer_byte(b, '\n');
}

void fnr_pickle_open_dict(fnr_buffer *b)
{
    fnr_buffer_text(b, "}(");
}

void fnr_pickle_open_ordered_dict(fnr_buffer *b)
{
    fnr_pickle_global(b, "collections", "OrderedDict");
    fnr_buffer_text(b, ")R(");
}

void fnr_pickle_close_dict(fnr_buffer *b)
{
    fnr_buffer_byte(b, 'u');
}

void fnr_pickle_open_list(fnr_buffer *b)
{
    fnr_buffer_text(b, "](");
}

void fnr_pickle_close_list(fnr_buffer *b)
{
    fnr_buffer_byte(b, 'e');
}

void fnr_pickle_open_tuple(fnr_buffer *b)
{
    fnr_buffer_byte(b, '(');
}

void fnr_pickle_close_tuple(fnr_buffer *b)
{
    fnr_buffer_byte(b, 't');
}

static void put_storage(fnr_buffer *b, const fnr_pickle_tensor_ref *t, int64_t count)
{
    fnr_pickle_open_tuple(b);
    fnr_pickle_text(b, "storage");
    fnr_pickle_global(b, "torch", t->is_long ? "LongStorage" : "FloatStorage");
    fnr_pickle_text(b, t->key);
    fnr_pickle_text(b, "cpu");
    fnr_pickle_int(b, count);
    if (t->stream) {
        fnr_pickle_none(b);
    }
    fnr_pickle_close_tuple(b);
    fnr_buffer_byte(b, 'Q');
}

void fnr_pickle_tensor(fnr_buffer *b, const fnr_pickle_tensor_ref *t)
{
    int64_t strides[5], count = 1;
    for (int i = t->rank; i-- > 0;) {
        strides[i] = count;
        count *= t->dims[i];
    }
    fnr_pickle_global(b, "torch._utils", "_rebuild_tensor_v2");
    fnr_pickle_open_tuple(b);
    put_storage(b, t, count);
    fnr_pickle_int(b, 0);
    fnr_pickle_open_tuple(b);
    for (int i = 0; i < t->rank; i++) {
        fnr_pickle_int(b, t->dims[i]);
    }
    fnr_pickle_close_tuple(b);
    fnr_pickle_open_tuple(b);
    for (int i = 0; i < t->rank; i++) {
        fnr_pickle_int(b, strides[i]);
    }
    fnr_pickle_close_tuple(b);
    fnr_pickle_bool(b, false); /* requires_grad */
    fnr_pickle_global(b, "collections", "OrderedDict");
    fnr_buffer_text(b, ")R"); /* hooks */
    fnr_pickle_close_tuple(b);
    fnr_buffer_byte(b, 'R');
}
