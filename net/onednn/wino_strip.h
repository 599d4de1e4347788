/* Strips of a Winograd convolution: internal to wino*.c. */
#ifndef FNR_NET_ONEDNN_WINO_STRIP_H
#define FNR_NET_ONEDNN_WINO_STRIP_H

#include "net/onednn/wino.h"

enum {
    FNR_DN_MOST_TERMS = 768,  /* channel blocks times kernel slices */
    FNR_DN_ROWS_PER_TASK = 16 /* rows that are loaded or stored together */
};

typedef struct {
    int tile, tiles;   /* first, number */
    int slice, slices; /* output slices; inputs reach one further on both sides in 3D */
} fnr_dn_strip;

/* A transformed tensor of a strip: frequency, channel block, row (slice by slice, tile by tile), channel. */
typedef struct {
    float *data;
    size_t rows; /* from block to block */
    size_t step; /* floats from frequency to frequency */
} fnr_dn_spectrum;

int fnr_dn_strip_count(const fnr_dn_wino *w);
fnr_dn_strip fnr_dn_strip_at(const fnr_dn_wino *w, int index);

/* Output slices that are computed: the second of the last pair may lie behind the image's end. */
static inline int fnr_dn_strip_computed_slices(const fnr_dn_wino *w, const fnr_dn_strip *s)
{
    return w->pairs ? (s->slices + 1) / 2 * 2 : s->slices;
}

static inline int fnr_dn_strip_in_rows(const fnr_dn_wino *w, const fnr_dn_strip *s)
{
    return (fnr_dn_strip_computed_slices(w, s) + w->terms - 1) * s->tiles;
}

static inline int fnr_dn_strip_out_rows(const fnr_dn_strip *s)
{
    return s->slices * s->tiles;
}

/* Does a strip's output take the place of its input, frequency by frequency?  Caches then hold half as much, and outputs are
 * written where something was just read.  A thread with a strip of its own goes through the frequencies in order, and writes the
 * outputs of one to where the inputs of the one before it were: the input's spectrum lies a step behind the output's.  With
 * pairs both lie at the same place, since fnr_dn_pairs_multiply has copied a frequency's inputs when it writes its outputs. */
static inline bool fnr_dn_overlaid(const fnr_dn_wino *w)
{
    return w->pairs || (!w->shared && w->purpose != FNR_DN_WINO_GRAD);
}

/* `scratch` is where the data go; overlaid spectra share it, in the same steps. */
fnr_dn_spectrum fnr_dn_spectrum_of(const fnr_dn_wino *w, bool output, float *scratch);
size_t fnr_dn_spectrum_floats(const fnr_dn_wino *w, bool output);
static inline float *fnr_dn_spectrum_at(const fnr_dn_wino *w, const fnr_dn_spectrum *s, int frequency, int b, int row)
{
    return s->data + (size_t)frequency * s->step + ((size_t)b * s->rows + (size_t)row) * (size_t)w->kernels->block;
}

/* The outputs of a row's tile that are inside the image: the first one's pixel, and how many. */
typedef struct {
    int n, h, w;
    size_t pixel;
} fnr_dn_tile_window;

fnr_dn_tile_window fnr_dn_tile_outputs(const fnr_dn_wino *w, const fnr_dn_strip *s, int row);

static inline int fnr_dn_at_most(int v, int most)
{
    return v < most ? v : most;
}

/* Transforms the inputs of up to FNR_DN_ROWS_PER_TASK rows, all channels.  One channel block after the other: neighbouring tiles
 * read on where the last one ended, and processors follow a few such streams, not those of all blocks at once. */
void fnr_dn_strip_load(const fnr_dn_wino *w, const fnr_dn_strip *s, const fnr_dn_parts *src, const fnr_dn_spectrum *v, int first,
                       int rows);

/* Floats from one frequency of transformed weights to the next. */
size_t fnr_dn_filter_step(const fnr_dn_wino *w);

/* Input channels to output channels in pairs of slices, at one frequency of the plane with the weights `u`.  `scratch` is of the
 * calling worker alone. */
size_t fnr_dn_pairs_scratch_floats(const fnr_dn_wino *w);
void fnr_dn_pairs_multiply(const fnr_dn_wino *w, const fnr_dn_strip *s, const fnr_dn_spectrum *v, const fnr_dn_spectrum *m,
                           int frequency, const float *u, float *scratch);

/* Runs body(ctx, worker, item) for items in [0, count): each worker is one thread at a time. */
void fnr_dn_for_workers(int workers, int count, void (*body)(void *ctx, int worker, int item), void *ctx);

#endif
