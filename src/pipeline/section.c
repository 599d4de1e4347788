#include "src/pipeline/section.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/text.h"
#include "src/core/timer.h"

void fnr_section_note_write_error(fnr_section *s, const fnr_error *err)
{
    fnr_log_warn(s->run->log, "%s", err->message);
    if (s->first_write_error.code == FNR_OK) {
        s->first_write_error = *err;
    }
}

/* Pages are counted from 1 in the setting and from 0 in the file. */
static bool page_exists(const char *path, int page, fnr_error *err)
{
    fnr_tiff_info info;
    return fnr_tiff_probe(path, &info, err) &&
           (page <= info.pages || fnr_fail(err, FNR_E_USAGE, "%s: page %d was asked for with --if-page, but there %s only %d", path, page,
                                           info.pages == 1 ? "is" : "are", info.pages));
}

static bool read_montage(fnr_section *s, fnr_error *err)
{
    const fnr_config *c = &s->run->config;
    const char *path = s->job.mbp_path;
    if (!fnr_pixel_size(path, c->images.if_nm, "--if-nm", &s->if_nm, err) || !page_exists(path, c->images.if_page, err) ||
        !fnr_tiff_read(path, &(fnr_tiff_read_options){.page = c->images.if_page - 1}, &s->montage, err)) {
        return false;
    }
    s->montage.v.nm = s->if_nm;
    s->target = fnr_target_new(&s->montage.v, s->if_nm, &c->reg, err);
    if (!s->target) {
        fnr_error_prefix(err, "%s", path);
        return false;
    }
    return true;
}

static void warn_of_odd_names(const fnr_section *s)
{
    size_t odd = 0;
    for (size_t i = 0; i < s->n_tiles; i++) {
        char shown[NAME_MAX + 1];
        fnr_text_printable(shown, sizeof shown, s->tiles[i].name);
        odd += strcmp(shown, s->tiles[i].name) != 0;
    }
    if (odd) {
        fnr_log_warn(s->run->log, "%s: %zu file name%s not plain UTF-8; such bytes are written as \\xHH, and TrakEM2 will not find these files",
                     s->job.em_dir, odd, odd == 1 ? " is" : "s are");
    }
}

/* The montage, a link to it, or a copy: no tile, although it may lie in their folder.  Only files of its size are read. */
static bool is_montage(const fnr_section *s, const char *path)
{
    fnr_digest digest;
    if (fnr_same_file(path, s->job.mbp_path)) {
        return true;
    }
    if (fnr_file_size(path) != fnr_file_size(s->job.mbp_path) || !fnr_hash_file(path, &digest, NULL) || strcmp(digest.hex, s->mbp_digest.hex)) {
        return false;
    }
    fnr_log_info(s->run->log, "%s is a copy of the montage: left out", path);
    return true;
}

/* `predict -o EM_DIR` leaves its results beside the tiles. */
static bool is_prediction(const char *name)
{
    static const char ending[] = ".prediction.tif";
    const size_t n = strlen(name), m = sizeof ending - 1;
    return n > m && !strcmp(name + n - m, ending);
}

static bool list_tiles(fnr_section *s, fnr_error *err)
{
    if (!fnr_tile_list(s->job.em_dir, &s->listing, err) || !fnr_hash_file(s->job.mbp_path, &s->mbp_digest, err)) {
        return false;
    }
    s->tiles = fnr_calloc(s->listing.count, sizeof *s->tiles, "list of tiles", err);
    if (!s->tiles) {
        return false;
    }
    for (size_t i = 0; i < s->listing.count; i++) {
        fnr_section_tile *t = &s->tiles[s->n_tiles];
        t->name = s->listing.names[i];
        if (!fnr_path_join(t->path, s->job.em_dir, t->name, err)) {
            return false;
        }
        if (is_prediction(t->name)) {
            fnr_log_info(s->run->log, "%s is a prediction of this program: left out", t->path);
        } else {
            s->n_tiles += !is_montage(s, t->path);
        }
    }
    warn_of_odd_names(s);
    return s->n_tiles > 0 || fnr_fail(err, FNR_E_IO, "%s: holds no EM tiles beside the montage", s->job.em_dir);
}

static bool open_section(fnr_section *s, fnr_error *err)
{
    fnr_run *run = s->run;
    if (!list_tiles(s, err) || !fnr_section_read_review(s, err) || !fnr_model_set_read(s->job.models, s->job.n_models, &s->models, err) ||
        (!run->dry_run && !fnr_mkdirs(s->job.out_dir, err)) || !fnr_run_open_device(run, true, err)) {
        return false;
    }
    const fnr_model *model = &s->models.models[0];
    if (model->desc.spatial != 2 || model->desc.in_channels != 1) {
        return fnr_fail(err, FNR_E_UNSUPPORTED, "%s: a %dD network with %d input channels cannot predict from EM tiles", s->models.paths[0],
                        model->desc.spatial, model->desc.in_channels);
    }
    if (run->config.reg_channel > model->desc.out_channels) {
        return fnr_fail(err, FNR_E_USAGE, "%s predicts %d channel%s: register.channel = %d is none of them", s->models.paths[0],
                        model->desc.out_channels, model->desc.out_channels == 1 ? "" : "s", run->config.reg_channel);
    }
    s->net_nm = model->pixel_nm > 0 ? model->pixel_nm : run->config.net.pixel_nm;
    if (!read_montage(s, err)) {
        return false;
    }
    s->predictor = fnr_model_set_open(&s->models, run, err);
    return s->predictor != NULL;
}

static void close_section(fnr_section *s)
{
    fnr_predictor_free(s->predictor);
    fnr_run_close_device(s->run);
    fnr_target_free(s->target);
    fnr_image_free(&s->montage);
    fnr_model_set_free(&s->models);
    fnr_listing_free(&s->listing);
    free(s->tiles);
}

static void count_verdicts(const fnr_section *s, fnr_section_summary *out)
{
    *out = (fnr_section_summary){0};
    for (size_t i = 0; i < s->n_tiles; i++) {
        const fnr_registration *r = &s->tiles[i].reg;
        if (r->verdict == FNR_FAILED && out->count[FNR_FAILED] == 0) {
            snprintf(out->first_failure, sizeof out->first_failure, "%s", r->reason);
        }
        out->count[r->verdict]++;
    }
}

static void mark_unfinished(fnr_section *s, size_t first)
{
    for (size_t i = first; i < s->n_tiles; i++) {
        fnr_section_no_result(&s->tiles[i], FNR_UNFINISHED, "the run was stopped before this tile; the same command continues");
    }
}

/* How many tiles were looked at: all, unless the user stops it. */
static size_t process_tiles(fnr_section *s)
{
    fnr_progress progress;
    size_t done = 0;
    fnr_progress_begin(&progress, s->run->log, "tiles", (double)s->n_tiles, 0);
    for (; done < s->n_tiles && !fnr_cancelled(s->run->cancel); done++) {
        fnr_section_tile *t = &s->tiles[done];
        if (!fnr_section_process_tile(s, t)) {
            break;
        }
        if (t->reg.verdict == FNR_FAILED || t->reg.verdict == FNR_DOUBTFUL) {
            fnr_log_detail(s->run->log, "%s: %s: %s", t->name, fnr_verdict_name(t->reg.verdict), t->reg.reason);
        }
        fnr_progress_update(&progress, (double)(done + 1), "%s: %s", t->name, fnr_verdict_name(t->reg.verdict));
    }
    fnr_progress_end(&progress, done < s->n_tiles ? "stopped after %zu of %zu tiles; writing what is finished" : "%zu of %zu tiles", done, s->n_tiles);
    return done;
}

static void show_plan(fnr_section *s)
{
    for (size_t i = 0; i < s->n_tiles; i++) {
        fnr_section_tile *t = &s->tiles[i];
        fnr_error err = {0};
        if (fnr_section_tile_fits(s, t, &err)) {
            fnr_log_info(s->run->log, "%s: would run %s", t->name, fnr_section_plan_tile(s, t));
        } else {
            fnr_log_info(s->run->log, "%s: would fail: %s", t->name, err.message);
        }
    }
}

/* What tiles and people know about each other. */
static bool reconsider(fnr_section *s, fnr_error *err)
{
    fnr_section_prepare_review(s);
    const bool ok = fnr_section_consensus(s, err);
    if (ok) {
        fnr_section_ask_why(s);
        fnr_section_say_turned(s);
    }
    fnr_section_finish_review(s);
    return ok;
}

/* Tiles one by one, then as a section.  False: the user stopped it, the results are partial. */
static bool find_places(fnr_section *s, fnr_section_summary *summary, fnr_error *err)
{
    const size_t done = process_tiles(s);
    const char *out = s->job.out_dir;
    bool ok = true;
    mark_unfinished(s, done);
    count_verdicts(s, summary);
    if (done == 0) {
        return fnr_fail(err, FNR_E_CANCELLED, "stopped before any tile was finished; the same command begins again");
    }
    if (done < s->n_tiles) {
        fnr_section_prepare_review(s);
        fnr_section_finish_review(s);
        ok = fnr_fail(err, FNR_E_CANCELLED, "stopped after %zu of %zu tiles; %s/transforms.csv, trakem2.xml and report.html hold these; the "
                      "same command continues", done, s->n_tiles, out);
    } else if (summary->count[FNR_FAILED] < s->n_tiles && !reconsider(s, err)) {
        ok = fnr_fail(err, FNR_E_CANCELLED, "stopped before the tiles could help each other; %s/transforms.csv, trakem2.xml and report.html hold "
                      "each tile's own place; the same command continues", out);
    }
    s->stopped = !ok;
    count_verdicts(s, summary);
    return ok;
}

bool fnr_stage_section(fnr_run *run, const fnr_section_job *job, fnr_section_summary *summary, fnr_error *err)
{
    const double start = fnr_now_s();
    fnr_section s = {.run = run, .job = *job};
    fnr_utc_now(s.started);
    *summary = (fnr_section_summary){0};
    bool ok = open_section(&s, err);
    if (ok && run->dry_run) {
        show_plan(&s);
    } else if (ok) {
        ok = find_places(&s, summary, err);
        s.seconds = fnr_now_s() - start;
        if (ok || s.stopped) {
            fnr_section_export(&s, summary);
            fnr_section_report(&s);
        }
        summary->outputs_missing = s.first_write_error.code != FNR_OK;
    }
    close_section(&s);
    return ok;
}
