/* Shared by the unit tests: cmocka, the folder of reference data, tolerances, guard values. */
#ifndef FNR_TESTS_SUPPORT_H
#define FNR_TESTS_SUPPORT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <cmocka.h>

#include "src/core/err.h"

/* "../shared" (or $FNR_SHARED), or NULL when users do not have it. */
const char *fnr_test_shared(void);
/* Path inside it, in a static buffer; skips the running test ("skipped: no ../shared") when absent. */
const char *fnr_test_need(const char *relative);
/* A fresh folder for the test's files under $TMPDIR, removed at exit; static buffer. */
const char *fnr_test_tmpdir(void);

/* ||a-b|| / ||b|| in double; NaN anywhere gives NaN, which fails every comparison below. */
double fnr_test_rel_l2(const float *a, const float *b, size_t n);
double fnr_test_max_abs(const float *a, const float *b, size_t n);

/* Fails (also for NaN) unless value <= limit; prints what was compared. */
#define assert_at_most(value, limit) fnr_test_at_most((value), (limit), #value, __FILE__, __LINE__)
void fnr_test_at_most(double value, double limit, const char *what, const char *file, int line);
#define assert_ok(call, err) \
    do { \
        if (!(call)) { \
            fail_msg("%s: %s", #call, (err).message); \
        } \
    } while (0)

/* n floats between two guards of 64 known values; check_guards fails when they changed. */
float *fnr_test_guarded(size_t n);
void fnr_test_check_guards(float *p, size_t n);
void fnr_test_guarded_free(float *p);

#endif
