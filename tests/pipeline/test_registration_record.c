/* What a finished tile's record keeps: everything, to the bit. */
#include "tests/support/support.h"

#include "src/pipeline/registration_record.h"

static fnr_registration sample(void)
{
    fnr_registration r = {.verdict = FNR_DOUBTFUL, .reason = "because, \"so\"", .has_transform = true, .scale = 0.1 + 0.2, .rotation_deg = -179.99999999999997,
                          .score = 1.0 / 3, .peak_ratio = 1.1, .content = 0.05, .flow_inliers = NAN, .flow_rms_px = 0.7, .blur_px = 1.5,
                          .expected_error_px = 5e-324, .flow_apart_px = 0.7, .probability = 0.99, .probability_5px = 2.0 / 3,
                          .has_covariance = true, .n_candidates = 2};
    r.t = (fnr_transform){0.1, 0.2, -0.3, 1.0 / 7, 1e6 / 3, -5, FNR_FRAME_NET, FNR_FRAME_IF};
    for (int i = 0; i < 16; i++) {
        r.covariance[i] = 1.0 / (i + 3);
    }
    for (int i = 0; i < 2; i++) {
        r.candidates[i] = (fnr_candidate){.t = r.t, .scale = 1.0 / (i + 7), .rotation_deg = 0.1 * i, .score = 0.3 * i};
    }
    return r;
}

static void comes_back_to_the_bit(void **state)
{
    (void)state;
    const fnr_registration r = sample();
    fnr_registration back;
    cJSON *json = fnr_registration_to_json(&r);
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    json = cJSON_Parse(text);
    cJSON_free(text);
    assert_true(fnr_registration_from_json(json, &back));
    cJSON_Delete(json);
    assert_int_equal(back.verdict, r.verdict);
    assert_string_equal(back.reason, r.reason);
    assert_true(back.has_transform && back.has_covariance && back.n_candidates == 2);
    assert_memory_equal(&back.t.m00, &r.t.m00, 6 * sizeof(double));
    assert_memory_equal(back.covariance, r.covariance, sizeof r.covariance);
    assert_true(back.scale == r.scale && back.rotation_deg == r.rotation_deg && back.score == r.score && back.peak_ratio == r.peak_ratio);
    assert_true(back.content == r.content && isnan(back.flow_inliers) && back.flow_rms_px == r.flow_rms_px && back.blur_px == r.blur_px);
    assert_true(back.expected_error_px == r.expected_error_px && back.flow_apart_px == r.flow_apart_px);
    assert_true(back.probability == r.probability && back.probability_5px == r.probability_5px);
    for (int i = 0; i < 2; i++) {
        const fnr_candidate *a = &back.candidates[i], *b = &r.candidates[i];
        assert_true(a->scale == b->scale && a->rotation_deg == b->rotation_deg && a->score == b->score);
        assert_memory_equal(&a->t.m00, &b->t.m00, 6 * sizeof(double));
    }
}

static void what_is_no_result_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"{}", "[]", "{\"verdict\":-1}", "{\"verdict\":5}", "{\"verdict\":\"registered\"}", "{\"verdict\":1e300}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        fnr_registration r;
        cJSON *json = cJSON_Parse(texts[i]);
        assert_false(fnr_registration_from_json(json, &r));
        cJSON_Delete(json);
    }
    cJSON *json = cJSON_Parse("{\"verdict\":0,\"net_to_if\":\"1 2 3\",\"covariance\":[1,2],\"candidates\":[{},7]}");
    fnr_registration r;
    assert_true(fnr_registration_from_json(json, &r)); /* damaged parts are missing parts */
    assert_true(!r.has_transform && !r.has_covariance && r.n_candidates == 0 && isnan(r.score));
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_to_the_bit),
        cmocka_unit_test(what_is_no_result_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
