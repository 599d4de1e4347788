/* Writing so that a name never holds half a file: a temporary file in the same folder, flushed to the disk, then renamed. */
#include "src/core/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the bytes end up: a link is followed, so that renaming replaces the file and not the link.  Devices are refused, because
 * renaming over /dev/null would remove it. */
static bool final_path(char out[FNR_PATH_MAX], const char *path, fnr_error *err)
{
    struct stat st;
    if (!fnr_path_join(out, "", path, err)) {
        return false;
    }
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return fnr_fail(err, FNR_E_IO, "cannot write %s: it is %s; give the name of a file", path,
                        S_ISDIR(st.st_mode) ? "a folder" : "not a regular file");
    }
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && !realpath(path, out)) {
        return fnr_fail_errno(err, errno, "cannot write %s: it is a link that leads nowhere", path);
    }
    return true;
}

/* A new file of our own: O_EXCL settles the name between processes, threads and machines without any counter of ours. */
static int create_temp(char temp[FNR_PATH_MAX], const char *path, fnr_error *err)
{
    char dir[FNR_PATH_MAX], name[256];
    fnr_path_dir(dir, path);
    for (int attempt = 0; attempt < 10000; attempt++) {
        /* The name may be as long as the file system allows (255 bytes), so its copy is cut. */
        snprintf(name, sizeof name, ".%.200s.tmp-%ld-%d", fnr_path_base(path), (long)getpid(), attempt);
        if (!fnr_path_join(temp, dir, name, err)) {
            return -1;
        }
        const int fd = open(temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            return fd;
        }
        if (errno != EEXIST) {
            fnr_fail_errno(err, errno, "cannot write %s", path);
            return -1;
        }
    }
    fnr_fail(err, FNR_E_IO, "cannot write %s: its folder is full of temporary files; remove .%.200s.tmp-*", path, fnr_path_base(path));
    return -1;
}

static int start(fnr_atomic *a, const char *path, fnr_error *err)
{
    a->file = NULL;
    a->path[0] = a->temp[0] = 0;
    if (!final_path(a->path, path, err)) {
        return -1;
    }
    const int fd = create_temp(a->temp, a->path, err);
    if (fd < 0) {
        a->temp[0] = 0; /* nothing of ours to remove */
    }
    return fd;
}

bool fnr_atomic_open(fnr_atomic *a, const char *path, fnr_error *err)
{
    const int fd = start(a, path, err);
    if (fd < 0) {
        return false;
    }
    a->file = fdopen(fd, "w+b");
    if (!a->file) {
        fnr_fail_errno(err, errno, "cannot write %s", path);
        close(fd);
        fnr_atomic_abort(a);
        return false;
    }
    return true;
}

bool fnr_atomic_name(fnr_atomic *a, const char *path, fnr_error *err)
{
    const int fd = start(a, path, err);
    if (fd < 0) {
        return false;
    }
    close(fd); /* the empty file stays and keeps the name reserved */
    return true;
}

/* Some file systems cannot sync and say so with EINVAL; that is no loss of data that we could prevent. */
static int sync_fd(int fd)
{
    return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP ? 0 : errno;
}

/* Everything down to the disk; 0 or an errno.  Closes the file in every case. */
static int flush_and_close(FILE *file)
{
    int fault = fflush(file) == 0 ? 0 : errno;
    if (!fault && ferror(file)) {
        fault = EIO; /* an earlier write failed and its reason is gone */
    }
    if (!fault) {
        fault = sync_fd(fileno(file));
    }
    if (fclose(file) != 0 && !fault) {
        fault = errno;
    }
    return fault;
}

static int sync_named(const char *path, int flags)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0) {
        return errno;
    }
    int fault = sync_fd(fd);
    if (close(fd) != 0 && !fault) {
        fault = errno;
    }
    return fault;
}

bool fnr_atomic_commit(fnr_atomic *a, fnr_error *err)
{
    if (!a->temp[0]) {
        return fnr_fail(err, FNR_E_INTERNAL, "nothing is being written to %s", a->path);
    }
    int fault = a->file ? flush_and_close(a->file) : sync_named(a->temp, 0);
    a->file = NULL;
    if (!fault && rename(a->temp, a->path) != 0) {
        fault = errno;
    }
    if (fault) {
        fnr_atomic_abort(a);
        return fnr_fail_errno(err, fault, "cannot write %s", a->path);
    }
    a->temp[0] = 0;
    char dir[FNR_PATH_MAX];
    fnr_path_dir(dir, a->path);
    (void)sync_named(dir, O_DIRECTORY); /* the new name itself; the data are safe under one of the two names already */
    return true;
}

void fnr_atomic_abort(fnr_atomic *a)
{
    if (a->file) {
        fclose(a->file);
        a->file = NULL;
    }
    if (a->temp[0]) {
        unlink(a->temp);
        a->temp[0] = 0;
    }
}

bool fnr_write_file(const char *path, const void *data, size_t size, fnr_error *err)
{
    fnr_atomic a;
    if (!fnr_atomic_open(&a, path, err)) {
        return false;
    }
    errno = 0;
    if (size > 0 && fwrite(data, 1, size, a.file) != size) {
        const int fault = errno ? errno : EIO;
        fnr_atomic_abort(&a);
        return fnr_fail_errno(err, fault, "cannot write %s", path);
    }
    return fnr_atomic_commit(&a, err);
}
