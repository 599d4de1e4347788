/* Prediction of images of any size.  The result does not depend on the tile size: tiles start at multiples of 2^depth and carry
 * a halo of at least the receptive field (108 px at depth 4, so 112), images are reflect-padded on the right and at the bottom
 * to a multiple of 2^depth.  Batch norm uses running statistics, so nothing else ties pixels together.  Equality is to the bit
 * on ref and onednn.
 *
 * Where a backend computes outputs in blocks (onednn's Winograd), an image is cut into regions, each with its halo and its own
 * blocks.  An output depends, in the last bits, on its place in its block, and so on the regions: float32 predictions of other
 * regions differ by 5e-7 to 5e-6 of their norm, int8's, where a byte that rounds the other way goes through the network, by as
 * much as they err anyway (8e-3 on real EM).  Regions follow from the extents of the image as long as max_bytes holds the largest
 * (2D, 32 base channels: 1680 x 1680 px and 1.3 GB, int8 2864 x 2864); with less memory they are smaller, as volumes' are that
 * memory does not hold whole.  Threads change nothing, nor do tiles smaller than a region: these, which only `tile` asks for, lie
 * on its blocks, with a halo of 576 px.  After a failure for want of memory regions are halved. */
#ifndef FNR_NET_PREDICT_H
#define FNR_NET_PREDICT_H

#include "net/backend.h"
#include "net/model.h"
#include "src/core/cancel.h"

typedef struct fnr_predictor fnr_predictor;

/* Test-time augmentation: the mean of predictions of the image seen from several sides. */
typedef enum {
    FNR_TTA_NONE,
    FNR_TTA_FLIPS, /* mirrored along each axis: 4 sides in 2D, 8 in 3D */
    FNR_TTA_ALL    /* and turned by a quarter in the plane: the 8 symmetries of the square in 2D, 16 sides in 3D */
} fnr_tta;

typedef struct {
    size_t max_bytes; /* memory for network activations; the tile size follows from it; 0 = half of what there is, on a GPU 1 GiB */
    int tile;         /* core extent of a tile in px, multiple of 2^depth; 0 = chosen from max_bytes */
    int tta;          /* fnr_tta; what is turned is the padded image, so that tiles do not matter here either */
} fnr_predict_options;

/* Borrows model and device. The program of the last tile shape is kept: images of one size are compiled for once. Not for use by
 * two threads at a time. */
fnr_predictor *fnr_predictor_new(const fnr_backend_ops *be, fnr_backend *device, const fnr_model *model, const fnr_predict_options *opt, fnr_error *err);
/* The mean of the predictions of several models, which may differ in base channels and depth alone (the message names what else
 * differs, with the model's number from 1); the image is padded for the deepest. */
fnr_predictor *fnr_predictor_new_mean(const fnr_backend_ops *be, fnr_backend *device, const fnr_model *const *models, size_t n,
                                      const fnr_predict_options *opt, fnr_error *err);
void fnr_predictor_free(fnr_predictor *p);

/* Rows of an image's output as they become final, top to bottom: `rows` holds out_channels planes of count x w. */
typedef bool (*fnr_series_sink)(void *ctx, size_t image, int y, int count, const float *rows, fnr_error *err);
/* Rectangle of an image's (already z-scored, finite) input, inside the image: in_channels planes of h x w into dst. */
typedef bool (*fnr_series_source)(void *ctx, size_t image, int x, int y, int w, int h, float *dst, fnr_error *err);

/* 2D images of one size, one after the other, streaming: memory is bounded by the tile and one band of rows, both within max_bytes.
 * The next image is read while a GPU computes, and the last one written.  Source and sink are called on the caller's thread, images
 * and rows in order. */
bool fnr_predict_series(fnr_predictor *p, size_t images, int w, int h, fnr_series_source source, void *source_ctx, fnr_series_sink sink,
                        void *sink_ctx, const fnr_cancel *cancel, fnr_error *err);
/* 2D or 3D, whole arrays in memory (d = 1 in 2D). */
bool fnr_predict_array(fnr_predictor *p, int d, int h, int w, const float *in, float *out, const fnr_cancel *cancel, fnr_error *err);

#endif
