/* The few calls of the CUDA runtime, cuDNN and NCCL that the backend makes, on the processor, for one or two pretended GPUs.  Memory
 * comes from malloc, work is done when it is waited for (emulated_stream.c), convolutions go through the plain loops of body_plain.h.  With this the
 * backend's own logic (layouts, plans, order of work, sums over GPUs) runs under every test of tests/backend; nothing is said about
 * the driver, cuDNN or speed. */
#include <nccl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "net/cuda/dnn.h"
#include "net/cuda/gpu.h"
#include "net/cuda/kernels.h"
#include "net/cuda/nccl.h"
#include "src/core/mem.h"
#include "tests/cuda/emulated.h"

/* ---- what there is ---------------------------------------------------------------------------------------------------------- */

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = EMULATED_GPUS;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
    memset(p, 0, sizeof *p);
    p->major = 9;
    p->multiProcessorCount = EMULATED_SMS;
    p->totalGlobalMem = (size_t)1 << 32;
    memcpy(p->name, "emulated GPU", sizeof "emulated GPU");
    return device < EMULATED_GPUS ? cudaSuccess : cudaErrorInvalidDevice;
}

const char *cudaGetErrorName(cudaError_t e)
{
    return e == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation" : "cudaError";
}

const char *cudaGetErrorString(cudaError_t e)
{
    return cudaGetErrorName(e);
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

struct cudnnContext {
    cudaStream_t stream;
};

cudnnStatus_t cudnnCreate(cudnnHandle_t *h)
{
    *h = calloc(1, sizeof **h);
    return *h ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_ALLOC_FAILED;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t h)
{
    free(h);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t h, cudaStream_t s)
{
    if (!h || !s) {
        return CUDNN_STATUS_BAD_PARAM;
    }
    h->stream = s;
    return CUDNN_STATUS_SUCCESS;
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

/* Marks the second way to run a convolution, whose rounding is another one: GPUs that choose for themselves are found out. */
static char other_plan;

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
    p->plans[1] = &other_plan;
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

static void round_otherwise(const void *arg)
{
    const fnr_cu_direct *d = arg;
    const size_t count = (size_t)d->n * (size_t)d->coarse_d * (size_t)d->coarse_h * (size_t)d->coarse_w * (size_t)d->coarse_c;
    for (size_t i = 0; i < count; i++) {
        ((float *)d->coarse)[i] *= 1 + 0x1p-20f;
    }
}

bool fnr_cu_plan_run(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, const fnr_cu_conv_key *k, const fnr_cu_conv_data *data, fnr_error *err)
{
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
    const cudaStream_t stream = handle->stream;
    const cudaError_t status = k->pass == FNR_CU_FORWARD ? fnr_cu_launch_direct_forward(&d, stream)
                               : k->pass == FNR_CU_DATA  ? fnr_cu_launch_direct_data(&d, stream)
                                                         : fnr_cu_launch_direct_filter(&d, stream);
    const bool other = plan == (void *)&other_plan && k->pass == FNR_CU_FORWARD && k->result == FNR_CU_FLOAT32;
    return fnr_cu_ok(status, "a convolution", err) && (!other || fnr_cu_ok(emulated_queue(stream, round_otherwise, &d, sizeof d), "a convolution", err));
}

/* ---- NCCL: the ranks' threads meet, the first one adds up, all copy ----------------------------------------------------------- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int here, round, size;
    void *parts[EMULATED_GPUS];
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
    emulated_finish(s);
    meet(comm->rank, to, reduce_all, count, type);
    return ncclSuccess;
}

static ncclResult_t all_gather(const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t comm, cudaStream_t s)
{
    if (from != (double *)to + (size_t)comm->rank * count || type != ncclFloat64 || !s) {
        return ncclInvalidArgument;
    }
    emulated_finish(s);
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
