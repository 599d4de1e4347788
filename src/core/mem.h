/* Checked allocation: sizes are multiplied without overflow, failures become errors, never aborts.  From 256 MiB on more than the
 * system has free, or allows, is refused, where it would be promised and the program killed later. */
#ifndef FNR_CORE_MEM_H
#define FNR_CORE_MEM_H

#include <stddef.h>
#include "src/core/err.h"

/* count*size zeroed bytes; NULL and FNR_E_LIMIT when that overflows or cannot be had.  `what` is named in the message. */
void *fnr_calloc(size_t count, size_t size, const char *what, fnr_error *err);

/* As fnr_calloc but 64-byte aligned and not zeroed; release with free(). */
void *fnr_alloc_aligned(size_t count, size_t size, const char *what, fnr_error *err);

/* Grows *array (count elements used of *capacity) so that one more fits; elements keep their values. */
bool fnr_grow(void *array_pointer, size_t *capacity, size_t count, size_t size, const char *what, fnr_error *err);

/* FNR_E_LIMIT when so many bytes are more than is free: to be asked by whoever takes memory without the functions above. */
bool fnr_memory_is_free(size_t bytes, const char *what, fnr_error *err);

/* Memory of this machine, or what this process is allowed of it (control groups) [bytes]; SIZE_MAX where the system does not
 * tell. */
size_t fnr_memory_there_is(void);
/* The least limit of the control groups, of either version, in the file `list` (as /proc/self/cgroup), and of those around them;
 * `root` is where they are mounted (/sys/fs/cgroup).  SIZE_MAX: there is none. */
size_t fnr_memory_group_limit(const char *list, const char *root);

/* strdup with an error. */
char *fnr_strdup(const char *text, fnr_error *err);

#endif
