/* A file that torch.save wrote, opened: its main pickle, and where the bytes of every storage lie. */
#ifndef FNR_NET_CHECKPOINT_FILE_H
#define FNR_NET_CHECKPOINT_FILE_H

#include "net/pickle.h"
#include "net/zip.h"

#define FNR_CHECKPOINT_MAX_BYTES ((size_t)8 << 30)

typedef struct {
    char *bytes; /* the whole file */
    size_t size;
    const char *path; /* borrowed */
    fnr_pickle pickle;
    fnr_zip zip;       /* zip container; count 0 otherwise */
    char prefix[256];  /* of entry names, as in "PREFIX/data/0" */
    const char **data; /* stream container: one per storage of the pickle, NULL where it has none; owned */
} fnr_checkpoint_file;

bool fnr_checkpoint_open(const char *path, fnr_checkpoint_file *out, fnr_error *err);
void fnr_checkpoint_close(fnr_checkpoint_file *c);
/* Bytes of a storage, with all its elements; NULL and an error when they are missing or damaged. */
const char *fnr_checkpoint_data(fnr_checkpoint_file *c, int storage, fnr_error *err);

#endif
