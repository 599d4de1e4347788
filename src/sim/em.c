#include "src/sim/em.h"

#include <math.h>
#include "src/core/threads.h"
#include "src/sim/noise.h"

/* Grey levels as in the nerve micrographs: 0 black, 255 white. */
static const float GREY_RESIN = 228, GREY_SPACE = 184, GREY_CYTOPLASM = 84, GREY_AXON = 122, GREY_BUNDLE_AXON = 108;
static const float GREY_MYELIN = 26, GREY_MEMBRANE = 48, GREY_NUCLEUS = 72, GREY_MITOCHONDRION = 66, GREY_BODY = 16,
                   GREY_BLOOD = 34;

enum { BAND_ROWS = 32 }; /* rows drawn by one task */

/* One point of a cell being shaded. */
typedef struct {
    const fnr_sim_scene *scene;
    const fnr_sim_cell *cell;
    fnr_sim_near near;
    double x, y; /* [nm] */
    float nm;    /* pixel size */
} spot;

/* Share of the pixel with distance < 0, for an edge that crosses it. */
static float inside(float distance, float nm)
{
    const float share = 0.5f - distance / nm;
    return share < 0.0f ? 0.0f : share > 1.0f ? 1.0f : share;
}

/* Share of the pixel covered by a line of the given half-width at distance 0. */
static float line(float distance, float half, float nm)
{
    return inside(fabsf(distance) - half, nm) * fminf(1.0f, 2.0f * half / nm);
}

static float mix(float a, float b, float share)
{
    return a + (b - a) * share;
}

static float texture(const spot *p, int channel, float spacing_nm)
{
    return fnr_sim_noise(p->cell->key + (uint64_t)channel, p->x / (double)spacing_nm, p->y / (double)spacing_nm);
}

/* Ground substance: collagen in cut fibrils, fading into empty resin. */
static float shade_space(uint64_t seed, double x, double y)
{
    const float resin = fnr_sim_fractal(seed ^ 1, x / 6000.0, y / 6000.0);
    const float fibrils = fnr_sim_noise(seed ^ 2, x / 45.0, y / 45.0);
    const float cloud = fnr_sim_fractal(seed ^ 3, x / 900.0, y / 900.0);
    const float share = inside(0.15f - resin, 0.25f); /* share of empty resin */
    const float tissue = GREY_SPACE + 12.0f * cloud + fibrils * (10.0f + 9.0f * cloud);
    return mix(tissue, GREY_RESIN + 5.0f * cloud, share);
}

/* Cytoplasm of Schwann and other cells: granular, with darker strands of reticulum. */
static float shade_cytoplasm(const spot *p, float level)
{
    const float strands = texture(p, 1, 140.0f), grain = texture(p, 2, 36.0f);
    return level + 14.0f * grain - 20.0f * inside(0.4f - strands, 0.1f) + 5.0f * texture(p, 3, 700.0f);
}

/* Axoplasm: neurofilaments as fine grain, microtubules as dark dots. */
static float shade_axoplasm(const spot *p, float level)
{
    const float dots = texture(p, 4, 62.0f), grain = texture(p, 5, 28.0f);
    return level + 14.0f * grain - fmaxf(0.0f, dots - 0.3f) * 90.0f + 7.0f * texture(p, 6, 400.0f);
}

/* Local coordinates of a part, relative to its semi-axes; first-order distance to its edge. */
static float part_distance(const fnr_sim_part *part, double x, double y, float *along)
{
    const float dx = (float)(x - part->x), dy = (float)(y - part->y);
    const float p = (part->cos * dx + part->sin * dy) / part->a, q = (part->cos * dy - part->sin * dx) / part->b;
    const float rho = fmaxf(sqrtf(p * p + q * q), 1e-4f);
    const float gp = p / (rho * part->a), gq = q / (rho * part->b);
    *along = p * part->a;
    return (rho - 1.0f) / sqrtf(gp * gp + gq * gq);
}

static float shade_part(const spot *p, const fnr_sim_part *part, float under)
{
    float along;
    const float d = part_distance(part, p->x, p->y, &along);
    if (d > p->nm) {
        return under;
    }
    float value;
    if (part->kind == FNR_SIM_MITOCHONDRION) {
        const float wobble = fnr_sim_noise(part->key, p->x / 70.0, p->y / 70.0);
        value = GREY_MITOCHONDRION * part->shade + 15.0f * sinf(along * 0.09f + 3.0f * wobble);
        value = mix(value, GREY_MEMBRANE, line(d + 12.0f, 12.0f, p->nm));
    } else if (part->kind == FNR_SIM_ERYTHROCYTE) {
        value = GREY_BLOOD * part->shade + 3.0f * fnr_sim_noise(part->key, p->x / 300.0, p->y / 300.0);
    } else {
        value = mix(165.0f, GREY_MEMBRANE, line(d + 10.0f, 10.0f, p->nm)); /* vesicle */
    }
    return mix(under, value, inside(d, p->nm));
}

static float shade_parts(const spot *p, float under)
{
    for (size_t i = 0; i < p->cell->n_parts; i++) {
        const fnr_sim_part *part = &p->scene->parts[p->cell->first_part + i];
        if (fabs(p->x - part->x) < (double)part->a + 20.0 && fabs(p->y - part->y) < (double)part->a + 20.0) {
            under = shade_part(p, part, under);
        }
    }
    return under;
}

/* Compact myelin: lamellae too fine to resolve leave a faint periodic grain; folds and knife chatter darken blots of it, and
 * clefts open between lamellae here and there. */
static float shade_myelin(const spot *p, float depth)
{
    const float along = p->near.turn;
    const float blots = fnr_sim_fractal(p->cell->key + 7, p->x / 330.0, p->y / 330.0);
    const float cleft = fnr_sim_noise(p->cell->key + 8, (double)along / 7.0, (double)depth / 160.0);
    float value = GREY_MYELIN + 3.0f * sinf(depth * 0.31f) + 3.0f * texture(p, 9, 60.0f);
    value = mix(value, 7.0f, inside(0.22f - blots, 0.12f));
    return mix(value, 88.0f, 0.8f * inside(0.7f - cleft, 0.05f));
}

float fnr_sim_myelin_share(const fnr_sim_cell *fibre, const fnr_sim_near *near, float nm)
{
    return inside(near->distance, nm) * inside(-near->distance - fnr_sim_ring_at(&fibre->wall, near->turn), nm);
}

static float shade_fibre(const spot *p, float under)
{
    const float d = p->near.distance, wall = fnr_sim_ring_at(&p->cell->wall, p->near.turn);
    const float skirt = fnr_sim_ring_at(&p->cell->skirt, p->near.turn);
    float value = under;
    if (d > -p->nm) { /* Schwann cytoplasm and its membrane */
        float outer = skirt > 70.0f ? shade_cytoplasm(p, GREY_CYTOPLASM) : GREY_CYTOPLASM;
        outer = mix(outer, GREY_MEMBRANE, line(d - skirt + 10.0f, 10.0f, p->nm));
        value = mix(value, outer, inside(d - skirt, p->nm));
    }
    if (d < p->nm) { /* the axon with its membrane and the thin space round it, then myelin over that */
        const float core = d + wall;
        float axon = core < p->nm ? shade_parts(p, shade_axoplasm(p, GREY_AXON * p->cell->shade)) : GREY_AXON;
        axon = mix(axon, GREY_MEMBRANE, 0.8f * line(core + 34.0f, 9.0f, p->nm));
        axon = mix(axon, 150.0f, 0.7f * line(core + 14.0f, 10.0f, p->nm));
        value = mix(value, axon, inside(d, p->nm));
        value = mix(value, shade_myelin(p, -d), fnr_sim_myelin_share(p->cell, &p->near, p->nm));
    }
    return value;
}

static float shade_nucleus(const spot *p, float under)
{
    const float d = p->near.distance, core = d + fnr_sim_ring_at(&p->cell->wall, p->near.turn);
    float value =
        mix(shade_cytoplasm(p, GREY_CYTOPLASM * (0.5f + 0.5f * p->cell->shade)), GREY_MEMBRANE, line(d + 10.0f, 10.0f, p->nm));
    if (core < p->nm) {
        const float clumps = fnr_sim_fractal(p->cell->key + 10, p->x / 800.0, p->y / 800.0);
        const float rim = inside(-core - 130.0f, 120.0f);
        float chromatin = (GREY_NUCLEUS + 12.0f * texture(p, 11, 45.0f) + 14.0f * texture(p, 12, 150.0f)) * p->cell->shade;
        chromatin *= 1.0f - 0.35f * fmaxf(rim, inside(0.22f - clumps, 0.15f));
        chromatin = mix(chromatin, GREY_MEMBRANE * 0.8f, line(core + 12.0f, 14.0f, p->nm));
        value = mix(value, chromatin, inside(core, p->nm));
    }
    return mix(under, value, inside(d, p->nm));
}

static float shade_vessel(const spot *p, float under)
{
    const float d = p->near.distance, core = d + fnr_sim_ring_at(&p->cell->wall, p->near.turn);
    float value = mix(shade_cytoplasm(p, GREY_CYTOPLASM * p->cell->shade), GREY_MEMBRANE, line(d + 10.0f, 10.0f, p->nm));
    if (core < p->nm) {
        float lumen = shade_parts(p, GREY_RESIN + 6.0f + 3.0f * texture(p, 13, 300.0f));
        lumen = mix(lumen, GREY_MEMBRANE, line(core, 10.0f, p->nm));
        value = mix(value, lumen, inside(core, p->nm));
    }
    return mix(under, value, inside(d, p->nm));
}

/* Axons in a Schwann cell: each owns the ground nearer to it than to the others, up to its own radius; cytoplasm between. */
static float shade_bundle(const spot *p, float under)
{
    const float d = p->near.distance;
    float value = shade_cytoplasm(p, GREY_CYTOPLASM * p->cell->shade), nearest = 1e9f, second = 1e9f;
    const fnr_sim_part *owner = NULL;
    for (size_t i = 0; i < p->cell->n_parts; i++) {
        const fnr_sim_part *axon = &p->scene->parts[p->cell->first_part + i];
        const float dx = (float)(p->x - axon->x), dy = (float)(p->y - axon->y), r = sqrtf(dx * dx + dy * dy) - axon->a;
        second = fminf(second, fmaxf(r, nearest));
        owner = r < nearest ? axon : owner;
        nearest = fminf(nearest, r);
    }
    if (owner) {
        const float wobble = 40.0f * texture(p, 14, 260.0f);
        /* edge of the axon: its radius (with some slack), the border to the next axon, the bundle's own outline */
        const float edge = fmaxf(fmaxf(nearest - 0.35f * owner->a + wobble, 0.5f * (nearest - second) + 22.0f), d + 55.0f);
        float axon = shade_axoplasm(p, GREY_BUNDLE_AXON * owner->shade);
        const float blob = fnr_sim_noise(owner->key, p->x / 170.0, p->y / 170.0);
        axon = mix(axon, GREY_MITOCHONDRION, inside(0.5f - blob, 0.08f)); /* a mitochondrion cut across */
        axon = mix(axon, GREY_MEMBRANE, 0.9f * line(edge + 9.0f, 10.0f, p->nm));
        value = mix(value, axon, inside(edge, p->nm));
    }
    value = mix(value, GREY_MEMBRANE, 0.8f * line(d + 10.0f, 10.0f, p->nm));
    return mix(under, value, inside(d, p->nm));
}

static float shade_process(const spot *p, float under)
{
    const float d = p->near.distance;
    const float value = mix(shade_cytoplasm(p, GREY_CYTOPLASM * p->cell->shade), GREY_MEMBRANE, line(d + 10.0f, 10.0f, p->nm));
    return mix(under, value, inside(d, p->nm));
}

static float shade_body(const spot *p, float under)
{
    const float d = p->near.distance;
    const float value = GREY_BODY * p->cell->shade + 4.0f * texture(p, 15, 50.0f);
    return mix(under, value, inside(d, p->nm));
}

typedef float (*shader)(const spot *p, float under);

static const shader shaders[] = {
    [FNR_SIM_VESSEL] = shade_vessel, [FNR_SIM_NUCLEUS] = shade_nucleus, [FNR_SIM_PROCESS] = shade_process,
    [FNR_SIM_BUNDLE] = shade_bundle, [FNR_SIM_BODY] = shade_body,       [FNR_SIM_FIBRE] = shade_fibre,
};

static float shade_share(const spot *p, float under)
{
    return fmaxf(under, fnr_sim_myelin_share(p->cell, &p->near, p->nm));
}

typedef struct {
    const fnr_sim_scene *scene;
    const fnr_sim_window *window;
    const fnr_view *out;
    bool em; /* else the myelin mask */
} drawing;

/* Rows y0 .. y1-1 of one cell. */
static void draw_cell(const drawing *d, const fnr_sim_cell *cell, shader shade, int y0, int y1)
{
    const fnr_sim_window *w = d->window;
    const double reach = (double)cell->reach + w->nm;
    const int left = (int)fmax(0.0, floor((cell->outline.x - reach - w->x0) / w->nm));
    const int right = (int)fmin(d->out->w - 1.0, ceil((cell->outline.x + reach - w->x0) / w->nm));
    const int top = (int)fmax(y0, floor((cell->outline.y - reach - w->y0) / w->nm));
    const int bottom = (int)fmin(y1 - 1.0, ceil((cell->outline.y + reach - w->y0) / w->nm));
    spot p = {.scene = d->scene, .cell = cell, .nm = (float)w->nm};
    for (int j = top; j <= bottom; j++) {
        float *row = fnr_at(d->out, 0, j, 0, 0);
        p.y = w->y0 + j * w->nm;
        for (int i = left; i <= right; i++) {
            p.x = w->x0 + i * w->nm;
            p.near = fnr_sim_shape_near(&cell->outline, p.x, p.y);
            if (p.near.distance < fnr_sim_cell_skirt(cell, p.near.turn) + p.nm) {
                row[i] = shade(&p, row[i]);
            }
        }
    }
}

static void draw_band(void *ctx, size_t band)
{
    const drawing *d = ctx;
    const fnr_sim_window *w = d->window;
    const int y0 = (int)band * BAND_ROWS, y1 = y0 + BAND_ROWS < d->out->h ? y0 + BAND_ROWS : d->out->h;
    for (int j = y0; j < y1; j++) {
        float *row = fnr_at(d->out, 0, j, 0, 0);
        for (int i = 0; i < d->out->w; i++) {
            row[i] = d->em ? shade_space(d->scene->seed, w->x0 + i * w->nm, w->y0 + j * w->nm) : 0.0f;
        }
    }
    const fnr_sim_rect area = {w->x0 - w->nm, w->y0 + (y0 - 1) * w->nm, w->x0 + d->out->w * w->nm, w->y0 + y1 * w->nm};
    for (size_t k = 0; k < d->scene->n_cells; k++) {
        const fnr_sim_cell *cell = &d->scene->cells[k];
        if (fnr_sim_touches(cell, &area) && (d->em || cell->kind == FNR_SIM_FIBRE)) {
            draw_cell(d, cell, d->em ? shaders[cell->kind] : shade_share, y0, y1);
        }
    }
}

static void draw(drawing *d)
{
    fnr_parallel_for((size_t)((d->out->h + BAND_ROWS - 1) / BAND_ROWS), draw_band, d);
}

void fnr_sim_draw_em(const fnr_sim_scene *s, const fnr_sim_window *window, fnr_view *out)
{
    draw(&(drawing){.scene = s, .window = window, .out = out, .em = true});
}

void fnr_sim_draw_myelin(const fnr_sim_scene *s, const fnr_sim_window *window, fnr_view *out)
{
    draw(&(drawing){.scene = s, .window = window, .out = out, .em = false});
}
