/* The paper's own transforms as truth: each EM tile of 1500 x 1500 px (10 nm) is placed where a person placed it, in a montage of
 * 2048 x 2048 px that is drawn here, and has to be found: bench_paper_transforms REGISTRATIONS.csv [COLUMN] */
#include <stdio.h>
#include <stdlib.h>

#include "register/register.h"
#include "src/core/csv.h"
#include "src/cv/cv.h"
#include "tests/bench/ring_field.h"

enum { SIDE = 2048, TILE_EM = 1500, TILE = 375 };

#define NET_NM 40.0
#define EM_NM 10.0

typedef struct {
    size_t n, within_1, registered, wrong;
    double sum, worst;
} totals;

static bool find(const fnr_target *target, const fnr_transform *truth, size_t row, totals *t, fnr_error *err)
{
    const fnr_register_options o = fnr_register_defaults();
    const fnr_transform to_em = fnr_transform_resample(NET_NM / EM_NM, NET_NM / EM_NM, FNR_FRAME_NET, FNR_FRAME_TILE);
    const fnr_transform to_net = fnr_transform_resample(EM_NM / NET_NM, EM_NM / NET_NM, FNR_FRAME_TILE, FNR_FRAME_NET);
    fnr_transform net_truth, found;
    fnr_image p;
    fnr_registration r;
    if (!fnr_transform_compose(truth, &to_em, &net_truth, err) || !fnr_image_new(&p, TILE, TILE, 1, 1, FNR_F32, err)) {
        return false;
    }
    p.v.nm = NET_NM;
    ring_prediction(&net_truth, row, &p.v);
    const bool ok = fnr_register_tile(target, &p.v, &o, NULL, &r, err);
    fnr_image_free(&p);
    if (!ok) {
        return false;
    }
    double error = INFINITY;
    if (r.has_transform && fnr_transform_compose(&r.t, &to_net, &found, err)) {
        error = fnr_transform_mean_distance(&found, truth, TILE_EM, TILE_EM);
    }
    t->n++;
    t->within_1 += error < 1;
    t->registered += r.verdict == FNR_REGISTERED;
    t->wrong += r.verdict == FNR_REGISTERED && !(error < 1);
    t->sum += error;
    t->worst = fmax(t->worst, error);
    if (!(error < 1) || r.verdict != FNR_REGISTERED) {
        printf("row %zu: %s, error %.3f px, rotation %.2f scale %.4f: %s\n", row, fnr_verdict_name(r.verdict), error,
               fnr_transform_rotation_deg(truth), fnr_transform_scale(truth), r.reason);
    }
    return true;
}

int main(int argc, char **argv)
{
    fnr_error err = {0};
    fnr_csv table = {0};
    fnr_image m = {0};
    totals t = {0};
    const fnr_register_options o = fnr_register_defaults();
    if (argc < 2) {
        fprintf(stderr, "usage: %s REGISTRATIONS.csv [COLUMN]\n", argv[0]);
        return 2;
    }
    fnr_cv_set_threads(1);
    bool ok = fnr_csv_read(argv[1], &table, &err) && fnr_image_new(&m, SIDE, SIDE, 1, 1, FNR_U16, &err);
    fnr_target *target = NULL;
    if (ok) {
        ring_montage(&m.v);
        target = fnr_target_new(&m.v, 100, &o, &err);
        ok = target != NULL;
    }
    const char *name = argc > 2 ? argv[2] : "ground_truth_forrest";
    const int column = ok ? fnr_csv_column(&table, name) : -1;
    ok = ok && (column >= 0 || fnr_fail(&err, FNR_E_FORMAT, "%s has no column %s", argv[1], name));
    for (size_t row = 0; ok && row + 1 < table.rows; row++) {
        fnr_transform truth;
        ok = fnr_transform_parse(fnr_csv_cell(&table, row, column), FNR_FRAME_TILE, FNR_FRAME_IF, &truth, &err) &&
             find(target, &truth, row, &t, &err);
    }
    if (ok) {
        printf("%s: %zu transforms, %zu recovered within 1 px, %zu registered of which %zu wrong; error mean %.3f, worst %.3f px\n", name,
               t.n, t.within_1, t.registered, t.wrong, t.sum / (double)t.n, t.worst);
    } else {
        fprintf(stderr, "%s\n", err.message);
    }
    fnr_target_free(target);
    fnr_image_free(&m);
    fnr_csv_free(&table);
    return ok && t.n > 0 && t.within_1 == t.n ? 0 : 1;
}
