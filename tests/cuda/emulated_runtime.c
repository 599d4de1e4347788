/* The few calls of the CUDA runtime, cuDNN and NCCL that the backend makes, on the processor, for one or two pretended GPUs.  Memory
 * comes from malloc, work is done when it is queued, convolutions go through the plain loops of body_plain.h.  With this the
 * backend's own logic (layouts, plans, order of work, sums over GPUs) runs under every test of tests/backend; nothing is said about
 * the driver, cuDNN or speed. */
#include <nccl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "net/cuda/dnn.h"
#include "net/cuda/kernels.h"
#include "net/cuda/nccl.h"
#include "src/core/mem.h"

enum { GPUS = 2, SMS = 3 };

/* ---- memory and order ------------------------------------------------------------------------------------------------------- */

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = GPUS;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
    memset(p, 0, sizeof *p);
    p->major = 9;
    p->multiProcessorCount = SMS;
    p->totalGlobalMem = (size_t)1 << 32;
    memcpy(p->name, "emulated GPU", sizeof "emulated GPU");
    return device < GPUS ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaSetDevice(int device)
{
    return device >= 0 && device < GPUS ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaMalloc(void **p, size_t bytes)
{
    *p = bytes ? malloc(bytes) : NULL; /* of no particular contents: reading what nobody wrote is found by the sanitizers' builds */
    return *p || !bytes ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned flags)
{
    (void)flags;
    return cudaMalloc(p, bytes);
}

cudaError_t cudaFree(void *p)
{
    free(p);
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *p)
{
    return cudaFree(p);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t s)
{
    (void)kind;
    (void)s;
    memcpy(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t s)
{
    (void)s;
    memset(p, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags)
{
    (void)flags;
    *s = malloc(1);
    return *s ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    free(s);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    return s ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

const char *cudaGetErrorName(cudaError_t e)
{
    return e == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation" : "cudaError";
}

const char *cudaGetErrorString(cudaError_t e)
{
    return cudaGetErrorName(e);
}

cudaError_t cudaEventCreate(cudaEvent_t *e)
{
    *e = malloc(1);
    return *e ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags)
{
    (void)flags;
    return cudaEventCreate(e);
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    free(e);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    return e && s ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    return e ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

cudaError_t cudaEventQuery(cudaEvent_t e)
{
    return cudaEventSynchronize(e);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t a, cudaEvent_t b)
{
    *ms = 1;
    return a && b ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

/* Nothing is recorded: the backend then queues every step anew. */
cudaError_t cudaStreamBeginCapture(cudaStream_t s, enum cudaStreamCaptureMode mode)
{
    (void)s;
    (void)mode;
    return cudaErrorNotSupported;
}

cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *graph)
{
    (void)s;
    *graph = NULL;
    return cudaErrorNotSupported;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
    (void)graph;
    (void)flags;
    *exec = NULL;
    return cudaErrorNotSupported;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s)
{
    (void)exec;
    (void)s;
    return cudaErrorNotSupported;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    (void)graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    (void)exec;
    return cudaSuccess;
}

/* ---- cuDNN ------------------------------------------------------------------------------------------------------------------ */

cudnnStatus_t cudnnCreate(cudnnHandle_t *h)
{
    *h = malloc(1);
    return *h ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_ALLOC_FAILED;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t h)
{
    free(h);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t h, cudaStream_t s)
{
    return h && s ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

size_t cudnnGetVersion(void)
{
    return 0;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_SUCCESS ? "success" : "error";
}

void cudnnGetLastErrorString(char *text, size_t size)
{
    if (size) {
        *text = 0;
    }
}

/* Fuses bias and ReLU with convolutions alone, and has nothing for odd numbers of channels, so that every way is walked. */
bool fnr_cu_plans_make(fnr_cu_plans *p, const fnr_cu_target *target, const fnr_cu_conv_key *key, int wanted, size_t max_workspace, fnr_error *err)
{
    *p = (fnr_cu_plans){.count = 0};
    if (!target->handle || wanted < 1 || max_workspace == 0) {
        return fnr_fail(err, FNR_E_INTERNAL, "plans are made for an opened device");
    }
    if ((key->bias && key->pass != FNR_CU_FORWARD) || key->fine_c % 2 || key->coarse_c % 2) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "no engine");
    }
    p->count = 2;
    p->workspace[1] = 100;
    return true;
}

void fnr_cu_plans_free(fnr_cu_plans *p)
{
    p->count = 0;
}

void fnr_cu_plans_keep(fnr_cu_plans *p, int keep)
{
    p->plans[0] = p->plans[keep];
    p->count = 1;
}

bool fnr_cu_plan_run(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, const fnr_cu_conv_key *k, const fnr_cu_conv_data *data, fnr_error *err)
{
    (void)plan;
    fnr_cu_direct d = {.fine = data->fine, .coarse = data->coarse, .weight = data->weight, .io = (int)k->io, .result = (int)k->result,
                       .bias = k->bias ? data->bias : NULL, .n = k->n, .fine_c = k->fine_c, .coarse_c = k->coarse_c, .relu = k->relu,
                       .fine_d = k->fine[0], .fine_h = k->fine[1], .fine_w = k->fine[2], .coarse_d = k->coarse[0], .coarse_h = k->coarse[1],
                       .coarse_w = k->coarse[2]};
    for (int axis = 0; axis < 3; axis++) {
        const bool flat = axis == 0 && k->spatial == 2;
        d.kernel[axis] = flat ? 1 : k->kernel;
        d.stride[axis] = flat ? 1 : k->stride;
        d.pad[axis] = flat ? 0 : k->pad;
    }
    if (!handle || !data->fine || !data->coarse || !data->weight || !data->workspace || (k->bias && !data->bias)) {
        return fnr_fail(err, FNR_E_INTERNAL, "a convolution without one of its operands");
    }
    (k->pass == FNR_CU_FORWARD ? fnr_cu_launch_direct_forward : k->pass == FNR_CU_DATA ? fnr_cu_launch_direct_data : fnr_cu_launch_direct_filter)(&d, NULL);
    return true;
}

/* ---- NCCL: the ranks' threads meet, the first one adds up, all copy ----------------------------------------------------------- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int here, round, size;
    void *parts[GPUS];
    char *result;
} meeting = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

struct ncclComm {
    int rank;
};

static ncclResult_t init_all(ncclComm_t *comms, int count, const int *devices)
{
    (void)devices;
    meeting.size = count;
    for (int i = 0; i < count; i++) {
        comms[i] = malloc(sizeof(struct ncclComm));
        comms[i]->rank = i;
    }
    return ncclSuccess;
}

static ncclResult_t destroy(ncclComm_t comm)
{
    free(comm);
    return ncclSuccess;
}

static void add_up(void *to, size_t count, ncclDataType_t type)
{
    for (size_t i = 0; i < count; i++) {
        double sum = 0;
        for (int r = 0; r < meeting.size; r++) {
            sum += type == ncclFloat64 ? ((double *)meeting.parts[r])[i] : (double)((float *)meeting.parts[r])[i];
        }
        if (type == ncclFloat64) {
            ((double *)to)[i] = sum;
        } else {
            ((float *)to)[i] = (float)sum;
        }
    }
}

/* Waits until all ranks are here; the last one calls `work` on everybody's part. */
static void meet(int rank, void *part, void (*work)(size_t count, ncclDataType_t type), size_t count, ncclDataType_t type)
{
    pthread_mutex_lock(&meeting.mutex);
    meeting.parts[rank] = part;
    const int round = meeting.round;
    if (++meeting.here == meeting.size) {
        work(count, type);
        meeting.here = 0;
        meeting.round++;
        pthread_cond_broadcast(&meeting.changed);
    }
    while (meeting.round == round) {
        pthread_cond_wait(&meeting.changed, &meeting.mutex);
    }
    pthread_mutex_unlock(&meeting.mutex);
}

static void reduce_all(size_t count, ncclDataType_t type)
{
    const size_t bytes = count * (type == ncclFloat64 ? 8 : 4);
    void *sum = malloc(bytes);
    add_up(sum, count, type);
    for (int r = 0; r < meeting.size; r++) {
        memcpy(meeting.parts[r], sum, bytes);
    }
    free(sum);
}

static void gather_all(size_t count, ncclDataType_t type)
{
    (void)type;
    for (int to = 0; to < meeting.size; to++) {
        for (int from = 0; from < meeting.size; from++) {
            memcpy((double *)meeting.parts[to] + (size_t)from * count, (double *)meeting.parts[from] + (size_t)from * count, count * sizeof(double));
        }
    }
}

static ncclResult_t all_reduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm, cudaStream_t s)
{
    if (from != to || op != ncclSum || !s) {
        return ncclInvalidArgument;
    }
    meet(comm->rank, to, reduce_all, count, type);
    return ncclSuccess;
}

static ncclResult_t all_gather(const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t comm, cudaStream_t s)
{
    if (from != (double *)to + (size_t)comm->rank * count || type != ncclFloat64 || !s) {
        return ncclInvalidArgument;
    }
    meet(comm->rank, to, gather_all, count, type);
    return ncclSuccess;
}

static const char *error_string(ncclResult_t result)
{
    return result == ncclSuccess ? "success" : "error";
}

bool fnr_cu_nccl_load(fnr_cu_nccl *calls, fnr_error *err)
{
    (void)err;
    *calls = (fnr_cu_nccl){init_all, destroy, all_reduce, all_gather, error_string};
    return true;
}
