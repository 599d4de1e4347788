/* Format: bioimage.io model description 0.5 (bioimageio.spec, model/v0_5.py). */
#include "src/pipeline/package_text.h"

#include <cjson/cJSON.h>
#include <string.h>

static const char *name_of(const fnr_package_info *info)
{
    return info->name ? info->name : "fnet U-Net";
}

static const char *description_of(const fnr_package_info *info)
{
    return info->description ? info->description
                             : "U-Net (pytorch_fnet architecture) that predicts a fluorescence channel from another image.";
}

bool fnr_package_check(const fnr_package_info *info, fnr_error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+- ()";
    const char *name = name_of(info);
    const size_t n = strlen(name);
    if (n < 5 || n > 128 || strspn(name, allowed) != n) {
        return fnr_fail(err, FNR_E_USAGE, "--name \"%s\": bioimage.io takes 5 to 128 letters, digits, _+-() and spaces", name);
    }
    if (strlen(description_of(info)) > 1024) {
        return fnr_fail(err, FNR_E_USAGE, "--description: bioimage.io takes at most 1024 characters");
    }
    return true;
}

/* A text in JSON's quotes, which YAML reads too. */
static void put_quoted(fnr_buffer *b, const char *text)
{
    cJSON *item = cJSON_CreateString(text);
    char *quoted = item ? cJSON_PrintUnformatted(item) : NULL;
    b->failed |= quoted == NULL;
    fnr_buffer_text(b, quoted ? quoted : "");
    cJSON_free(quoted);
    cJSON_Delete(item);
}

static void put_pair(fnr_buffer *b, const char *key, const char *text)
{
    fnr_buffer_text(b, key);
    fnr_buffer_text(b, ": ");
    put_quoted(b, text);
    fnr_buffer_text(b, "\n");
}

static void put_source(fnr_buffer *b, const char *indent, const char *name, const fnr_digest *digest)
{
    fnr_buffer_printf(b, "%ssource: %s\n%ssha256: %s\n", indent, name, indent, digest->hex);
}

static void put_channels(fnr_buffer *b, const char *name, int count)
{
    fnr_buffer_text(b, "  - type: channel\n    channel_names: [");
    for (int i = 0; i < count; i++) {
        if (count == 1) {
            fnr_buffer_text(b, name);
        } else {
            fnr_buffer_printf(b, "%s%s%d", i ? ", " : "", name, i);
        }
    }
    fnr_buffer_text(b, "]\n");
}

/* Extents are free in steps of 2^depth.  The halo, without which tiles would show seams, asks for a smallest extent above twice its
 * size; in 3D that would be larger than most volumes, and none is named. */
static void put_axes(fnr_buffer *b, const fnr_model *m, bool output)
{
    const char *axes = m->desc.spatial == 3 ? "zyx" : "yx";
    const int grid = fnr_netdesc_grid(&m->desc), halo = fnr_netdesc_receptive_field(&m->desc);
    const int smallest = m->desc.spatial == 2 ? (2 * halo / grid + 1) * grid : grid;
    fnr_buffer_text(b, "  axes:\n  - type: batch\n");
    put_channels(b, output ? "predicted" : "signal", output ? m->desc.out_channels : m->desc.in_channels);
    for (const char *a = axes; *a; a++) {
        fnr_buffer_printf(b, "  - type: space\n    id: %c\n", *a);
        if (output) {
            fnr_buffer_printf(b, "    size: {tensor_id: input, axis_id: %c}\n", *a);
        } else {
            fnr_buffer_printf(b, "    size: {min: %d, step: %d}\n", smallest, grid);
        }
        if (output && m->desc.spatial == 2) {
            fnr_buffer_printf(b, "    halo: %d\n", halo);
        }
        if (m->pixel_nm > 0 && *a != 'z') {
            fnr_buffer_printf(b, "    scale: %.9g\n    unit: nanometer\n", m->pixel_nm);
        }
    }
}

static void put_tensors(fnr_buffer *b, const fnr_model *m, const fnr_digest *digests)
{
    fnr_buffer_text(b, "inputs:\n- id: input\n  description: image at the network's pixel size\n");
    put_axes(b, m, false);
    fnr_buffer_text(b, "  test_tensor:\n");
    put_source(b, "    ", "test_input.npy", &digests[FNR_PACKAGE_INPUT]);
    fnr_buffer_printf(b,
                      "  data: {type: float32}\n  preprocessing:\n  - id: zero_mean_unit_variance\n    kwargs: {axes: [%sy, x], "
                      "eps: 1.0e-06}\n",
                      m->desc.spatial == 3 ? "z, " : "");
    fnr_buffer_text(
        b, "outputs:\n- id: output\n  description: predicted fluorescence in standard deviations of the training images\n");
    put_axes(b, m, true);
    fnr_buffer_text(b, "  test_tensor:\n");
    put_source(b, "    ", "test_output.npy", &digests[FNR_PACKAGE_OUTPUT]);
    fnr_buffer_text(b, "  data: {type: float32}\n");
}

void fnr_package_yaml(fnr_buffer *b, const fnr_model *m, const fnr_package_info *info,
                      const fnr_digest digests[FNR_PACKAGE_FILES])
{
    fnr_buffer_text(b, "format_version: 0.5.3\ntype: model\n");
    put_pair(b, "name", name_of(info));
    put_pair(b, "description", description_of(info));
    if (info->author) {
        fnr_buffer_text(b, "authors:\n");
        put_pair(b, "- name", info->author);
    }
    if (info->license) {
        put_pair(b, "license", info->license);
    }
    fnr_buffer_text(
        b,
        "cite:\n- text: \"Ounkomol et al., Label-free prediction of three-dimensional fluorescence images from transmitted-light "
        "microscopy, Nature Methods 15, 917 (2018)\"\n  doi: 10.1038/s41592-018-0111-2\n");
    fnr_buffer_printf(b, "tags: [unet, %dd, label-free, fluorescence-prediction, pytorch_fnet]\n", m->desc.spatial);
    fnr_buffer_text(b, "documentation: README.md\n");
    put_tensors(b, m, digests);
    fnr_buffer_text(b, "weights:\n  onnx:\n");
    put_source(b, "    ", "weights.onnx", &digests[FNR_PACKAGE_WEIGHTS]);
    fnr_buffer_printf(b, "    opset_version: %d\n", FNR_ONNX_OPSET);
    fnr_buffer_text(b, "attachments:\n- ");
    fnr_buffer_printf(b, "source: model.safetensors\n  sha256: %s\n", digests[FNR_PACKAGE_ATTACHMENT].hex);
}

static void document_validation(fnr_buffer *b, const fnr_model *m)
{
    const fnr_history_row *best = fnr_model_best(m);
    fnr_buffer_text(b, "\n# Validation\n\n");
    if (best) {
        fnr_buffer_printf(
            b,
            "Pearson correlation %.4f, mean squared error %.4g (in units of the target's variance) on images held back from the "
            "training, after step %ld.\n",
            best->val_r, best->val_loss, best->step);
    } else {
        fnr_buffer_text(b, "No validation is recorded in this model.\n");
    }
    fnr_buffer_text(b, "Before use on other data, predict some images with known fluorescence and look at the correlation.\n");
}

void fnr_package_documentation(fnr_buffer *b, const fnr_model *m, const fnr_package_info *info)
{
    const fnr_netdesc *d = &m->desc;
    fnr_buffer_printf(b, "# %s\n\n", name_of(info));
    fnr_buffer_text(b, description_of(info));
    fnr_buffer_printf(b,
                      "\n\n%dD U-Net of pytorch_fnet's architecture: %d channel(s) in, %d out, %d base channels, depth %d. Each "
                      "output pixel sees "
                      "%d px to each side; extents must be multiples of %d.\n",
                      d->spatial, d->in_channels, d->out_channels, d->base_channels, d->depth, fnr_netdesc_receptive_field(d),
                      fnr_netdesc_grid(d));
    if (m->pixel_nm > 0) {
        fnr_buffer_printf(b, "Resample images to %g nm per pixel first; then each image is z-scored as a whole.\n", m->pixel_nm);
    } else {
        fnr_buffer_text(b, "The pixel size of the training images is not recorded. Each image is z-scored as a whole.\n");
    }
    fnr_buffer_text(
        b,
        "`model.safetensors` holds the same weights under PyTorch's names, with the training record; fnet-register reads it.\n");
    document_validation(b, m);
    if (m->record) {
        fnr_buffer_text(b, "\n# Training record\n\n```json\n");
        fnr_buffer_text(b, m->record);
        fnr_buffer_text(b, "\n```\n");
    }
}
