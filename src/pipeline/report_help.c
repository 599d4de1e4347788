/* What a reader needs to know beside the figures: verdicts in plain words, how to review, how far probabilities can be trusted.
 */
#include <math.h>
#include "src/pipeline/report_parts.h"

typedef struct {
    const char *meaning, *advice;
} explanation;

static const explanation explanations[FNR_VERDICTS] = {
    [FNR_REGISTERED] =
        {"The prediction was found in the montage, and nothing speaks against the place.",
         "Use it. A glance at the overlay is enough: sheaths should be white, with hardly any green or magenta rim."},
    [FNR_BY_NEIGHBOURS] =
        {"The tile shows too little myelin, or nothing clear, to find its place by itself; it was placed by the other tiles of "
         "the "
         "section, to which it was stitched by its EM.",
         "Use it if the expected error is small enough for you. What little myelin there is should lie on MBP."},
    [FNR_DOUBTFUL] = {"A place was found, but the match is weak or another place fits nearly as well.",
                      "Compare EM and MBP: accept it if the sheaths lie on each other everywhere, else reject it."},
    [FNR_NO_CONTENT] = {"The prediction shows too little myelin to register by, and no neighbour could help.",
                        "Nothing is wrong with the tile. Overlapping neighbours with myelin would place it."},
    [FNR_FAILED] = {"The tile could not be used, or was rejected by hand.",
                    "See the reason. Pixel sizes and unreadable files can be put right; run the same command again."},
};

const char *fnr_report_advice(fnr_verdict v)
{
    return explanations[v].advice;
}

void fnr_report_write_help(FILE *out, const fnr_report_table *t)
{
    fputs("<details id=\"help\">\n<summary>What the verdicts mean, and how to review</summary>\n<dl class=\"facts\">\n", out);
    for (int k = 0; k < FNR_VERDICTS; k++) {
        fputs("<dt>", out);
        fnr_report_badge(out, (fnr_verdict)k);
        fprintf(out, "</dt><dd>%s %s</dd>\n", explanations[k].meaning, explanations[k].advice);
    }
    fputs("</dl>\n<p>Go from tile to tile with <kbd>j</kbd> and <kbd>k</kbd>; <kbd>b</kbd> blinks EM and MBP; <kbd>a</kbd> "
          "accepts the place shown, "
          "<kbd>r</kbd> rejects it, <kbd>u</kbd> takes the last decision back, <kbd>n</kbd> writes a note, <kbd>f</kbd> hides "
          "the arrows. Decisions stay in "
          "this browser. <b>Download review.csv</b> and run the same command again with <code>--review review.csv</code>: "
          "accepted tiles keep the place "
          "shown here and count as registered, rejected ones get none and no longer help their neighbours. Nothing is predicted "
          "again.</p>\n",
          out);
    if (t->n_rows > 1) {
        fputs("<p>The expected error is the distance, averaged over the tile, by which it may lie off: pixels of the MBP image, "
              "worked out from the tile's "
              "own misfit and its agreement with the others.</p>\n",
              out);
    }
    fputs("</details>\n", out);
}

/* ---- reliability diagram --------------------------------------------------------------------------------------------------- */

enum { SIDE = 260, MARGIN = 46 };

static double across(double p)
{
    return MARGIN + SIDE * p;
}

static double up(double p)
{
    return 12 + SIDE * (1 - p);
}

static void write_axes(FILE *out)
{
    for (int k = 0; k <= 4; k++) {
        const double p = k / 4.0;
        fprintf(
            out,
            "<path class=\"grid\" d=\"M%.0f %.0fH%.0fM%.0f %.0fV%.0f\"/><text x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\">%d</text>"
            "<text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n",
            across(0), up(p), across(1), across(p), up(0), up(1), across(0) - 6, up(p) + 4, 25 * k, across(p), SIDE + 30, 25 * k);
    }
    fprintf(out,
            "<path class=\"ideal\" d=\"M%.0f %.0fL%.0f %.0f\"/><text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">probability "
            "stated [%%]</text>"
            "<text transform=\"translate(12 %.0f) rotate(-90)\" text-anchor=\"middle\">found right [%%]</text>\n",
            across(0), up(0), across(1), up(1), across(0.5), SIDE + 50, up(0.5));
}

void fnr_report_write_calibration(FILE *out, const fnr_report_calibration *c)
{
    if (!c || c->bins == 0) {
        return;
    }
    size_t all = 0;
    fprintf(out,
            "<section id=\"calibration\">\n<h2>How far the probabilities can be trusted</h2>\n<svg class=\"reliability\" "
            "xmlns=\"http://www.w3.org/2000/svg\" "
            "viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"reliability diagram\">\n",
            SIDE + MARGIN + 20, SIDE + 60, SIDE + MARGIN + 20, SIDE + 60);
    write_axes(out);
    for (size_t i = 0; i < c->bins; i++) {
        if (c->count[i] && isfinite(c->predicted[i]) && isfinite(c->observed[i])) {
            /* one standard deviation of a fraction of so many tiles, after Laplace's rule so that 0 and 100 % have one too */
            const double n = (double)c->count[i], p = (c->observed[i] * n + 1) / (n + 2), sd = sqrt(p * (1 - p) / n);
            fprintf(out,
                    "<path class=\"spread\" d=\"M%.1f %.1fV%.1f\"/><circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"><title>%zu tiles: "
                    "stated %.0f %%, right %.0f "
                    "%%</title></circle>\n",
                    across(c->predicted[i]), up(fmax(0, c->observed[i] - sd)), up(fmin(1, c->observed[i] + sd)),
                    across(c->predicted[i]), up(c->observed[i]), fmin(9, 2.5 + sqrt(n) / 3), c->count[i], 100 * c->predicted[i],
                    100 * c->observed[i]);
            all += c->count[i];
        }
    }
    fprintf(out,
            "</svg>\n<p class=\"soft\">%zu tiles with known truth, in groups of like probability; on the line, probabilities are "
            "right. Measured on ",
            all);
    fnr_report_text(out, c->source ? c->source : "training sections");
    fputs(".</p>\n</section>\n", out);
}
