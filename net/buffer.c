#include "net/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fnr_buffer_add(fnr_buffer *b, const void *data, size_t size)
{
    if (b->failed || size == 0) {
        return;
    }
    if (size > b->room - b->size) {
        size_t room = b->room + b->room / 2 + 256;
        room = room - b->size < size ? b->size + size : room;
        char *bigger = size <= PTRDIFF_MAX - b->size ? realloc(b->data, room) : NULL;
        if (!bigger) {
            b->failed = true;
            return;
        }
        b->data = bigger;
        b->room = room;
    }
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

void fnr_buffer_byte(fnr_buffer *b, int byte)
{
    const char c = (char)byte;
    fnr_buffer_add(b, &c, 1);
}

void fnr_buffer_text(fnr_buffer *b, const char *text)
{
    fnr_buffer_add(b, text, strlen(text));
}

void fnr_buffer_printf(fnr_buffer *b, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text) {
        b->failed = true;
        return;
    }
    fnr_buffer_add(b, text, (size_t)n);
}

void fnr_buffer_number(fnr_buffer *b, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        fnr_buffer_byte(b, (int)(value >> 8 * i & 0xff));
    }
}

bool fnr_buffer_check(const fnr_buffer *b, const char *what, fnr_error *err)
{
    return !b->failed || fnr_fail(err, FNR_E_LIMIT, "not enough memory for %s", what);
}

void fnr_buffer_free(fnr_buffer *b)
{
    free(b->data);
    *b = (fnr_buffer){0};
}
