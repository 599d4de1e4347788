/* The course of a training as one picture: loss (logarithmic) and validation r over the steps. */
#ifndef FNR_PIPELINE_LOSS_PLOT_H
#define FNR_PIPELINE_LOSS_PLOT_H

#include "net/model.h"

/* Writes `path` (SVG, readable on light and dark ground, no script, nothing loaded from elsewhere) from m->history; atomic.
 * `title` is any text.  A history without rows gives empty axes. */
bool fnr_loss_plot_write(const char *path, const char *title, const fnr_model *m, fnr_error *err);

#endif
