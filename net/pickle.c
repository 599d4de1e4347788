#include "net/pickle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/pickle_vm.h"
#include "src/core/mem.h"

/* ---- the machine ----------------------------------------------------------------------------------------------------------- */

bool fnr_pk_fail(fnr_pk_vm *vm, fnr_code code, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return fnr_fail(vm->err, code, "%s: byte %zu of the pickle: %s", vm->file, (size_t)(vm->at - vm->begin), text);
}

bool fnr_pk_push(fnr_pk_vm *vm, int value)
{
    if (vm->depth == FNR_PK_MAX_STACK) {
        return fnr_pk_fail(vm, FNR_E_LIMIT, "more than %zu values wait on the stack: this is no checkpoint", FNR_PK_MAX_STACK);
    }
    vm->stack[vm->depth++] = value;
    return true;
}

bool fnr_pk_push_new(fnr_pk_vm *vm, fnr_pk_value v)
{
    fnr_pickle *p = vm->p;
    if (p->n_values == FNR_PK_MAX_VALUES) {
        return fnr_pk_fail(vm, FNR_E_LIMIT, "more than %zu values: this is no checkpoint", FNR_PK_MAX_VALUES);
    }
    if (!fnr_grow(&p->values, &p->values_room, p->n_values, sizeof *p->values, "values of a pickle", vm->err)) {
        return false;
    }
    p->values[p->n_values++] = v;
    return fnr_pk_push(vm, (int)p->n_values - 1);
}

bool fnr_pk_pop(fnr_pk_vm *vm, int *value)
{
    if (vm->depth == 0 || vm->stack[vm->depth - 1] == FNR_PK_MARK) {
        return fnr_pk_fail(vm, FNR_E_FORMAT, "broken: an operation finds no value on the stack");
    }
    *value = vm->stack[--vm->depth];
    return true;
}

const fnr_pk_value *fnr_pk_item(const fnr_pickle *p, const fnr_pk_value *tuple, int k)
{
    int cell = tuple->items.first;
    while (cell >= 0 && k-- > 0) {
        cell = p->cells[cell].next;
    }
    return cell >= 0 ? &p->values[p->cells[cell].value] : NULL;
}

/* ---- interface ------------------------------------------------------------------------------------------------------------- */

bool fnr_pickle_read(const char *data, size_t size, const char *file, fnr_pickle *out, size_t *used, fnr_error *err)
{
    fnr_pickle p = {0};
    const unsigned char *begin = (const unsigned char *)data;
    fnr_pk_vm vm = {.p = &p, .begin = begin, .at = begin, .end = begin + size, .file = file, .err = err};
    vm.stack = fnr_calloc(FNR_PK_MAX_STACK, sizeof *vm.stack, "the stack of a pickle", err);
    vm.memo = vm.stack ? fnr_calloc(FNR_PK_MAX_MEMO, sizeof *vm.memo, "the memo of a pickle", err) : NULL;
    const bool ok = vm.memo && fnr_pk_run(&vm);
    free(vm.stack);
    free(vm.memo);
    if (!ok) {
        fnr_pickle_free(&p);
        return false;
    }
    *used = (size_t)(vm.at - begin);
    *out = p;
    return true;
}

void fnr_pickle_free(fnr_pickle *p)
{
    free(p->values);
    free(p->cells);
    free(p->storages);
    free(p->tensors);
    *p = (fnr_pickle){0};
}

bool fnr_pk_is(const fnr_pk_value *v, const char *text)
{
    const size_t n = strlen(text);
    return v && v->kind == FNR_PK_TEXT && v->text.size == n && memcmp(v->text.data, text, n) == 0;
}

const fnr_pk_value *fnr_pickle_get(const fnr_pickle *p, const fnr_pk_value *dict, const char *key)
{
    const fnr_pk_value *found = NULL;
    for (int c = dict && dict->kind == FNR_PK_DICT ? dict->items.first : -1; c >= 0;) {
        const int value = p->cells[c].next; /* keys and values alternate: there is one */
        if (fnr_pk_is(&p->values[p->cells[c].value], key)) {
            found = &p->values[p->cells[value].value];
        }
        c = p->cells[value].next;
    }
    return found;
}
