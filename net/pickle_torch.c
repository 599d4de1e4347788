/* What a pickle may refer to: four constructors and storages, all rebuilt as plain data. */
#include <string.h>

#include "net/pickle_vm.h"
#include "src/core/mem.h"

enum { ORDERED_DICT, REBUILD_TENSOR, REBUILD_TENSOR_V2, FLOAT_STORAGE, LONG_STORAGE };

static const struct {
    const char *module, *name;
} globals[] = {
    [ORDERED_DICT] = {"collections", "OrderedDict"},
    [REBUILD_TENSOR] = {"torch._utils", "_rebuild_tensor"},
    [REBUILD_TENSOR_V2] = {"torch._utils", "_rebuild_tensor_v2"},
    [FLOAT_STORAGE] = {"torch", "FloatStorage"},
    [LONG_STORAGE] = {"torch", "LongStorage"},
};

/* The rest of a line, without its end. */
static bool take_line(fnr_pk_vm *vm, fnr_pk_text *out)
{
    const unsigned char *stop = memchr(vm->at, '\n', (size_t)(vm->end - vm->at));
    if (!stop) {
        return fnr_pk_fail(vm, FNR_E_FORMAT, "the file is cut inside a name");
    }
    *out = (fnr_pk_text){(const char *)vm->at, (size_t)(stop - vm->at)};
    vm->at = stop + 1;
    return true;
}

static bool equals(fnr_pk_text a, const char *b)
{
    return a.size == strlen(b) && memcmp(a.data, b, a.size) == 0;
}

bool fnr_pk_op_global(fnr_pk_vm *vm)
{
    fnr_pk_text module = {0}, name = {0};
    if (!take_line(vm, &module) || !take_line(vm, &name)) {
        return false;
    }
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++) {
        if (equals(module, globals[i].module) && equals(name, globals[i].name)) {
            return fnr_pk_push_new(vm, (fnr_pk_value){.kind = FNR_PK_GLOBAL, .integer = (int64_t)i});
        }
    }
    const int m = module.size < 100 ? (int)module.size : 100, n = name.size < 100 ? (int)name.size : 100;
    return fnr_pk_fail(
        vm, FNR_E_UNSUPPORTED,
        "refused: it asks for Python's '%.*s.%.*s'; a checkpoint of a float32 network consists of tensors, texts, numbers "
        "and dictionaries alone",
        m, module.data, n, name.data);
}

/* ---- tensors --------------------------------------------------------------------------------------------------------------- */

static bool fail_tensor(fnr_pk_vm *vm, const char *what)
{
    return fnr_pk_fail(vm, FNR_E_FORMAT, "broken: a tensor %s", what);
}

static bool is_extent(const fnr_pk_value *v)
{
    return v && v->kind == FNR_PK_INT && v->integer >= 0;
}

/* size and stride: tuples of integers. Dense C order is what every contiguous tensor has; axes of extent 1 may have any stride.
 */
static bool read_extents(fnr_pk_vm *vm, const fnr_pk_value *size, const fnr_pk_value *stride, fnr_pk_tensor *t, int64_t *count)
{
    if (!size || size->kind != FNR_PK_TUPLE || !stride || stride->kind != FNR_PK_TUPLE ||
        size->items.count != stride->items.count) {
        return fail_tensor(vm, "whose extents and strides are no tuples of one length");
    }
    if (size->items.count > FNR_PK_MAX_RANK) {
        return fnr_pk_fail(vm, FNR_E_UNSUPPORTED, "a tensor with %d axes", size->items.count);
    }
    t->rank = size->items.count;
    *count = 1;
    for (int i = t->rank; i-- > 0;) {
        const fnr_pk_value *extent = fnr_pk_item(vm->p, size, i), *step = fnr_pk_item(vm->p, stride, i);
        if (!is_extent(extent) || !is_extent(step)) {
            return fail_tensor(vm, "whose extents or strides are no integers");
        }
        t->dims[i] = extent->integer;
        if (extent->integer > 1 && step->integer != *count) {
            return fnr_pk_fail(vm, FNR_E_UNSUPPORTED, "a tensor that is not contiguous: call .contiguous() on it before saving");
        }
        if (__builtin_mul_overflow(*count, extent->integer, count)) {
            return fail_tensor(vm, "whose extents overflow");
        }
    }
    return true;
}

static bool rebuild_tensor(fnr_pk_vm *vm, const fnr_pk_value *args)
{
    fnr_pickle *p = vm->p;
    const fnr_pk_value *storage = fnr_pk_item(p, args, 0), *offset = fnr_pk_item(p, args, 1);
    fnr_pk_tensor t = {0};
    int64_t count = 0, end;
    if (!storage || storage->kind != FNR_PK_STORAGE || !is_extent(offset)) {
        return fail_tensor(vm, "without storage or offset");
    }
    t.storage = (int)storage->integer;
    t.offset = offset->integer;
    if (!read_extents(vm, fnr_pk_item(p, args, 2), fnr_pk_item(p, args, 3), &t, &count)) {
        return false;
    }
    if (__builtin_add_overflow(t.offset, count, &end) || end > p->storages[t.storage].count) {
        return fail_tensor(vm, "that reaches beyond its storage");
    }
    if (p->n_tensors == FNR_PK_MAX_TENSORS) {
        return fnr_pk_fail(vm, FNR_E_LIMIT, "more than %zu tensors", FNR_PK_MAX_TENSORS);
    }
    if (!fnr_grow(&p->tensors, &p->tensors_room, p->n_tensors, sizeof *p->tensors, "tensors of a pickle", vm->err)) {
        return false;
    }
    p->tensors[p->n_tensors++] = t;
    return fnr_pk_push_new(vm, (fnr_pk_value){.kind = FNR_PK_TENSOR, .integer = (int64_t)p->n_tensors - 1});
}

/* ---- the opcodes ----------------------------------------------------------------------------------------------------------- */

bool fnr_pk_op_reduce(fnr_pk_vm *vm)
{
    int args_id, callee_id;
    if (!fnr_pk_pop(vm, &args_id) || !fnr_pk_pop(vm, &callee_id)) {
        return false;
    }
    const fnr_pk_value *args = &vm->p->values[args_id], *callee = &vm->p->values[callee_id];
    const int n = args->kind == FNR_PK_TUPLE ? args->items.count : -1;
    const int64_t which = callee->kind == FNR_PK_GLOBAL ? callee->integer : -1;
    if (which == ORDERED_DICT && n == 0) {
        return fnr_pk_push_new(vm, (fnr_pk_value){.kind = FNR_PK_DICT, .items = {-1, -1, 0}});
    }
    if ((which == REBUILD_TENSOR && n == 4) || (which == REBUILD_TENSOR_V2 && (n == 6 || n == 7))) {
        return rebuild_tensor(vm, args);
    }
    return fnr_pk_fail(vm, FNR_E_UNSUPPORTED, "refused: a call of %s with %d arguments",
                       which >= 0 ? globals[which].name : "something", n);
}

/* Attributes of an object. A state dict carries the versions of its modules: nothing that we need. */
bool fnr_pk_op_build(fnr_pk_vm *vm)
{
    int attributes, object;
    if (!fnr_pk_pop(vm, &attributes) || !fnr_pk_pop(vm, &object)) {
        return false;
    }
    if (vm->p->values[object].kind != FNR_PK_DICT || vm->p->values[attributes].kind != FNR_PK_DICT) {
        return fnr_pk_fail(vm, FNR_E_UNSUPPORTED, "refused: BUILD on something that is no dictionary");
    }
    return fnr_pk_push(vm, object);
}

/* ('storage', type, key, location, elements[, view]); where it lay (cpu, cuda:0) does not matter. */
bool fnr_pk_op_persistent(fnr_pk_vm *vm)
{
    int id;
    fnr_pickle *p = vm->p;
    if (!fnr_pk_pop(vm, &id)) {
        return false;
    }
    const fnr_pk_value *v = &p->values[id];
    const int n = v->kind == FNR_PK_TUPLE ? v->items.count : 0;
    const fnr_pk_value *type = n >= 5 ? fnr_pk_item(p, v, 1) : NULL, *key = n >= 5 ? fnr_pk_item(p, v, 2) : NULL;
    const fnr_pk_value *count = n >= 5 ? fnr_pk_item(p, v, 4) : NULL, *view = n == 6 ? fnr_pk_item(p, v, 5) : NULL;
    if (n < 5 || n > 6 || !fnr_pk_is(fnr_pk_item(p, v, 0), "storage") || key->kind != FNR_PK_TEXT || !is_extent(count) ||
        type->kind != FNR_PK_GLOBAL || type->integer < FLOAT_STORAGE) {
        return fnr_pk_fail(vm, FNR_E_FORMAT, "broken: a persistent object that is no storage of float32 or int64");
    }
    if (view && view->kind != FNR_PK_NONE) {
        return fnr_pk_fail(vm, FNR_E_UNSUPPORTED, "a storage that is a view into another one");
    }
    if (p->n_storages == FNR_PK_MAX_TENSORS) {
        return fnr_pk_fail(vm, FNR_E_LIMIT, "more than %zu storages", FNR_PK_MAX_TENSORS);
    }
    if (!fnr_grow(&p->storages, &p->storages_room, p->n_storages, sizeof *p->storages, "storages of a pickle", vm->err)) {
        return false;
    }
    p->storages[p->n_storages++] =
        (fnr_pk_storage){.key = key->text, .is_long = type->integer == LONG_STORAGE, .count = count->integer};
    return fnr_pk_push_new(vm, (fnr_pk_value){.kind = FNR_PK_STORAGE, .integer = (int64_t)p->n_storages - 1});
}
