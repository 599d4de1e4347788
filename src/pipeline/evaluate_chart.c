/* The histogram of displacements, in SVG on white: it goes into papers as it is. */
#include <math.h>
#include <stdlib.h>

#include "src/pipeline/evaluate_report.h"
#include "src/pipeline/report_parts.h"

/* Canvas and plot area [px]. */
enum { WIDTH = 760, HEIGHT = 430, LEFT = 62, RIGHT = 740, TOP = 52, BOTTOM = 300, MAX_BINS = 40 };
/* The bar of what lies beyond the axis [px]. */
enum { BEYOND = RIGHT - 30, BEYOND_WIDTH = 24, GAP = 12 };

/* Okabe and Ito's colours; the people among themselves are grey, and every line has its own dash too. */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"};
static const char *const dashes[] = {"", "6 3", "2 3", "9 3 2 3"};
enum { N_COLOURS = sizeof colours / sizeof *colours, N_DASHES = sizeof dashes / sizeof *dashes };

typedef struct {
    double width; /* of a bin [IF px] */
    int bins;     /* behind them one more for what is larger */
    double most;  /* highest bar [% of tiles] */
    double step;  /* between the lines of the grid [%] */
} axes;

/* 1, 2 or 5 times a power of ten, at least v. */
static double round_up(double v)
{
    const double power = pow(10, floor(log10(v))), m = v / power;
    return power * (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10);
}

static bool drawn(const fnr_eval_tile *t)
{
    return t->counts && t->has_transform && isfinite(t->px);
}

static int bin_of(const axes *a, double px)
{
    const double k = floor(px / a->width);
    return k < a->bins ? (int)k : a->bins;
}

/* Per cent of the comparison's tiles in each bin; how many there are. */
static size_t fill(const fnr_eval_comparison *c, const axes *a, double bars[MAX_BINS + 1])
{
    size_t n = 0;
    for (int i = 0; i <= a->bins; i++) {
        bars[i] = 0;
    }
    for (size_t i = 0; i < c->n_tiles; i++) {
        if (drawn(&c->tiles[i])) {
            bars[bin_of(a, c->tiles[i].px)]++;
            n++;
        }
    }
    for (int i = 0; n && i <= a->bins; i++) {
        bars[i] *= 100.0 / (double)n;
    }
    return n;
}

static axes choose_axes(const fnr_eval_report *r)
{
    double reach = 0;
    for (size_t k = 0; k < r->n; k++) {
        const fnr_eval_stats *s = &r->comparisons[k].found;
        reach = fmax(reach, s->n ? s->worst : 0);
    }
    axes a = {.width = round_up(fmax(reach, 1e-3) / (MAX_BINS - 4)), .most = 10};
    a.bins = (int)fmin(MAX_BINS, ceil(reach / a.width + 1e-9));
    a.bins = a.bins < 5 ? 5 : a.bins;
    for (size_t k = 0; k < r->n; k++) {
        double bars[MAX_BINS + 1];
        fill(&r->comparisons[k], &a, bars);
        for (int i = 0; i <= a.bins; i++) {
            a.most = fmax(a.most, bars[i]);
        }
    }
    a.step = round_up(a.most / 5);
    a.most = a.step * ceil(a.most / a.step);
    return a;
}

static double x_of(const axes *a, double bin)
{
    return LEFT + (double)(BEYOND - GAP - LEFT) * bin / a->bins;
}

static double y_of(const axes *a, double percent)
{
    return BOTTOM - (BOTTOM - TOP) * percent / a->most;
}

static void write_axes(FILE *out, const axes *a, double if_nm)
{
    for (double v = 0; v <= a->most + 1e-9; v += a->step) {
        fprintf(out,
                "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/><text x=\"%d\" y=\"%.1f\" "
                "text-anchor=\"end\">%g</text>\n",
                LEFT, RIGHT, y_of(a, v), y_of(a, v), v > 0 ? "#e3e6ea" : "#333", LEFT - 8, y_of(a, v) + 4, v);
    }
    const double label = round_up(a->width * a->bins / 8);
    for (double v = 0; v <= a->width * a->bins * (1 + 1e-9); v += label) {
        const double x = x_of(a, v / a->width);
        fprintf(out,
                "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"#333\"/><text x=\"%.1f\" y=\"%d\" "
                "text-anchor=\"middle\">%g</text>\n",
                x, x, BOTTOM, BOTTOM + 5, x, BOTTOM + 19, v);
        if (if_nm > 0) {
            fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#5a6370\">%g</text>\n", x, TOP - 8, v * if_nm);
        }
    }
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">more</text>\n", BEYOND + BEYOND_WIDTH / 2, BOTTOM + 19);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">mean displacement over the tile [IF px]</text>\n",
            (LEFT + RIGHT) / 2, BOTTOM + 38);
    if (if_nm > 0) {
        fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"#5a6370\">[nm]</text>\n", (LEFT + RIGHT) / 2,
                TOP - 26);
    }
    fprintf(out, "<text transform=\"translate(16 %d) rotate(-90)\" text-anchor=\"middle\">tiles [%%]</text>\n",
            (TOP + BOTTOM) / 2);
}

static void write_outline(FILE *out, const axes *a, const double *bars, const char *colour, const char *dash)
{
    fprintf(out, "<path d=\"M%.1f %d", x_of(a, 0), BOTTOM);
    for (int i = 0; i < a->bins; i++) {
        fprintf(out, "V%.1fH%.1f", y_of(a, bars[i]), x_of(a, i + 1.0));
    }
    fprintf(out, "V%d\" fill=\"%s\" fill-opacity=\"0.13\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\"/>\n", BOTTOM,
            colour, colour, dash[0] ? dash : "none");
    if (bars[a->bins] > 0) {
        fprintf(out,
                "<path d=\"M%d %dV%.1fh%dV%d\" fill=\"%s\" fill-opacity=\"0.13\" stroke=\"%s\" stroke-width=\"2\" "
                "stroke-dasharray=\"%s\"/>\n",
                BEYOND, BOTTOM, y_of(a, bars[a->bins]), BEYOND_WIDTH, BOTTOM, colour, colour, dash[0] ? dash : "none");
    }
}

static void write_key(FILE *out, const fnr_eval_comparison *c, size_t n, double threshold, const char *colour, const char *dash,
                      int y)
{
    fprintf(out,
            "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"3\" stroke-dasharray=\"%s\"/><text "
            "x=\"%d\" y=\"%d\">",
            LEFT, LEFT + 34, y - 4, y - 4, colour, dash[0] ? dash : "none", LEFT + 42, y);
    fnr_report_text(out, c->a);
    fputs(c->between_people ? " and " : " against ", out);
    fnr_report_text(out, c->b);
    fprintf(out, ": %.2f \xC2\xB1 %.2f px, %zu of %zu within %g px", c->found.mean.value, c->found.sd, c->within, c->counted,
            threshold);
    fputs(n < c->counted ? " (some without a transform)</text>\n" : "</text>\n", out);
}

void fnr_eval_write_histogram(FILE *out, const fnr_eval_report *r)
{
    const axes a = choose_axes(r);
    const int height = HEIGHT - 74 + 20 * (int)r->n;
    int people = 0, results = 0;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
            "font-family=\"sans-serif\" font-size=\"13\" "
            "fill=\"#1b1f24\" role=\"img\" aria-label=\"histogram of displacements\">\n<rect width=\"%d\" height=\"%d\" "
            "fill=\"#fff\"/>\n",
            WIDTH, height, WIDTH, height, WIDTH, height);
    write_axes(out, &a, r->options.if_nm);
    for (size_t k = 0; k < r->n; k++) {
        const fnr_eval_comparison *c = &r->comparisons[k];
        double bars[MAX_BINS + 1];
        const size_t n = fill(c, &a, bars);
        const char *colour = c->between_people ? "#555" : colours[results % N_COLOURS];
        const char *dash = dashes[c->between_people ? (2 + people) % N_DASHES : results % N_DASHES];
        people += c->between_people;
        results += !c->between_people;
        write_outline(out, &a, bars, colour, dash);
        write_key(out, c, n, r->options.success_px, colour, dash, BOTTOM + 64 + 20 * (int)k);
    }
    fputs("</svg>\n", out);
}
