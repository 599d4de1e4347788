#include "net/plugin.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* Folder of the running program, without the slash at the end. */
static bool program_folder(char folder[PATH_BYTES])
{
    const ssize_t n = readlink("/proc/self/exe", folder, PATH_BYTES - 1);
    if (n <= 0) {
        return false;
    }
    folder[n] = 0;
    char *slash = strrchr(folder, '/');
    if (slash) {
        *slash = 0;
    }
    return slash != NULL;
}

static bool is_readable(const char *path)
{
    return access(path, R_OK) == 0;
}

static bool find_file(char path[PATH_BYTES], fnr_error *err)
{
    const char *given = getenv("FNR_CUDA_PLUGIN");
    if (given && *given) {
        snprintf(path, PATH_BYTES, "%s", given);
        return is_readable(path) || fnr_fail(err, FNR_E_UNSUPPORTED, "FNR_CUDA_PLUGIN=%.500s: there is no such file", given);
    }
    static const char *const places[] = {"", "/../lib/fnet-register"};
    char folder[PATH_BYTES];
    if (program_folder(folder)) {
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            const int n = snprintf(path, PATH_BYTES, "%s%s/%s", folder, places[i], FNR_PLUGIN_FILE);
            if (n < PATH_BYTES && is_readable(path)) {
                return true;
            }
        }
    }
    return fnr_fail(err, FNR_E_UNSUPPORTED,
                    "this build has no CUDA backend (%s was not found beside the program): build it where nvcc and cuDNN 9 are "
                    "installed, or use --device cpu",
                    FNR_PLUGIN_FILE);
}

const fnr_backend_ops *fnr_plugin_load(fnr_error *err)
{
    char path[PATH_BYTES];
    if (!find_file(path, err)) {
        return NULL;
    }
    /* Its symbols stay its own: it holds copies of a few of our objects. NODELETE: callers keep the table for ever. */
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) {
        fnr_fail(err, FNR_E_UNSUPPORTED, "the CUDA backend does not load: %.700s; use --device cpu", dlerror());
        return NULL;
    }
    const fnr_plugin *plugin = dlsym(handle, FNR_PLUGIN_SYMBOL);
    const bool fits = plugin && strcmp(plugin->version, FNR_VERSION) == 0 && plugin->ops_bytes == sizeof(fnr_backend_ops);
    dlclose(handle);
    if (!fits) {
        fnr_fail(err, FNR_E_UNSUPPORTED, "%.700s belongs to another version of this program (this is " FNR_VERSION "); use --device cpu", path);
        return NULL;
    }
    return plugin->ops;
}
