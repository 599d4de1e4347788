/* evaluation.html: one page for a person, and the order in which the files are written. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/fs.h"
#include "src/core/mem.h"
#include "src/pipeline/evaluate_report.h"
#include "src/pipeline/report_parts.h"

static void write_value(FILE *out, double px, const fnr_eval_figure *f, double if_nm)
{
    if (!isfinite(px)) {
        fputs("<td>\xE2\x80\x93</td>", out);
        return;
    }
    fprintf(out, "<td data-v=\"%.6g\"><b>%.3f</b>", px, px);
    if (f) {
        fprintf(out, " <span class=\"soft\">%.3f\xE2\x80\x93%.3f</span>", f->lo, f->hi);
    }
    if (if_nm > 0) {
        fprintf(out, "<br/><span class=\"soft\">%.1f nm</span>", px * if_nm);
    }
    fputs("</td>", out);
}

static void write_names(FILE *out, const fnr_eval_comparison *c)
{
    fputs("<td class=\"w\">", out);
    fnr_report_text(out, c->a);
    fputs(c->between_people ? " <span class=\"soft\">and</span> " : " <span class=\"soft\">against</span> ", out);
    fnr_report_text(out, c->b);
    fputs("</td>", out);
}

static void write_comparisons(FILE *out, const fnr_eval_report *r)
{
    fprintf(out,
            "<div class=\"scroll\"><table>\n<thead><tr><th class=\"w\">comparison</th><th>within %g px</th><th>mean "
            "[px]</th><th>sd [px]</th>"
            "<th>median [px]</th><th>95 %% below [px]</th><th>worst [px]</th></tr></thead>\n<tbody>\n",
            r->options.success_px);
    for (size_t k = 0; k < r->n; k++) {
        const fnr_eval_comparison *c = &r->comparisons[k];
        const double nm = r->options.if_nm;
        fputs("<tr>", out);
        write_names(out, c);
        fprintf(out, "<td><b>%zu of %zu</b><br/><span class=\"soft\">%.0f %% (%.0f\xE2\x80\x93%.0f)</span></td>", c->within,
                c->counted, 100 * c->success.value, 100 * c->success.lo, 100 * c->success.hi);
        write_value(out, c->found.mean.value, &c->found.mean, nm);
        write_value(out, c->found.sd, NULL, nm);
        write_value(out, c->found.median.value, &c->found.median, nm);
        write_value(out, c->found.p95.value, &c->found.p95, nm);
        write_value(out, c->found.worst, NULL, nm);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n<p class=\"soft\">Of tiles within the threshold, as the paper counts; px are pixels of the "
          "MBP image; small "
          "numbers behind a figure are its 95 % interval (bootstrap over tiles; Wilson for the rate).</p>\n",
          out);
    if (r->options.as_published) {
        fputs("<p><b>|dx + dy| in place of displacements</b>, as the paper's figures were computed: only to compare with them.</p>\n", out);
    }
}

/* One sentence that answers the question. */
static void write_headline(FILE *out, const fnr_eval_report *r)
{
    fnr_error err = {0};
    const fnr_eval_stats people = fnr_eval_floor(r, &err);
    const fnr_eval_comparison *c = r->n ? &r->comparisons[0] : NULL;
    if (!c || c->between_people) {
        return;
    }
    fprintf(out, "<p class=\"headline\">%zu of %zu tiles within %g px", c->within, c->counted, r->options.success_px);
    if (c->found.n) {
        fprintf(out, ", %.2f px off on average", c->found.mean.value);
    }
    fputs("</p>\n", out);
    if (people.n && c->found.n) {
        fprintf(out,
                "<p>Two people differ by %.2f \xC2\xB1 %.2f px: the result is %.1f times as far from %s as they are from each "
                "other.</p>\n",
                people.mean.value, people.sd, c->found.mean.value / people.mean.value,
                r->n > 2 ? "the first of them" : "the truth");
    }
    if (c->registered) {
        fprintf(out, "<p>Of %zu tiles called registered, <b>%zu</b> lie further than %g px from the truth.</p>\n", c->registered,
                c->registered_wrong, r->options.success_px);
    }
}

static void write_tile(FILE *out, const fnr_eval_comparison *c, const fnr_eval_tile *t, double if_nm)
{
    fputs("<tr><td class=\"w\">", out);
    fnr_report_text(out, t->tile);
    fputs("</td>", out);
    write_names(out, c);
    fprintf(out, "<td class=\"w\">%s%s</td>", t->verdict, t->counts ? "" : " (not counted)");
    write_value(out, t->px, NULL, 0);
    fprintf(out,
            isfinite(t->px) && if_nm > 0 ? "<td data-v=\"%.6g\">%.0f</td></tr>\n" : "<td data-v=\"\">\xE2\x80\x93</td></tr>\n",
            t->px * if_nm, t->px * if_nm);
}

static void write_tiles(FILE *out, const fnr_eval_report *r)
{
    fputs("<section>\n<h2>Tiles</h2>\n<div class=\"scroll\"><table id=\"tiles\">\n<thead><tr><th class=\"w\"><button "
          "type=\"button\">tile</button></th>"
          "<th class=\"w\"><button type=\"button\">comparison</button></th><th class=\"w\"><button "
          "type=\"button\">verdict</button></th>"
          "<th><button type=\"button\">displacement [px]</button></th><th><button "
          "type=\"button\">[nm]</button></th></tr></thead>\n<tbody>\n",
          out);
    for (size_t k = 0; k < r->n; k++) {
        const fnr_eval_comparison *c = &r->comparisons[k];
        for (size_t i = 0; i < c->n_tiles; i++) {
            write_tile(out, c, &c->tiles[i], r->options.if_nm);
        }
        for (size_t i = 0; i < c->n_missing; i++) {
            const fnr_eval_tile missing = {.tile = c->missing[i], .verdict = "not in the result", .px = NAN};
            write_tile(out, c, &missing, 0);
        }
    }
    fputs("</tbody></table></div>\n</section>\n", out);
}

static void write_finding(FILE *out, const fnr_audit_finding *f)
{
    static const char *const classes[] = {
        [FNR_AUDIT_NOTE] = "no-content", [FNR_AUDIT_WARNING] = "doubtful", [FNR_AUDIT_ERROR] = "failed"};
    fprintf(out, "<tr><td class=\"w\"><span class=\"badge %s\">%s</span></td><td class=\"w\">", classes[f->grade],
            fnr_audit_grade_names[f->grade]);
    fnr_report_text(out, f->tile);
    fputs("<br/><span class=\"soft\">", out);
    fnr_report_text(out, fnr_path_base(f->file));
    fprintf(out, "</span></td><td class=\"w\"><b>%s</b>: ", f->kind);
    fnr_report_text(out, f->what);
    fprintf(out, "</td><td class=\"w\">%s</td></tr>\n", f->advice);
}

static void write_audit(FILE *out, const fnr_audit *a)
{
    fprintf(out,
            "<section id=\"audit\">\n<h2>Audit of the manual registrations</h2>\n<p>%zu placements in %zu files: %zu errors, %zu "
            "warnings, %zu notes.</p>\n",
            a->tiles, a->files, fnr_audit_count(a, FNR_AUDIT_ERROR), fnr_audit_count(a, FNR_AUDIT_WARNING),
            fnr_audit_count(a, FNR_AUDIT_NOTE));
    if (a->count) {
        fputs("<div class=\"scroll\"><table>\n<thead><tr><th class=\"w\"></th><th class=\"w\">tile, file</th><th "
              "class=\"w\">finding</th>"
              "<th class=\"w\">what to do</th></tr></thead>\n<tbody>\n",
              out);
        for (int grade = FNR_AUDIT_GRADES - 1; grade >= 0; grade--) {
            for (size_t i = 0; i < a->count; i++) {
                if ((int)a->items[i].grade == grade) {
                    write_finding(out, &a->items[i]);
                }
            }
        }
        fputs("</tbody></table></div>\n", out);
    }
    fputs("</section>\n", out);
}

void fnr_eval_write_page(FILE *out, const fnr_eval_report *r)
{
    fnr_report_write_begin(out, r->result ? r->result : "Audit of manual registrations", FNR_VERSION, NULL);
    if (r->n) {
        write_headline(out, r);
        fputs("<section>\n<h2>Displacement</h2>\n<div class=\"paper\">\n", out);
        fnr_eval_write_histogram(out, r);
        fputs("</div>\n", out);
        write_comparisons(out, r);
        fputs("</section>\n", out);
    }
    if (r->audit) {
        write_audit(out, r->audit);
    }
    if (r->n) {
        write_tiles(out, r);
    }
    fprintf(out, "<script>\n%s</script>\n</body>\n</html>\n", fnr_report_sort_script);
}

static bool write_one(const char *dir, const char *name, void (*write)(FILE *, const fnr_eval_report *), const fnr_eval_report *r,
                      fnr_error *err)
{
    char path[FNR_PATH_MAX];
    fnr_atomic file;
    if (!fnr_path_join(path, dir, name, err) || !fnr_atomic_open(&file, path, err)) {
        return false;
    }
    write(file.file, r);
    return fnr_atomic_commit(&file, err);
}

bool fnr_eval_report_write(const char *dir, const fnr_eval_report *r, fnr_error *err)
{
    char json[FNR_PATH_MAX];
    if (!fnr_mkdirs(dir, err) || !fnr_path_join(json, dir, "summary.json", err) || !fnr_eval_write_json(json, r, err)) {
        return false;
    }
    if (r->n && (!write_one(dir, "tiles.csv", fnr_eval_write_tiles, r, err) ||
                 !write_one(dir, "summary.csv", fnr_eval_write_summary, r, err) ||
                 !write_one(dir, "histogram.svg", fnr_eval_write_histogram, r, err))) {
        return false;
    }
    return (!r->audit || write_one(dir, "audit.csv", fnr_eval_write_audit, r, err)) &&
           write_one(dir, "evaluation.html", fnr_eval_write_page, r, err);
}
