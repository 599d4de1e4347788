/* Fits the logistic models of register/probability.c to trials of bench_register --csv, and shows how reliable they are on sections
 * that were left out of the fit: bench_calibrate TRIALS.csv [RELIABILITY.csv]
 *
 * Prints the coefficients as they stand in probability.c, and per band of stated probability how many tiles were right. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_linalg.h>

#include "register/register.h"

enum { N = FNR_EVIDENCE, MOST = 20000, NAME = 512, BANDS = 7, ITERATIONS = 60 };

/* Keeps coefficients finite where trials can be told apart perfectly: a normal prior of this precision on each but the first. */
static const double precision = 0.5;

static const double band_from[BANDS + 1] = {0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 1.0000001};

typedef struct {
    char section[NAME];
    double error, x[N];
} trial;

static size_t read_trials(const char *path, trial *t)
{
    FILE *f = fopen(path, "r");
    char line[4096];
    size_t n = 0;
    if (!f) {
        perror(path);
        exit(1);
    }
    while (n < MOST && fgets(line, sizeof line, f)) {
        char *p = line, *field[5 + N];
        int k = 0;
        while (k < 5 + N && (field[k] = strsep(&p, ","))) {
            k++;
        }
        if (k == 5 + N) {
            snprintf(t[n].section, NAME, "%.500s", field[0]);
            t[n].error = strtod(field[4], NULL);
            for (int i = 0; i < N; i++) {
                t[n].x[i] = strtod(field[5 + i], NULL);
            }
            n++;
        }
    }
    fclose(f);
    return n;
}

static double stated(const double b[N], const double x[N])
{
    double sum = 0;
    for (int i = 0; i < N; i++) {
        sum += b[i] * x[i];
    }
    return 1 / (1 + exp(-sum));
}

/* Newton's method on the penalised likelihood; trials of the section `without` (NULL: none) are left out. */
static void fit(const trial *t, size_t n, double limit, const char *without, double b[N])
{
    memset(b, 0, N * sizeof *b);
    for (int k = 0; k < ITERATIONS; k++) {
        double h[N * N] = {0}, g[N] = {0};
        for (int i = 1; i < N; i++) {
            h[i * N + i] = precision;
            g[i] = -precision * b[i];
        }
        h[0] = 1e-6;
        for (size_t m = 0; m < n; m++) {
            if (without && !strcmp(without, t[m].section)) {
                continue;
            }
            const double p = stated(b, t[m].x), y = t[m].error < limit, w = fmax(1e-6, p * (1 - p));
            for (int i = 0; i < N; i++) {
                g[i] += (y - p) * t[m].x[i];
                for (int j = 0; j < N; j++) {
                    h[i * N + j] += w * t[m].x[i] * t[m].x[j];
                }
            }
        }
        gsl_matrix_view hm = gsl_matrix_view_array(h, N, N);
        gsl_vector_view gv = gsl_vector_view_array(g, N);
        gsl_linalg_cholesky_decomp1(&hm.matrix);
        gsl_linalg_cholesky_svx(&hm.matrix, &gv.vector);
        double longest = 0;
        for (int i = 0; i < N; i++) {
            longest = fmax(longest, fabs(g[i]));
        }
        for (int i = 0; i < N; i++) {
            b[i] += g[i] * fmin(1, 3 / longest); /* a step that overshoots would not come back */
        }
    }
}

static void report(const trial *t, size_t n, double limit, FILE *csv)
{
    double sum[BANDS] = {0}, right[BANDS] = {0}, count[BANDS] = {0}, brier = 0, b[N];
    const char *fitted = NULL;
    for (size_t m = 0; m < n; m++) {
        if (!fitted || strcmp(fitted, t[m].section)) {
            fit(t, n, limit, t[m].section, b);
            fitted = t[m].section;
        }
        const double p = stated(b, t[m].x), y = t[m].error < limit;
        int k = 0;
        while (k + 1 < BANDS && p >= band_from[k + 1]) {
            k++;
        }
        sum[k] += p;
        right[k] += y;
        count[k]++;
        brier += (p - y) * (p - y) / (double)n;
    }
    printf("\nright within %g px, each section judged by a model fitted to the two others: Brier score %.4f\n", limit, brier);
    printf("%-16s %8s %10s %10s\n", "stated", "trials", "mean", "right");
    for (int k = 0; k < BANDS; k++) {
        printf("%.2f to %.2f     %8.0f %10.3f %10.3f\n", band_from[k], fmin(1, band_from[k + 1]), count[k], count[k] ? sum[k] / count[k] : NAN,
               count[k] ? right[k] / count[k] : NAN);
        if (csv && count[k] > 0) {
            fprintf(csv, "%g,%.0f,%.4f,%.4f\n", limit, count[k], sum[k] / count[k], right[k] / count[k]);
        }
    }
}

int main(int argc, char **argv)
{
    static trial t[MOST];
    static const double limits[2] = {1, 5};
    if (argc < 2) {
        fprintf(stderr, "usage: %s TRIALS.csv [RELIABILITY.csv]\n", argv[0]);
        return 2;
    }
    const size_t n = read_trials(argv[1], t);
    FILE *csv = argc > 2 ? fopen(argv[2], "w") : NULL;
    size_t wrong_montage = 0;
    for (size_t m = 0; m < n; m++) {
        wrong_montage += isinf(t[m].error);
    }
    printf("%zu trials, %zu of them on a wrong montage\n", n, wrong_montage);
    if (csv) {
        fprintf(csv, "limit_px,trials,stated,right\n");
    }
    for (int k = 0; n > 0 && k < 2; k++) {
        double b[N];
        report(t, n, limits[k], csv);
        fit(t, n, limits[k], NULL, b);
        printf("all trials: {");
        for (int i = 0; i < N; i++) {
            printf("%s%.3f", i ? ", " : "", b[i]);
        }
        printf("}\n");
    }
    if (csv) {
        fclose(csv);
    }
    return 0;
}
