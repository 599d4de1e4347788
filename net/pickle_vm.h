/* The machine that runs a pickle.  pickle.c: machine and interface; pickle_ops.c: opcodes of values, containers and memo;
 * pickle_torch.c: what stands for PyTorch's objects. */
#ifndef FNR_NET_PICKLE_VM_H
#define FNR_NET_PICKLE_VM_H

#include "net/pickle.h"

enum { FNR_PK_MARK = -1 };
#define FNR_PK_MAX_MEMO FNR_PK_MAX_VALUES

typedef struct {
    fnr_pickle *p;
    const unsigned char *begin, *at, *end;
    int *stack; /* values, or FNR_PK_MARK */
    size_t depth;
    int *memo; /* value + 1; 0 = nothing */
    bool stopped;
    const char *file;
    fnr_error *err;
} fnr_pk_vm;

/* The message names the file and the position. */
bool fnr_pk_fail(fnr_pk_vm *vm, fnr_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool fnr_pk_push(fnr_pk_vm *vm, int value);
bool fnr_pk_push_new(fnr_pk_vm *vm, fnr_pk_value v);
/* The topmost value, taken off; false when there is none (or a mark). */
bool fnr_pk_pop(fnr_pk_vm *vm, int *value);
/* The k-th item of a tuple; NULL when it has fewer. */
const fnr_pk_value *fnr_pk_item(const fnr_pickle *p, const fnr_pk_value *tuple, int k);

/* Runs opcodes until STOP, which sets the root. */
bool fnr_pk_run(fnr_pk_vm *vm);

/* Opcodes of pickle_torch.c. */
bool fnr_pk_op_global(fnr_pk_vm *vm);
bool fnr_pk_op_reduce(fnr_pk_vm *vm);
bool fnr_pk_op_build(fnr_pk_vm *vm);
bool fnr_pk_op_persistent(fnr_pk_vm *vm);

#endif
