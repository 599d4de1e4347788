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

/* A doubtful tile is worth asking about; one that was placed, shows nothing or was judged by a person is not. */
static bool in_question(const fnr_section_tile *t)
{
    return t->reg.verdict == FNR_DOUBTFUL && t->review.decision == FNR_UNREVIEWED;
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

void fnr_section_append_reason(fnr_section_tile *t, const char *text)
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
            fnr_section_append_reason(t, text);
            fnr_log_warn(s->run->log, "%s: %s", t->name, text);
        }
    }
}

/* One guess about the montage, and how well the tiles asked match under it. */
typedef struct {
    char how[80], todo[40];
    double scores[MOST_TILES];
    double mean; /* of those that match; 0 when half of them or fewer do */
} guess;

static void sum_up(guess *g, size_t n)
{
    size_t yes = 0;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(g->scores[i])) {
            g->mean += g->scores[i];
            yes++;
        }
    }
    g->mean = 2 * yes > n ? g->mean / (double)yes : 0;
}

static void guess_pixels(const fnr_section *s, fnr_probe what, const size_t *which, size_t n, guess *g)
{
    const double nm = what == FNR_PROBE_DOUBLE ? 2 * s->if_nm : 0.5 * s->if_nm;
    for (size_t i = 0; i < n; i++) {
        g->scores[i] = probe(s, s->target, &s->tiles[which[i]], what);
    }
    snprintf(g->how, sizeof g->how, "if the montage's pixels are %.4g nm instead of %.4g", nm, s->if_nm);
    snprintf(g->todo, sizeof g->todo, "--if-nm %.4g", nm);
    sum_up(g, n);
}

static void guess_contrast(const fnr_section *s, const size_t *which, size_t n, guess *g)
{
    fnr_register_options o = s->run->config.reg;
    o.invert = !o.invert;
    fnr_target *inverted = fnr_target_new(&s->montage.v, s->if_nm, &o, NULL);
    for (size_t i = 0; i < n; i++) {
        g->scores[i] = inverted ? probe(s, inverted, &s->tiles[which[i]], FNR_PROBES) : NAN;
    }
    fnr_target_free(inverted);
    snprintf(g->how, sizeof g->how, "better inverted");
    snprintf(g->todo, sizeof g->todo, "--set register.invert=%s", o.invert ? "true" : "false");
    sum_up(g, n);
}

/* The best guess is said once for the section and in the tiles that agree. */
static void ask_about_montage(fnr_section *s)
{
    size_t which[MOST_TILES];
    const size_t n = choose(s, which, MOST_TILES);
    guess g[3] = {0};
    const guess *best = g;
    char text[160];
    guess_contrast(s, which, n, &g[0]);
    guess_pixels(s, FNR_PROBE_DOUBLE, which, n, &g[1]);
    guess_pixels(s, FNR_PROBE_HALF, which, n, &g[2]);
    for (size_t k = 1; k < 3; k++) {
        best = g[k].mean > best->mean ? &g[k] : best;
    }
    if (!(best->mean > 0)) {
        return;
    }
    snprintf(text, sizeof text, "matches %s (r = %.2f): repeat with %s", best->how, best->mean, best->todo);
    fnr_log_warn(s->run->log, "no tile could be placed; the section %s", text);
    for (size_t i = 0; i < n; i++) {
        if (isfinite(best->scores[i])) {
            fnr_section_append_reason(&s->tiles[which[i]], text);
        }
    }
}

void fnr_section_ask_why(fnr_section *s)
{
    size_t placed = 0, questions = 0;
    for (size_t i = 0; i < s->n_tiles; i++) {
        placed += has_place(&s->tiles[i]);
        questions += in_question(&s->tiles[i]);
    }
    if (questions > 0 && placed == 0) {
        ask_about_montage(s);
    }
    if (questions > 0) {
        ask_about_mirrors(s);
    }
}
