/* The report is read by two outsiders: libxml2 as strict XML, libjpeg for the pictures. */
#include "tests/pipeline/report_page.h"

#include <signal.h>
#include <sys/resource.h>
#include "src/core/fs.h"
#include "src/core/rng.h"
#include "src/pipeline/report.h"

enum { W = 90, H = 60 }; /* of the pictures */

static fnr_report_tile make_tile(const char *name, fnr_verdict verdict)
{
    return (fnr_report_tile){.name = name,
                             .w = 1000,
                             .h = 700,
                             .verdict = verdict,
                             .reason = "because",
                             .has_transform = verdict == FNR_REGISTERED,
                             .tile_to_if = {.m00 = 0, .m10 = 0.1, .m01 = -0.1, .m11 = 0, .m02 = 300, .m12 = 50},
                             .scale = 0.97,
                             .rotation_deg = 90.5,
                             .score = 0.7,
                             .peak_ratio = NAN,
                             .content = 0.12,
                             .flow_inliers = 0.9,
                             .flow_rms_px = 0.4,
                             .expected_error_px = 0.25,
                             .truth_error_px = NAN,
                             .probability = NAN};
}

static fnr_report *open_report(size_t n_tiles, const fnr_view *montage)
{
    fnr_error err = {0};
    const fnr_report_head head = {.title = "case <1> & more", .version = "9.9", .n_tiles = n_tiles, .montage = montage};
    fnr_report *r = fnr_report_open(report_path(), &head, &err);
    if (!r) {
        fail_msg("%s", err.message);
    }
    return r;
}

static void every_tile_is_there_and_text_is_text(void **state)
{
    (void)state;
    static const char *const names[] = {"plain.tif", "<script>alert('x')</script>.tif", "a&amp;b\"'--]]>.tif",
                                        "caf\xC3\xA9 \xE2\x82\xAC.tif", "bad\xFF\x01utf8\xC0\xAF\xED\xA0\x80.tif"};
    static const char *const shown[] = {
        "plain.tif", "<script>alert('x')</script>.tif", "a&amp;b\"'--]]>.tif", "caf\xC3\xA9 \xE2\x82\xAC.tif",
        "bad\\xFF\\x01utf8\\xC0\\xAF\\xED\\xA0\\x80.tif"};
    fnr_error err = {0};
    fnr_report *r = open_report(5, NULL);
    for (int i = 0; i < 5; i++) {
        fnr_report_tile t = make_tile(names[i], (fnr_verdict)(i % 4));
        t.reason = names[i];
        assert_ok(fnr_report_add_tile(r, &t, &err), err);
    }
    const fnr_report_fact facts[] = {{"model", "<b>&.safetensors"}};
    assert_ok(fnr_report_close(r, facts, 1, &err), err);
    page p = read_page();
    assert_true(count(&p, "//h:article") == 5 && count(&p, "//h:tbody/h:tr") == 5);
    assert_true(count(&p, "//h:script") == 1);
    check_text(&p, "//h:h1", "case <1> & more");
    check_text(&p, "//h:section[@id='facts']//h:dd", "<b>&.safetensors");
    for (int i = 0; i < 5; i++) {
        char where[128];
        snprintf(where, sizeof where, "//h:article[@id='tile-%d']//h:h3", i + 1);
        check_text(&p, where, shown[i]);
        snprintf(where, sizeof where, "//h:tbody/h:tr[%d]//h:a[@href='#tile-%d']", i + 1, i + 1);
        check_text(&p, where, shown[i]);
        snprintf(where, sizeof where, "//h:tbody/h:tr[%d]/h:td[last()]", i + 1);
        check_text(&p, where, shown[i]);
    }
    free_page(&p);
}

/* Nothing is fetched: every address is a picture in the file or a place in it. */
static void the_file_stands_alone(void **state)
{
    (void)state;
    fnr_error err = {0};
    float px[W * H] = {0};
    px[0] = 1;
    const fnr_view v = fnr_view_f32(px, W, H);
    fnr_report *r = open_report(1, &v);
    fnr_report_tile t = make_tile("a.tif", FNR_REGISTERED);
    t.em = t.prediction = t.mbp = &v;
    assert_ok(fnr_report_add_tile(r, &t, &err), err);
    assert_ok(fnr_report_close(r, NULL, 0, &err), err);
    page p = read_page();
    assert_true(count(&p, "//@src|//@href") >= 6);
    assert_true(count(&p, "(//@src|//@href)[not(starts-with(., 'data:image/jpeg;base64,')) and not(starts-with(., '#'))]") == 0);
    assert_true(count(&p, "//h:link|//h:iframe|//h:object|//h:embed") == 0);
    assert_null(strstr(p.text, "url("));
    assert_null(strstr(p.text, "@import"));
    free_page(&p);
}

/* Four quarters: nothing, prediction alone, MBP alone, both; EM black but for its right half. */
static void pictures_show_what_was_given(void **state)
{
    (void)state;
    fnr_error err = {0};
    uint8_t em[W * H];
    float prediction[W * H], mbp[W * H];
    for (int i = 0; i < W * H; i++) {
        const int x = i % W, y = i / W;
        em[i] = x < 2 ? 255 : 0; /* a stripe sets the range and stays out of the way */
        prediction[i] = x >= W / 2 ? 3.0f : -1.0f;
        mbp[i] = y >= H / 2 ? 900.0f : 100.0f;
    }
    mbp[7] = NAN;
    const fnr_view e = {.w = W, .h = H, .d = 1, .c = 1, .dtype = FNR_U8, .sx = 1, .sy = W, .sz = W * H, .sc = W * H, .px = em};
    const fnr_view v = fnr_view_f32(prediction, W, H), m = fnr_view_f32(mbp, W, H);
    fnr_report *r = open_report(1, NULL);
    fnr_report_tile t = make_tile("a.tif", FNR_REGISTERED);
    t.em = &e, t.prediction = &v, t.mbp = &m;
    assert_ok(fnr_report_add_tile(r, &t, &err), err);
    assert_ok(fnr_report_close(r, NULL, 0, &err), err);
    page p = read_page();
    static const char *const where[] = {"//h:img[@data-layer='em']/@src", "//h:img[@data-layer='prediction']/@src",
                                        "//h:img[@data-layer='mbp']/@src", "//h:img[@data-layer='overlay']/@src"};
    picture im[4];
    for (int k = 0; k < 4; k++) {
        im[k] = decode(&p, where[k]);
        assert_int_equal(im[k].w, W);
        assert_int_equal(im[k].h, H);
    }
    check_colour(&im[0], 0, 30, 255, 255, 255);
    check_colour(&im[0], 45, 30, 0, 0, 0);
    check_colour(&im[1], 70, 10, 255, 255, 255);
    check_colour(&im[1], 20, 50, 0, 0, 0);
    check_colour(&im[2], 20, 50, 255, 255, 255);
    check_colour(&im[2], 70, 10, 0, 0, 0);
    check_colour(&im[3], 20, 10, 0, 0, 0);
    check_colour(&im[3], 70, 10, 0, 230, 0);
    check_colour(&im[3], 20, 50, 230, 0, 230);
    check_colour(&im[3], 70, 50, 230, 230, 230);
    for (int k = 0; k < 4; k++) {
        free(im[k].rgb);
    }
    free_page(&p);
}

static void the_map_shows_tiles_where_they_lie(void **state)
{
    (void)state;
    fnr_error err = {0};
    static uint16_t px[400 * 300];
    for (int i = 0; i < 400 * 300; i++) {
        px[i] = (uint16_t)(i % 400 < 200 ? 100 : 5000); /* the right half is bright */
    }
    const fnr_view montage = {
        .w = 400, .h = 300, .d = 1, .c = 1, .dtype = FNR_U16, .sx = 2, .sy = 800, .sz = 240000, .sc = 240000, .px = px};
    fnr_report *r = open_report(2, &montage);
    fnr_report_tile t = make_tile("a.tif", FNR_REGISTERED);
    assert_ok(fnr_report_add_tile(r, &t, &err), err);
    t = make_tile("b.tif", FNR_FAILED);
    assert_ok(fnr_report_add_tile(r, &t, &err), err);
    assert_ok(fnr_report_close(r, NULL, 0, &err), err);
    page p = read_page();
    assert_true(count(&p, "//h:div[@class='map']//s:polygon") == 1);
    /* a quarter turn: the pixel edges (-0.5, -0.5), (999.5, -0.5), ... times 0.1 */
    check_text(&p, "//s:a[@href='#tile-1']/s:polygon/@points", "300.05,49.95 300.05,149.95 230.05,149.95 230.05,49.95");
    check_text(&p, "//s:svg/@viewBox", "-0.5 -0.5 400 300");
    assert_true(count(&p, "//h:ul[@class='legend']/h:li") == 1); /* only what is drawn */
    check_mentions(&p, "//h:ul[@class='legend']", "registered");
    check_text(&p, "//h:tbody/h:tr[1]/h:td[5]/@data-v", "0.25"); /* how far off it may lie */
    picture im = decode(&p, "//s:image/@href");
    assert_int_equal(im.w, 400);
    assert_int_equal(im.h, 300);
    check_colour(&im, 50, 150, 0, 0, 0);
    check_colour(&im, 350, 150, 255, 255, 255);
    free(im.rgb);
    free_page(&p);
}

/* Arrows ten times as long as the residual, candidates on the montage, probabilities where somebody knows them. */
static void evidence_is_drawn_to_scale(void **state)
{
    (void)state;
    fnr_error err = {0};
    float px[W * H] = {0};
    px[0] = 1;
    const fnr_view v = fnr_view_f32(px, W, H);
    static const double predicted[] = {0.5, 0.9}, observed[] = {0.75, 0.9};
    static const size_t tiles[] = {16, 400};
    const fnr_report_calibration calibration = {predicted, observed, tiles, 2, "sections <A>, B"};
    const fnr_report_head head = {.title = "t", .version = "1", .n_tiles = 2, .montage = &v, .calibration = &calibration};
    const fnr_report_arrow arrows[] = {{0.5, 0.25, 0.01, 0}};
    const fnr_report_candidate candidates[] = {{{.m00 = 0.1, .m11 = 0.1, .m02 = 5, .m12 = 7}, 0.7}, {{.m00 = 0.2, .m11 = 0.2, .m02 = 1, .m12 = 2}, 0.65}};
    fnr_report *r = fnr_report_open(report_path(), &head, &err);
    assert_non_null(r);
    fnr_report_tile t = make_tile("a.tif", FNR_REGISTERED);
    t.em = t.prediction = t.mbp = t.around = t.placed = &v;
    t.arrows = arrows, t.n_arrows = 1, t.if_px_wide = 100;
    t.candidates = candidates, t.n_candidates = 2;
    t.probability = 0.875;
    t.decision = "accept", t.note = "<seen>", t.time = "2026-01-02T03:04:05Z";
    assert_ok(fnr_report_add_tile(r, &t, &err), err);
    t = make_tile("b.tif", FNR_NO_CONTENT);
    assert_ok(fnr_report_add_tile(r, &t, &err), err);
    assert_ok(fnr_report_close(r, NULL, 0, &err), err);
    page p = read_page();
    check_mentions(&p, "//s:svg[@class='arrows']/s:path[1]/@d", "M500 250L600 250");
    check_mentions(&p, "//s:svg[@class='arrows']/s:path[2]/@d", "h100"); /* 1 px of 100, ten times longer, on 1000 */
    check_text(&p, "//s:svg[@class='places']/s:polygon[@class='candidate']/@points", "0.90,1.90 200.90,1.90 200.90,141.90 0.90,141.90");
    check_mentions(&p, "//h:article[1]", "by score: 0.70, 0.65");
    check_mentions(&p, "//h:thead", "probability [%]");
    check_text(&p, "//h:tbody/h:tr[1]/h:td[5]/@data-v", "87.5");
    check_text(&p, "//h:article[1]/@data-note", "<seen>");
    assert_true(count(&p, "//h:article[1]/@data-decision[.='accept']") == 1 && count(&p, "//h:article[2]/@data-decision") == 0);
    check_text(&p, "(//s:svg[@class='reliability']/s:circle)[1]/@cx", "176.0"); /* half of 260 px behind the margin of 46 */
    check_text(&p, "(//s:svg[@class='reliability']/s:circle)[1]/@cy", "77.0");  /* a quarter of 260 px below 12 */
    check_mentions(&p, "//h:section[@id='calibration']", "416 tiles with known truth");
    check_mentions(&p, "//h:section[@id='calibration']", "sections <A>, B");
    picture im = decode(&p, "//h:img[@data-layer='placed']/@src");
    assert_int_equal(im.w, W);
    free(im.rgb);
    free_page(&p);
}

static void the_summary_counts_and_names(void **state)
{
    (void)state;
    fnr_error err = {0};
    fnr_report *r = open_report(6, NULL);
    static const double rotation[] = {179.2, -179.4, 179.8, -150.0};
    for (int i = 0; i < 6; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d.tif", i);
        fnr_report_tile t = make_tile(name, i < 4 ? FNR_REGISTERED : i == 4 ? FNR_DOUBTFUL : FNR_NO_CONTENT);
        t.rotation_deg = i < 4 ? rotation[i] : NAN;
        t.truth_error_px = i < 4 ? 0.5 * i : NAN;
        assert_ok(fnr_report_add_tile(r, &t, &err), err);
    }
    assert_ok(fnr_report_close(r, NULL, 0, &err), err);
    page p = read_page();
    check_text(&p, "//h:p[@class='headline']", "4 of 6 tiles registered");
    check_mentions(&p, "//h:section[@id='summary']", "1 tile needs a decision");
    check_mentions(&p, "//h:section[@id='summary']", "0.75 px mean distance");
    check_mentions(&p, "//h:section[@id='summary']", "worst tile 1.50 px");
    check_mentions(&p, "//h:dt[.='rotation']/following-sibling::h:dd[1]",
                   "-179.80"); /* median of 179.2 179.8 180.6 210 is 180.2 */
    check_mentions(&p, "//h:dt[.='agreement']/following-sibling::h:dd[1]", "1 tile differs");
    assert_true(count(&p, "//h:dt[.='agreement']/following-sibling::h:dd[1]/h:a[@href='#tile-4']") == 1);
    assert_true(count(&p, "//h:section[@id='summary']/h:ul/h:li/h:a[@href='#tile-5']") == 1);
    assert_true(count(&p, "//h:th") == 11);                  /* with the error against the truth */
    check_text(&p, "//h:tbody/h:tr[5]/h:td[8]/@data-v", ""); /* an unknown number sorts as unknown */
    check_text(&p, "//h:tbody/h:tr[1]/h:td[9]/@data-v", "0.97");
    free_page(&p);
}

static void many_tiles_stay_small(void **state)
{
    (void)state;
    fnr_error err = {0};
    static float noise[700 * 500];
    static fnr_report_arrow arrows[196];
    fnr_rng rng = fnr_rng_at(1, 2, 3);
    for (size_t i = 0; i < sizeof noise / sizeof noise[0]; i++) {
        noise[i] = (float)fnr_rng_uniform(&rng);
    }
    for (int i = 0; i < 196; i++) {
        arrows[i] = (fnr_report_arrow){fnr_rng_uniform(&rng), fnr_rng_uniform(&rng), fnr_rng_uniform(&rng) / 20, 0.01};
    }
    const fnr_view v = fnr_view_f32(noise, 700, 500); /* what JPEG does worst on */
    static const size_t tiles[] = {500, 90};
    for (int k = 0; k < 2; k++) {
        fnr_report *r = open_report(tiles[k], NULL);
        for (int i = 0; i < 4; i++) {
            fnr_report_tile t = make_tile("noise.tif", FNR_REGISTERED);
            t.em = t.prediction = t.mbp = t.around = t.placed = &v;
            t.arrows = arrows, t.n_arrows = 196, t.if_px_wide = 100;
            assert_ok(fnr_report_add_tile(r, &t, &err), err);
        }
        assert_ok(fnr_report_close(r, NULL, 0, &err), err);
        page p = read_page();
        assert_at_most(((double)p.size - 30000) / 4 * (double)tiles[k], 25e6);
        free_page(&p);
    }
}

static void odd_pictures_do_no_harm(void **state)
{
    (void)state;
    fnr_error err = {0};
    float flat[W * H], holes[W * H];
    for (int i = 0; i < W * H; i++) {
        flat[i] = 5;
        holes[i] = NAN;
    }
    float one = 1;
    const fnr_view f = fnr_view_f32(flat, W, H), h = fnr_view_f32(holes, W, H), dot = fnr_view_f32(&one, 1, 1);
    fnr_report *r = open_report(0, NULL); /* nobody knew how many */
    fnr_report_tile t = make_tile("a.tif", FNR_NO_CONTENT);
    t.em = &f, t.prediction = &h, t.mbp = &f;
    assert_ok(fnr_report_add_tile(r, &t, &err), err);
    t.em = &dot, t.prediction = &dot, t.mbp = NULL;
    assert_ok(fnr_report_add_tile(r, &t, &err), err);
    t.em = NULL;
    assert_ok(fnr_report_add_tile(r, &t, &err), err);
    assert_ok(fnr_report_close(r, NULL, 0, &err), err);
    page p = read_page();
    assert_true(count(&p, "//h:article") == 3);
    assert_true(count(&p, "//h:article//h:img") == 4 + 2);
    assert_true(count(&p, "//h:article//h:figure") == 18);
    free_page(&p);
    r = open_report(0, NULL);
    assert_ok(fnr_report_close(r, NULL, 0, &err), err);
    p = read_page();
    check_text(&p, "//h:p[@class='headline']", "0 of 0 tiles registered");
    free_page(&p);
}

static size_t files_left(void)
{
    char command[FNR_PATH_MAX + 32];
    size_t n = 0;
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", fnr_test_tmpdir());
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_int_equal(fscanf(pipe, "%zu", &n), 1);
    pclose(pipe);
    return n;
}

static void a_full_disk_keeps_the_old_report(void **state)
{
    (void)state;
    fnr_error err = {0};
    assert_ok(fnr_write_file(report_path(), "old", 3, &err), err);
    const size_t before = files_left();
    struct rlimit was, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    tight = was;
    tight.rlim_cur = 9000; /* the page itself is longer */
    signal(SIGXFSZ, SIG_IGN);
    fnr_report *r = open_report(1, NULL);
    fnr_report_tile t = make_tile("a.tif", FNR_REGISTERED);
    const bool added = fnr_report_add_tile(r, &t, &err);
    setrlimit(RLIMIT_FSIZE, &tight);
    const bool closed = fnr_report_close(r, NULL, 0, &err);
    setrlimit(RLIMIT_FSIZE, &was);
    assert_true(added);
    assert_false(closed);
    assert_int_equal(err.code, FNR_E_IO);
    assert_non_null(strstr(err.message, "report.html"));
    assert_int_equal(files_left(), before);
    char *text;
    size_t size;
    assert_ok(fnr_read_file(report_path(), 10, &text, &size, &err), err);
    assert_string_equal(text, "old");
    free(text);
}

static void an_aborted_report_leaves_nothing(void **state)
{
    (void)state;
    remove(report_path());
    const size_t before = files_left();
    fnr_report *r = open_report(3, NULL);
    fnr_error err = {0};
    fnr_report_tile t = make_tile("a.tif", FNR_REGISTERED);
    assert_ok(fnr_report_add_tile(r, &t, &err), err);
    fnr_report_abort(r);
    fnr_report_abort(NULL);
    assert_int_equal(files_left(), before);
    const fnr_report_head head = {.title = "x", .version = "1"};
    assert_null(fnr_report_open("/nonexistent/report.html", &head, &err));
    assert_int_equal(err.code, FNR_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tile_is_there_and_text_is_text),
        cmocka_unit_test(the_file_stands_alone),
        cmocka_unit_test(pictures_show_what_was_given),
        cmocka_unit_test(the_map_shows_tiles_where_they_lie),
        cmocka_unit_test(evidence_is_drawn_to_scale),
        cmocka_unit_test(the_summary_counts_and_names),
        cmocka_unit_test(many_tiles_stay_small),
        cmocka_unit_test(odd_pictures_do_no_harm),
        cmocka_unit_test(a_full_disk_keeps_the_old_report),
        cmocka_unit_test(an_aborted_report_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
