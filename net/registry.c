/* The backends, best first, and where a name leads. */
#include "net/backend.h"

#include <stdio.h>
#include <string.h>

#include "net/plugin.h"

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
    if (!be || !be->open(&(fnr_backend_options){0}, &device, NULL)) {
        return false;
    }
    be->close(device);
    return true;
}

const fnr_backend_ops *fnr_backend_find(const char *name, fnr_error *err)
{
    if (strcmp(name, "cuda") == 0) {
        return fnr_plugin_load(err);
    }
    const bool automatic = strcmp(name, "auto") == 0;
    if (automatic) {
        const fnr_backend_ops *gpu = fnr_plugin_load(NULL);
        if (opens_here(gpu)) {
            return gpu;
        }
    }
    char names[256] = "auto, cpu, cuda";
    for (const fnr_backend_ops *const *be = backends; *be; be++) {
        if (automatic || strcmp(name, "cpu") == 0 ? opens_here(*be) : strcmp((*be)->name, name) == 0) {
            return *be;
        }
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, ", %s", (*be)->name);
    }
    fnr_fail(err, FNR_E_USAGE, "no backend \"%s\" in this build; there are: %s", name, names);
    return NULL;
}

bool fnr_backend_has_precision(const fnr_backend_ops *be, int precision, fnr_error *err)
{
    static const char *const names[] = {"float32", "tf32", "bf16", "int8"};
    const unsigned has = be->precisions ? be->precisions : 1u << FNR_PRECISION_FLOAT32;
    const int count = sizeof names / sizeof *names;
    if (precision >= 0 && precision < count && has >> precision & 1) {
        return true;
    }
    char list[64] = "";
    for (int i = 0; i < count; i++) {
        if (has >> i & 1) {
            const size_t used = strlen(list);
            snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", names[i]);
        }
    }
    return fnr_fail(err, FNR_E_USAGE, "net.precision = %s: the backend %s computes in %s",
                    precision >= 0 && precision < count ? names[precision] : "?", be->name, list);
}
