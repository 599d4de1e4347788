#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "src/core/text.h"
#include "src/core/timer.h"
#include "src/pipeline/report_parts.h"

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

void fnr_report_number(FILE *out, double v, const char *format, const char *unit)
{
    if (isfinite(v)) {
        fprintf(out, format, v);
        fputs(unit, out);
    } else {
        fputs("\xE2\x80\x93", out); /* a dash */
    }
}

void fnr_report_badge(FILE *out, fnr_verdict v)
{
    fprintf(out, "<span class=\"badge %s\">%s %s</span>", fnr_report_signs[v].word, fnr_report_signs[v].shape,
            fnr_report_signs[v].word);
}

/* ---- frame ---- */

void fnr_report_write_begin(FILE *out, const char *title, const char *version, const char *id)
{
    char now[32];
    fnr_utc_now(now);
    fputs("<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>",
          out);
    fnr_report_text(out, title);
    fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body%s%s%s>\n<h1>", fnr_report_css, id ? " data-report=\"" : "", id ? id : "",
            id ? "\"" : "");
    fnr_report_text(out, title);
    fputs("</h1>\n<p class=\"soft\">fnet-register ", out);
    fnr_report_text(out, version);
    fprintf(out, ", %s</p>\n", now);
}

void fnr_report_write_end(FILE *out)
{
    fputs("<dialog id=\"viewer\" aria-labelledby=\"viewing\">\n<div class=\"tools\"><h3 id=\"viewing\"></h3><span id=\"state\"></span>"
          "<button type=\"button\" id=\"previous\" title=\"key k\">Previous</button>"
          "<button type=\"button\" id=\"next\" title=\"key j\">Next</button>"
          "<button type=\"button\" id=\"shut\" title=\"Esc\">Close</button></div>\n"
          "<div class=\"stack\"><img id=\"lower\" alt=\"EM\"/><img id=\"upper\" alt=\"the picture on top\"/></div>\n"
          "<div class=\"tools\"><label>below <select id=\"below\"><option value=\"em\">EM</option><option "
          "value=\"prediction\">prediction</option></select></label>"
          "<input type=\"range\" id=\"fade\" aria-label=\"how much of the upper picture\" min=\"0\" max=\"100\" value=\"50\"/>"
          "<label>on top <select id=\"which\"><option value=\"mbp\">MBP</option>"
          "<option value=\"prediction\">prediction</option><option value=\"overlay\">overlay</option></select></label>"
          "<button type=\"button\" id=\"blink\" aria-pressed=\"false\" title=\"key b\">Blink</button></div>\n</dialog>\n",
          out);
    fputs("<footer id=\"review\"><span id=\"where\"></span><span class=\"keys\"><kbd>j</kbd> next <kbd>k</kbd> back <kbd>b</kbd> blink <kbd>a</kbd> accept "
          "<kbd>r</kbd> reject <kbd>u</kbd> undo <kbd>n</kbd> note</span><span id=\"tally\" aria-live=\"polite\"></span>"
          "<button type=\"button\" id=\"download\">Download review.csv</button><button type=\"button\" id=\"forget\">Forget all</button></footer>\n",
          out);
    fprintf(out, "<script>\n%s%s%s</script>\n</body>\n</html>\n", fnr_report_sort_script, fnr_report_script, fnr_report_review_script);
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

/* ---- table ---- */

#define ROW(field) offsetof(fnr_report_row, field)
const fnr_report_column fnr_report_columns[] = {
    {"probability", " %", "that the place is right", "%.0f", 100, ROW(probability), true},
    {"expected error", " px", "how far off the tile may lie (rms over the tile, MBP pixels), as the program judges it", "%.2f", 1,
     ROW(expected_error_px), true},
    {"true error", " px", "mean distance from the known truth, MBP pixels", "%.2f", 1, ROW(truth_error_px), true},
    {"score", "", "correlation of prediction and MBP, 1 at best", "%.2f", 1, ROW(score), true},
    {"rotation", "\xC2\xB0", "of the tile in the montage", "%.2f", 1, ROW(rotation_deg), true},
    {"scale", "", "relative to the nominal pixel sizes", "%.4f", 1, ROW(scale), true},
    {"content", " %", "of the prediction's pixels above half of a typical sheath", "%.1f", 100, ROW(content), true},
    {"peak ratio", "", "best over second-best place, without help of the neighbours", "%.2f", 1, ROW(peak_ratio), false},
    {"flow inliers", " %", "of the residual flow within 1 px of the fit", "%.0f", 100, ROW(flow_inliers), false},
    {"flow residual", " px", "rms of the inliers, MBP pixels", "%.2f", 1, ROW(flow_rms_px), false},
};
const size_t fnr_report_n_columns = sizeof fnr_report_columns / sizeof fnr_report_columns[0];

double fnr_report_value(const fnr_report_row *row, const fnr_report_column *c)
{
    double v;
    memcpy(&v, (const char *)row + c->offset, sizeof v);
    return v * c->factor;
}

/* A column without a single number only takes room. */
static bool is_shown(const fnr_report_table *t, const fnr_report_column *c)
{
    for (size_t i = 0; c->in_table && i < t->n_rows; i++) {
        if (isfinite(fnr_report_value(&t->rows[i], c))) {
            return true;
        }
    }
    return false;
}

static void write_table_row(FILE *out, const fnr_report_table *t, size_t index)
{
    const fnr_report_row *row = &t->rows[index];
    fprintf(out, "<tr data-verdict=\"%s\" data-number=\"%zu\"><td data-v=\"%zu\">%zu</td><td class=\"w\"><a href=\"#tile-%zu\">",
            fnr_report_signs[row->verdict].word, index + 1, index + 1, index + 1, index + 1);
    fnr_report_text(out, row->name);
    fputs("</a></td><td class=\"w\">", out);
    fnr_report_badge(out, row->verdict);
    fputs("</td><td class=\"w decision\"></td>", out);
    for (size_t k = 0; k < fnr_report_n_columns; k++) {
        const fnr_report_column *c = &fnr_report_columns[k];
        const double v = fnr_report_value(row, c);
        if (is_shown(t, c)) {
            fputs("<td data-v=\"", out);
            if (isfinite(v)) {
                fprintf(out, "%.9g", v);
            }
            fputs("\">", out);
            fnr_report_number(out, v, c->format, "");
            fputs("</td>", out);
        }
    }
    fputs("<td class=\"w reason\">", out);
    fnr_report_text(out, row->reason);
    fputs("</td></tr>\n", out);
}

static void write_heading(FILE *out, const fnr_report_column *c)
{
    const char *unit = c->unit[0] == ' ' ? c->unit + 1 : c->unit;
    fprintf(out, "<th scope=\"col\" title=\"%s\"><button type=\"button\">%s%s%s%s</button></th>", c->help, c->title, *unit ? " [" : "", unit, *unit ? "]" : "");
}

void fnr_report_write_table(FILE *out, const fnr_report_table *t)
{
    fputs("<section>\n<h2>All tiles</h2>\n<div class=\"scroll\"><table id=\"tiles\">\n<thead><tr><th scope=\"col\"><button "
          "type=\"button\">#</button></th>"
          "<th class=\"w\" scope=\"col\"><button type=\"button\">tile</button></th>"
          "<th class=\"w\" scope=\"col\"><button type=\"button\">verdict</button></th>"
          "<th class=\"w\" scope=\"col\" title=\"your decision\"><button type=\"button\">review</button></th>",
          out);
    for (size_t k = 0; k < fnr_report_n_columns; k++) {
        if (is_shown(t, &fnr_report_columns[k])) {
            write_heading(out, &fnr_report_columns[k]);
        }
    }
    fputs("<th class=\"w\" scope=\"col\"><button type=\"button\">reason</button></th></tr></thead>\n<tbody>\n", out);
    for (size_t i = 0; i < t->n_rows; i++) {
        write_table_row(out, t, i);
    }
    fputs("</tbody>\n</table></div>\n</section>\n", out);
}
