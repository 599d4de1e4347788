/* The backends of this build, best first. */
#include "net/backend.h"

#include <stdio.h>
#include <string.h>

static const fnr_backend_ops *const backends[] = {
    &fnr_backend_onednn,
    &fnr_backend_ref,
    NULL,
};

const fnr_backend_ops *const *fnr_backend_list(void)
{
    return backends;
}

static bool opens_here(const fnr_backend_ops *be)
{
    fnr_backend *device = NULL;
    if (!be->open(&(fnr_backend_options){0}, &device, NULL)) {
        return false;
    }
    be->close(device);
    return true;
}

const fnr_backend_ops *fnr_backend_find(const char *name, fnr_error *err)
{
    const bool automatic = strcmp(name, "auto") == 0;
    char names[256] = "auto";
    for (const fnr_backend_ops *const *be = backends; *be; be++) {
        if (automatic ? opens_here(*be) : strcmp((*be)->name, name) == 0) {
            return *be;
        }
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, ", %s", (*be)->name);
    }
    fnr_fail(err, FNR_E_USAGE, "no backend \"%s\" in this build; there are: %s", name, names);
    return NULL;
}
