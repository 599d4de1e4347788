/* model.p: what PyTorch wrote reads to the same bits, what we write PyTorch reads (tests/cli/test_convert.sh), and hostile files
 * are refused with a reason. */
#include "tests/support/net_case.h"

#include "net/checkpoint.h"
#include "net/model.h"
#include "net/pickle.h"
#include "net/safetensors.h"
#include "net/zip.h"
#include "src/core/fs.h"

static const char *temp_path(const char *name)
{
    static char path[4][512];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", fnr_test_tmpdir(), name);
    return out;
}

static fnr_model read_checkpoint(const char *path, long long *count_iter)
{
    fnr_error err = {0};
    fnr_model m;
    assert_ok(fnr_checkpoint_read(path, NULL, &m, count_iter, &err), err);
    return m;
}

/* ---- what PyTorch wrote ------------------------------------------------------------------------------------------------------
 */

/* Every parameter and the recorded moments against the same training run, stored as safetensors. */
static void check_against(const fnr_model *m, const char *safetensors, size_t n_moments)
{
    fnr_error err = {0};
    fnr_st_file f;
    size_t found = 0;
    assert_ok(fnr_st_read(fnr_test_need(safetensors), 64 << 20, &f, &err), err);
    for (int i = 0; i < m->graph.n_params; i++) {
        const fnr_param *p = &m->graph.params[i];
        const float *const have[] = {m->values, m->moment1, m->moment2};
        static const char *const prefix[] = {"final.", "adam.exp_avg.", "adam.exp_avg_sq."};
        for (size_t k = 0; k < 3; k++) {
            char name[200];
            snprintf(name, sizeof name, "%s%s", prefix[k], p->name);
            const fnr_st_tensor *t = fnr_st_find(&f, name);
            if (k == 0) {
                assert_non_null(t);
            }
            if (t) {
                assert_int_equal(t->bytes, p->count * sizeof(float));
                assert_memory_equal(t->data, have[k] + p->offset, t->bytes);
                found += k > 0;
            }
        }
    }
    assert_int_equal(found, n_moments);
    fnr_st_free(&f);
}

static void reads_both_containers_to_the_same_bits(void **state)
{
    (void)state;
    static const struct {
        const char *checkpoint, *safetensors;
        fnr_netdesc desc;
    } cases[] = {{"fixtures/net/unet2d_m4_d2.zip.model.p", "fixtures/net/unet2d_m4_d2.safetensors", {2, 1, 1, 4, 2}},
                 {"fixtures/net/unet2d_m4_d2.legacy.model.p", "fixtures/net/unet2d_m4_d2.safetensors", {2, 1, 1, 4, 2}},
                 {"fixtures/net/unet3d_m4_d2.legacy.model.p", "fixtures/net/unet3d_m4_d2.safetensors", {3, 1, 1, 4, 2}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        long long iterations;
        fnr_model m = read_checkpoint(fnr_test_need(cases[i].checkpoint), &iterations);
        assert_memory_equal(&m.desc, &cases[i].desc, sizeof m.desc);
        assert_int_equal(iterations, 3);
        assert_int_equal(m.step, 3);
        check_against(&m, cases[i].safetensors, 6);
        fnr_model_free(&m);
    }
}

/* All layouts of net64 against state3, and against all moments where they are recorded. */
static void reads_all_layouts_to_the_same_bits(void **state)
{
    (void)state;
    static const char *const files[] = {"model.p", "model_legacy_nozip.p", "model_release1_format.p"};
    static const struct {
        const char *name;
        fnr_netdesc desc;
    } nets[] = {{"2d_m4d2", {2, 1, 1, 4, 2}}, {"3d_m4d2", {3, 1, 1, 4, 2}}};
    for (size_t n = 0; n < 2; n++) {
        fnr_case c = fnr_case_net64(nets[n].name, &nets[n].desc);
        for (size_t k = 0; k < 3; k++) {
            char path[128];
            snprintf(path, sizeof path, "fixtures/net64/%s/%s", nets[n].name, files[k]);
            fnr_model m = read_checkpoint(fnr_test_need(path), NULL);
            assert_int_equal(m.step, 3);
            for (int i = 0; i < m.graph.n_params; i++) {
                const fnr_param *p = &m.graph.params[i];
                const size_t bytes = p->count * sizeof(float);
                assert_true(c.final.has[i]);
                assert_memory_equal(m.values + p->offset, c.final.flat + p->offset, bytes);
                if (fnr_role_is_trained(p->role)) {
                    assert_true(c.moment1.has[i] && c.moment2.has[i]);
                    assert_memory_equal(m.moment1 + p->offset, c.moment1.flat + p->offset, bytes);
                    assert_memory_equal(m.moment2 + p->offset, c.moment2.flat + p->offset, bytes);
                }
            }
            fnr_model_free(&m);
        }
        fnr_case_free(&c);
    }
}

static void weights_alone_when_asked(void **state)
{
    (void)state;
    const fnr_checkpoint_read_options opt = {.weights_only = true};
    fnr_error err = {0};
    fnr_model m;
    assert_ok(fnr_checkpoint_read(fnr_test_need("fixtures/net/unet2d_m4_d2.zip.model.p"), &opt, &m, NULL, &err), err);
    assert_null(m.moment1);
    assert_int_equal(m.step, 0);
    fnr_model_free(&m);
}

/* ---- what we write -----------------------------------------------------------------------------------------------------------
 */

static fnr_model make_state(const fnr_netdesc *desc, bool training)
{
    fnr_error err = {0};
    fnr_model m;
    assert_ok(fnr_model_new(desc, 5, &m, &err), err);
    m.pixel_nm = 0.1 + 0.2;
    m.record = strdup("{\"settings\":{\"train.lr\":\"0.0005\",\"train.beta1\":\"0.75\"}}");
    m.history = calloc(2, sizeof *m.history);
    assert_true(m.record && m.history);
    m.history[0] = (fnr_history_row){10, 1.0 / 3, 0.7, NAN};
    m.history[1] = (fnr_history_row){20, 1.0 / 7, 0.6, 0.25};
    m.n_history = m.history_capacity = 2;
    if (training) {
        m.moment1 = calloc(m.graph.param_floats, sizeof(float));
        m.moment2 = calloc(m.graph.param_floats, sizeof(float));
        assert_true(m.moment1 && m.moment2);
        for (int i = 0; i < m.graph.n_params; i++) {
            const fnr_param *p = &m.graph.params[i];
            for (size_t k = 0; k < p->count && fnr_role_is_trained(p->role); k++) {
                m.moment1[p->offset + k] = -1.0f / (float)(p->offset + k + 3);
                m.moment2[p->offset + k] = 1e-40f * (float)(k + 1); /* denormal */
            }
        }
        m.step = 5000000000; /* needs 64 bits */
        m.loss_sum = 1.0 / 9;
        m.loss_count = 4;
    }
    return m;
}

static void writes_what_it_reads(void **state)
{
    (void)state;
    static const fnr_netdesc descs[] = {{2, 2, 3, 3, 2}, {3, 1, 1, 2, 1}, {2, 1, 1, 5, 0}};
    for (int i = 0; i < 12; i++) {
        const bool training = i & 1;
        fnr_model a = make_state(&descs[i / 4], training);
        const char *path = temp_path("ours.p");
        const size_t bytes = a.graph.param_floats * sizeof(float);
        long long iterations;
        fnr_error err = {0};
        assert_ok(fnr_checkpoint_write(path, &a, i & 2 ? FNR_CHECKPOINT_PAPER : FNR_CHECKPOINT_CURRENT, &err), err);
        fnr_model b = read_checkpoint(path, &iterations);
        assert_memory_equal(&a.desc, &b.desc, sizeof a.desc);
        assert_memory_equal(a.values, b.values, bytes);
        assert_string_equal(a.record, b.record);
        assert_true(a.pixel_nm == b.pixel_nm && a.step == b.step && a.loss_sum == b.loss_sum && a.loss_count == b.loss_count);
        assert_true(iterations == (training ? 5000000000 : 20));
        assert_int_equal(b.n_history, 2);
        assert_true(isnan(b.history[0].val_r) && b.history[1].loss == 1.0 / 7);
        assert_int_equal(b.moment1 != NULL, training);
        if (training) {
            assert_memory_equal(a.moment1, b.moment1, bytes);
            assert_memory_equal(a.moment2, b.moment2, bytes);
        }
        fnr_model_free(&a);
        fnr_model_free(&b);
    }
}

static size_t find_bytes(const char *data, size_t size, const char *text)
{
    const char *at = memmem(data, size, text, strlen(text));
    assert_non_null(at);
    return (size_t)(at - data);
}

/* Two writes give equal bytes, and every entry's data begin at a multiple of 64. */
static void archives_are_aligned_and_reproducible(void **state)
{
    (void)state;
    const fnr_netdesc desc = {2, 1, 1, 3, 1};
    char *data[2];
    size_t size[2];
    fnr_error err = {0};
    fnr_model m = make_state(&desc, true);
    for (int i = 0; i < 2; i++) {
        const char *path = temp_path("aligned.p");
        assert_ok(fnr_checkpoint_write(path, &m, FNR_CHECKPOINT_CURRENT, &err), err);
        assert_ok(fnr_read_file(path, 1 << 24, &data[i], &size[i], &err), err);
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(data[0], data[1], size[0]);
    fnr_zip z;
    assert_ok(fnr_zip_parse(data[0], size[0], "aligned.p", &z, &err), err);
    assert_true(z.count > 20);
    for (size_t i = 0; i < z.count; i++) {
        assert_int_equal((z.entries[i].data - data[0]) % 64, 0);
    }
    fnr_zip_free(&z);
    fnr_model_free(&m);
    free(data[0]);
    free(data[1]);
}

/* ---- hostile pickles ---------------------------------------------------------------------------------------------------------
 */

static void refuse_pickle(const char *bytes, size_t size, const char *message)
{
    fnr_error err = {0};
    fnr_pickle p = {.root = 77};
    size_t used;
    char *copy = malloc(size + 1); /* exact, so that reading beyond is seen */
    assert_non_null(copy);
    copy = realloc(copy, size ? size : 1);
    memcpy(copy, bytes, size);
    assert_false(fnr_pickle_read(copy, size, "file.p", &p, &used, &err));
    assert_int_equal(p.root, 77);
    if (!strstr(err.message, message) || !strstr(err.message, "file.p")) {
        fail_msg("expected '%s', got '%s'", message, err.message);
    }
    free(copy);
}
#define REFUSE(bytes, message) refuse_pickle((bytes), sizeof(bytes) - 1, (message))
#define STORAGE(count)         "ctorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpu" count
#define PROTO                  "\x80\2"

static void refuses_pickles_that_are_no_data(void **state)
{
    (void)state;
    REFUSE(PROTO "cos\nsystem\nX\2\0\0\0id\x85R.", "refused: it asks for Python's 'os.system'");
    REFUSE(PROTO "cposix\nsystem\n", "'posix.system'");
    REFUSE(PROTO "c__builtin__\neval\n", "'__builtin__.eval'");
    REFUSE(PROTO "ctorch\nDoubleStorage\n", "'torch.DoubleStorage'");
    REFUSE(PROTO "ccollections\nOrderedDict\n)\x81.", "opcode NEWOBJ");
    REFUSE(PROTO "(S'id'\nios\nsystem\n.", "opcode STRING");
    REFUSE(PROTO "\x8c\2id", "opcode SHORT_BINUNICODE");
    REFUSE(PROTO "X\2\0\0\0osX\6\0\0\0system\x93", "opcode STACK_GLOBAL");
    REFUSE(PROTO "\x95\1\0\0\0\0\0\0\0", "opcode FRAME");
    REFUSE(PROTO "\xff", "0xff is no opcode");
    REFUSE("\x80\4N.", "pickle protocol 4");
    REFUSE(PROTO "X\2\0\0\0id)R.", "refused: a call of something");
    REFUSE(PROTO "ccollections\nOrderedDict\nX\1\0\0\0a\x85R.", "refused: a call of OrderedDict with 1 arguments");
    REFUSE(PROTO "ctorch\nFloatStorage\n)R.", "refused: a call of FloatStorage");
    REFUSE(PROTO "]}b.", "BUILD on something that is no dictionary");
}

static void refuses_broken_pickles(void **state)
{
    (void)state;
    REFUSE("", "the file is cut");
    REFUSE(PROTO "X\xff\xff\xff\xff"
                 "ab",
           "the file is cut: 4294967295 more bytes");
    REFUSE(PROTO "ccollections\nOrdered", "cut inside a name");
    REFUSE(PROTO "\x8a\377\1", "the file is cut");
    REFUSE(PROTO ".", "finds no value");
    REFUSE(PROTO "(.", "finds no value");
    REFUSE(PROTO "NN.", "values are left");
    REFUSE(PROTO "Nt.", "finds no mark");
    REFUSE(PROTO "N\x87.", "a tuple of more values than there are");
    REFUSE(PROTO "(N\x86.", "a mark where a value is expected");
    REFUSE(PROTO "N(Ne.", "without a list");
    REFUSE(PROTO "](NNu.", "without a dictionary");
    REFUSE(PROTO "}(Nu.", "a key without a value");
    REFUSE(PROTO "Na.", "nothing to append");
    REFUSE(PROTO "h\5.", "memo entry 5 was never set");
    REFUSE(PROTO "Nr\xff\xff\xff\xff.", "memo entry 4294967295");
    REFUSE(PROTO "q\1.", "nothing to remember");
    REFUSE(PROTO "NQ.", "no storage of float32 or int64");
}

/* (storage, 0, size, stride, False, OrderedDict()) with a storage of `count` elements, up to the call. */
#define TENSOR(count, offset, size, stride)                                                                                      \
    PROTO "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storage" STORAGE(count) "tQ" offset size stride "\x89"                  \
                                                                                 "ccollections\nOrderedDict\n)RtR."

static void refuses_impossible_tensors(void **state)
{
    (void)state;
    REFUSE(TENSOR("K\6", "K\0", "K\2K\4\x86", "K\4K\1\x86"), "reaches beyond its storage");
    REFUSE(TENSOR("K\6", "K\1", "K\2K\3\x86", "K\3K\1\x86"), "reaches beyond its storage");
    REFUSE(TENSOR("K\6", "J\xff\xff\xff\xff", "K\2K\3\x86", "K\3K\1\x86"), "without storage or offset");
    REFUSE(TENSOR("K\6", "\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7f", "K\2K\3\x86", "K\3K\1\x86"), "reaches beyond its storage");
    REFUSE(TENSOR("K\6", "K\0", "K\3K\2\x86", "K\1K\3\x86"), "not contiguous");
    REFUSE(TENSOR("K\6", "K\0", "K\6\x85", "K\1K\1\x86"), "no tuples of one length");
    REFUSE(TENSOR("K\6", "K\0", "K\0\x8a\10\0\0\0\0\0\0\0\x40K\4\x87", "K\0K\4K\1\x87"), "overflow");
    REFUSE(TENSOR("J\xff\xff\xff\xff", "K\0", "K\1\x85", "K\1\x85"), "no storage of float32 or int64");
    REFUSE(TENSOR("K\6", "K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t"), "with 9 axes");
}

/* A few megabytes that ask for much more. */
static void bounds_stack_and_values(void **state)
{
    (void)state;
    const size_t n = 4u << 20;
    char *bomb = malloc(n);
    assert_non_null(bomb);
    memset(bomb, '(', n);
    memcpy(bomb, "\x80\2", 2);
    refuse_pickle(bomb, n, "wait on the stack");
    memcpy(bomb, "\x80\2]", 3);
    for (size_t i = 3; i + 1 < n; i += 2) {
        memcpy(bomb + i, "Na", 2);
    }
    refuse_pickle(bomb, n, "values: this is no checkpoint");
    /* One list, put into itself again and again: no recursion, and the items are bounded. */
    memcpy(bomb, "\x80\2]q\0", 5);
    for (size_t i = 5; i + 2 < n; i += 3) {
        memcpy(bomb + i, "h\0a", 3);
    }
    refuse_pickle(bomb, n - (n - 5) % 3, "the file is cut");
    free(bomb);
}

/* ---- hostile containers ------------------------------------------------------------------------------------------------------
 */

static void expect_refused(const char *data, size_t size, const char *message)
{
    const char *path = temp_path("bad.model.p");
    fnr_error err = {0};
    fnr_model m = {.step = 77};
    assert_ok(fnr_write_file(path, data, size, &err), err);
    if (fnr_checkpoint_read(path, NULL, &m, NULL, &err)) {
        fail_msg("read although %s", message);
    }
    assert_int_equal(m.step, 77);
    if (!strstr(err.message, message) || !strstr(err.message, path)) {
        fail_msg("expected '%s', got '%s'", message, err.message);
    }
}

static void refuses_cut_files(void **state)
{
    (void)state;
    static const char *const files[] = {"fixtures/net/unet2d_m4_d2.zip.model.p", "fixtures/net/unet2d_m4_d2.legacy.model.p"};
    for (size_t k = 0; k < 2; k++) {
        fnr_error err = {0};
        char *data;
        size_t size;
        assert_ok(fnr_read_file(fnr_test_need(files[k]), 1 << 24, &data, &size, &err), err);
        for (size_t i = 0; i < 40; i++) {
            expect_refused(data, size * i / 40, i == 0 ? "not a PyTorch checkpoint" : "cut");
        }
        free(data);
    }
}

static void refuses_damaged_archives(void **state)
{
    (void)state;
    fnr_error err = {0};
    char *data;
    size_t size;
    assert_ok(fnr_read_file(fnr_test_need("fixtures/net/unet2d_m4_d2.zip.model.p"), 1 << 24, &data, &size, &err), err);
    const size_t name = find_bytes(data, size, "net_recurse.sub_u.conv_down.weight");
    data[name] ^= 1; /* inside data.pkl */
    expect_refused(data, size, "its checksum does not match");
    data[name] ^= 1;
    /* Directory entry of the last storage: other sizes and offsets. */
    const size_t central = find_bytes(data, size, "PK\1\2");
    data[central + 10] = 8;
    expect_refused(data, size, "is compressed");
    data[central + 10] = 0;
    data[central + 45] = 0x7f;
    expect_refused(data, size, "outside the file");
    data[central + 45] = 0;
    data[central + 24] ^= 1;
    expect_refused(data, size, "two sizes");
    free(data);
}

/* The same bytes with every single byte of the first 4000 changed once must never crash, and be refused or read. */
static void survives_flipped_bytes(void **state)
{
    (void)state;
    static const char *const files[] = {"fixtures/net/unet2d_m4_d2.zip.model.p", "fixtures/net/unet2d_m4_d2.legacy.model.p"};
    for (size_t k = 0; k < 2; k++) {
        fnr_error err = {0};
        char *data;
        size_t size;
        assert_ok(fnr_read_file(fnr_test_need(files[k]), 1 << 24, &data, &size, &err), err);
        for (size_t i = 0; i < 4000; i += 7) {
            fnr_pickle p;
            size_t used;
            data[64 + i] ^= (char)(1 << i % 8);
            if (fnr_pickle_read(data + 64, size - 64, "flipped", &p, &used, &err)) {
                fnr_pickle_free(&p);
            }
            data[64 + i] ^= (char)(1 << i % 8);
        }
        free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_both_containers_to_the_same_bits),
        cmocka_unit_test(reads_all_layouts_to_the_same_bits),
        cmocka_unit_test(weights_alone_when_asked),
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(archives_are_aligned_and_reproducible),
        cmocka_unit_test(refuses_pickles_that_are_no_data),
        cmocka_unit_test(refuses_broken_pickles),
        cmocka_unit_test(refuses_impossible_tensors),
        cmocka_unit_test(bounds_stack_and_values),
        cmocka_unit_test(refuses_cut_files),
        cmocka_unit_test(refuses_damaged_archives),
        cmocka_unit_test(survives_flipped_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
