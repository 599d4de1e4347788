/* 8-bit pictures as JPEG, PNG and base64, all in memory. */
#include "src/image/encode.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>
#include <png.h>

#include "src/core/mem.h"

/* ---- JPEG ---- */

typedef struct {
    struct jpeg_error_mgr base; /* first, so that libjpeg's pointer leads here */
    jmp_buf jump;
    char text[JMSG_LENGTH_MAX];
} jpeg_errors;

/* libjpeg's own handler ends the process. */
static void on_jpeg_error(j_common_ptr common)
{
    jpeg_errors *errors = (jpeg_errors *)common->err;
    common->err->format_message(common, errors->text);
    longjmp(errors->jump, 1);
}

static void on_jpeg_message(j_common_ptr common)
{
    (void)common; /* warnings: libjpeg's own handler prints them */
}

static void compress_jpeg(struct jpeg_compress_struct *c, const fnr_rgb *im, int quality)
{
    c->image_width = (JDIMENSION)im->w;
    c->image_height = (JDIMENSION)im->h;
    c->input_components = 3;
    c->in_color_space = JCS_RGB;
    jpeg_set_defaults(c);
    jpeg_set_quality(c, quality < 1 ? 1 : quality > 100 ? 100 : quality, TRUE);
    jpeg_start_compress(c, TRUE);
    while (c->next_scanline < c->image_height) {
        JSAMPROW row = im->rgb + (size_t)c->next_scanline * (size_t)im->w * 3;
        jpeg_write_scanlines(c, &row, 1);
    }
    jpeg_finish_compress(c);
}

/* What libjpeg allocates stands in memory of our own, not in locals that longjmp() may lose. */
typedef struct {
    struct jpeg_compress_struct compress;
    jpeg_errors errors;
    unsigned char *bytes;
    unsigned long size;
} jpeg_job;

bool fnr_encode_jpeg(const fnr_rgb *im, int quality, uint8_t **bytes, size_t *size, fnr_error *err)
{
    jpeg_job *job = fnr_calloc(1, sizeof *job, "a JPEG encoder", err);
    bool ok = false;
    if (!job) {
        return false;
    }
    job->compress.err = jpeg_std_error(&job->errors.base);
    job->errors.base.error_exit = on_jpeg_error;
    job->errors.base.output_message = on_jpeg_message;
    if (setjmp(job->errors.jump) == 0) {
        jpeg_create_compress(&job->compress);
        jpeg_mem_dest(&job->compress, &job->bytes, &job->size);
        compress_jpeg(&job->compress, im, quality);
        *bytes = job->bytes;
        *size = job->size;
        job->bytes = NULL;
        ok = true;
    } else {
        fnr_fail(err, FNR_E_INTERNAL, "a picture of %d x %d pixels cannot become a JPEG: %s", im->w, im->h, job->errors.text);
    }
    jpeg_destroy_compress(&job->compress);
    free(job->bytes);
    free(job);
    return ok;
}

/* ---- PNG ---- */

bool fnr_encode_png(const fnr_rgb *im, uint8_t **bytes, size_t *size, fnr_error *err)
{
    png_image png = {
        .version = PNG_IMAGE_VERSION, .width = (png_uint_32)im->w, .height = (png_uint_32)im->h, .format = PNG_FORMAT_RGB};
    png_alloc_size_t needed = PNG_IMAGE_PNG_SIZE_MAX(png);
    uint8_t *out = fnr_calloc(needed, 1, "a PNG picture", err);
    if (!out) {
        return false;
    }
    if (!png_image_write_to_memory(&png, out, &needed, 0, im->rgb, 0, NULL)) {
        fnr_fail(err, FNR_E_INTERNAL, "a picture of %d x %d pixels cannot become a PNG: %s", im->w, im->h, png.message);
        png_image_free(&png);
        free(out);
        return false;
    }
    uint8_t *shrunk = realloc(out, needed);
    *bytes = shrunk ? shrunk : out;
    *size = needed;
    return true;
}

/* ---- base64, RFC 4648 section 4 ---- */

char *fnr_base64(const uint8_t *bytes, size_t size, fnr_error *err)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = fnr_calloc(size / 3 + 2, 4, "base64 text", err), *out = text; /* a started group of three, and the terminator */
    if (!text) {
        return NULL;
    }
    for (size_t i = 0; i < size; i += 3) {
        const size_t left = size - i;
        const unsigned b =
            (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
        *out++ = digits[b >> 18];
        *out++ = digits[b >> 12 & 63];
        *out++ = left > 1 ? digits[b >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[b & 63] : '=';
    }
    return text;
}
