#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "src/core/text.h"
#include "src/core/timer.h"
#include "src/pipeline/report_parts.h"

enum { MAP_LABELS_MAX = 80 };

const fnr_report_sign fnr_report_signs[FNR_VERDICTS] = {
    [FNR_REGISTERED] = {"registered", "\xE2\x97\x8F"}, /* disc */
    [FNR_DOUBTFUL] = {"doubtful", "\xE2\x96\xB2"},     /* triangle */
    [FNR_NO_CONTENT] = {"no-content", "\xE2\x97\x8B"}, /* circle */
    [FNR_FAILED] = {"failed", "\xE2\x9C\x96"},         /* cross */
    [FNR_BY_NEIGHBOURS] = {"by-neighbours", "\xE2\x97\x86"}, /* diamond */
    [FNR_UNFINISHED] = {"unfinished", "\xE2\x80\xA6"}, /* ellipsis */
};

/* ---- text ---- */

static const char *entity_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void fnr_report_text(FILE *out, const char *text)
{
    const size_t room = FNR_TEXT_ESCAPE * strlen(text) + 1;
    char *shown = malloc(room);
    if (!shown) { /* without memory the page lacks a word */
        return;
    }
    fnr_text_printable(shown, room, text);
    for (const char *s = shown; *s; s++) {
        const char *entity = entity_of(*s);
        if (entity) {
            fputs(entity, out);
        } else {
            fputc(*s, out);
        }
    }
    free(shown);
}

static void write_number(FILE *out, double v, const char *format, const char *unit)
{
    if (isfinite(v)) {
        fprintf(out, format, v);
        fputs(unit, out);
    } else {
        fputs("\xE2\x80\x93", out); /* a dash */
    }
}

static void write_badge(FILE *out, fnr_verdict v)
{
    fprintf(out, "<span class=\"badge %s\">%s %s</span>", fnr_report_signs[v].word, fnr_report_signs[v].shape,
            fnr_report_signs[v].word);
}

/* ---- frame ---- */

void fnr_report_write_begin(FILE *out, const char *title, const char *version)
{
    char now[32];
    fnr_utc_now(now);
    fputs("<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>",
          out);
    fnr_report_text(out, title);
    fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<h1>", fnr_report_css);
    fnr_report_text(out, title);
    fputs("</h1>\n<p class=\"soft\">fnet-register ", out);
    fnr_report_text(out, version);
    fprintf(out, ", %s</p>\n", now);
}

void fnr_report_write_end(FILE *out)
{
    fputs("<dialog id=\"viewer\" aria-labelledby=\"viewing\">\n<div class=\"tools\"><h3 id=\"viewing\"></h3>"
          "<button type=\"button\" id=\"previous\" title=\"left arrow\">Previous</button>"
          "<button type=\"button\" id=\"next\" title=\"right arrow\">Next</button>"
          "<button type=\"button\" id=\"shut\" title=\"Esc\">Close</button></div>\n"
          "<div class=\"stack\"><img id=\"lower\" alt=\"EM\"/><img id=\"upper\" alt=\"the picture on top\"/></div>\n"
          "<div class=\"tools\"><label>On top of EM: <select id=\"which\"><option value=\"mbp\">MBP</option>"
          "<option value=\"prediction\">prediction</option><option value=\"overlay\">overlay</option></select></label>"
          "<label for=\"fade\">EM</label><input type=\"range\" id=\"fade\" min=\"0\" max=\"100\" value=\"50\"/><span>top</span>"
          "<button type=\"button\" id=\"blink\" aria-pressed=\"false\">Blink</button></div>\n</dialog>\n",
          out);
    fprintf(out, "<script>\n%s%s</script>\n</body>\n</html>\n", fnr_report_sort_script, fnr_report_script);
}

void fnr_report_write_facts(FILE *out, const fnr_report_fact *facts, size_t n)
{
    fputs("<section id=\"facts\">\n<h2>Inputs and settings</h2>\n<dl class=\"facts\">\n", out);
    for (size_t i = 0; i < n; i++) {
        fputs("<dt>", out);
        fnr_report_text(out, facts[i].name);
        fputs("</dt><dd>", out);
        fnr_report_text(out, facts[i].value);
        fputs("</dd>\n", out);
    }
    fputs("</dl>\n</section>\n", out);
}

/* ---- map ---- */

static void write_outline(FILE *out, const fnr_report_row *row, size_t number, double label_px)
{
    const double x[2] = {-0.5, row->w - 0.5};
    const double y[2] = {-0.5, row->h - 0.5};
    static const int order[4][2] = {{0, 0}, {1, 0}, {1, 1}, {0, 1}};
    fprintf(out, "<a href=\"#tile-%zu\" data-verdict=\"%s\"><title>", number, fnr_report_signs[row->verdict].word);
    fnr_report_text(out, row->name);
    fprintf(out, ": %s</title><polygon class=\"m-%s\" points=\"", fnr_report_signs[row->verdict].word,
            fnr_report_signs[row->verdict].word);
    for (int i = 0; i < 4; i++) {
        const fnr_point q = fnr_transform_apply(&row->tile_to_if, (fnr_point){x[order[i][0]], y[order[i][1]]});
        fprintf(out, "%s%.2f,%.2f", i ? " " : "", q.x, q.y);
    }
    fputs("\"/>", out);
    if (label_px > 0) {
        const fnr_point c = fnr_transform_apply(&row->tile_to_if, (fnr_point){(row->w - 1) / 2.0, (row->h - 1) / 2.0});
        fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%.1f\">%zu</text>", c.x, c.y, label_px, number);
    }
    fputs("</a>\n", out);
}

/* One line as it is drawn on the map, and a word, for each verdict that has an outline there. */
static void write_legend(FILE *out, const fnr_report_table *t)
{
    fputs("<ul class=\"legend\" aria-label=\"outlines on the map\">", out);
    for (int k = 0; k < FNR_VERDICTS; k++) {
        bool drawn = false;
        for (size_t i = 0; i < t->n_rows && !drawn; i++) {
            drawn = t->rows[i].verdict == (fnr_verdict)k && t->rows[i].has_transform;
        }
        if (drawn) {
            fprintf(out,
                    "<li><svg class=\"key\" viewBox=\"0 0 30 14\" width=\"30\" height=\"14\" aria-hidden=\"true\"><rect class=\"m-%s\" "
                    "x=\"1\" y=\"1\" width=\"28\" height=\"12\"/></svg> %s</li>",
                    fnr_report_signs[k].word, fnr_report_signs[k].word);
        }
    }
    fputs("</ul>\n<p class=\"soft\">MBP montage with the outlines of the tiles. Numbers are those of the table; click a tile to see its "
          "pictures.</p>\n",
          out);
}

void fnr_report_write_map(FILE *out, const fnr_report_table *t, const char *jpeg, int w, int h)
{
    if (!jpeg) {
        fputs("</div>\n", out); /* of the two columns that the summary opened */
        return;
    }
    /* SVG counts from pixel corners: the centre of the first pixel is (0, 0) as everywhere in this program. */
    fprintf(out,
            "<section id=\"map\">\n<div class=\"map\"><svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-0.5 -0.5 %d %d\" "
            "role=\"group\" "
            "aria-label=\"MBP montage with the outlines of the tiles\">\n<image x=\"-0.5\" y=\"-0.5\" width=\"%d\" height=\"%d\" "
            "preserveAspectRatio=\"none\" href=\"data:image/jpeg;base64,%s\"/>\n",
            w, h, w, h, jpeg);
    for (size_t i = 0; i < t->n_rows; i++) {
        if (t->rows[i].has_transform && fnr_transform_is_finite(&t->rows[i].tile_to_if)) {
            write_outline(out, &t->rows[i], i + 1, t->n_rows <= MAP_LABELS_MAX ? (w > h ? w : h) / 45.0 : 0.0);
        }
    }
    fputs("</svg></div>\n", out);
    write_legend(out, t);
    fputs("</section>\n</div>\n", out);
}

/* ---- table ---- */

static bool truth_known(const fnr_report_table *t)
{
    for (size_t i = 0; i < t->n_rows; i++) {
        if (isfinite(t->rows[i].truth_error_px)) {
            return true;
        }
    }
    return false;
}

typedef struct {
    const char *title, *help, *format;
    double factor;
    size_t offset; /* of the number in the row */
} column;

#define ROW(field) offsetof(fnr_report_row, field)
static const column columns[] = {
    {"scale", "relative to the nominal pixel sizes", "%.4f", 1, ROW(scale)},
    {"rotation [\xC2\xB0]", "of the tile in the montage", "%.2f", 1, ROW(rotation_deg)},
    {"score", "correlation of prediction and MBP", "%.3f", 1, ROW(score)},
    {"peak ratio", "best over second-best place", "%.2f", 1, ROW(peak_ratio)},
    {"content [%]", "of the prediction above half its maximum", "%.1f", 100, ROW(content)},
    {"inliers [%]", "of the residual flow within 1 px of the fit", "%.0f", 100, ROW(flow_inliers)},
    {"residual [px]", "rms of the inliers, IF pixels", "%.2f", 1, ROW(flow_rms_px)},
    {"expected error [px]", "how far off the tile may lie (rms over the tile, IF pixels), as the program judges it", "%.2f", 1, ROW(expected_error_px)},
    {"error [px]", "mean distance from the known truth, IF pixels", "%.2f", 1, ROW(truth_error_px)},
};
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

static double value_of(const fnr_report_row *row, const column *c)
{
    double v;
    memcpy(&v, (const char *)row + c->offset, sizeof v);
    return v * c->factor;
}

static void write_table_row(FILE *out, const fnr_report_row *row, size_t number, int n_columns)
{
    fprintf(out, "<tr data-verdict=\"%s\"><td data-v=\"%zu\">%zu</td><td class=\"w\"><a href=\"#tile-%zu\">",
            fnr_report_signs[row->verdict].word, number, number, number);
    fnr_report_text(out, row->name);
    fputs("</a></td><td class=\"w\">", out);
    write_badge(out, row->verdict);
    fputs("</td>", out);
    for (int k = 0; k < n_columns; k++) {
        const double v = value_of(row, &columns[k]);
        fputs("<td data-v=\"", out);
        if (isfinite(v)) {
            fprintf(out, "%.9g", v);
        }
        fputs("\">", out);
        write_number(out, v, columns[k].format, "");
        fputs("</td>", out);
    }
    fputs("<td class=\"w reason\">", out);
    fnr_report_text(out, row->reason);
    fputs("</td></tr>\n", out);
}

void fnr_report_write_table(FILE *out, const fnr_report_table *t)
{
    const int n_columns = truth_known(t) ? N_COLUMNS : N_COLUMNS - 1;
    fputs("<section>\n<h2>All tiles</h2>\n<div class=\"scroll\"><table id=\"tiles\">\n<thead><tr><th scope=\"col\"><button "
          "type=\"button\">#</button></th>"
          "<th class=\"w\" scope=\"col\"><button type=\"button\">tile</button></th>"
          "<th class=\"w\" scope=\"col\"><button type=\"button\">verdict</button></th>",
          out);
    for (int k = 0; k < n_columns; k++) {
        fprintf(out, "<th scope=\"col\" title=\"%s\"><button type=\"button\">%s</button></th>", columns[k].help,
                columns[k].title);
    }
    fputs("<th class=\"w\" scope=\"col\"><button type=\"button\">reason</button></th></tr></thead>\n<tbody>\n", out);
    for (size_t i = 0; i < t->n_rows; i++) {
        write_table_row(out, &t->rows[i], i + 1, n_columns);
    }
    fputs("</tbody>\n</table></div>\n</section>\n", out);
}

/* ---- cards ---- */

static void write_figure(FILE *out, const fnr_report_row *row, const char *layer, const char *caption, const char *jpeg,
                         const fnr_report_figures *f, const char *none)
{
    fputs("<figure>", out);
    if (jpeg) {
        fprintf(out, "<img data-layer=\"%s\" width=\"%d\" height=\"%d\" loading=\"lazy\" alt=\"%s of ", layer, f->w, f->h,
                caption);
        fnr_report_text(out, row->name);
        fprintf(out, "\" src=\"data:image/jpeg;base64,%s\"/>", jpeg);
    } else {
        fprintf(out, "<div class=\"none\">%s</div>", none);
    }
    fprintf(out, "<figcaption>%s</figcaption></figure>\n", caption);
}

void fnr_report_write_card(FILE *out, const fnr_report_row *row, size_t number, const fnr_report_figures *f)
{
    const char *word = fnr_report_signs[row->verdict].word;
    fprintf(out, "<article class=\"card %s\" id=\"tile-%zu\" data-verdict=\"%s\">\n<header><span class=\"soft\">%zu</span><h3>",
            word, number, word, number);
    fnr_report_text(out, row->name);
    fputs("</h3>", out);
    write_badge(out, row->verdict);
    fputs("<span>", out);
    fnr_report_text(out, row->reason);
    fputs("</span>", out);
    if (f->em && (f->prediction || f->mbp)) {
        fputs("<button type=\"button\" class=\"compare\">Compare</button>", out);
    }
    fputs("</header>\n<div class=\"figs\">\n", out);
    const char *no_place = row->has_transform ? "not to be had" : "no place found in the montage";
    write_figure(out, row, "em", "EM", f->em, f, "not readable");
    write_figure(out, row, "prediction", "prediction", f->prediction, f, "no prediction");
    write_figure(out, row, "mbp", "MBP at the place found", f->mbp, f, no_place);
    write_figure(out, row, "overlay", "EM grey, prediction green, MBP magenta (white where they agree)", f->overlay, f, no_place);
    fputs("</div>\n<p class=\"nums\">", out);
    for (int k = 0; k < N_COLUMNS; k++) {
        if (isfinite(value_of(row, &columns[k]))) {
            fprintf(out, "%s <b>", columns[k].title);
            write_number(out, value_of(row, &columns[k]), columns[k].format, "");
            fputs("</b> \xC2\xB7 ", out);
        }
    }
    if (row->has_transform) {
        const fnr_transform *m = &row->tile_to_if; /* every digit stands in transforms.csv */
        fprintf(out, "tile px \xE2\x86\x92 MBP px <code title=\"m00 m10 m01 m11 m02 m12\">%.7f %.7f %.7f %.7f %.3f %.3f</code>",
                m->m00, m->m10, m->m01, m->m11, m->m02, m->m12);
    }
    fputs("</p>\n</article>\n", out);
}
