/* What a person should know after ten seconds: how many, how sure, and which tiles to look at. */
#include <math.h>
#include <stdlib.h>
#include "src/pipeline/report_parts.h"

/* Tiles of one section share rotation and scale; one that differs by more than this from the median is named. */
static const double odd_rotation_deg = 2.0, odd_scale = 0.02, turned_within_deg = 5.0;
enum { NAMED_MAX = 8 };

typedef struct {
    size_t count[FNR_VERDICTS];                     /* by verdict */
    double scale, scale_lo, scale_hi;          /* median and range over registered tiles */
    double rotation, rotation_lo, rotation_hi; /* the same, unwrapped about the median [degrees] */
    double score, score_lo;
    double error, error_hi; /* mean and worst distance from the truth; NaN when unknown */
} digest;

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts and gives the median; NaN of nothing. */
static double median(double *v, size_t n)
{
    if (n == 0) {
        return NAN;
    }
    qsort(v, n, sizeof *v, ascending);
    return n % 2 ? v[n / 2] : 0.5 * (v[n / 2 - 1] + v[n / 2]);
}

/* Angles near their common direction, so that +179 and -179 lie next to each other. */
static double unwrap(double *angle, size_t n)
{
    double c = 0, s = 0;
    for (size_t i = 0; i < n; i++) {
        c += cos(angle[i] * 0.017453292519943295);
        s += sin(angle[i] * 0.017453292519943295);
    }
    const double mean = atan2(s, c) / 0.017453292519943295;
    for (size_t i = 0; i < n; i++) {
        angle[i] = mean + remainder(angle[i] - mean, 360.0);
    }
    return median(angle, n);
}

static bool counts_as_placed(const fnr_report_row *r)
{
    return r->verdict == FNR_REGISTERED && r->has_transform && isfinite(r->scale) && isfinite(r->rotation_deg);
}

static digest digest_of(const fnr_report_table *t)
{
    digest d = {.scale = NAN, .rotation = NAN, .score = NAN, .error = NAN};
    double *v = calloc(3 * (t->n_rows + 1), sizeof *v), *rotation = v ? v + t->n_rows + 1 : NULL,
           *score = v ? rotation + t->n_rows + 1 : NULL;
    size_t n = 0, n_error = 0;
    double sum = 0;
    for (size_t i = 0; i < t->n_rows; i++) {
        const fnr_report_row *r = &t->rows[i];
        d.count[r->verdict]++;
        if (v && counts_as_placed(r)) {
            v[n] = r->scale, rotation[n] = r->rotation_deg, score[n] = r->score;
            n++;
        }
        if (r->verdict == FNR_REGISTERED && isfinite(r->truth_error_px)) {
            sum += r->truth_error_px;
            d.error_hi = n_error++ ? fmax(d.error_hi, r->truth_error_px) : r->truth_error_px;
        }
    }
    if (n) {
        d.scale = median(v, n), d.scale_lo = v[0], d.scale_hi = v[n - 1];
        d.rotation = unwrap(rotation, n), d.rotation_lo = rotation[0], d.rotation_hi = rotation[n - 1];
        d.score = median(score, n), d.score_lo = score[0];
    }
    if (n_error) {
        d.error = sum / (double)n_error;
    }
    free(v);
    return d;
}

static void link_to(FILE *out, const fnr_report_row *row, size_t number)
{
    fprintf(out, "<a href=\"#tile-%zu\">", number);
    fnr_report_text(out, row->name);
    fputs("</a>", out);
}

static void write_counts(FILE *out, const fnr_report_table *t, const digest *d)
{
    fprintf(out, "<p class=\"headline\">%zu of %zu tiles registered", d->count[FNR_REGISTERED], t->n_rows);
    if (d->count[FNR_BY_NEIGHBOURS]) {
        fprintf(out, ", %zu more placed by their neighbours", d->count[FNR_BY_NEIGHBOURS]);
    }
    fputs("</p>\n<div class=\"bar\" aria-hidden=\"true\">", out);
    for (int k = 0; k < FNR_VERDICTS; k++) {
        if (d->count[k]) {
            fprintf(out, "<span class=\"%s\" style=\"flex:%zu\"></span>", fnr_report_signs[k].word, d->count[k]);
        }
    }
    fputs("</div>\n<ul class=\"counts\" aria-label=\"show or hide by verdict\">\n", out);
    for (int k = 0; k < FNR_VERDICTS; k++) {
        const fnr_report_sign *s = &fnr_report_signs[k];
        if (d->count[k]) {
            fprintf(out,
                    "<li><button type=\"button\" data-for=\"%s\" aria-pressed=\"true\" title=\"show or hide\"><span "
                    "class=\"badge %s\">%s %zu %s</span>"
                    "</button></li>\n",
                    s->word, s->word, s->shape, d->count[k], s->word);
        }
    }
    fputs("</ul>\n", out);
}

static bool is_odd(const fnr_report_row *r, const digest *d)
{
    return counts_as_placed(r) && (fabs(remainder(r->rotation_deg - d->rotation, 360.0)) > odd_rotation_deg ||
                                   fabs(r->scale / d->scale - 1.0) > odd_scale);
}

/* A file turned by a quarter or half of a circle is no wrong match. */
static void write_turn(FILE *out, double apart_deg)
{
    const double quarters = round(fabs(apart_deg) / 90);
    if (quarters > 0 && fabs(fabs(apart_deg) - 90 * quarters) <= turned_within_deg) {
        fprintf(out, " (the file is turned by %.0f\xC2\xB0)", 90 * quarters);
    }
}

/* Do the registered tiles agree with each other, and which do not? */
static void write_agreement(FILE *out, const fnr_report_table *t, const digest *d)
{
    size_t odd = 0;
    for (size_t i = 0; i < t->n_rows; i++) {
        odd += is_odd(&t->rows[i], d);
    }
    if (odd == 0) {
        fputs("<dt>agreement</dt><dd>all registered tiles share one rotation and scale</dd>\n", out);
        return;
    }
    fprintf(out,
            "<dt>agreement</dt><dd class=\"doubtful\"><span class=\"badge doubtful\">\xE2\x96\xB2</span> %zu %s from the others "
            "in rotation or scale: ",
            odd, odd == 1 ? "tile differs" : "tiles differ");
    size_t named = 0;
    for (size_t i = 0; i < t->n_rows && named < NAMED_MAX; i++) {
        if (is_odd(&t->rows[i], d)) {
            fputs(named++ ? ", " : "", out);
            link_to(out, &t->rows[i], i + 1);
            write_turn(out, remainder(t->rows[i].rotation_deg - d->rotation, 360.0));
        }
    }
    fputs(odd > named ? ", \xE2\x80\xA6</dd>\n" : "</dd>\n", out);
}

/* Middle and worst of what the program expects to be off, over all tiles that have a place. */
static void write_expected(FILE *out, const fnr_report_table *t)
{
    double *v = calloc(t->n_rows + 1, sizeof *v);
    size_t n = 0;
    for (size_t i = 0; v && i < t->n_rows; i++) {
        if (t->rows[i].has_transform && isfinite(t->rows[i].expected_error_px)) {
            v[n++] = t->rows[i].expected_error_px;
        }
    }
    const double middle = median(v, n);
    if (n) {
        fprintf(out, "<dt>expected error</dt><dd><b>%.2f px</b> of the MBP image, worst tile %.2f px</dd>\n", middle, v[n - 1]);
    }
    free(v);
}

/* What to do now, in one sentence. */
static void write_next(FILE *out, const fnr_report_table *t, const digest *d)
{
    const size_t ask = d->count[FNR_DOUBTFUL] + d->count[FNR_FAILED], usable = d->count[FNR_REGISTERED] + d->count[FNR_BY_NEIGHBOURS];
    if (t->n_rows == 0) {
        return;
    }
    if (ask == 0 && usable > 0) {
        fputs("<p>Nothing needs a decision. To be sure, blink through the tiles below: <kbd>j</kbd> next, <kbd>b</kbd> blink.</p>\n", out);
    } else if (ask > 0) {
        fprintf(out, "<p>%zu tile%s a decision: <kbd>j</kbd> next, <kbd>b</kbd> blink, <kbd>a</kbd> accept, <kbd>r</kbd> reject.</p>\n", ask,
                ask == 1 ? " needs" : "s need");
    }
}

/* Doubtful and failed tiles with their reasons. */
static void write_attention(FILE *out, const fnr_report_table *t, const digest *d)
{
    const size_t all = d->count[FNR_DOUBTFUL] + d->count[FNR_FAILED];
    size_t named = 0;
    if (all == 0) {
        return;
    }
    fputs("<h2>To look at</h2>\n<ul>\n", out);
    for (size_t i = 0; i < t->n_rows && named < NAMED_MAX; i++) {
        const fnr_report_row *r = &t->rows[i];
        if (r->verdict == FNR_DOUBTFUL || r->verdict == FNR_FAILED) {
            fputs("<li>", out);
            link_to(out, r, i + 1);
            fputs(r->verdict == FNR_FAILED ? ", failed: " : ", doubtful: ", out);
            fnr_report_text(out, r->reason);
            fputs("</li>\n", out);
            named++;
        }
    }
    if (all > named) {
        fprintf(out, "<li>and %zu more in the table</li>\n", all - named);
    }
    fputs("</ul>\n", out);
}

void fnr_report_write_summary(FILE *out, const fnr_report_table *t)
{
    const digest d = digest_of(t);
    fputs("<div class=\"top\">\n<section id=\"summary\">\n", out); /* the map is the other column */
    write_counts(out, t, &d);
    write_next(out, t, &d);
    if (isfinite(d.scale)) {
        fputs("<dl class=\"facts\">\n", out);
        write_expected(out, t);
        fprintf(out, "<dt>rotation</dt><dd><b>%.2f\xC2\xB0</b> (%.2f to %.2f)</dd>\n",
                remainder(d.rotation, 360.0), d.rotation_lo, d.rotation_hi);
        fprintf(out, "<dt>scale</dt><dd><b>%.4f</b> of nominal (%.4f to %.4f)</dd>\n", d.scale, d.scale_lo, d.scale_hi);
        if (isfinite(d.score)) {
            fprintf(out, "<dt>score</dt><dd><b>%.2f</b>, worst %.2f</dd>\n", d.score, d.score_lo);
        }
        if (isfinite(d.error)) {
            fprintf(out, "<dt>error</dt><dd><b>%.2f px</b> mean distance from the known truth, worst tile %.2f px</dd>\n",
                    d.error, d.error_hi);
        }
        write_agreement(out, t, &d);
        fputs("</dl>\n", out);
    }
    write_attention(out, t, &d);
    fputs("</section>\n", out);
}
