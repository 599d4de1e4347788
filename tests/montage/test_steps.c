#include "tests/support/support.h"

#include "montage/neighbours.h"

enum { ROWS = 5, COLS = 3 };

/* The pairs of a 5 x 3 grid of 100 x 80 px tiles, matched at steps of 90 (75 to the last column) and 70 px, columns running left. */
static void matched_grid(fnr_tileset *set, fnr_neighbours *list)
{
    fnr_error err = {0};
    const fnr_stitch_options opt = FNR_STITCH_DEFAULTS;
    *set = (fnr_tileset){0};
    for (int i = 0; i < ROWS * COLS; i++) {
        char name[32];
        snprintf(name, sizeof name, "r%d-c%d.tif", i / COLS, i % COLS);
        assert_ok(fnr_tileset_add(set, name, &err), err);
        set->tiles[i].w = 100;
        set->tiles[i].h = 80;
    }
    assert_ok(fnr_neighbours_find(list, set, &opt, &err), err);
    assert_int_equal(list->count, ROWS * (COLS - 1) + (ROWS - 1) * COLS);
    for (size_t i = 0; i < list->count; i++) {
        fnr_neighbour_pair *p = &list->pairs[i];
        const bool row = p->kind == FNR_PAIR_IN_ROW;
        p->accepted = true;
        p->link.significance = 10;
        p->link.dx = row ? (p->line == 0 ? -90 : -75) : 2;
        p->link.dy = row ? -3 : 70;
    }
}

static fnr_neighbour_pair *pair_of(fnr_neighbours *list, int a, int b)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->pairs[i].link.a == a && list->pairs[i].link.b == b) {
            return &list->pairs[i];
        }
    }
    fail_msg("tiles %d and %d are no pair", a, b);
    return NULL;
}

static void contradictions_are_taken_back(void **state)
{
    (void)state;
    const fnr_stitch_options opt = FNR_STITCH_DEFAULTS;
    fnr_tileset set;
    fnr_neighbours list;
    matched_grid(&set, &list);
    fnr_neighbour_pair *turned = pair_of(&list, 3, 4), *far = pair_of(&list, 7, 8), *missing = pair_of(&list, 9, 12);
    turned->link.dx = 90; /* to the right, where all others run left */
    far->link.dx = -75 - 20;
    missing->accepted = false;
    assert_int_equal(fnr_neighbours_learn_steps(&list, &set, &opt), 3);
    size_t accepted = 0;
    for (size_t i = 0; i < list.count; i++) {
        accepted += list.pairs[i].accepted;
    }
    assert_int_equal(accepted, list.count - 3);
    assert_false(turned->accepted || far->accepted);
    /* Each is to be looked for at its own line's step, 12 % of a tile around. */
    assert_true(turned->n_boxes == 1 && turned->located && far->n_boxes == 1 && missing->n_boxes == 1);
    assert_at_most(fabs(turned->boxes[0].x0 - (-90 - 12)), 1e-9);
    assert_at_most(fabs(turned->boxes[0].y1 - (-3 + 9.6)), 1e-9);
    assert_at_most(fabs(far->boxes[0].x1 - (-75 + 12)), 1e-9);
    assert_at_most(fabs(missing->boxes[0].x0 - (2 - 12)), 1e-9);
    assert_at_most(fabs(missing->boxes[0].y0 - (70 - 9.6)), 1e-9);
    fnr_neighbours_free(&list);
    fnr_tileset_free(&set);
}

/* Too few pairs in the line to tell which is wrong: the direction of all others tells. */
static void direction_decides_in_short_lines(void **state)
{
    (void)state;
    const fnr_stitch_options opt = FNR_STITCH_DEFAULTS;
    fnr_tileset set;
    fnr_neighbours list;
    matched_grid(&set, &list);
    fnr_neighbour_pair *missing = pair_of(&list, 0, 3), *upward = pair_of(&list, 1, 4);
    missing->accepted = false;
    upward->link.dy = -70;
    assert_int_equal(fnr_neighbours_learn_steps(&list, &set, &opt), 2);
    assert_false(upward->accepted);
    assert_at_most(fabs(upward->boxes[0].y0 - (70 - 9.6)), 1e-9);
    fnr_neighbours_free(&list);
    fnr_tileset_free(&set);
}

static void nothing_matched_nothing_learnt(void **state)
{
    (void)state;
    const fnr_stitch_options opt = FNR_STITCH_DEFAULTS;
    fnr_tileset set;
    fnr_neighbours list;
    matched_grid(&set, &list);
    for (size_t i = 0; i < list.count; i++) {
        list.pairs[i].accepted = false;
    }
    assert_int_equal(fnr_neighbours_learn_steps(&list, &set, &opt), 0);
    assert_int_equal(list.pairs[0].n_boxes, FNR_NEIGHBOUR_BOXES);
    fnr_neighbours_free(&list);
    fnr_tileset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(contradictions_are_taken_back), cmocka_unit_test(direction_decides_in_short_lines),
                                       cmocka_unit_test(nothing_matched_nothing_learnt)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
