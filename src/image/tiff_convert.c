/* Samples as libtiff decodes them -> pixels of fnr_dtype. */
#include "src/image/tiff_file.h"

#include <string.h>

static void convert_bits(const fnr_tiff_page *p, const uint8_t *raw, int x0, int count, uint8_t *dst)
{
    const uint8_t zero = p->invert ? 255 : 0, one = (uint8_t)~zero;
    for (int i = 0; i < count; i++) {
        const int x = x0 + i;
        dst[i] = raw[x >> 3] & (0x80 >> (x & 7)) ? one : zero;
    }
}

static void convert_u8(const fnr_tiff_page *p, const uint8_t *raw, int count, uint8_t *dst)
{
    if (p->palette) {
        for (int i = 0; i < count; i++) {
            dst[i] = p->grey[raw[i]];
        }
        return;
    }
    memcpy(dst, raw, (size_t)count);
    if (p->invert) {
        for (int i = 0; i < count; i++) {
            dst[i] = (uint8_t)~dst[i];
        }
    }
}

static void convert_u16(const fnr_tiff_page *p, const uint16_t *raw, int count, uint16_t *dst)
{
    memcpy(dst, raw, (size_t)count * sizeof *dst);
    if (p->invert) {
        for (int i = 0; i < count; i++) {
            dst[i] = (uint16_t)~dst[i];
        }
    }
}

/* Complements in the sample's own type where there is one, as for unsigned samples. */
#define TO_FLOAT(type, inverted)                                                                                                 \
    do {                                                                                                                         \
        const type *s = (const type *)raw + x0;                                                                                  \
        for (int i = 0; i < count; i++) {                                                                                        \
            dst[i] = (float)(p->invert ? (inverted) : s[i]);                                                                     \
        }                                                                                                                        \
    } while (0)

static void convert_to_float(const fnr_tiff_page *p, const void *raw, int x0, int count, float *dst)
{
    const bool is_int = p->format == SAMPLEFORMAT_INT;
    if (p->bits == 8) {
        TO_FLOAT(int8_t, ~s[i]);
    } else if (p->bits == 16) {
        TO_FLOAT(int16_t, ~s[i]);
    } else if (p->bits == 32 && is_int) {
        TO_FLOAT(int32_t, ~s[i]);
    } else if (p->bits == 32 && p->format == SAMPLEFORMAT_UINT) {
        TO_FLOAT(uint32_t, ~s[i]);
    } else if (p->bits == 32) {
        TO_FLOAT(float, -s[i]);
    } else {
        TO_FLOAT(double, -s[i]);
    }
}

void fnr_tiff_row_convert(const fnr_tiff_page *p, const void *raw_row, int x0, int count, void *dst)
{
    if (p->bits == 1) {
        convert_bits(p, raw_row, x0, count, dst);
    } else if (p->dtype == FNR_U8) {
        convert_u8(p, (const uint8_t *)raw_row + x0, count, dst);
    } else if (p->dtype == FNR_U16) {
        convert_u16(p, (const uint16_t *)raw_row + x0, count, dst);
    } else {
        convert_to_float(p, raw_row, x0, count, dst);
    }
}
