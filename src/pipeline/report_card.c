/* One tile: its pictures, numbers, what came into question, and what a person decides about it. */
#include <math.h>
#include "src/pipeline/report_parts.h"

/* Residuals are drawn this much longer than they are. */
static const double arrow_gain = 10;
/* Arrows are drawn on a picture of this width. */
enum { CANVAS = 1000 };

static void write_figure(FILE *out, const fnr_report_row *row, const char *layer, const char *caption, const char *jpeg, int w,
                         int h, const char *none)
{
    if (jpeg) {
        fprintf(out, "<img data-layer=\"%s\" width=\"%d\" height=\"%d\" loading=\"lazy\" alt=\"%s of ", layer, w, h, caption);
        fnr_report_text(out, row->name);
        fprintf(out, "\" src=\"data:image/jpeg;base64,%s\"/>", jpeg);
    } else {
        fprintf(out, "<div class=\"none\">%s</div>", none);
    }
}

static void write_plain(FILE *out, const fnr_report_row *row, const char *layer, const char *caption, const char *jpeg,
                        const fnr_report_figures *f, const char *none)
{
    fputs("<figure>", out);
    write_figure(out, row, layer, caption, jpeg, f->w, f->h, none);
    fprintf(out, "<figcaption>%s</figcaption></figure>\n", caption);
}

/* ---- residual arrows ------------------------------------------------------------------------------------------------------- */

static void write_arrow(FILE *out, const fnr_report_arrow *a)
{
    const double x0 = CANVAS * a->x, y0 = CANVAS * a->y, dx = CANVAS * arrow_gain * a->dx, dy = CANVAS * arrow_gain * a->dy;
    const double length = hypot(dx, dy), head = fmin(14, 0.45 * length), x1 = x0 + dx, y1 = y0 + dy;
    if (!(length > 0)) {
        return;
    }
    const double ux = dx / length * head, uy = dy / length * head;
    fprintf(out, "M%.0f %.0fL%.0f %.0fM%.0f %.0fL%.0f %.0fL%.0f %.0f", x0, y0, x1, y1, x1 - ux + 0.5 * uy, y1 - uy - 0.5 * ux, x1,
            y1, x1 - ux - 0.5 * uy, y1 - uy + 0.5 * ux);
}

static void write_arrows(FILE *out, const fnr_report_tile *t)
{
    if (!t->n_arrows || !(t->if_px_wide > 0) || t->w <= 0) {
        return;
    }
    const double height = (double)CANVAS * t->h / t->w, bar = CANVAS * arrow_gain / t->if_px_wide;
    fprintf(out,
            "<svg class=\"arrows\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" aria-label=\"residual "
            "flow\"><path d=\"",
            CANVAS, height);
    for (size_t i = 0; i < t->n_arrows; i++) {
        write_arrow(out, &t->arrows[i]);
    }
    fprintf(out, "\"/><path class=\"ruler\" d=\"M30 %.0fh%.0f\"/><text x=\"%.0f\" y=\"%.0f\">1 px</text></svg>", height - 30, bar,
            44 + bar, height - 18);
}

static void write_overlay(FILE *out, const fnr_report_row *row, const fnr_report_tile *t, const fnr_report_figures *f,
                          const char *none)
{
    fputs("<figure><div class=\"under\">", out);
    write_figure(out, row, "overlay", "overlay", f->overlay, f->w, f->h, none);
    if (f->overlay) {
        write_arrows(out, t);
    }
    fputs("</div><figcaption>prediction green, MBP magenta, both: white", out);
    if (f->overlay && t->n_arrows) {
        fprintf(out, "; arrows: how far the MBP lies off, \xC3\x97%.0f", arrow_gain);
    }
    fputs("</figcaption></figure>\n", out);
}

/* ---- candidates ------------------------------------------------------------------------------------------------------------ */

static void write_candidates(FILE *out, const fnr_report_tile *t, int montage_w, int montage_h)
{
    if (montage_w <= 0 || (!t->has_transform && !t->n_candidates)) {
        fputs(
            "<figure><div class=\"none\">no place came into question</div><figcaption>places considered</figcaption></figure>\n",
            out);
        return;
    }
    fprintf(out,
            "<figure><svg class=\"places\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-0.5 -0.5 %d %d\" role=\"img\" "
            "aria-label=\"places that came into "
            "question\"><use href=\"#montage\"/>",
            montage_w, montage_h);
    for (size_t i = t->n_candidates; i-- > 1;) {
        fnr_report_outline(out, "candidate", &t->candidates[i].tile_to_if, t->w, t->h);
    }
    if (t->has_transform) {
        char class[40];
        snprintf(class, sizeof class, "m-%s", fnr_report_signs[t->verdict].word);
        fnr_report_outline(out, class, &t->tile_to_if, t->w, t->h);
    } else if (t->n_candidates) {
        fnr_report_outline(out, "candidate", &t->candidates[0].tile_to_if, t->w, t->h);
    }
    fputs("</svg><figcaption>places considered, by score: ", out);
    for (size_t i = 0; i < t->n_candidates && i < 5; i++) {
        fprintf(out, "%s%.2f", i ? ", " : "", t->candidates[i].score);
    }
    fputs(t->n_candidates > 5 ? ", \xE2\x80\xA6</figcaption></figure>\n"
          : t->n_candidates   ? "</figcaption></figure>\n"
                              : "\xE2\x80\x93</figcaption></figure>\n",
          out);
}

/* ---- words ----------------------------------------------------------------------------------------------------------------- */

static void write_numbers(FILE *out, const fnr_report_row *row)
{
    fputs("<div class=\"say\"><dl class=\"nums\">", out);
    for (size_t k = 0; k < fnr_report_n_columns; k++) {
        const fnr_report_column *c = &fnr_report_columns[k];
        const double v = fnr_report_value(row, c);
        if (isfinite(v)) {
            fprintf(out, "<div title=\"%s\"><dt>%s</dt><dd>", c->help, c->title);
            fnr_report_number(out, v, c->format, c->unit);
            fputs("</dd></div>", out);
        }
    }
    fputs("</dl>\n", out);
    if (row->has_transform) {
        const fnr_transform *m = &row->tile_to_if; /* every digit stands in transforms.csv */
        fprintf(out,
                "<p class=\"soft small\">tile px \xE2\x86\x92 MBP px <code title=\"m00 m10 m01 m11 m02 m12\">%.7f %.7f %.7f %.7f "
                "%.3f "
                "%.3f</code></p>\n",
                m->m00, m->m10, m->m01, m->m11, m->m02, m->m12);
    }
    fprintf(out, "<p class=\"small\">%s</p>\n", fnr_report_advice(row->verdict));
    fputs(
        "<div class=\"decide\"><button type=\"button\" class=\"accept\" title=\"key a\">\xE2\x9C\x94 Accept</button>"
        "<button type=\"button\" class=\"reject\" title=\"key r\">\xE2\x9C\x98 Reject</button>"
        "<input class=\"note\" type=\"text\" maxlength=\"120\" placeholder=\"note (key n)\" aria-label=\"note\"/></div></div>\n",
        out);
}

static void write_attribute(FILE *out, const char *name, const char *value)
{
    fprintf(out, " data-%s=\"", name);
    fnr_report_text(out, value);
    fputs("\"", out);
}

static void write_header(FILE *out, const fnr_report_row *row, size_t number, const fnr_report_figures *f)
{
    const char *word = fnr_report_signs[row->verdict].word;
    char text[FNR_TRANSFORM_TEXT] = "";
    if (row->has_transform) {
        fnr_transform_format(&row->tile_to_if, text);
    }
    fprintf(out, "<article class=\"card %s\" id=\"tile-%zu\" data-verdict=\"%s\"", word, number, word);
    write_attribute(out, "transform", text);
    write_attribute(out, "name", row->name);
    if (row->decision[0]) {
        write_attribute(out, "decision", row->decision);
        write_attribute(out, "note", row->note);
        write_attribute(out, "time", row->time);
    }
    fprintf(out, ">\n<header><span class=\"soft\">%zu</span><h3>", number);
    fnr_report_text(out, row->name);
    fputs("</h3>", out);
    fnr_report_badge(out, row->verdict);
    fputs("<span class=\"decision\"></span><span class=\"reason\">", out);
    fnr_report_text(out, row->reason);
    fputs("</span>", out);
    if (f->em && (f->prediction || f->mbp)) {
        fputs("<button type=\"button\" class=\"compare\" title=\"key b\">Compare</button>", out);
    }
    fputs("</header>\n", out);
}

void fnr_report_write_card(FILE *out, const fnr_report_row *row, const fnr_report_tile *t, size_t number,
                           const fnr_report_figures *f, int montage_w, int montage_h)
{
    const char *no_place = row->has_transform ? "not to be had" : "no place in the montage";
    write_header(out, row, number, f);
    fputs("<div class=\"figs\">\n", out);
    write_plain(out, row, "em", "EM", f->em, f, "not readable");
    write_plain(out, row, "prediction", "prediction", f->prediction, f, "no prediction");
    write_plain(out, row, "mbp", "MBP at the place found", f->mbp, f, no_place);
    write_overlay(out, row, t, f, no_place);
    fputs("<figure>", out);
    write_figure(out, row, "placed", "montage with the prediction", f->placed, f->placed_w, f->placed_h, no_place);
    fputs("<figcaption>prediction (green) laid into the montage (magenta) by the transform</figcaption></figure>\n", out);
    write_candidates(out, t, montage_w, montage_h);
    write_numbers(out, row);
    fputs("</div>\n</article>\n", out);
}
