/* The montage with the outlines of the tiles. */
#include <math.h>
#include "src/pipeline/report_parts.h"

enum { MAP_LABELS_MAX = 80 };

void fnr_report_outline(FILE *out, const char *class, const fnr_transform *tile_to_if, int w, int h)
{
    static const int order[4][2] = {{0, 0}, {1, 0}, {1, 1}, {0, 1}};
    const double x[2] = {-0.5, w - 0.5}, y[2] = {-0.5, h - 0.5};
    fprintf(out, "<polygon class=\"%s\" points=\"", class);
    for (int i = 0; i < 4; i++) {
        const fnr_point q = fnr_transform_apply(tile_to_if, (fnr_point){x[order[i][0]], y[order[i][1]]});
        fprintf(out, "%s%.2f,%.2f", i ? " " : "", q.x, q.y);
    }
    fputs("\"/>", out);
}

static void write_outline(FILE *out, const fnr_report_row *row, size_t number, double label_px)
{
    char class[40];
    snprintf(class, sizeof class, "m-%s", fnr_report_signs[row->verdict].word);
    fprintf(out, "<a href=\"#tile-%zu\" data-number=\"%zu\" data-verdict=\"%s\"><title>", number, number, fnr_report_signs[row->verdict].word);
    fnr_report_text(out, row->name);
    fprintf(out, ": %s</title>", fnr_report_signs[row->verdict].word);
    fnr_report_outline(out, class, &row->tile_to_if, row->w, row->h);
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
            "aria-label=\"MBP montage with the outlines of the tiles\">\n<image id=\"montage\" x=\"-0.5\" y=\"-0.5\" width=\"%d\" height=\"%d\" "
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

