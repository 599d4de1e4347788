/* libFuzzer target: bytes as a TIFF file, opened in every way there is. See run.sh. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/image/raster.h"
#include "src/image/tiff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads every pixel of a raster, so that uninitialised ones are seen, in two halves. */
static void read_raster(const char *path, int page)
{
    fnr_raster r;
    if (!fnr_raster_from_tiff(&r, path, page, 4096, NULL)) {
        return;
    }
    const int w = r.w < 64 ? r.w : 64, h = r.h < 64 ? r.h : 64;
    float *px = malloc((size_t)w * (size_t)h * sizeof *px);
    volatile float sum = 0;
    if (px && r.read(&r, r.w - w, r.h - h, w, h, px, NULL) && r.read(&r, 0, 0, w, h, px, NULL)) {
        for (int i = 0; i < w * h; i++) {
            sum = sum + px[i];
        }
    }
    free(px);
    fnr_raster_release(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    fnr_error err;
    fnr_tiff_info info;
    fnr_image im;
    const int fd = memfd_create("fuzz.tif", MFD_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (write(fd, data, size) == (ssize_t)size) {
        fnr_tiff_probe(path, &info, &err);
        for (int page = 0; page < 3; page++) {
            if (fnr_tiff_read(path, &(fnr_tiff_read_options){.page = page, .max_bytes = 1 << 24}, &im, &err)) {
                fnr_image_free(&im);
            }
            read_raster(path, page);
        }
    }
    close(fd);
    return 0;
}
