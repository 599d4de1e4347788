/* The section's report.html: pictures of every tile in its own frame, at the network's pixel size. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/core/mem.h"
#include "src/core/text.h"
#include "src/core/timer.h"
#include "src/pipeline/record.h"
#include "src/pipeline/report.h"
#include "src/pipeline/section_pictures.h"

static bool add_tile(fnr_report *report, fnr_section *s, const fnr_section_tile *t, fnr_error *err)
{
    static const char *const decisions[] = {[FNR_UNREVIEWED] = NULL, [FNR_ACCEPTED] = "accept", [FNR_REJECTED] = "reject"};
    const fnr_registration *r = &t->reg;
    char *name = fnr_text_escape(t->name, fnr_text_is_printable, err);
    fnr_section_pictures *p = fnr_calloc(1, sizeof *p, "pictures of a tile", err);
    bool ok = name && p;
    if (ok) {
        fnr_report_tile out = {.name = name,
                               .w = t->w,
                               .h = t->h,
                               .verdict = r->verdict,
                               .reason = r->reason,
                               .has_transform = r->has_transform,
                               .tile_to_if = t->tile_to_if,
                               .scale = r->scale,
                               .rotation_deg = r->rotation_deg,
                               .score = r->score,
                               .peak_ratio = r->peak_ratio,
                               .content = r->content,
                               .flow_inliers = r->flow_inliers,
                               .flow_rms_px = r->flow_rms_px,
                               .expected_error_px = r->expected_error_px,
                               .truth_error_px = NAN,
                               .probability = r->has_transform ? r->probability : NAN,
                               .decision = decisions[t->review.decision],
                               .note = t->review.note,
                               .time = t->review.time};
        fnr_section_pictures_make(s, t, p, &out);
        ok = fnr_report_add_tile(report, &out, err);
        fnr_section_pictures_free(p);
    }
    free(p);
    free(name);
    return ok;
}

enum { MAX_FACTS = 12 };

typedef struct {
    fnr_report_fact rows[MAX_FACTS];
    char *text[MAX_FACTS]; /* owned; a path may be long, and is shown whole */
    size_t n;
} facts;

static void add_fact(facts *f, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void add_fact(facts *f, const char *name, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const bool ok = vasprintf(&f->text[f->n], fmt, args) >= 0;
    va_end(args);
    if (ok) {
        f->rows[f->n] = (fnr_report_fact){name, f->text[f->n]};
        f->n++;
    }
}

static void free_facts(facts *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->text[i]);
    }
}

static void collect_facts(const fnr_section *s, facts *f)
{
    char duration[32];
    fnr_format_duration(s->seconds, duration);
    if (s->stopped) {
        add_fact(f, "State", "unfinished: the run was stopped; the same command continues");
    }
    add_fact(f, "EM tiles", "%s", s->job.em_dir);
    add_fact(f, "MBP montage", "%s (%d x %d px of %g nm)", s->job.mbp_path, s->montage.v.w, s->montage.v.h, s->if_nm);
    const fnr_netdesc *desc = &s->models.models[0].desc;
    if (s->models.count == 1) {
        add_fact(f, "Model", "%s (%d channels, depth %d, %g nm)", s->models.paths[0], desc->base_channels, desc->depth, s->net_nm);
    } else {
        add_fact(f, "Models", "the mean of %zu, at %g nm: %s", s->models.count, s->net_nm, s->models.names);
    }
    add_fact(f, "Model digest", "%s", s->models.digest.hex);
    add_fact(f, "Scales searched", "%g to %g of nominal", s->run->config.reg.scale_min, s->run->config.reg.scale_max);
    add_fact(f, "Rotations searched", "%g to %g degrees", s->run->config.reg.rotation_min_deg, s->run->config.reg.rotation_max_deg);
    add_fact(f, "Computed with", "%s", s->run->be->description);
    add_fact(f, "Started", "%s, took %s", s->started, duration);
    add_fact(f, "Peak memory", "%.0f MiB", fnr_peak_rss_mib());
}

typedef struct {
    double predicted[FNR_RELIABILITY_BINS], observed[FNR_RELIABILITY_BINS];
    size_t count[FNR_RELIABILITY_BINS];
    fnr_report_calibration of;
} calibration;

static void collect_calibration(calibration *c)
{
    for (int i = 0; i < FNR_RELIABILITY_BINS; i++) {
        c->predicted[i] = fnr_reliability_1px[i].stated;
        c->observed[i] = fnr_reliability_1px[i].right;
        c->count[i] = fnr_reliability_1px[i].trials;
    }
    c->of = (fnr_report_calibration){.predicted = c->predicted,
                                     .observed = c->observed,
                                     .count = c->count,
                                     .bins = FNR_RELIABILITY_BINS,
                                     .source = "peripheral nerve (MBP simulated from masks), each section with a network trained on the "
                                               "others, right and wrong montages; right means within 1 px"};
}

static bool write_report(fnr_section *s, fnr_error *err)
{
    calibration reliability;
    collect_calibration(&reliability);
    char path[FNR_PATH_MAX];
    facts f = {0};
    if (!fnr_path_join(path, s->job.out_dir, "report.html", err)) {
        return false;
    }
    const fnr_report_head head = {.title = s->job.em_dir, .version = FNR_VERSION, .n_tiles = s->n_tiles, .montage = &s->montage.v,
                                  .picture_px = s->run->config.report.picture_px, .calibration = &reliability.of};
    fnr_report *report = fnr_report_open(path, &head, err);
    bool ok = report != NULL;
    for (size_t i = 0; ok && i < s->n_tiles; i++) {
        ok = add_tile(report, s, &s->tiles[i], err);
    }
    if (ok) {
        collect_facts(s, &f);
        ok = fnr_report_close(report, f.rows, f.n, err);
        free_facts(&f);
    } else {
        fnr_report_abort(report);
    }
    return ok;
}

void fnr_section_report(fnr_section *s)
{
    fnr_error err = {0};
    if (!write_report(s, &err)) {
        fnr_section_note_write_error(s, &err);
    }
}
