/* `fnet-register info`: what a model, an image or a TrakEM2 project is, in one screen. */
#ifndef FNR_PIPELINE_INFO_H
#define FNR_PIPELINE_INFO_H

#include <stdio.h>

#include "net/model.h"
#include "src/pipeline/run.h"

/* Told by content. The settings matter for projects alone (images.mbp_match: which patches are MBP). */
bool fnr_info_file(const fnr_config *config, const char *path, FILE *out, fnr_error *err);

/* One row of the screen: a name and what is to be said. */
void fnr_info_row(FILE *out, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Everything but the head line. */
void fnr_info_model(const fnr_model *m, FILE *out);

#endif
