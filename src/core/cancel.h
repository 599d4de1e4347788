/* A request to stop, set by a signal handler and looked at by long work between steps. */
#ifndef FNR_CORE_CANCEL_H
#define FNR_CORE_CANCEL_H

#include <signal.h>
#include <stdbool.h>

typedef struct {
    volatile sig_atomic_t requested;
} fnr_cancel;

/* NULL is a token that is never cancelled. */
static inline bool fnr_cancelled(const fnr_cancel *cancel)
{
    return cancel && cancel->requested;
}

#endif
