/* Real 2D Fourier transforms in single precision, through FFTW: about three times as fast as OpenCV's on the sizes we use.
 *
 * Images are h rows of w floats without gaps; spectra h rows of w / 2 + 1 complex numbers (re, im), the half that a real image
 * needs.  Both must start at a multiple of 64 bytes, as fnr_alloc_aligned gives them. */
#ifndef FNR_CV_FFT_H
#define FNR_CV_FFT_H

#include <stddef.h>
#include "src/core/err.h"

/* Plans for one size; threads may share it. */
typedef struct fnr_fft fnr_fft;

fnr_fft *fnr_fft_new(int w, int h, fnr_error *err);
void fnr_fft_free(fnr_fft *f);

/* Floats of an image and of a spectrum, rounded up to whole cache lines: several may lie behind each other in one allocation. */
size_t fnr_fft_image_floats(const fnr_fft *f);
size_t fnr_fft_spectrum_floats(const fnr_fft *f);

/* image is kept. */
void fnr_fft_forward(const fnr_fft *f, const float *image, float *spectrum);
/* Overwrites spectrum.  Not scaled: a forward and an inverse transform multiply by w h. */
void fnr_fft_inverse(const fnr_fft *f, float *spectrum, float *image);
/* out = a conj(b) / (w h), whose inverse transform is the correlation of a with the template b: out(d) = sum a(p + d) b(p), indices
 * modulo the size. */
void fnr_fft_correlation(const fnr_fft *f, const float *a, const float *b, float *out);
/* out = a b / (w h): the same with b turned by 180 degrees about pixel (0, 0). */
void fnr_fft_convolution(const fnr_fft *f, const float *a, const float *b, float *out);

/* Smallest product of 2, 3 and 5 that is at least n and even (n >= 1). */
int fnr_fft_good_size(int n);

#endif
