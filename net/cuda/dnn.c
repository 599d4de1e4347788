#include "net/cuda/dnn.h"

#include <string.h>

#include "net/cuda/gpu.h"

enum { UID_FINE = 1, UID_COARSE, UID_WEIGHT, UID_BIAS, UID_SUM, UID_BIASED };
enum { MAX_DIMS = 5, ALIGNMENT = 16, MAX_NOTES = CUDNN_NUMERICAL_NOTE_TYPE_COUNT };

/* ---- descriptors ----------------------------------------------------------------------------------------------------------- */

void fnr_cu_bag_free(fnr_cu_bag *bag)
{
    while (bag->count > 0) {
        cudnnBackendDescriptor_t d = bag->items[--bag->count];
        if (d) {
            (void)cudnnBackendDestroyDescriptor(d);
        }
    }
}

static bool make(fnr_cu_bag *bag, cudnnBackendDescriptorType_t type, const char *what, cudnnBackendDescriptor_t *out, fnr_error *err)
{
    if (bag->count == FNR_CU_BAG) {
        return fnr_fail(err, FNR_E_INTERNAL, "cuDNN graph: too many descriptors");
    }
    if (!fnr_cu_dnn_ok(cudnnBackendCreateDescriptor(type, out), what, err)) {
        return false;
    }
    bag->items[bag->count++] = *out;
    return true;
}

static bool set(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count, const void *values,
                const char *what, fnr_error *err)
{
    return fnr_cu_dnn_ok(cudnnBackendSetAttribute(d, name, type, count, values), what, err);
}

static bool finish(cudnnBackendDescriptor_t d, const char *what, fnr_error *err)
{
    return fnr_cu_dnn_ok(cudnnBackendFinalize(d), what, err);
}

bool fnr_cu_describe_device(fnr_cu_bag *bag, const char *json, cudnnBackendDescriptor_t *out, fnr_error *err)
{
    static const char what[] = "describing a device to cuDNN";
    return make(bag, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, what, out, err) &&
           set(*out, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json) + 1, json, what, err) && finish(*out, what, err);
}

static cudnnDataType_t dnn_type(fnr_cu_type type)
{
    return type == FNR_CU_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

typedef struct {
    int64_t uid;
    cudnnDataType_t type;
    int spatial, first, channels; /* first: samples, or a filter's coarse channels */
    int extent[3];                /* d, h, w */
    bool is_virtual;              /* passes between two operations of the graph, never in memory */
} tensor;

/* Dimensions are named n, c, [d,] h, w; the strides make it channels-last. */
static bool make_tensor(fnr_cu_bag *bag, const tensor *t, cudnnBackendDescriptor_t *out, fnr_error *err)
{
    static const char what[] = "cuDNN tensor";
    const int rank = 2 + t->spatial;
    const int64_t alignment = ALIGNMENT;
    int64_t dims[MAX_DIMS] = {t->first, t->channels}, strides[MAX_DIMS];
    for (int i = 0; i < t->spatial; i++) {
        dims[2 + i] = t->extent[3 - t->spatial + i];
    }
    strides[1] = 1;
    int64_t step = t->channels;
    for (int i = rank - 1; i >= 2; i--) {
        strides[i] = step;
        step *= dims[i];
    }
    strides[0] = step;
    return make(bag, CUDNN_BACKEND_TENSOR_DESCRIPTOR, what, out, err) &&
           set(*out, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &t->type, what, err) &&
           set(*out, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, rank, dims, what, err) &&
           set(*out, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, rank, strides, what, err) &&
           set(*out, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &t->uid, what, err) &&
           set(*out, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment, what, err) &&
           (!t->is_virtual || set(*out, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &t->is_virtual, what, err)) &&
           finish(*out, what, err);
}

/* ---- the graph ------------------------------------------------------------------------------------------------------------- */

static bool make_window(fnr_cu_bag *bag, const fnr_cu_conv_key *k, cudnnBackendDescriptor_t *out, fnr_error *err)
{
    static const char what[] = "cuDNN convolution";
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t rank = k->spatial;
    int64_t pad[3], stride[3], one[3];
    for (int i = 0; i < 3; i++) {
        pad[i] = k->pad;
        stride[i] = k->stride;
        one[i] = 1;
    }
    return make(bag, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, what, out, err) &&
           set(*out, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &rank, what, err) &&
           set(*out, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums, what, err) &&
           set(*out, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode, what, err) &&
           set(*out, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, rank, pad, what, err) &&
           set(*out, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, rank, pad, what, err) &&
           set(*out, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, rank, one, what, err) &&
           set(*out, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, rank, stride, what, err) && finish(*out, what, err);
}

/* Names of one operation's attributes: the three passes differ in nothing else. */
typedef struct {
    cudnnBackendDescriptorType_t kind;
    cudnnBackendAttributeName_t window, fine, coarse, weight, alpha, beta;
} pass_names;

static const pass_names names_of[] = {
    [FNR_CU_FORWARD] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    [FNR_CU_DATA] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    [FNR_CU_FILTER] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

/* result: the tensor that the operation writes, in place of the memory's own when more operations follow. */
static bool make_operation(fnr_cu_bag *bag, const fnr_cu_conv_key *k, const tensor *result, cudnnBackendDescriptor_t *op,
                           cudnnBackendDescriptor_t *written, fnr_error *err)
{
    static const char what[] = "cuDNN operation";
    const pass_names *names = &names_of[k->pass];
    const double alpha = 1, beta = 0;
    tensor fine = {.uid = UID_FINE, .type = dnn_type(k->io), .spatial = k->spatial, .first = k->n, .channels = k->fine_c};
    tensor coarse = {.uid = UID_COARSE, .type = dnn_type(k->io), .spatial = k->spatial, .first = k->n, .channels = k->coarse_c};
    tensor weight = {.uid = UID_WEIGHT, .type = dnn_type(k->io), .spatial = k->spatial, .first = k->coarse_c, .channels = k->fine_c};
    for (int i = 0; i < 3; i++) {
        fine.extent[i] = k->fine[i];
        coarse.extent[i] = k->coarse[i];
        weight.extent[i] = k->kernel;
    }
    tensor *out = k->pass == FNR_CU_FORWARD ? &coarse : k->pass == FNR_CU_DATA ? &fine : &weight;
    out->type = dnn_type(k->result);
    if (result) {
        out->uid = result->uid;
        out->type = result->type;
        out->is_virtual = true;
    }
    cudnnBackendDescriptor_t window, f, c, w;
    if (!make_window(bag, k, &window, err) || !make_tensor(bag, &fine, &f, err) || !make_tensor(bag, &coarse, &c, err) ||
        !make_tensor(bag, &weight, &w, err) || !make(bag, names->kind, what, op, err)) {
        return false;
    }
    *written = k->pass == FNR_CU_FORWARD ? c : k->pass == FNR_CU_DATA ? f : w;
    return set(*op, names->window, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &window, what, err) &&
           set(*op, names->fine, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &f, what, err) &&
           set(*op, names->coarse, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &c, what, err) &&
           set(*op, names->weight, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w, what, err) &&
           set(*op, names->alpha, CUDNN_TYPE_DOUBLE, 1, &alpha, what, err) && set(*op, names->beta, CUDNN_TYPE_DOUBLE, 1, &beta, what, err) &&
           finish(*op, what, err);
}

/* y = mode(x) or mode(x, b). */
static bool make_pointwise(fnr_cu_bag *bag, cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t b, cudnnBackendDescriptor_t y,
                           cudnnBackendDescriptor_t *op, fnr_error *err)
{
    static const char what[] = "cuDNN pointwise operation";
    const cudnnDataType_t math = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t pointwise;
    return make(bag, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, what, &pointwise, err) &&
           set(pointwise, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode, what, err) &&
           set(pointwise, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &math, what, err) && finish(pointwise, what, err) &&
           make(bag, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, what, op, err) &&
           set(*op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &pointwise, what, err) &&
           set(*op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x, what, err) &&
           (!b || set(*op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &b, what, err)) &&
           set(*op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y, what, err) && finish(*op, what, err);
}

/* The convolution, then bias, then ReLU; ops has room for three. */
static bool make_operations(fnr_cu_bag *bag, const fnr_cu_conv_key *k, cudnnBackendDescriptor_t *ops, int *count, fnr_error *err)
{
    cudnnBackendDescriptor_t written, bias, y, biased = NULL;
    *count = 1;
    if (!k->bias) {
        return make_operation(bag, k, NULL, &ops[0], &written, err);
    }
    const bool down = k->pass == FNR_CU_FORWARD;
    tensor out = {.uid = down ? UID_COARSE : UID_FINE, .type = dnn_type(k->result), .spatial = k->spatial, .first = k->n};
    out.channels = down ? k->coarse_c : k->fine_c;
    memcpy(out.extent, down ? k->coarse : k->fine, sizeof out.extent);
    tensor sum = out, between = out;
    sum.uid = UID_SUM;
    between.uid = UID_BIASED;
    sum.type = between.type = CUDNN_DATA_FLOAT;
    between.is_virtual = true;
    const tensor per_channel = {
        .uid = UID_BIAS, .type = CUDNN_DATA_FLOAT, .spatial = k->spatial, .first = 1, .channels = out.channels, .extent = {1, 1, 1}};
    *count = k->relu ? 3 : 2;
    return make_operation(bag, k, &sum, &ops[0], &written, err) && make_tensor(bag, &per_channel, &bias, err) && make_tensor(bag, &out, &y, err) &&
           (!k->relu || make_tensor(bag, &between, &biased, err)) &&
           make_pointwise(bag, CUDNN_POINTWISE_ADD, written, bias, k->relu ? biased : y, &ops[1], err) &&
           (!k->relu || make_pointwise(bag, CUDNN_POINTWISE_RELU_FWD, biased, NULL, y, &ops[2], err));
}

static bool make_graph(fnr_cu_bag *bag, const fnr_cu_target *target, const fnr_cu_conv_key *k, cudnnBackendDescriptor_t *out, fnr_error *err)
{
    static const char what[] = "cuDNN graph";
    cudnnBackendDescriptor_t ops[3];
    int count;
    return make_operations(bag, k, ops, &count, err) && make(bag, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, what, out, err) &&
           (!target->handle || set(*out, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &target->handle, what, err)) &&
           set(*out, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, ops, what, err) && finish(*out, what, err);
}

/* ---- engines --------------------------------------------------------------------------------------------------------------- */

/* Results must repeat to the bit; in exact mode they must also be float32's own.  TF32 shows as tensor cores on float32 inputs. */
static bool note_is_welcome(cudnnBackendNumericalNote_t note, const fnr_cu_conv_key *k)
{
    switch (note) {
    case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
    case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
    case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
        return false;
    case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
    case CUDNN_NUMERICAL_NOTE_FFT:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
        return !k->exact;
    default:
        return true;
    }
}

static bool engine_is_welcome(cudnnBackendDescriptor_t config, const fnr_cu_conv_key *k)
{
    fnr_cu_bag bag = {.count = 0};
    cudnnBackendDescriptor_t engine;
    cudnnBackendNumericalNote_t notes[MAX_NOTES];
    int64_t one = 0, count = 0;
    bool ok = make(&bag, CUDNN_BACKEND_ENGINE_DESCRIPTOR, "cuDNN engine", &engine, NULL) &&
              cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &one, &engine) == CUDNN_STATUS_SUCCESS &&
              cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, MAX_NOTES, &count, notes) ==
                  CUDNN_STATUS_SUCCESS;
    for (int64_t i = 0; ok && i < count; i++) {
        ok = note_is_welcome(notes[i], k);
    }
    fnr_cu_bag_free(&bag);
    return ok;
}

/* Builds a plan for one engine; a failure means only that this engine is no choice. */
static void try_engine(fnr_cu_plans *p, const fnr_cu_target *target, cudnnBackendDescriptor_t config, size_t max_workspace)
{
    static const char what[] = "cuDNN plan";
    cudnnBackendDescriptor_t plan;
    int64_t bytes = 0, one = 0;
    if (!make(&p->bag, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, what, &plan, NULL)) {
        return;
    }
    const bool ok =
        (target->handle ? set(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &target->handle, what, NULL)
                        : set(plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &target->device, what, NULL)) &&
        set(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config, what, NULL) && finish(plan, what, NULL) &&
        cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &one, &bytes) == CUDNN_STATUS_SUCCESS &&
        bytes >= 0 && (size_t)bytes <= max_workspace;
    if (!ok) {
        (void)cudnnBackendDestroyDescriptor(plan);
        p->bag.count--;
        return;
    }
    p->plans[p->count] = plan;
    p->workspace[p->count++] = (size_t)bytes;
}

/* Asks one of cuDNN's rankings; false only when something is broken. */
static bool ask(fnr_cu_plans *p, const fnr_cu_target *target, cudnnBackendDescriptor_t graph, const fnr_cu_conv_key *key, cudnnBackendHeurMode_t mode,
                int wanted, size_t max_workspace, fnr_error *err)
{
    static const char what[] = "cuDNN heuristics";
    enum { ASKED = 16 };
    cudnnBackendDescriptor_t ranking, configs[ASKED];
    int64_t count = 0;
    if (!make(&p->bag, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, what, &ranking, err) ||
        !set(ranking, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph, what, err) ||
        !set(ranking, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode, what, err) ||
        (!target->handle && !set(ranking, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &target->device, what, err))) {
        return false;
    }
    if (cudnnBackendFinalize(ranking) != CUDNN_STATUS_SUCCESS) {
        return true; /* this ranking knows nothing of such a graph */
    }
    for (int i = 0; i < ASKED; i++) {
        if (!make(&p->bag, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, what, &configs[i], err)) {
            return false;
        }
    }
    if (cudnnBackendGetAttribute(ranking, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, ASKED, &count, configs) !=
        CUDNN_STATUS_SUCCESS) {
        return true;
    }
    for (int64_t i = 0; i < count && i < ASKED && p->count < wanted; i++) {
        if (engine_is_welcome(configs[i], key)) {
            try_engine(p, target, configs[i], max_workspace);
        }
    }
    return true;
}

bool fnr_cu_plans_make(fnr_cu_plans *p, const fnr_cu_target *target, const fnr_cu_conv_key *key, int wanted, size_t max_workspace, fnr_error *err)
{
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK};
    cudnnBackendDescriptor_t graph;
    *p = (fnr_cu_plans){.count = 0};
    wanted = wanted < FNR_CU_PLANS ? wanted : FNR_CU_PLANS;
    if (!make_graph(&p->bag, target, key, &graph, err)) {
        return false;
    }
    for (int i = 0; i < 3 && p->count == 0; i++) { /* the next one only where the one before had nothing */
        if (!ask(p, target, graph, key, modes[i], wanted, max_workspace, err)) {
            return false;
        }
    }
    return p->count > 0 || fnr_fail(err, FNR_E_UNSUPPORTED, "cuDNN has no engine for this convolution (%d to %d channels, kernel %d, %dD)", key->fine_c,
                                    key->coarse_c, key->kernel, key->spatial);
}

void fnr_cu_plans_free(fnr_cu_plans *p)
{
    fnr_cu_bag_free(&p->bag);
    p->count = 0;
}

void fnr_cu_plans_keep(fnr_cu_plans *p, int keep)
{
    const cudnnBackendDescriptor_t kept = p->plans[keep];
    for (int i = 0; i < p->bag.count; i++) {
        for (int k = 0; k < p->count; k++) {
            if (p->bag.items[i] == p->plans[k] && p->plans[k] != kept) {
                (void)cudnnBackendDestroyDescriptor(p->bag.items[i]);
                p->bag.items[i] = NULL;
                break;
            }
        }
    }
    p->plans[0] = kept;
    p->workspace[0] = p->workspace[keep];
    p->count = 1;
}

bool fnr_cu_plan_run(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, const fnr_cu_conv_key *key, const fnr_cu_conv_data *data, fnr_error *err)
{
    static const char what[] = "running a convolution";
    const int64_t uids[] = {UID_FINE, UID_COARSE, UID_WEIGHT, UID_BIAS};
    void *pointers[] = {data->fine, data->coarse, data->weight, data->bias}, *workspace = data->workspace;
    const int64_t count = key->bias ? 4 : 3;
    fnr_cu_bag bag = {.count = 0};
    cudnnBackendDescriptor_t pack;
    const bool ok = make(&bag, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, what, &pack, err) &&
                    set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, uids, what, err) &&
                    set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers, what, err) &&
                    set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace, what, err) && finish(pack, what, err) &&
                    fnr_cu_dnn_ok(cudnnBackendExecute(handle, plan, pack), what, err);
    fnr_cu_bag_free(&bag);
    return ok;
}
