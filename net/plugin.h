/* The CUDA backend is a shared object of its own, libfnr-cuda.so, loaded when it is asked for: so the program starts on machines
 * without NVIDIA's libraries, and one build serves both. */
#ifndef FNR_NET_PLUGIN_H
#define FNR_NET_PLUGIN_H

#include "net/backend.h"

/* What the plug-in exports under the name FNR_PLUGIN_SYMBOL.  A plug-in of another build is refused. */
typedef struct {
    const char *version; /* FNR_VERSION */
    size_t ops_bytes;    /* sizeof(fnr_backend_ops) */
    const fnr_backend_ops *ops;
} fnr_plugin;

#define FNR_PLUGIN_FILE "libfnr-cuda.so"
#define FNR_PLUGIN_SYMBOL "fnr_cuda_plugin"

/* Looks at the path in the environment variable FNR_CUDA_PLUGIN, when that is set, or else beside the program and in
 * ../lib/fnet-register.  NULL and FNR_E_UNSUPPORTED with the reason when there is none that loads.  It stays loaded. */
const fnr_backend_ops *fnr_plugin_load(fnr_error *err);

#endif
