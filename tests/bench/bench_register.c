/* Registers the tiles of a section with stand-in predictions and compares with the truth.
 *
 *   bench_register SECTION [--standin em|warp] [--every N] [--first N] [--montage FILE [--wrong]] [--mirror] [--blur PX] [--serial]
 *                  [--predictions DIR --net-nm NM] [--near PX] [--csv FILE]
 *
 * SECTION: a folder with mbp.tif, em/ and truth.csv, such as ../shared/data/nerve/train/A.
 *   em    dark, thick structures of the EM tile itself: imperfect, a stress test
 *   warp  the montage seen through the true transform, blurred, re-weighted and with noise: nearly perfect
 * --predictions: DIR/TILE.prediction.tif, as a run leaves them in OUT/predict.  --near: the fine fit alone, from PX px beside the truth.
 * --montage --wrong, --mirror: the wrong montage, where nothing may be called registered.  --blur: wide-field montage. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <gsl/gsl_sort_float.h>

#include "register/register.h"
#include "src/core/rng.h"
#include "src/core/threads.h"
#include "src/cv/cv.h"
#include "src/image/stats.h"
#include "src/image/tiff.h"

#define EM_NM 11.9
#define IF_NM 100.0

typedef struct {
    const char *section, *standin, *montage, *predictions, *csv;
    double net_nm, blur, near_px;
    int every, first;
    bool mirror, wrong, serial, verbose;
} arguments;

typedef struct {
    char tile[128];
    fnr_transform truth; /* EM tile px -> IF px */
    double myelin;
} row;

static void die(const char *what, const fnr_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err ? err->message : "");
    exit(1);
}

static size_t read_truth(const char *path, row *rows, size_t max)
{
    FILE *f = fopen(path, "r");
    char line[1024];
    size_t n = 0;
    if (!f || !fgets(line, sizeof line, f)) {
        die(path, NULL);
    }
    while (n < max && fgets(line, sizeof line, f)) {
        char *field[10], *p = line;
        int k = 0;
        while (k < 10 && (field[k] = strsep(&p, ","))) {
            k++;
        }
        if (k < 10) {
            continue;
        }
        snprintf(rows[n].tile, sizeof rows[n].tile, "%s", field[0]);
        rows[n].myelin = strtod(field[9], NULL);
        n += fnr_transform_parse(field[7], FNR_FRAME_TILE, FNR_FRAME_IF, &rows[n].truth, NULL);
    }
    fclose(f);
    return n;
}

static void blur_in_place(fnr_image *im, double sigma)
{
    fnr_image out;
    fnr_error err;
    if (!fnr_image_new(&out, im->v.w, im->v.h, 1, 1, FNR_F32, &err) || !fnr_cv_blur(&im->v, sigma, &out.v, &err)) {
        die("blur", &err);
    }
    memcpy(im->v.px, out.v.px, (size_t)im->v.w * (size_t)im->v.h * sizeof(float));
    fnr_image_free(&out);
}

static float clip01(float x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* Myelin is the darkest thick structure. */
static void standin_em(fnr_image *im)
{
    const size_t n = (size_t)im->v.w * (size_t)im->v.h;
    float *px = im->v.px;
    blur_in_place(im, 4);
    const double lo = fnr_quantile(&im->v, 0.01), middle = fnr_quantile(&im->v, 0.5), range = middle - lo;
    for (size_t i = 0; i < n; i++) {
        px[i] = clip01((float)((lo + 0.35 * range - (double)px[i]) / (0.15 * range)));
    }
    blur_in_place(im, 6);
    for (size_t i = 0; i < n; i++) {
        px[i] = clip01((px[i] - 0.5f) * 4);
    }
    blur_in_place(im, 8);
}

static void standin_warp(fnr_image *im, const fnr_view *montage, const row *r, uint64_t seed)
{
    const int w = im->v.w, h = im->v.h;
    const size_t n = (size_t)w * (size_t)h;
    fnr_rng rng = fnr_rng_at(7, seed, 0);
    fnr_error err;
    fnr_image field;
    float *px = im->v.px;
    if (!fnr_warp_affine(montage, &r->truth, FNR_INTERP_CUBIC, FNR_BORDER_ZERO, &im->v, &err) ||
        !fnr_image_new(&field, w, h, 1, 1, FNR_F32, &err)) {
        die("standin", &err);
    }
    blur_in_place(im, 10);
    float *f = field.v.px;
    for (size_t i = 0; i < n; i++) {
        f[i] = (float)fnr_rng_normal(&rng);
    }
    blur_in_place(&field, 120);
    fnr_zscore(&field.v, NULL);
    for (size_t i = 0; i < n; i++) {
        px[i] *= expf(0.5f * f[i]);
        f[i] = (float)fnr_rng_normal(&rng);
    }
    blur_in_place(&field, 6);
    fnr_zscore(&field.v, NULL);
    const float noise = 0.03f * (float)fnr_stats_of(&im->v).max;
    for (size_t i = 0; i < n; i++) {
        px[i] += noise * f[i];
    }
    fnr_image_free(&field);
}

static void make_prediction(const arguments *a, const row *r, const fnr_view *montage, uint64_t seed, fnr_image *out)
{
    char path[4096];
    fnr_image raw;
    fnr_error err;
    if (a->predictions) {
        snprintf(path, sizeof path, "%s/%s.prediction.tif", a->predictions, r->tile);
    } else {
        snprintf(path, sizeof path, "%s/em/%s", a->section, r->tile);
    }
    if (!fnr_tiff_read(path, &(fnr_tiff_read_options){0}, &raw, &err) || !fnr_image_to_f32(&raw.v, 0, 0, out, &err)) {
        die(path, &err);
    }
    fnr_image_free(&raw);
    out->v.nm = a->predictions ? a->net_nm : EM_NM;
    if (!a->predictions && strcmp(a->standin, "em") == 0) {
        standin_em(out);
    } else if (!a->predictions) {
        standin_warp(out, montage, r, seed);
    }
    if (!a->predictions) { /* about one unit: what a network trained on z-scored MBP gives */
        const double top = fnr_quantile(&out->v, 0.999);
        float *px = out->v.px;
        for (size_t i = 0; top > 0 && i < (size_t)out->v.w * (size_t)out->v.h; i++) {
            px[i] *= (float)(4 / top);
        }
    }
}

static void read_montage(const arguments *a, fnr_image *out)
{
    char path[4096];
    fnr_image raw;
    fnr_error err;
    snprintf(path, sizeof path, "%s/mbp.tif", a->section);
    if (a->montage) {
        snprintf(path, sizeof path, "%s", a->montage);
    }
    if (!fnr_tiff_read(path, &(fnr_tiff_read_options){0}, &raw, &err) || !fnr_image_to_f32(&raw.v, 0, 0, out, &err)) {
        die(path, &err);
    }
    fnr_image_free(&raw);
}

static void mirror(fnr_image *im)
{
    float *px = im->v.px;
    for (int y = 0; y < im->v.h; y++) {
        float *p = px + (size_t)y * (size_t)im->v.w;
        for (int x = 0; x < im->v.w / 2; x++) {
            const float t = p[x];
            p[x] = p[im->v.w - 1 - x];
            p[im->v.w - 1 - x] = t;
        }
    }
}

/* A wide-field picture of a deconvolved one: out-of-focus halo, background, noise. */
static void widefield(fnr_image *im, double sigma)
{
    fnr_image halo;
    fnr_error err;
    const size_t n = (size_t)im->v.w * (size_t)im->v.h;
    float *px = im->v.px;
    fnr_rng rng = fnr_rng_at(9, 9, 9);
    if (!fnr_image_new(&halo, im->v.w, im->v.h, 1, 1, FNR_F32, &err) || !fnr_cv_blur(&im->v, 6 * sigma, &halo.v, &err)) {
        die("widefield", &err);
    }
    blur_in_place(im, sigma);
    const float *hp = halo.v.px;
    const double top = fnr_stats_of(&im->v).max;
    for (size_t i = 0; i < n; i++) {
        const double x = (double)(i % (size_t)im->v.w) / im->v.w, y = (double)(i / (size_t)im->v.w) / im->v.h;
        px[i] += hp[i] + (float)(top * (0.05 + 0.03 * sin(5 * x + 2) * sin(4 * y + 1) + 0.004 * fnr_rng_normal(&rng)));
    }
    fnr_image_free(&halo);
}

static bool parse(int argc, char **argv, arguments *a)
{
    *a = (arguments){.standin = "em", .every = 1, .net_nm = EM_NM};
    for (int i = 1; i < argc; i++) {
        const char *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(argv[i], "--mirror")) {
            a->mirror = true;
        } else if (!strcmp(argv[i], "--wrong")) {
            a->wrong = true;
        } else if (!strcmp(argv[i], "--serial")) {
            a->serial = true;
        } else if (!strcmp(argv[i], "-v")) {
            a->verbose = true;
        } else if (argv[i][0] != '-') {
            a->section = argv[i];
        } else if (!v) {
            return false;
        } else if (!strcmp(argv[i], "--standin")) {
            a->standin = v, i++;
        } else if (!strcmp(argv[i], "--montage")) {
            a->montage = v, i++;
        } else if (!strcmp(argv[i], "--csv")) {
            a->csv = v, i++;
        } else if (!strcmp(argv[i], "--predictions")) {
            a->predictions = v, i++;
        } else if (!strcmp(argv[i], "--net-nm")) {
            a->net_nm = strtod(v, NULL), i++;
        } else if (!strcmp(argv[i], "--blur")) {
            a->blur = strtod(v, NULL), i++;
        } else if (!strcmp(argv[i], "--near")) {
            a->near_px = strtod(v, NULL), i++;
        } else if (!strcmp(argv[i], "--every")) {
            a->every = atoi(v), i++;
        } else if (!strcmp(argv[i], "--first")) {
            a->first = atoi(v), i++;
        } else {
            return false;
        }
    }
    return a->section && a->every > 0;
}

/* Mean displacement over the tile [IF px]. */
static double error_of(const row *r, const fnr_transform *net_to_if, const fnr_view *prediction)
{
    const double step = EM_NM / prediction->nm;
    const fnr_transform to_net = fnr_transform_resample(step, step, FNR_FRAME_TILE, FNR_FRAME_NET);
    fnr_transform found;
    if (!fnr_transform_compose(net_to_if, &to_net, &found, NULL)) {
        return INFINITY;
    }
    return fnr_transform_mean_distance(&found, &r->truth, (int)lround(prediction->w / step), (int)lround(prediction->h / step));
}

/* Processor seconds of all threads: does not depend on what else the machine does. */
static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void print_tile(const row *r, const fnr_registration *g, double error, double seconds, int true_rank)
{
    printf("%-16s %6.4f  %-10s err %8.3f  score %.3f ratio %5.2f flow %4.2f %4.2f  content %.3f  scale %.4f rot %7.2f  rank %d  "
           "%.2f s  %s\n",
           r->tile, r->myelin, fnr_verdict_name(g->verdict), error, g->score, g->peak_ratio, g->flow_inliers, g->flow_rms_px,
           g->content, g->scale, g->rotation_deg, true_rank, seconds, g->reason);
    fflush(stdout);
}

/* One line per tile for bench_calibrate: the section it comes from, its error (inf on a wrong montage), the evidence. */
static void append_csv(const arguments *a, const row *r, const fnr_registration *g, double error)
{
    FILE *f = fopen(a->csv, "a");
    double x[FNR_EVIDENCE];
    if (!f) {
        die(a->csv, NULL);
    }
    fnr_evidence_of(g, x);
    fprintf(f, "%s,%s,%s,%.5f,%.4f", a->section, r->tile, fnr_verdict_name(g->verdict), r->myelin, error);
    for (int k = 0; k < FNR_EVIDENCE; k++) {
        fprintf(f, ",%.5f", x[k]);
    }
    fputc('\n', f);
    fclose(f);
}

/* The truth, moved: where a fit without a search starts. */
static fnr_transform near_truth(const row *r, const fnr_view *prediction, double off_px)
{
    const double step = prediction->nm / EM_NM;
    const fnr_transform to_tile = fnr_transform_resample(step, step, FNR_FRAME_NET, FNR_FRAME_TILE);
    fnr_transform t = {0};
    fnr_transform_compose(&r->truth, &to_tile, &t, NULL);
    t.m02 += off_px;
    t.m12 -= 0.5 * off_px;
    return t;
}

typedef struct {
    double sum, worst, time;
    size_t count, registered, wrong, tried, top;
} totals;

static void try_tile(const arguments *a, const row *r, size_t index, const fnr_view *clean, const fnr_target *target,
                     const fnr_register_options *opt, totals *sum)
{
    fnr_image p;
    fnr_registration g;
    fnr_error err;
    make_prediction(a, r, clean, index, &p);
    const double t0 = cpu_s();
    const fnr_transform start = near_truth(r, &p.v, a->near_px);
    if (!(a->near_px > 0 ? fnr_register_near(target, &p.v, &start, opt, &g, &err) : fnr_register_tile(target, &p.v, opt, NULL, &g, &err))) {
        die(r->tile, &err);
    }
    const double s = cpu_s() - t0, e = g.has_transform ? error_of(r, &g.t, &p.v) : NAN;
    int rank = -1;
    for (int k = 0; k < g.n_candidates && rank < 0; k++) {
        rank = error_of(r, &g.candidates[k].t, &p.v) < 5 ? k : -1;
    }
    print_tile(r, &g, e, s, rank);
    if (a->csv) {
        append_csv(a, r, &g, a->wrong || a->mirror ? INFINITY : e);
    }
    sum->tried++;
    sum->time += s;
    sum->top += e < 5;
    sum->registered += g.verdict == FNR_REGISTERED;
    sum->wrong += g.verdict == FNR_REGISTERED && !(e < 5);
    if (e < 5) {
        sum->sum += e;
        sum->worst = fmax(sum->worst, e);
        sum->count++;
    }
    fnr_image_free(&p);
}

static void prepare_montages(const arguments *a, fnr_image *clean, fnr_image *montage)
{
    arguments own = *a;
    own.montage = NULL;
    read_montage(&own, clean);
    read_montage(a, montage);
    if (a->mirror) {
        mirror(montage);
    }
    if (a->blur > 0) {
        widefield(montage, a->blur);
    }
}

int main(int argc, char **argv)
{
    arguments a;
    static row rows[256];
    char path[4096];
    fnr_error err;
    fnr_image montage, clean;
    if (!parse(argc, argv, &a)) {
        fprintf(stderr, "usage: bench_register SECTION [--standin em|warp] [--every N] [--first N] [--montage FILE [--wrong]] [--mirror]\n"
                        "       [--blur PX] [--serial] [--predictions DIR --net-nm NM] [--near PX] [--csv FILE]\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/truth.csv", a.section);
    const size_t n = read_truth(path, rows, 256);
    fnr_cv_set_threads(1);
    fnr_threads_set(a.serial ? 1 : 0);
    prepare_montages(&a, &clean, &montage);
    fnr_register_options opt = fnr_register_defaults();
    const double t0 = cpu_s();
    fnr_target *target = fnr_target_new(&montage.v, IF_NM, &opt, &err);
    if (!target) {
        die("montage", &err);
    }
    printf("montage %d x %d prepared in %.2f processor s\n", montage.v.w, montage.v.h, cpu_s() - t0);
    totals sum = {0};
    for (size_t i = (size_t)a.first; i < n; i += (size_t)a.every) {
        try_tile(&a, &rows[i], i, &clean.v, target, &opt, &sum);
    }
    printf("%zu tiles: %zu right, %zu registered of which %zu wrong; error of the right ones mean %.3f worst %.3f IF px; %.2f "
           "processor s per tile\n",
           sum.tried, sum.top, sum.registered, sum.wrong, sum.count ? sum.sum / (double)sum.count : NAN, sum.worst,
           sum.tried ? sum.time / (double)sum.tried : 0);
    fnr_target_free(target);
    fnr_image_free(&montage);
    fnr_image_free(&clean);
    return 0;
}
