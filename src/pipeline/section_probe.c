/* When tiles with myelin find no place: is the montage inverted, a pixel size wrong by a factor of two, a tile a mirror image?
 * Said, never acted upon. */
#include <math.h>
#include <stdlib.h>

#include "src/core/mem.h"
#include "src/pipeline/section.h"

enum { MOST_TILES = 3, MOST_MIRRORED = 6 };

static bool has_place(const fnr_section_tile *t)
{
    return t->reg.verdict == FNR_REGISTERED || t->reg.verdict == FNR_BY_NEIGHBOURS;
}

/* A doubtful tile is worth asking about; a tile that was placed or shows nothing is not. */
static bool in_question(const fnr_section_tile *t)
{
    return t->reg.verdict == FNR_DOUBTFUL || (t->reg.verdict == FNR_FAILED && t->w > 0);
}

/* Indices of the tiles in question, most content first, at most `most`. */
static size_t choose(const fnr_section *s, size_t *out, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_tiles; i++) {
        size_t k = n;
        if (!in_question(&s->tiles[i])) {
            continue;
        }
        while (k > 0 && s->tiles[out[k - 1]].reg.content < s->tiles[i].reg.content) {
            k--;
        }
        if (k == most) {
            continue;
        }
        n += n < most;
        for (size_t m = n - 1; m > k; m--) {
            out[m] = out[m - 1];
        }
        out[k] = i;
    }
    return n;
}

static void append_reason(fnr_section_tile *t, const char *text)
{
    char was[sizeof t->reg.reason];
    snprintf(was, sizeof was, "%s", t->reg.reason);
    snprintf(t->reg.reason, sizeof t->reg.reason, "%.120s%s%.125s", was, was[0] ? "; " : "", text);
}

/* Does the tile register as a mirror image (or on another pixel size, or against `target`, which may be inverted)?  NAN: no. */
static double probe(const fnr_section *s, const fnr_target *target, const fnr_section_tile *t, int what)
{
    fnr_image prediction = {0};
    fnr_registration r = {.verdict = FNR_DOUBTFUL};
    const fnr_register_options *o = &s->run->config.reg;
    const bool ok = fnr_section_read_prediction(s, t, &prediction, NULL) &&
                    (what < FNR_PROBES ? fnr_register_probe(target, &prediction.v, (fnr_probe)what, o, s->run->cancel, &r, NULL)
                                       : fnr_register_tile(target, &prediction.v, o, s->run->cancel, &r, NULL));
    fnr_image_free(&prediction);
    return ok && r.verdict == FNR_REGISTERED ? r.score : NAN;
}

static void ask_about_mirrors(fnr_section *s)
{
    size_t which[MOST_MIRRORED];
    const size_t n = choose(s, which, MOST_MIRRORED);
    for (size_t i = 0; i < n; i++) {
        fnr_section_tile *t = &s->tiles[which[i]];
        const double score = probe(s, s->target, t, FNR_PROBE_MIRRORED);
        if (isfinite(score)) {
            char text[128];
            snprintf(text, sizeof text, "it matches as a mirror image (r = %.2f): flip the file", score);
            append_reason(t, text);
            fnr_log_warn(s->run->log, "%s: %s", t->name, text);
        }
    }
}

/* Says it once for the section, when more than half of the tiles asked agree. */
static void conclude(fnr_section *s, const size_t *which, size_t n, const double *scores, const char *how, const char *todo)
{
    double sum = 0;
    size_t yes = 0;
    char text[160];
    for (size_t i = 0; i < n; i++) {
        if (isfinite(scores[i])) {
            sum += scores[i];
            yes++;
        }
    }
    if (2 * yes <= n) {
        return;
    }
    snprintf(text, sizeof text, "matches %s (r = %.2f): repeat with %s", how, sum / (double)yes, todo);
    fnr_log_warn(s->run->log, "no tile could be placed, but it %s", text);
    for (size_t i = 0; i < n; i++) {
        if (isfinite(scores[i])) {
            append_reason(&s->tiles[which[i]], text);
        }
    }
}

static void ask_about_pixels(fnr_section *s, fnr_probe what, const size_t *which, size_t n)
{
    double scores[MOST_TILES];
    char how[80], todo[40];
    const double nm = what == FNR_PROBE_DOUBLE ? 2 * s->if_nm : 0.5 * s->if_nm;
    for (size_t i = 0; i < n; i++) {
        scores[i] = probe(s, s->target, &s->tiles[which[i]], what);
    }
    snprintf(how, sizeof how, "if the montage's pixels are %.4g nm instead of %.4g", nm, s->if_nm);
    snprintf(todo, sizeof todo, "--if-nm %.4g", nm);
    conclude(s, which, n, scores, how, todo);
}

static void ask_about_contrast(fnr_section *s, const size_t *which, size_t n)
{
    double scores[MOST_TILES];
    fnr_register_options o = s->run->config.reg;
    o.invert = !o.invert;
    fnr_target *inverted = fnr_target_new(&s->montage.v, s->if_nm, &o, NULL);
    for (size_t i = 0; i < n; i++) {
        scores[i] = inverted ? probe(s, inverted, &s->tiles[which[i]], FNR_PROBES) : NAN;
    }
    fnr_target_free(inverted);
    conclude(s, which, n, scores, "better inverted", o.invert ? "--set register.invert=true" : "--set register.invert=false");
}

void fnr_section_ask_why(fnr_section *s)
{
    size_t placed = 0, questions = 0;
    for (size_t i = 0; i < s->n_tiles; i++) {
        placed += has_place(&s->tiles[i]);
        questions += in_question(&s->tiles[i]);
    }
    if (questions > 0 && placed == 0) {
        size_t which[MOST_TILES];
        const size_t n = choose(s, which, MOST_TILES);
        ask_about_contrast(s, which, n);
        ask_about_pixels(s, FNR_PROBE_DOUBLE, which, n);
        ask_about_pixels(s, FNR_PROBE_HALF, which, n);
    }
    if (questions > 0) {
        ask_about_mirrors(s);
    }
}
