/* Files: paths, listing, and writing so that a name never holds half a file. */
#ifndef FNR_CORE_FS_H
#define FNR_CORE_FS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "src/core/err.h"

#define FNR_PATH_MAX 4096

/* "dir/name" into out; fails when too long. An absolute `name` or empty dir gives `name`. */
bool fnr_path_join(char out[FNR_PATH_MAX], const char *dir, const char *name, fnr_error *err);
/* Pointer to the part behind the last '/'. */
const char *fnr_path_base(const char *path);
/* Folder part ("." when there is none). */
void fnr_path_dir(char out[FNR_PATH_MAX], const char *path);
/* File name without folder and without its last extension (".ome.tif" and ".ome.tiff" count as one). */
void fnr_path_stem(char *out, size_t size, const char *path);
/* `target` relative to folder `from_dir` (both made absolute first), '/' separators, for links inside written files. */
bool fnr_path_relative(char out[FNR_PATH_MAX], const char *target, const char *from_dir, fnr_error *err);

bool fnr_is_dir(const char *path);
bool fnr_is_file(const char *path);
/* Do both names lead to one existing file, through links too? */
bool fnr_same_file(const char *a, const char *b);
/* Bytes of a file; -1 when it cannot be looked at. */
int64_t fnr_file_size(const char *path);
bool fnr_mkdirs(const char *path, fnr_error *err);
/* The folder that the file `path` is to lie in. */
bool fnr_mkdirs_for(const char *path, fnr_error *err);

typedef struct {
    char **names; /* sorted by byte value, names only */
    size_t count;
} fnr_listing;
/* Regular files of a folder (no sub-folders, no names that start with '.'). */
bool fnr_list_dir(const char *path, fnr_listing *out, fnr_error *err);
void fnr_listing_free(fnr_listing *l);

/* A descriptor for reading a regular file, or -1: a FIFO would wait for a writer, a device may never end.  Its size goes to *size
 * (which may be NULL). */
int fnr_open_regular(const char *path, uint64_t *size, fnr_error *err);
/* The first bytes of a regular file: *got of them, fewer than `size` when the file is shorter. */
bool fnr_read_head(const char *path, unsigned char *head, size_t size, size_t *got, fnr_error *err);
/* Whole file into memory (NUL appended behind size bytes); refuses more than max_bytes. Caller frees *data. */
bool fnr_read_file(const char *path, size_t max_bytes, char **data, size_t *size, fnr_error *err);

/* A file being written beside its final name (same folder, ".<name>.tmp-<pid>-<n>", a name of its own for every call).  A link
 * as `path` is followed; folders and devices are refused. */
typedef struct {
    FILE *file; /* write here */
    char path[FNR_PATH_MAX], temp[FNR_PATH_MAX];
} fnr_atomic;
bool fnr_atomic_open(fnr_atomic *a, const char *path, fnr_error *err);
/* flush, fsync, rename; on failure the temporary file is removed and the old file stays. */
bool fnr_atomic_commit(fnr_atomic *a, fnr_error *err);
/* Throws the temporary file away; fine after commit, after a failed open, and on a struct that is all zero. */
void fnr_atomic_abort(fnr_atomic *a);
/* For libraries that want to open the file themselves (libtiff): a->temp is an empty file to write over, a->file stays NULL.
 * The library must have closed it before commit. */
bool fnr_atomic_name(fnr_atomic *a, const char *path, fnr_error *err);

bool fnr_write_file(const char *path, const void *data, size_t size, fnr_error *err);

#endif
