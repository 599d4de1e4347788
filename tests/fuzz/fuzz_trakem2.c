/* libFuzzer target: bytes as a TrakEM2 project.  See run.sh. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/geom/trakem2_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    fnr_error err;
    fnr_t2_project p;
    if (fnr_t2_read_text(&text, &size, "/nonexistent/folder/p.xml", &p, &err)) {
        for (size_t i = 0; i < p.n_patches; i++) {
            const fnr_t2_patch *patch = &p.patches[i];
            if (!fnr_transform_is_finite(&patch->to_world) || (size_t)patch->layer >= p.n_layers || !patch->title ||
                !patch->file_path) {
                abort(); /* what the reader promises to everybody */
            }
        }
        fnr_t2_free(&p);
    } else if (!strstr(err.message, "cannot read /nonexistent/folder/p.xml: ")) {
        abort();
    }
    free(text);
    return 0;
}
