#include "src/pipeline/loss_plot.h"

#include <math.h>
#include <stdio.h>

#include "src/core/fs.h"

/* The plane of the plot inside the picture [px]. */
enum { WIDTH = 820, HEIGHT = 440, LEFT = 72, RIGHT = 748, TOP = 70, BOTTOM = 380 };

static const char head[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n"
    "<style>\n"
    "svg{color-scheme:light dark;--ground:#fff;--ink:#1b1f24;--soft:#5a6370;--grid:#e3e7eb;--loss:#0b62b8;--val:#b85c00;--r:#007a5a}\n"
    "@media (prefers-color-scheme:dark){svg{--ground:#14171a;--ink:#e6e9ec;--soft:#a2abb5;--grid:#2c3238;--loss:#6cb4f5;--val:#f0b040;"
    "--r:#37c79a}}\n"
    "text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:var(--soft)}.title{font-size:15px;font-weight:600;fill:var(--ink)}\n"
    ".ground{fill:var(--ground)}.grid{stroke:var(--grid)}.axis{stroke:var(--soft);fill:none}.end{text-anchor:end}.mid{text-anchor:middle}\n"
    ".loss,.val,.r{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\n"
    ".loss{stroke:var(--loss)}.val{stroke:var(--val);stroke-dasharray:7 4}.r{stroke:var(--r)}.best{fill:var(--r)}.ink{fill:var(--ink)}\n"
    "</style>\n"
    "<rect class=\"ground\" width=\"%d\" height=\"%d\"/>\n";

typedef struct {
    double low, high;
    bool logarithmic;
} axis;

/* 0 at the low end, 1 at the high end; NaN for what a logarithmic axis cannot show. */
static double along(const axis *a, double v)
{
    if (!a->logarithmic) {
        return (v - a->low) / (a->high - a->low);
    }
    return v > 0 ? log(v / a->low) / log(a->high / a->low) : NAN;
}

static double x_of(const axis *a, double v)
{
    return LEFT + along(a, v) * (RIGHT - LEFT);
}

static double y_of(const axis *a, double v)
{
    return BOTTOM - along(a, v) * (BOTTOM - TOP);
}

/* 1, 2 or 5 times a power of ten: about `parts` of them make up the range. */
static double tick_step(double range, int parts)
{
    const double raw = range / parts, power = pow(10, floor(log10(raw)));
    const double digit = raw / power;
    return power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
}

/* ---- axes ---------------------------------------------------------------------------------------------------------------- */

static axis step_axis(const fnr_model *m)
{
    const double last = m->n_history ? (double)m->history[m->n_history - 1].step : 0;
    return (axis){.low = 0, .high = fmax(last, 1)};
}

/* Holds all positive losses, and at least a factor of two. */
static axis loss_axis(const fnr_model *m)
{
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < m->n_history; i++) {
        const double both[] = {m->history[i].loss, m->history[i].val_loss};
        for (int k = 0; k < 2; k++) {
            if (isfinite(both[k]) && both[k] > 0) {
                low = fmin(low, both[k]);
                high = fmax(high, both[k]);
            }
        }
    }
    if (!(high > 0)) {
        return (axis){.low = 0.1, .high = 1, .logarithmic = true};
    }
    const double widen = fmax(1.05, sqrt(fmax(1, 2 * low / high)));
    return (axis){.low = low / widen, .high = high * widen, .logarithmic = true};
}

static axis r_axis(const fnr_model *m)
{
    double low = 1;
    for (size_t i = 0; i < m->n_history; i++) {
        low = fmin(low, m->history[i].val_r); /* fmin takes no notice of NaN */
    }
    return (axis){.low = fmin(0.8, floor(low * 10) / 10), .high = 1};
}

static void draw_steps(FILE *f, const axis *a)
{
    const double step = fmax(1, tick_step(a->high - a->low, 8));
    for (double v = 0; v <= a->high * 1.0001; v += step) {
        const double x = x_of(a, v);
        fprintf(f, "<path class=\"grid\" d=\"M%.1f %dV%d\"/><text class=\"mid\" x=\"%.1f\" y=\"%d\">%.0f</text>\n", x, TOP, BOTTOM, x, BOTTOM + 20, v);
    }
    fprintf(f, "<text class=\"mid\" x=\"%d\" y=\"%d\">optimiser steps</text>\n", (LEFT + RIGHT) / 2, BOTTOM + 44);
}

static void draw_losses(FILE *f, const axis *a)
{
    static const double digits[] = {1, 2, 5, 3, 7};
    const double ratio = a->high / a->low;
    const int n_digits = ratio > 1000 ? 1 : ratio > 12 ? 3 : 5;
    for (int power = (int)floor(log10(a->low)); power <= (int)ceil(log10(a->high)); power++) {
        for (int k = 0; k < n_digits; k++) {
            const double v = digits[k] * pow(10, power), y = y_of(a, v);
            if (v >= a->low && v <= a->high) {
                fprintf(f, "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"end\" x=\"%d\" y=\"%.1f\">%g</text>\n", LEFT, y, RIGHT, LEFT - 8,
                        y + 4, v);
            }
        }
    }
    fprintf(f, "<text class=\"mid\" transform=\"translate(18 %d) rotate(-90)\">mean squared error</text>\n", (TOP + BOTTOM) / 2);
}

static void draw_rs(FILE *f, const axis *a)
{
    const double step = tick_step(a->high - a->low, 5);
    for (int i = (int)ceil(a->low / step - 1e-9); i * step <= a->high + 1e-9; i++) {
        fprintf(f, "<text x=\"%d\" y=\"%.1f\">%.4g</text>\n", RIGHT + 8, y_of(a, i * step) + 4, i * step);
    }
    fprintf(f, "<text class=\"mid\" transform=\"translate(%d %d) rotate(90)\">validation r</text>\n", WIDTH - 18, (TOP + BOTTOM) / 2);
}

/* ---- curves -------------------------------------------------------------------------------------------------------------- */

typedef double (*column)(const fnr_history_row *row);

static double loss_of(const fnr_history_row *row)
{
    return row->loss;
}

static double val_loss_of(const fnr_history_row *row)
{
    return row->val_loss;
}

static double val_r_of(const fnr_history_row *row)
{
    return row->val_r;
}

/* A line that is broken where there is no value; a lone point becomes a dot (a line of no length with round ends). */
static void draw_curve(FILE *f, const char *style, const fnr_model *m, column value, const axis *x, const axis *y)
{
    bool drawing = false;
    fprintf(f, "<path class=\"%s\" d=\"", style);
    for (size_t i = 0; i < m->n_history; i++) {
        const double at = y_of(y, value(&m->history[i]));
        if (isfinite(at)) {
            fprintf(f, "%s%.1f %.1f", drawing ? "L" : "M", x_of(x, (double)m->history[i].step), at);
            if (!drawing) {
                fputs("h0", f);
            }
        }
        drawing = isfinite(at);
    }
    fputs("\"/>\n", f);
}

static void draw_best(FILE *f, const fnr_model *m, const axis *x, const axis *y)
{
    const fnr_history_row *best = fnr_model_best(m);
    if (best) {
        const double at = x_of(x, (double)best->step);
        fprintf(f, "<circle class=\"best\" cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\"/>\n", at, y_of(y, best->val_r));
        fprintf(f, "<text class=\"end ink\" x=\"%d\" y=\"24\">best r %.4f at step %ld</text>\n", RIGHT, best->val_r, best->step);
    }
}

static void draw_text(FILE *f, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '<' || *c == '>' || *c == '&') {
            fprintf(f, "&#%d;", *c);
        } else {
            fputc((unsigned char)*c < ' ' ? '?' : *c, f);
        }
    }
}

static void draw_legend(FILE *f)
{
    static const struct {
        const char *style, *text;
        int x;
    } rows[] = {{"loss", "training loss", LEFT}, {"val", "validation loss", LEFT + 170}, {"r", "validation r (right axis)", LEFT + 355}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fprintf(f, "<path class=\"%s\" d=\"M%d 48h30\"/><text x=\"%d\" y=\"52\">%s</text>\n", rows[i].style, rows[i].x, rows[i].x + 38, rows[i].text);
    }
}

static void draw(FILE *f, const char *title, const fnr_model *m)
{
    const axis steps = step_axis(m), losses = loss_axis(m), rs = r_axis(m);
    fprintf(f, head, WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    fprintf(f, "<text class=\"title\" x=\"%d\" y=\"24\">", LEFT);
    draw_text(f, title);
    fputs("</text>\n", f);
    draw_steps(f, &steps);
    draw_losses(f, &losses);
    draw_rs(f, &rs);
    fprintf(f, "<path class=\"axis\" d=\"M%d %dV%dH%dV%d\"/>\n", LEFT, TOP, BOTTOM, RIGHT, TOP);
    draw_curve(f, "loss", m, loss_of, &steps, &losses);
    draw_curve(f, "val", m, val_loss_of, &steps, &losses);
    draw_curve(f, "r", m, val_r_of, &steps, &rs);
    draw_best(f, m, &steps, &rs);
    draw_legend(f);
    fputs("</svg>\n", f);
}

bool fnr_loss_plot_write(const char *path, const char *title, const fnr_model *m, fnr_error *err)
{
    fnr_atomic a;
    if (!fnr_atomic_open(&a, path, err)) {
        return false;
    }
    draw(a.file, title, m);
    return fnr_atomic_commit(&a, err);
}
