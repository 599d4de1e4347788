#include "src/pipeline/convert.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/core/fs.h"
#include "src/core/mem.h"
#include "src/pipeline/record.h"

const char *fnr_model_format_name(fnr_model_format f)
{
    static const char *const names[] = {"unknown", "safetensors", "PyTorch checkpoint", "ONNX", "bioimage.io package"};
    return names[f];
}

fnr_model_format fnr_model_format_of_name(const char *path)
{
    static const struct {
        const char *ending;
        fnr_model_format format;
    } endings[] = {{".safetensors", FNR_FORMAT_SAFETENSORS}, {".p", FNR_FORMAT_CHECKPOINT}, {".pt", FNR_FORMAT_CHECKPOINT},
                   {".pth", FNR_FORMAT_CHECKPOINT},          {".onnx", FNR_FORMAT_ONNX},    {".zip", FNR_FORMAT_PACKAGE}};
    const char *dot = strrchr(fnr_path_base(path), '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++) {
        if (!strcasecmp(dot, endings[i].ending)) {
            return endings[i].format;
        }
    }
    return FNR_FORMAT_UNKNOWN;
}

fnr_model_format fnr_model_format_of_file(const char *path)
{
    unsigned char head[9] = {0};
    size_t n = 0;
    (void)fnr_read_head(path, head, sizeof head, &n, NULL); /* whoever reads all of it says why it cannot be read */
    const fnr_model_format by_name = fnr_model_format_of_name(path);
    if (n == sizeof head && head[8] == '{') {
        return FNR_FORMAT_SAFETENSORS;
    }
    if (n >= 4 && !memcmp(head, "PK\3\4", 4)) {
        return by_name == FNR_FORMAT_PACKAGE ? FNR_FORMAT_PACKAGE : FNR_FORMAT_CHECKPOINT;
    }
    if (n >= 2 && head[0] == 0x80 && head[1] == 2) {
        return FNR_FORMAT_CHECKPOINT;
    }
    /* ONNX has no magic number; its first field is the IR version. A damaged file is still what its name says. */
    return n >= 2 && head[0] == 0x08 && head[1] < 32 ? FNR_FORMAT_ONNX : by_name;
}

/* Where a foreign model came from, so that its successors can be traced. */
static bool note_origin(fnr_model *m, const char *path, fnr_model_format format, long long iterations, fnr_error *err)
{
    cJSON *record = cJSON_CreateObject();
    cJSON_AddStringToObject(record, "program", "fnet-register " FNR_VERSION);
    cJSON_AddItemToObject(record, "converted_from", fnr_record_file(path, NULL));
    cJSON_AddStringToObject(record, "format", fnr_model_format_name(format));
    if (iterations >= 0) {
        cJSON_AddNumberToObject(record, "iterations", (double)iterations);
    }
    char *text = cJSON_PrintUnformatted(record);
    cJSON_Delete(record);
    m->record = text ? fnr_strdup(text, err) : NULL;
    cJSON_free(text);
    return m->record || fnr_fail(err, FNR_E_LIMIT, "out of memory for the model's record");
}

static void drop_training_state(fnr_model *m)
{
    free(m->moment1);
    free(m->moment2);
    m->moment1 = m->moment2 = NULL;
    m->step = m->loss_count = 0;
    m->loss_sum = 0;
}

bool fnr_model_read_any(const char *path, bool weights_only, fnr_model *out, fnr_model_format *format, fnr_error *err)
{
    unsigned char first;
    size_t got;
    const fnr_checkpoint_read_options opt = {.weights_only = weights_only};
    const fnr_model_format f = fnr_model_format_of_file(path);
    long long iterations = -1;
    fnr_model m = {0};
    bool ok = false;
    switch (f) {
    case FNR_FORMAT_SAFETENSORS:
        ok = fnr_model_read(path, &m, err);
        break;
    case FNR_FORMAT_CHECKPOINT:
        ok = fnr_checkpoint_read(path, &opt, &m, &iterations, err);
        break;
    case FNR_FORMAT_ONNX:
        ok = fnr_onnx_read(path, &m, err);
        break;
    case FNR_FORMAT_PACKAGE:
        ok = fnr_package_read(path, &m, err);
        break;
    case FNR_FORMAT_UNKNOWN:
        ok = fnr_read_head(path, &first, 1, &got, err) &&
             fnr_fail(err, FNR_E_UNSUPPORTED, "%s: no model: neither safetensors nor a PyTorch checkpoint, ONNX or a bioimage.io package", path);
        break;
    }
    if (ok && weights_only) {
        drop_training_state(&m);
    }
    if (!ok || (!m.record && f != FNR_FORMAT_SAFETENSORS && !note_origin(&m, path, f, iterations, err))) {
        fnr_model_free(&m);
        return false;
    }
    *format = f;
    *out = m;
    return true;
}

static bool write_any(fnr_run *run, const fnr_convert_job *job, fnr_model_format to, const fnr_model *m, fnr_error *err)
{
    switch (to) {
    case FNR_FORMAT_SAFETENSORS:
        return fnr_model_write(job->out, m, err);
    case FNR_FORMAT_CHECKPOINT:
        return fnr_checkpoint_write(job->out, m, job->layout, err);
    case FNR_FORMAT_ONNX:
        return fnr_onnx_write(job->out, m, &job->onnx, err);
    case FNR_FORMAT_PACKAGE:
        return fnr_package_write(run, job->out, m, &job->info, &job->onnx, err);
    case FNR_FORMAT_UNKNOWN:
        break;
    }
    return fnr_fail(err, FNR_E_USAGE,
                    "%s: the ending tells the format: .safetensors, .p (or .pt, .pth), .onnx, .zip (bioimage.io package)",
                    job->out);
}

bool fnr_convert(fnr_run *run, const fnr_convert_job *job, fnr_error *err)
{
    const fnr_model_format to = fnr_model_format_of_name(job->out);
    fnr_model_format from;
    fnr_model m;
    if (to == FNR_FORMAT_UNKNOWN) {
        return write_any(run, job, to, NULL, err);
    }
    if (!fnr_model_read_any(job->in, job->weights_only, &m, &from, err)) {
        return false;
    }
    if (job->pixel_nm > 0) {
        m.pixel_nm = job->pixel_nm;
    } else if (m.pixel_nm == 0) {
        fnr_log_warn(run->log, "%s does not tell the pixel size at which the network works: give it with --pixel-nm", job->in);
    }
    if (m.moment1 && (to == FNR_FORMAT_ONNX || to == FNR_FORMAT_PACKAGE)) {
        fnr_log_info(run->log, "the optimiser's state (step %ld) has no place in %s and is left out", m.step, job->out);
    }
    const bool ok = write_any(run, job, to, &m, err);
    if (ok) {
        fnr_log_info(run->log, "%s (%s) -> %s (%s): %dD, %zu parameters%s", job->in, fnr_model_format_name(from), job->out,
                     fnr_model_format_name(to), m.desc.spatial, m.graph.param_floats,
                     m.moment1 && to <= FNR_FORMAT_CHECKPOINT ? ", with the optimiser's state" : "");
    }
    fnr_model_free(&m);
    return ok;
}
