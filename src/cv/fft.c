#include "src/cv/fft.h"

#include <fftw3.h>
#include <pthread.h>
#include <stdlib.h>

#include "src/core/mem.h"

struct fnr_fft {
    int w, h;
    fftwf_plan forward, inverse;
};

enum { LINE = 64 / sizeof(float) };

/* FFTW's planner is the one part of it that threads may not share. */
static pthread_mutex_t planner = PTHREAD_MUTEX_INITIALIZER;

static size_t whole_lines(size_t floats)
{
    return (floats + LINE - 1) / LINE * LINE;
}

size_t fnr_fft_image_floats(const fnr_fft *f)
{
    return whole_lines((size_t)f->w * (size_t)f->h);
}

size_t fnr_fft_spectrum_floats(const fnr_fft *f)
{
    return whole_lines(2 * (size_t)(f->w / 2 + 1) * (size_t)f->h);
}

/* Estimated plans: they are at most a quarter slower than measured ones, and the same in every run. */
static void plan(fnr_fft *f, float *image, fftwf_complex *spectrum)
{
    pthread_mutex_lock(&planner);
    f->forward = fftwf_plan_dft_r2c_2d(f->h, f->w, image, spectrum, FFTW_ESTIMATE);
    f->inverse = fftwf_plan_dft_c2r_2d(f->h, f->w, spectrum, image, FFTW_ESTIMATE);
    pthread_mutex_unlock(&planner);
}

fnr_fft *fnr_fft_new(int w, int h, fnr_error *err)
{
    if (w < 1 || h < 1) {
        fnr_fail(err, FNR_E_USAGE, "a Fourier transform of %d x %d pixels", w, h);
        return NULL;
    }
    fnr_fft *f = fnr_calloc(1, sizeof *f, "a Fourier transform", err);
    if (!f) {
        return NULL;
    }
    f->w = w;
    f->h = h;
    float *room = fnr_alloc_aligned(fnr_fft_image_floats(f) + fnr_fft_spectrum_floats(f), sizeof *room, "a Fourier transform", err);
    if (room) {
        plan(f, room, (fftwf_complex *)(void *)(room + fnr_fft_image_floats(f)));
    }
    free(room);
    if (!f->forward || !f->inverse) {
        if (room) {
            fnr_fail(err, FNR_E_LIMIT, "cannot plan a Fourier transform of %d x %d pixels", w, h);
        }
        fnr_fft_free(f);
        return NULL;
    }
    return f;
}

void fnr_fft_free(fnr_fft *f)
{
    if (f) {
        pthread_mutex_lock(&planner);
        fftwf_destroy_plan(f->forward);
        fftwf_destroy_plan(f->inverse);
        pthread_mutex_unlock(&planner);
        free(f);
    }
}

/* FFTW does not write to the input of an out-of-place forward transform, though its type says so. */
void fnr_fft_forward(const fnr_fft *f, const float *image, float *spectrum)
{
    fftwf_execute_dft_r2c(f->forward, (float *)(size_t)image, (fftwf_complex *)(void *)spectrum);
}

void fnr_fft_inverse(const fnr_fft *f, float *spectrum, float *image)
{
    fftwf_execute_dft_c2r(f->inverse, (fftwf_complex *)(void *)spectrum, image);
}

/* out = a times b, or its conjugate when sign is 1, -1 for b itself. */
static inline void multiply(const fnr_fft *f, const float *restrict a, const float *restrict b, float sign, float *restrict out)
{
    const size_t n = (size_t)(f->w / 2 + 1) * (size_t)f->h;
    const float scale = 1.0f / ((float)f->w * (float)f->h);
    for (size_t i = 0; i < n; i++) {
        const float re = scale * b[2 * i], im = scale * sign * b[2 * i + 1];
        out[2 * i] = a[2 * i] * re + a[2 * i + 1] * im;
        out[2 * i + 1] = a[2 * i + 1] * re - a[2 * i] * im;
    }
}

void fnr_fft_correlation(const fnr_fft *f, const float *a, const float *b, float *out)
{
    multiply(f, a, b, 1, out);
}

void fnr_fft_convolution(const fnr_fft *f, const float *a, const float *b, float *out)
{
    multiply(f, a, b, -1, out);
}

int fnr_fft_good_size(int n)
{
    for (int size = n + n % 2;; size += 2) {
        int rest = size;
        for (int p = 2; p <= 5; p += p == 2 ? 1 : 2) {
            while (rest % p == 0) {
                rest /= p;
            }
        }
        if (rest == 1) {
            return size;
        }
    }
}
