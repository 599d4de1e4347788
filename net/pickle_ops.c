/* The opcodes of values, containers and memo, and the loop that runs them. */
#include <string.h>

#include "net/pickle_vm.h"
#include "src/core/mem.h"

#define MAX_CELLS (2 * FNR_PK_MAX_VALUES)

/* The next n bytes, or NULL. */
static const unsigned char *take(fnr_pk_vm *vm, size_t n)
{
    if ((size_t)(vm->end - vm->at) < n) {
        fnr_pk_fail(vm, FNR_E_FORMAT, "the file is cut: %zu more bytes are needed", n);
        return NULL;
    }
    vm->at += n;
    return vm->at - n;
}

/* Little-endian unsigned integer of 1 to 4 bytes. */
static bool take_unsigned(fnr_pk_vm *vm, size_t n, uint32_t *out)
{
    const unsigned char *b = take(vm, n);
    *out = 0;
    if (!b) {
        return false;
    }
    for (size_t i = n; i-- > 0;) {
        *out = *out << 8 | b[i];
    }
    return true;
}

/* Position of the topmost mark. */
static bool find_mark(fnr_pk_vm *vm, size_t *at)
{
    for (size_t i = vm->depth; i-- > 0;) {
        if (vm->stack[i] == FNR_PK_MARK) {
            *at = i;
            return true;
        }
    }
    return fnr_pk_fail(vm, FNR_E_FORMAT, "broken: an operation finds no mark on the stack");
}

static bool append(fnr_pk_vm *vm, int container, int value)
{
    fnr_pickle *p = vm->p;
    if (p->n_cells == MAX_CELLS) {
        return fnr_pk_fail(vm, FNR_E_LIMIT, "more than %zu items: this is no checkpoint", MAX_CELLS);
    }
    if (!fnr_grow(&p->cells, &p->cells_room, p->n_cells, sizeof *p->cells, "items of a pickle", vm->err)) {
        return false;
    }
    const int cell = (int)p->n_cells++;
    fnr_pk_value *c = &p->values[container];
    p->cells[cell] = (fnr_pk_cell){value, -1};
    if (c->items.last >= 0) {
        p->cells[c->items.last].next = cell;
    } else {
        c->items.first = cell;
    }
    c->items.last = cell;
    c->items.count++;
    return true;
}

/* The topmost n stack entries become items of the container below them (below the mark, when there is one). */
static bool append_top(fnr_pk_vm *vm, fnr_pk_kind kind, size_t n, bool marked)
{
    const size_t first = vm->depth - n, below = first - (marked ? 1 : 0);
    const int container = below > 0 ? vm->stack[below - 1] : FNR_PK_MARK;
    if (container == FNR_PK_MARK || vm->p->values[container].kind != kind) {
        return fnr_pk_fail(vm, FNR_E_FORMAT, "broken: items without a %s to put them into",
                           kind == FNR_PK_LIST ? "list" : "dictionary");
    }
    for (size_t i = first; i < vm->depth; i++) {
        if (vm->stack[i] == FNR_PK_MARK) {
            return fnr_pk_fail(vm, FNR_E_FORMAT, "broken: a mark where a value is expected");
        }
        if (!append(vm, container, vm->stack[i])) {
            return false;
        }
    }
    vm->depth = below;
    return true;
}

/* The topmost n stack entries become a tuple. */
static bool make_tuple(fnr_pk_vm *vm, size_t n, bool marked)
{
    fnr_pk_value v = {.kind = FNR_PK_TUPLE, .items = {-1, -1, 0}};
    if (n > vm->depth || !fnr_pk_push_new(vm, v)) {
        return n <= vm->depth ? false : fnr_pk_fail(vm, FNR_E_FORMAT, "broken: a tuple of more values than there are");
    }
    const int tuple = vm->stack[--vm->depth];
    const size_t first = vm->depth - n;
    for (size_t i = first; i < vm->depth; i++) {
        if (vm->stack[i] == FNR_PK_MARK) {
            return fnr_pk_fail(vm, FNR_E_FORMAT, "broken: a mark where a value is expected");
        }
        if (!append(vm, tuple, vm->stack[i])) {
            return false;
        }
    }
    vm->depth = first - (marked ? 1 : 0);
    return fnr_pk_push(vm, tuple);
}

/* ---- opcodes --------------------------------------------------------------------------------------------------------------- */

static bool op_proto(fnr_pk_vm *vm)
{
    uint32_t version;
    return take_unsigned(vm, 1, &version) &&
           (version == 2 ||
            fnr_pk_fail(vm, FNR_E_UNSUPPORTED, "pickle protocol %u; PyTorch writes 2 unless told otherwise", version));
}

static bool op_stop(fnr_pk_vm *vm)
{
    vm->stopped = true;
    return fnr_pk_pop(vm, &vm->p->root) &&
           (vm->depth == 0 || fnr_pk_fail(vm, FNR_E_FORMAT, "broken: values are left on the stack"));
}

static bool op_none(fnr_pk_vm *vm)
{
    return fnr_pk_push_new(vm, (fnr_pk_value){.kind = FNR_PK_NONE});
}

static bool op_true(fnr_pk_vm *vm)
{
    return fnr_pk_push_new(vm, (fnr_pk_value){.kind = FNR_PK_BOOL, .integer = 1});
}

static bool op_false(fnr_pk_vm *vm)
{
    return fnr_pk_push_new(vm, (fnr_pk_value){.kind = FNR_PK_BOOL, .integer = 0});
}

static bool push_unsigned(fnr_pk_vm *vm, size_t bytes)
{
    uint32_t v;
    return take_unsigned(vm, bytes, &v) && fnr_pk_push_new(vm, (fnr_pk_value){.kind = FNR_PK_INT, .integer = v});
}

static bool op_int1(fnr_pk_vm *vm)
{
    return push_unsigned(vm, 1);
}

static bool op_int2(fnr_pk_vm *vm)
{
    return push_unsigned(vm, 2);
}

static bool op_int4(fnr_pk_vm *vm)
{
    uint32_t v;
    return take_unsigned(vm, 4, &v) && fnr_pk_push_new(vm, (fnr_pk_value){.kind = FNR_PK_INT, .integer = (int32_t)v});
}

static bool op_long1(fnr_pk_vm *vm)
{
    uint32_t n;
    const unsigned char *b = take_unsigned(vm, 1, &n) ? take(vm, n) : NULL;
    if (!b) {
        return false;
    }
    if (n > 8) {
        return fnr_pk_push_new(vm, (fnr_pk_value){.kind = FNR_PK_BIG, .text = {(const char *)b, n}});
    }
    uint64_t v = n > 0 && b[n - 1] & 0x80 ? UINT64_MAX : 0; /* the sign */
    for (size_t i = n; i-- > 0;) {
        v = v << 8 | b[i];
    }
    return fnr_pk_push_new(vm, (fnr_pk_value){.kind = FNR_PK_INT, .integer = (int64_t)v});
}

static bool op_real(fnr_pk_vm *vm)
{
    const unsigned char *b = take(vm, 8);
    if (!b) {
        return false;
    }
    uint64_t bits = 0;
    fnr_pk_value v = {.kind = FNR_PK_REAL};
    for (size_t i = 0; i < 8; i++) {
        bits = bits << 8 | b[i]; /* big-endian, alone in this */
    }
    memcpy(&v.real, &bits, sizeof v.real);
    return fnr_pk_push_new(vm, v);
}

static bool op_text(fnr_pk_vm *vm)
{
    uint32_t n;
    const unsigned char *b = take_unsigned(vm, 4, &n) ? take(vm, n) : NULL;
    return b && fnr_pk_push_new(vm, (fnr_pk_value){.kind = FNR_PK_TEXT, .text = {(const char *)b, n}});
}

static bool op_empty_tuple(fnr_pk_vm *vm)
{
    return fnr_pk_push_new(vm, (fnr_pk_value){.kind = FNR_PK_TUPLE, .items = {-1, -1, 0}});
}

static bool op_empty_list(fnr_pk_vm *vm)
{
    return fnr_pk_push_new(vm, (fnr_pk_value){.kind = FNR_PK_LIST, .items = {-1, -1, 0}});
}

static bool op_empty_dict(fnr_pk_vm *vm)
{
    return fnr_pk_push_new(vm, (fnr_pk_value){.kind = FNR_PK_DICT, .items = {-1, -1, 0}});
}

static bool op_mark(fnr_pk_vm *vm)
{
    return fnr_pk_push(vm, FNR_PK_MARK);
}

static bool op_tuple(fnr_pk_vm *vm)
{
    size_t mark = 0;
    return find_mark(vm, &mark) && make_tuple(vm, vm->depth - mark - 1, true);
}

static bool op_tuple1(fnr_pk_vm *vm)
{
    return make_tuple(vm, 1, false);
}

static bool op_tuple2(fnr_pk_vm *vm)
{
    return make_tuple(vm, 2, false);
}

static bool op_tuple3(fnr_pk_vm *vm)
{
    return make_tuple(vm, 3, false);
}

static bool op_append(fnr_pk_vm *vm)
{
    return vm->depth >= 2 ? append_top(vm, FNR_PK_LIST, 1, false) : fnr_pk_fail(vm, FNR_E_FORMAT, "broken: nothing to append");
}

static bool op_appends(fnr_pk_vm *vm)
{
    size_t mark = 0;
    return find_mark(vm, &mark) && append_top(vm, FNR_PK_LIST, vm->depth - mark - 1, true);
}

static bool op_setitem(fnr_pk_vm *vm)
{
    return vm->depth >= 3 ? append_top(vm, FNR_PK_DICT, 2, false)
                          : fnr_pk_fail(vm, FNR_E_FORMAT, "broken: no key and value to set");
}

static bool op_setitems(fnr_pk_vm *vm)
{
    size_t mark = 0;
    if (!find_mark(vm, &mark)) {
        return false;
    }
    const size_t n = vm->depth - mark - 1;
    return n % 2 == 0 ? append_top(vm, FNR_PK_DICT, n, true) : fnr_pk_fail(vm, FNR_E_FORMAT, "broken: a key without a value");
}

static bool put(fnr_pk_vm *vm, size_t bytes)
{
    uint32_t at;
    if (!take_unsigned(vm, bytes, &at)) {
        return false;
    }
    if (at >= FNR_PK_MAX_MEMO) {
        return fnr_pk_fail(vm, FNR_E_LIMIT, "memo entry %u: this is no checkpoint", at);
    }
    if (vm->depth == 0 || vm->stack[vm->depth - 1] == FNR_PK_MARK) {
        return fnr_pk_fail(vm, FNR_E_FORMAT, "broken: nothing to remember");
    }
    vm->memo[at] = vm->stack[vm->depth - 1] + 1;
    return true;
}

static bool op_put1(fnr_pk_vm *vm)
{
    return put(vm, 1);
}

static bool op_put4(fnr_pk_vm *vm)
{
    return put(vm, 4);
}

static bool get(fnr_pk_vm *vm, size_t bytes)
{
    uint32_t at;
    if (!take_unsigned(vm, bytes, &at)) {
        return false;
    }
    if (at >= FNR_PK_MAX_MEMO || vm->memo[at] == 0) {
        return fnr_pk_fail(vm, FNR_E_FORMAT, "broken: memo entry %u was never set", at);
    }
    return fnr_pk_push(vm, vm->memo[at] - 1);
}

static bool op_get1(fnr_pk_vm *vm)
{
    return get(vm, 1);
}

static bool op_get4(fnr_pk_vm *vm)
{
    return get(vm, 4);
}

/* Every opcode up to protocol 5; those without a function are refused by name. */
static const struct {
    const char *name;
    bool (*run)(fnr_pk_vm *vm);
} opcodes[256] = {
    [0x80] = {"PROTO", op_proto},
    ['.'] = {"STOP", op_stop},
    ['N'] = {"NONE", op_none},
    [0x88] = {"NEWTRUE", op_true},
    [0x89] = {"NEWFALSE", op_false},
    ['K'] = {"BININT1", op_int1},
    ['M'] = {"BININT2", op_int2},
    ['J'] = {"BININT", op_int4},
    [0x8a] = {"LONG1", op_long1},
    ['G'] = {"BINFLOAT", op_real},
    ['X'] = {"BINUNICODE", op_text},
    [')'] = {"EMPTY_TUPLE", op_empty_tuple},
    [']'] = {"EMPTY_LIST", op_empty_list},
    ['}'] = {"EMPTY_DICT", op_empty_dict},
    ['('] = {"MARK", op_mark},
    ['t'] = {"TUPLE", op_tuple},
    [0x85] = {"TUPLE1", op_tuple1},
    [0x86] = {"TUPLE2", op_tuple2},
    [0x87] = {"TUPLE3", op_tuple3},
    ['a'] = {"APPEND", op_append},
    ['e'] = {"APPENDS", op_appends},
    ['s'] = {"SETITEM", op_setitem},
    ['u'] = {"SETITEMS", op_setitems},
    ['q'] = {"BINPUT", op_put1},
    ['r'] = {"LONG_BINPUT", op_put4},
    ['h'] = {"BINGET", op_get1},
    ['j'] = {"LONG_BINGET", op_get4},
    ['c'] = {"GLOBAL", fnr_pk_op_global},
    ['R'] = {"REDUCE", fnr_pk_op_reduce},
    ['b'] = {"BUILD", fnr_pk_op_build},
    ['Q'] = {"BINPERSID", fnr_pk_op_persistent},
    ['0'] = {"POP", NULL},
    ['1'] = {"POP_MARK", NULL},
    ['2'] = {"DUP", NULL},
    ['F'] = {"FLOAT", NULL},
    ['I'] = {"INT", NULL},
    ['L'] = {"LONG", NULL},
    ['P'] = {"PERSID", NULL},
    ['S'] = {"STRING", NULL},
    ['T'] = {"BINSTRING", NULL},
    ['U'] = {"SHORT_BINSTRING", NULL},
    ['V'] = {"UNICODE", NULL},
    ['B'] = {"BINBYTES", NULL},
    ['C'] = {"SHORT_BINBYTES", NULL},
    ['d'] = {"DICT", NULL},
    ['g'] = {"GET", NULL},
    ['i'] = {"INST", NULL},
    ['l'] = {"LIST", NULL},
    ['o'] = {"OBJ", NULL},
    ['p'] = {"PUT", NULL},
    [0x81] = {"NEWOBJ", NULL},
    [0x82] = {"EXT1", NULL},
    [0x83] = {"EXT2", NULL},
    [0x84] = {"EXT4", NULL},
    [0x8b] = {"LONG4", NULL},
    [0x8c] = {"SHORT_BINUNICODE", NULL},
    [0x8d] = {"BINUNICODE8", NULL},
    [0x8e] = {"BINBYTES8", NULL},
    [0x8f] = {"EMPTY_SET", NULL},
    [0x90] = {"ADDITEMS", NULL},
    [0x91] = {"FROZENSET", NULL},
    [0x92] = {"NEWOBJ_EX", NULL},
    [0x93] = {"STACK_GLOBAL", NULL},
    [0x94] = {"MEMOIZE", NULL},
    [0x95] = {"FRAME", NULL},
    [0x96] = {"BYTEARRAY8", NULL},
    [0x97] = {"NEXT_BUFFER", NULL},
    [0x98] = {"READONLY_BUFFER", NULL},
};

bool fnr_pk_run(fnr_pk_vm *vm)
{
    while (!vm->stopped) {
        const unsigned char *op = take(vm, 1);
        if (!op) {
            return false;
        }
        if (!opcodes[*op].name) {
            return fnr_pk_fail(vm, FNR_E_FORMAT, "broken: 0x%02x is no opcode", *op);
        }
        if (!opcodes[*op].run) {
            return fnr_pk_fail(vm, FNR_E_UNSUPPORTED, "refused: opcode %s does not occur in checkpoints", opcodes[*op].name);
        }
        if (!opcodes[*op].run(vm)) {
            return false;
        }
    }
    return true;
}
