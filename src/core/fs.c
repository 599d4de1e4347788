/* Folders and whole files. */
#include "src/core/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/core/mem.h"

bool fnr_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool fnr_is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool fnr_same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

int64_t fnr_file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

bool fnr_mkdirs(const char *path, fnr_error *err)
{
    char part[FNR_PATH_MAX];
    if (!fnr_path_join(part, "", path, err)) {
        return false;
    }
    for (char *at = part; *at;) {
        at += strspn(at, "/");
        at += strcspn(at, "/");
        const char kept = *at;
        *at = 0;
        if (mkdir(part, 0777) != 0 && !fnr_is_dir(part)) {
            return fnr_fail_errno(err, errno == EEXIST ? ENOTDIR : errno, "cannot make the folder %s", part);
        }
        *at = kept;
    }
    return true;
}

bool fnr_mkdirs_for(const char *path, fnr_error *err)
{
    char dir[FNR_PATH_MAX];
    fnr_path_dir(dir, path);
    return fnr_mkdirs(dir, err);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Links count as what they point to: folders of linked tiles are common. */
static bool is_regular_entry(DIR *dir, const struct dirent *entry)
{
    struct stat st;
    return entry->d_type == DT_REG || (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode));
}

bool fnr_list_dir(const char *path, fnr_listing *out, fnr_error *err)
{
    bool ok = false;
    fnr_listing list = {0};
    size_t capacity = 0;
    DIR *dir = opendir(path);
    if (!dir) {
        return fnr_fail_errno(err, errno, "cannot list the folder %s", path);
    }
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.' || !is_regular_entry(dir, entry)) {
            continue;
        }
        if (!fnr_grow(&list.names, &capacity, list.count, sizeof *list.names, "a list of files", err)) {
            goto done;
        }
        list.names[list.count] = fnr_strdup(entry->d_name, err);
        if (!list.names[list.count]) {
            goto done;
        }
        list.count++;
    }
    if (errno) {
        fnr_fail_errno(err, errno, "cannot list the folder %s", path);
        goto done;
    }
    if (list.count > 1) {
        qsort(list.names, list.count, sizeof *list.names, by_bytes);
    }
    *out = list;
    list = (fnr_listing){0};
    ok = true;
done:
    closedir(dir);
    fnr_listing_free(&list);
    return ok;
}

void fnr_listing_free(fnr_listing *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->names[i]);
    }
    free(l->names);
    *l = (fnr_listing){0};
}

/* Reads to the end of the file, whatever size the file system claims: pipes claim none. */
static bool read_all(int fd, const char *path, size_t max_bytes, char **data, size_t *size, fnr_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return fnr_fail_errno(err, errno, "cannot read %s", path);
    }
    if (S_ISREG(st.st_mode) && (unsigned long long)st.st_size > max_bytes) {
        return fnr_fail(err, FNR_E_LIMIT, "%s has %lld bytes; at most %zu are accepted here", path, (long long)st.st_size, max_bytes);
    }
    size_t used = 0, capacity = S_ISREG(st.st_mode) ? (size_t)st.st_size + 2 : 65536;
    char *text = fnr_calloc(capacity, 1, path, err);
    if (!text) {
        return false;
    }
    for (;;) {
        if (used + 1 >= capacity && !fnr_grow(&text, &capacity, used + 1, 1, path, err)) {
            break;
        }
        const ssize_t got = read(fd, text + used, capacity - used - 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            fnr_fail_errno(err, errno, "cannot read %s", path);
            break;
        }
        used += (size_t)got;
        if (used > max_bytes) {
            fnr_fail(err, FNR_E_LIMIT, "%s has more than %zu bytes, which are the most that is accepted here", path, max_bytes);
            break;
        }
        if (got == 0) {
            text[used] = 0;
            *data = text;
            *size = used;
            return true;
        }
    }
    free(text);
    return false;
}

int fnr_open_regular(const char *path, uint64_t *size, fnr_error *err)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        fnr_fail_errno(err, errno, "cannot open %s", path);
        return -1;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        fnr_fail(err, FNR_E_IO, "cannot read %s: it is %snot a regular file", path, S_ISDIR(st.st_mode) ? "a directory, " : "");
        close(fd);
        return -1;
    }
    if (size) {
        *size = (uint64_t)st.st_size;
    }
    return fd;
}

bool fnr_read_head(const char *path, unsigned char *head, size_t size, size_t *got, fnr_error *err)
{
    const int fd = fnr_open_regular(path, NULL, err);
    if (fd < 0) {
        return false;
    }
    const ssize_t n = read(fd, head, size);
    const int reason = errno;
    close(fd);
    if (n < 0) {
        return fnr_fail_errno(err, reason, "cannot read %s", path);
    }
    *got = (size_t)n;
    return true;
}

bool fnr_read_file(const char *path, size_t max_bytes, char **data, size_t *size, fnr_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fnr_fail_errno(err, errno, "cannot open %s", path);
    }
    const bool ok = read_all(fd, path, max_bytes, data, size, err);
    close(fd);
    return ok;
}
