/* Files that were turned by quarters of a circle against the other tiles of the section: their places are right, but whoever wrote the
 * files should know, and TrakEM2's grid of the section would not fit them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/pipeline/section.h"

/* Tiles of one section share their rotation to well below this. */
static const double alike_deg = 5;

static bool alike(double a, double b)
{
    return fabs(remainder(a - b, 360.0)) <= alike_deg;
}

static bool asked(const fnr_section_tile *t)
{
    return t->reg.verdict == FNR_REGISTERED && t->reg.has_transform;
}

/* Registered tiles that share the rotation of tile i. */
static size_t company(const fnr_section *s, size_t i)
{
    size_t n = 0;
    for (size_t k = 0; k < s->n_tiles; k++) {
        n += asked(&s->tiles[k]) && alike(s->tiles[k].reg.rotation_deg, s->tiles[i].reg.rotation_deg);
    }
    return n;
}

/* 90, 180 or 270 when the tile is turned by that against the rotation `most` share; else 0. */
static int turned_by(const fnr_section_tile *t, double most)
{
    for (int turn = 90; asked(t) && turn < 360; turn += 90) {
        if (alike(t->reg.rotation_deg, most + turn)) {
            return turn;
        }
    }
    return 0;
}

void fnr_section_say_turned(fnr_section *s)
{
    size_t most = 0, reference = 0, turned = 0;
    const char *first = NULL;
    int by = 0;
    for (size_t i = 0; i < s->n_tiles; i++) {
        const size_t n = asked(&s->tiles[i]) ? company(s, i) : 0;
        reference = n > most ? i : reference;
        most = n > most ? n : most;
    }
    for (size_t i = 0; i < s->n_tiles; i++) {
        fnr_section_tile *t = &s->tiles[i];
        const int turn = turned_by(t, s->tiles[reference].reg.rotation_deg);
        if (turn) {
            char text[96];
            snprintf(text, sizeof text, "the file is turned by %d degrees against %zu other tile%s", turn, most, most == 1 ? "" : "s");
            fnr_section_append_reason(t, text);
            first = turned++ ? first : t->name;
            by = turned == 1 ? turn : by;
        }
    }
    if (turned) {
        fnr_log_warn(s->run->log, "%zu registered tile%s turned by quarters of a circle against %zu others (%s by %d degrees): were the files turned?",
                     turned, turned == 1 ? " is" : "s are", most, first, by);
    }
}
