#include "src/pipeline/package.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/model_tensors.h"
#include "net/predict.h"
#include "net/zip.h"
#include "src/core/fs.h"
#include "src/core/hash.h"
#include "src/core/mem.h"
#include "src/core/rng.h"
#include "src/pipeline/package_text.h"

#define MAX_PACKAGE_BYTES ((size_t)8 << 30)

/* ---- the test image -------------------------------------------------------------------------------------------------------- */

/* Grey values like a microscope's, and what the network makes of them after the z-score that the description asks for. */
typedef struct {
    int d, h, w;
    size_t pixels; /* per channel */
    float *raw, *scored, *predicted;
} test_image;

static int rounded_up(int extent, int grid)
{
    return (extent + grid - 1) / grid * grid;
}

static bool make_image(test_image *t, const fnr_model *m, fnr_error *err)
{
    const int grid = fnr_netdesc_grid(&m->desc);
    const bool flat = m->desc.spatial == 2;
    /* Readers want more than the halo on both sides of a flat image; a volume is as small as it can be. */
    const int side = flat ? 2 * fnr_netdesc_receptive_field(&m->desc) + 2 : 2 * grid;
    t->d = flat ? 1 : grid;
    t->h = rounded_up(side, grid);
    t->w = t->h + grid; /* unequal, so that exchanged axes are noticed */
    t->pixels = (size_t)t->d * (size_t)t->h * (size_t)t->w;
    const size_t n_in = t->pixels * (size_t)m->desc.in_channels, n_out = t->pixels * (size_t)m->desc.out_channels;
    t->raw = fnr_calloc(n_in, sizeof *t->raw, "test image", err);
    t->scored = t->raw ? fnr_calloc(n_in, sizeof *t->scored, "test image", err) : NULL;
    t->predicted = t->scored ? fnr_calloc(n_out, sizeof *t->predicted, "test image", err) : NULL;
    if (!t->predicted) {
        return false;
    }
    fnr_rng rng = fnr_rng_at(1, 0, 0);
    for (int c = 0; c < m->desc.in_channels; c++) {
        float *raw = t->raw + (size_t)c * t->pixels;
        double sum = 0, squares = 0;
        for (size_t i = 0; i < t->pixels; i++) {
            raw[i] = (float)rint(128 + 30 * sin((double)i / 7) + 20 * fnr_rng_normal(&rng));
            sum += (double)raw[i];
            squares += (double)raw[i] * (double)raw[i];
        }
        const double mean = sum / (double)t->pixels, sd = sqrt(squares / (double)t->pixels - mean * mean);
        for (size_t i = 0; i < t->pixels; i++) {
            t->scored[(size_t)c * t->pixels + i] = (float)(((double)raw[i] - mean) / (sd + 1e-6));
        }
    }
    return true;
}

static bool predict(fnr_run *run, const fnr_model *m, test_image *t, fnr_error *err)
{
    const fnr_predict_options opt = {0};
    if (!fnr_run_open_device(run, true, err)) {
        return false;
    }
    fnr_predictor *p = fnr_predictor_new(run->be, run->device, m, &opt, err);
    const bool ok = p && fnr_predict_array(p, t->d, t->h, t->w, t->scored, t->predicted, run->cancel, err);
    fnr_predictor_free(p);
    fnr_run_close_device(run);
    return ok;
}

static void free_image(test_image *t)
{
    free(t->raw);
    free(t->scored);
    free(t->predicted);
}

/* NumPy's .npy, version 1.0. */
static void put_npy(fnr_buffer *b, const fnr_model *m, const test_image *t, int channels, const float *values)
{
    char text[128], depth[16] = "";
    if (m->desc.spatial == 3) {
        snprintf(depth, sizeof depth, "%d, ", t->d);
    }
    snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, %d, %s%d, %d), }", channels, depth, t->h,
             t->w);
    fnr_buffer_add(b, "\x93NUMPY\1\0", 8);
    fnr_buffer_number(b, 118, 2); /* 10 + 118 = 128: the data are aligned */
    fnr_buffer_printf(b, "%-117s\n", text);
    fnr_buffer_add(b, values, t->pixels * (size_t)channels * sizeof *values);
}

/* ---- writing --------------------------------------------------------------------------------------------------------------- */

/* The model as a safetensors file in memory, by way of a temporary file beside the package. */
static bool encode_safetensors(const char *path, const fnr_model *m, char **data, size_t *size, fnr_error *err)
{
    fnr_model plain = *m; /* borrows everything */
    plain.moment1 = plain.moment2 = NULL;
    fnr_atomic file;
    const bool ok = fnr_atomic_name(&file, path, err) && fnr_model_write(file.temp, &plain, err) &&
                    fnr_read_file(file.temp, MAX_PACKAGE_BYTES, data, size, err);
    fnr_atomic_abort(&file);
    return ok;
}

static void digest_of(const void *data, size_t size, fnr_digest *out)
{
    fnr_hasher *h = fnr_hasher_new();
    fnr_hasher_add(h, data, size);
    fnr_hasher_finish(h, out);
}

bool fnr_package_write(fnr_run *run, const char *path, const fnr_model *m, const fnr_package_info *info,
                       const fnr_onnx_options *onnx, fnr_error *err)
{
    test_image t = {0};
    fnr_buffer input = {0}, output = {0}, text = {0}, yaml = {0};
    char *weights = NULL, *attachment = NULL;
    fnr_zip_item items[FNR_PACKAGE_FILES + 1] = {0};
    fnr_digest digests[FNR_PACKAGE_FILES];
    size_t n_weights = 0, n_attachment = 0;
    bool ok = fnr_package_check(info, err) && make_image(&t, m, err) && predict(run, m, &t, err) &&
              fnr_onnx_encode(m, onnx, &weights, &n_weights, err) && encode_safetensors(path, m, &attachment, &n_attachment, err);
    if (!ok) {
        goto done;
    }
    put_npy(&input, m, &t, m->desc.in_channels, t.raw);
    put_npy(&output, m, &t, m->desc.out_channels, t.predicted);
    fnr_package_documentation(&text, m, info);
    items[FNR_PACKAGE_WEIGHTS] = (fnr_zip_item){"weights.onnx", weights, n_weights};
    items[FNR_PACKAGE_ATTACHMENT] = (fnr_zip_item){"model.safetensors", attachment, n_attachment};
    items[FNR_PACKAGE_INPUT] = (fnr_zip_item){"test_input.npy", input.data, input.size};
    items[FNR_PACKAGE_OUTPUT] = (fnr_zip_item){"test_output.npy", output.data, output.size};
    items[FNR_PACKAGE_TEXT] = (fnr_zip_item){"README.md", text.data, text.size};
    ok = fnr_buffer_check(&input, "a package", err) && fnr_buffer_check(&output, "a package", err) &&
         fnr_buffer_check(&text, "a package", err);
    for (size_t i = 0; ok && i < FNR_PACKAGE_FILES; i++) {
        digest_of(items[i].data, items[i].size, &digests[i]);
    }
    if (ok) {
        fnr_package_yaml(&yaml, m, info, digests);
        items[FNR_PACKAGE_FILES] = (fnr_zip_item){"bioimageio.yaml", yaml.data, yaml.size};
        ok = fnr_buffer_check(&yaml, "a package", err) && fnr_zip_write(path, items, FNR_PACKAGE_FILES + 1, err);
    }
done:
    free_image(&t);
    fnr_buffer_free(&input);
    fnr_buffer_free(&output);
    fnr_buffer_free(&text);
    fnr_buffer_free(&yaml);
    free(weights);
    free(attachment);
    return ok;
}

/* ---- reading --------------------------------------------------------------------------------------------------------------- */

/* The entry, checked, or NULL. */
static const fnr_zip_entry *find_entry(fnr_zip *z, const char *path, const char *ending, fnr_error *err)
{
    char name[256];
    const fnr_zip_entry *e = fnr_zip_find_ending(z, ending);
    if (!e || e->name_size >= sizeof name || memchr(e->name, 0, e->name_size)) {
        return NULL;
    }
    memcpy(name, e->name, e->name_size);
    name[e->name_size] = 0;
    return fnr_zip_find(z, path, name, err);
}

static bool read_attachment(const fnr_zip_entry *e, const char *path, fnr_model *out, fnr_error *err)
{
    fnr_st_file f;
    char *copy = fnr_calloc(e->size + 1, 1, "model", err);
    if (!copy) {
        return false;
    }
    memcpy(copy, e->data, e->size);
    if (!fnr_st_parse(copy, e->size, path, &f, err)) {
        return false;
    }
    const bool ok = fnr_model_from_tensors(&f, path, out, err);
    fnr_st_free(&f);
    return ok;
}

bool fnr_package_read(const char *path, fnr_model *out, fnr_error *err)
{
    char *data = NULL;
    size_t size = 0;
    fnr_zip z = {0};
    fnr_error why = {0};
    bool ok = fnr_read_file(path, MAX_PACKAGE_BYTES, &data, &size, err) && fnr_zip_parse(data, size, path, &z, err);
    if (ok) {
        const fnr_zip_entry *e = find_entry(&z, path, ".safetensors", &why), *o = e ? NULL : find_entry(&z, path, ".onnx", &why);
        ok = e   ? read_attachment(e, path, out, err)
             : o ? fnr_onnx_decode(o->data, o->size, path, out, err)
                 : fnr_fail(err, why.code ? why.code : FNR_E_UNSUPPORTED, "%s",
                            why.code ? why.message : "the package holds neither safetensors nor ONNX weights");
        if (!ok && !e && !o && !why.code) {
            fnr_error_prefix(err, "%s", path);
        }
    }
    fnr_zip_free(&z);
    free(data);
    return ok;
}
