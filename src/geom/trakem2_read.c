/* TrakEM2 project -> patches with their place in the layer. */
#include "src/geom/trakem2_parts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/core/mem.h"

typedef struct {
    fnr_t2_project project;
    size_t layer_capacity, patch_capacity;
    char folder[FNR_PATH_MAX];  /* of the project file */
    char storage[FNR_PATH_MAX]; /* folder of trakem2.<unuid> */
    char unuid[128];
    bool seen_root, seen_layer_set;
    size_t patch_tags; /* all, wherever they stand */
    fnr_t2_faults faults;
    unsigned faults_seen; /* before the element at hand */
    int set_level;        /* layer sets around us: patches of nested ones have a world of their own and are left out */

    /* The patch being read */
    bool in_patch;
    fnr_transform matrix;
    fnr_t2_ct ct;
    int list_level; /* ict_transform_lists around us */
    bool has_inline_ct;
    char oid[32], ct_id[32];
} reader;

static bool begin_layer(reader *r, const char **atts, fnr_error *err)
{
    fnr_t2_project *p = &r->project;
    if (!fnr_grow(&p->layers, &r->layer_capacity, p->n_layers, sizeof *p->layers, "TrakEM2 layers", err)) {
        return false;
    }
    const char *title = fnr_t2_attribute(atts, "title");
    fnr_t2_layer layer = {.z = fnr_t2_number(atts, "z", 0),
                          .thickness = fnr_t2_number(atts, "thickness", 1),
                          .title = fnr_strdup(title ? title : "", err)};
    if (!layer.title) {
        return false;
    }
    p->layers[p->n_layers++] = layer;
    return true;
}

static void read_calibration(reader *r, const char **atts)
{
    static const struct {
        const char *unit;
        double nm;
    } units[] = {
        {"nm", 1},          {"nanometer", 1},  {"nanometers", 1},   {"um", 1e3},          {"micron", 1e3},
        {"microns", 1e3},   {"mm", 1e6},       {"micrometer", 1e3}, {"micrometers", 1e3}, {"\xC2\xB5m", 1e3},
        {"\xCE\xBCm", 1e3}, {"\\u00B5m", 1e3}, {"cm", 1e7},         {"millimeter", 1e6},  {"m", 1e9},
        {"meter", 1e9},     {"angstrom", 0.1}, {"\xC3\x85", 0.1},   {"inch", 2.54e7},     {"pm", 1e-3},
    };
    const char *unit = fnr_t2_attribute(atts, "unit");
    const double width = fnr_t2_number(atts, "pixelWidth", 0);
    for (size_t i = 0; unit && width > 0 && i < sizeof units / sizeof *units; i++) {
        if (strcasecmp(unit, units[i].unit) == 0) {
            r->project.pixel_nm = width * units[i].nm;
        }
    }
}

static bool fill_patch(reader *r, const char **atts, fnr_t2_patch *patch, fnr_error *err)
{
    if (!fnr_t2_resolve(r->folder, fnr_t2_attribute(atts, "file_path"), &patch->file_path, &patch->slice, err)) {
        return false;
    }
    const char *title = fnr_t2_attribute(atts, "title");
    const bool none = !title || !title[0] || strcasecmp(title, "null") == 0;
    patch->title = fnr_strdup(none ? fnr_path_base(patch->file_path) : title, err);
    if (!patch->title) {
        return false;
    }
    fnr_t2_restore_quotes(patch->title);
    patch->o_width = fnr_t2_whole_number(atts, "o_width", 0);
    patch->o_height = fnr_t2_whole_number(atts, "o_height", 0);
    patch->type = fnr_t2_whole_number(atts, "type", -1);
    const bool is_8bit = patch->type == 0 || patch->type == 3 || patch->type == 4;
    patch->min = fnr_t2_number(atts, "min", 0);
    patch->max = fnr_t2_number(atts, "max", is_8bit ? 255 : 0);
    patch->visible = fnr_t2_is_true(atts, "visible", true);
    patch->locked = fnr_t2_is_true(atts, "locked", false);
    fnr_t2_identifier(r->oid, sizeof r->oid, fnr_t2_attribute(atts, "oid"), "0123456789");
    fnr_t2_identifier(r->ct_id, sizeof r->ct_id, fnr_t2_attribute(atts, "ct_id"), "0123456789");
    return fnr_t2_matrix(fnr_t2_attribute(atts, "transform"), &r->matrix, err);
}

static bool fail_patch(const reader *r, fnr_error *err)
{
    const fnr_t2_patch *patch = &r->project.patches[r->project.n_patches - 1];
    fnr_error_prefix(err, "patch '%.100s'", patch->title ? patch->title : "");
    return false;
}

static bool begin_patch(reader *r, const char **atts, fnr_error *err)
{
    fnr_t2_project *p = &r->project;
    if (p->n_layers == 0) {
        return fnr_fail(err, FNR_E_FORMAT, "a patch stands outside of every layer");
    }
    if (!fnr_grow(&p->patches, &r->patch_capacity, p->n_patches, sizeof *p->patches, "TrakEM2 patches", err)) {
        return false;
    }
    fnr_t2_patch *patch = &p->patches[p->n_patches++];
    *patch = (fnr_t2_patch){.layer = (int)p->n_layers - 1};
    r->in_patch = true;
    r->has_inline_ct = false;
    r->list_level = 0;
    fnr_t2_ct_reset(&r->ct);
    return fill_patch(r, atts, patch, err) || fail_patch(r, err);
}

static bool is_transform(const char *name)
{
    return strcasecmp(name, "ict_transform") == 0 || strcasecmp(name, "iict_transform") == 0;
}

static bool is_transform_list(const char *name)
{
    return strcasecmp(name, "ict_transform_list") == 0 || strcasecmp(name, "iict_transform_list") == 0;
}

/* Coordinate transforms, inside a patch or a .ct file.  A second one beside the first replaces it, as in TrakEM2. */
static bool start_transform(void *ctx, const char *name, const char **atts, fnr_error *err)
{
    reader *r = ctx;
    const bool list = is_transform_list(name);
    if (!list && !is_transform(name)) {
        return true;
    }
    if (r->list_level == 0) {
        fnr_t2_ct_reset(&r->ct);
    }
    r->has_inline_ct = true;
    r->list_level += list;
    const char *class_name = fnr_t2_attribute(atts, "class"), *data = fnr_t2_attribute(atts, "data");
    return list || fnr_t2_ct_append(&r->ct, class_name ? class_name : "", data ? data : "", err);
}

static bool end_transform(void *ctx, const char *name, fnr_error *err)
{
    reader *r = ctx;
    (void)err;
    r->list_level -= is_transform_list(name) && r->list_level > 0;
    return true;
}

/* trakem2.<unuid>/trakem2.cts/12/34/5.<oid>.ct for the ct_id 12345 */
static bool ct_file_name(const reader *r, char out[FNR_PATH_MAX], fnr_error *err)
{
    char id_path[64], name[FNR_PATH_MAX];
    size_t used = 0;
    for (size_t i = 0; r->ct_id[i]; i++) {
        if (i && i % 2 == 0) {
            id_path[used++] = '/';
        }
        id_path[used++] = r->ct_id[i];
    }
    id_path[used] = '\0';
    snprintf(name, sizeof name, "trakem2.%s/trakem2.cts/%s.%s.ct", r->unuid, id_path, r->oid);
    return fnr_path_join(out, r->storage, name, err);
}

static bool read_ct_file(reader *r, fnr_error *err)
{
    char path[FNR_PATH_MAX], *text = NULL;
    size_t size = 0;
    fnr_t2_faults faults;
    if (!ct_file_name(r, path, err)) {
        return false;
    }
    const fnr_t2_events events = {r, start_transform, end_transform};
    bool ok = fnr_t2_load(path, (size_t)1 << 28, &text, &size, err);
    if (!ok) {
        fnr_error_prefix(err, "its coordinate transform %s is kept in a file of its own", r->ct_id);
        return false;
    }
    ok = fnr_t2_parse_xml(text, size, &events, &faults, err);
    if (!ok) {
        fnr_error_prefix(err, "%s", path);
    } else if (!r->has_inline_ct || faults.count) {
        ok = fnr_fail(err, FNR_E_FORMAT, "%s is not a TrakEM2 coordinate transform%s%s", path, faults.count ? ": " : "",
                      faults.last);
    }
    free(text);
    return ok;
}

static bool end_patch(reader *r, fnr_error *err)
{
    fnr_t2_patch *patch = &r->project.patches[r->project.n_patches - 1];
    r->in_patch = false;
    if (!r->has_inline_ct && r->ct_id[0] && !read_ct_file(r, err)) {
        return fail_patch(r, err);
    }
    patch->has_nonlinear = r->ct.has_nonlinear;
    memcpy(patch->nonlinear_class, r->ct.nonlinear_class, sizeof patch->nonlinear_class);
    if (!fnr_t2_ct_place(&r->ct, &r->matrix, patch->o_width, patch->o_height, &patch->to_world, err)) {
        return fail_patch(r, err);
    }
    return true;
}

static bool begin_project(reader *r, const char **atts, fnr_error *err)
{
    const char *storage = fnr_t2_attribute(atts, "storage_folder");
    fnr_t2_identifier(r->unuid, sizeof r->unuid, fnr_t2_attribute(atts, "unuid"), "0123456789.-");
    return fnr_path_join(r->storage, r->folder, storage ? storage : "", err);
}

static bool start_element(void *ctx, const char *name, const char **atts, fnr_error *err)
{
    reader *r = ctx;
    const bool damaged = r->faults.count != r->faults_seen;
    r->faults_seen = r->faults.count;
    if (damaged && (is_transform(name) || strcasecmp(name, "t2_patch") == 0)) {
        return fnr_fail(err, FNR_E_FORMAT, "<%s> is damaged: %s", name, r->faults.last); /* it may have lost attributes */
    }
    if (!r->seen_root) {
        r->seen_root = true;
        return strcasecmp(name, "trakem2") == 0 ||
               fnr_fail(err, FNR_E_FORMAT, "it is not a TrakEM2 project: its outermost element is <%.60s>, not <trakem2>", name);
    }
    if (strcasecmp(name, "t2_layer_set") == 0) {
        r->seen_layer_set = true;
        r->set_level++;
    } else if (strcasecmp(name, "project") == 0) {
        return begin_project(r, atts, err);
    } else if (strcasecmp(name, "t2_patch") == 0) {
        r->patch_tags++;
        return r->set_level != 1 || begin_patch(r, atts, err);
    } else if (r->set_level == 1 && strcasecmp(name, "t2_layer") == 0) {
        return begin_layer(r, atts, err);
    } else if (r->set_level == 1 && strcasecmp(name, "t2_calibration") == 0) {
        read_calibration(r, atts);
    } else if (r->in_patch && !start_transform(r, name, atts, err)) {
        return fail_patch(r, err);
    }
    return true;
}

static bool end_element(void *ctx, const char *name, fnr_error *err)
{
    reader *r = ctx;
    if (strcasecmp(name, "t2_layer_set") == 0) {
        r->set_level--;
    } else if (r->in_patch && strcasecmp(name, "t2_patch") == 0) {
        return end_patch(r, err);
    } else if (r->in_patch) {
        return end_transform(r, name, err);
    }
    return true;
}

/* The parser forgives; a project of which it lost something must still not pass for a smaller one. */
static bool check_complete(const reader *r, const fnr_t2_scan *scan, fnr_error *err)
{
    const char *why = r->faults.count ? r->faults.last : "no reason given";
    if (!r->seen_root) {
        return fnr_fail(err, FNR_E_FORMAT, "it is not XML (%s)", why);
    }
    if (!scan->ended) {
        return fnr_fail(err, FNR_E_FORMAT, "the project is cut short: its closing </trakem2> is missing");
    }
    if (!r->seen_layer_set) {
        return fnr_fail(err, FNR_E_FORMAT, "the project has no t2_layer_set");
    }
    if (r->patch_tags != scan->patches || r->in_patch) {
        return fnr_fail(err, FNR_E_FORMAT, "only %zu of %zu patches can be read: the XML is broken (%s)", r->patch_tags,
                        scan->patches, why);
    }
    return true;
}

bool fnr_t2_read_text(char **text, size_t *size, const char *path, fnr_t2_project *out, fnr_error *err)
{
    reader *r = fnr_calloc(1, sizeof *r, "a TrakEM2 project", err);
    if (!r) {
        return false;
    }
    fnr_t2_scan scan = {0};
    const fnr_t2_events events = {r, start_element, end_element};
    fnr_path_dir(r->folder, path);
    memcpy(r->storage, r->folder, sizeof r->storage);
    r->project.path = fnr_strdup(path, err);
    const bool ok = r->project.path && fnr_t2_repair(text, size, &scan, err) &&
                    fnr_t2_parse_xml(*text, *size, &events, &r->faults, err) && check_complete(r, &scan, err);
    if (ok) {
        *out = r->project;
    } else {
        fnr_error_prefix(err, "cannot read %s", path);
        fnr_t2_free(&r->project);
    }
    free(r);
    return ok;
}

bool fnr_t2_read(const char *path, fnr_t2_project *out, fnr_error *err)
{
    char *text = NULL;
    size_t size = 0;
    if (!fnr_t2_load(path, FNR_T2_MAX_BYTES, &text, &size, err)) {
        return false;
    }
    const bool ok = fnr_t2_read_text(&text, &size, path, out, err);
    free(text);
    return ok;
}

void fnr_t2_free(fnr_t2_project *p)
{
    for (size_t i = 0; i < p->n_layers; i++) {
        free(p->layers[i].title);
    }
    for (size_t i = 0; i < p->n_patches; i++) {
        free(p->patches[i].title);
        free(p->patches[i].file_path);
    }
    free(p->layers);
    free(p->patches);
    free(p->path);
    *p = (fnr_t2_project){0};
}
