/* The settings table against the modules it configures. */
#include "tests/support/support.h"

#include "src/pipeline/config.h"

static void defaults_agree_with_the_register_module(void **state)
{
    (void)state;
    fnr_config c;
    fnr_error err = {0};
    assert_ok(fnr_config_load(&c, NULL, &err), err);
    assert_ok(fnr_config_finish(&c, &err), err);
    const fnr_register_options a = c.reg, b = fnr_register_defaults();
    const double table[][2] = {{a.scale_min, b.scale_min}, {a.scale_max, b.scale_max}, {a.rotation_min_deg, b.rotation_min_deg},
                               {a.rotation_max_deg, b.rotation_max_deg}, {a.content_level, b.content_level}, {a.content_fraction, b.content_fraction},
                               {a.candidates, b.candidates}, {a.min_score, b.min_score}, {a.min_peak_ratio, b.min_peak_ratio},
                               {a.max_flow_px, b.max_flow_px}, {a.model, b.model}, {a.content_contrast, b.content_contrast},
                               {a.min_overlap, b.min_overlap}, {a.min_flow_inliers, b.min_flow_inliers}, {a.compression_knee, b.compression_knee},
                               {a.max_expected_error_px, b.max_expected_error_px}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i][0] != table[i][1]) {
            fail_msg("row %zu: the table says %g, the module %g", i, table[i][0], table[i][1]);
        }
    }
}

/* The paper's recipe, as the paper gives it. */
static void paper_recipe(void **state)
{
    (void)state;
    fnr_config c;
    fnr_error err = {0};
    assert_ok(fnr_config_load(&c, "configs/em-mbp-paper.ini", &err), err);
    assert_ok(fnr_config_finish(&c, &err), err);
    assert_int_equal(c.train.steps, 50000);
    assert_int_equal(c.train.sampler.batch, 32);
    assert_int_equal(c.train.sampler.patch_w, 256);
    assert_int_equal(c.net.base_channels, 32);
    assert_int_equal(c.net.depth, 4);
    assert_true(c.net.pixel_nm == 10 && c.train.adam.lr == 1e-3 && c.train.adam.beta1 == 0.5 && c.train.adam.beta2 == 0.999);
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    fnr_config c;
    fnr_error err = {0};
    assert_ok(fnr_config_load(&c, NULL, &err), err);
    assert_ok(fnr_settings_set(&fnr_config_table, &c, "train.patch", "72", "test", &err), err);
    assert_ok(fnr_settings_set(&fnr_config_table, &c, "net.depth", "4", "test", &err), err);
    assert_false(fnr_config_finish(&c, &err));
    assert_non_null(strstr(err.message, "train.patch = 72 is not a multiple of 2^net.depth = 16"));
    assert_int_equal(err.code, FNR_E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_agree_with_the_register_module),
        cmocka_unit_test(paper_recipe),
        cmocka_unit_test(contradictions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
