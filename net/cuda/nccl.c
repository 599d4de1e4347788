#include "net/cuda/nccl.h"

#include <dlfcn.h>

static bool find(void *library, const char *name, void *out, fnr_error *err)
{
    *(void **)out = dlsym(library, name);
    return *(void **)out || fnr_fail(err, FNR_E_UNSUPPORTED, "NCCL (libnccl.so.2) lacks %s: several GPUs need NCCL 2", name);
}

bool fnr_cu_nccl_load(fnr_cu_nccl *calls, fnr_error *err)
{
    void *library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "several GPUs need NCCL: %.500s; use compute.gpus = 1", dlerror());
    }
    return find(library, "ncclCommInitAll", &calls->init_all, err) && find(library, "ncclCommDestroy", &calls->destroy, err) &&
           find(library, "ncclAllReduce", &calls->all_reduce, err) && find(library, "ncclAllGather", &calls->all_gather, err) &&
           find(library, "ncclGetErrorString", &calls->error_string, err);
}
