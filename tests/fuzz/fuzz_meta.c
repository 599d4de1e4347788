/* libFuzzer target: bytes as descriptions and private tags. The first byte picks the tag. See run.sh. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/image/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t tags[] = {FNR_TAG_ZEISS, FNR_TAG_FEI, FNR_TAG_THERMO, FNR_TAG_TESCAN};
    fnr_ome ome;
    fnr_imagej imagej;
    fnr_pixel_nm nm;
    double value;
    const char *end;
    if (size < 1) {
        return 0;
    }
    /* Two copies of the exact size, one of them terminated: reading on is seen by the address sanitizer. */
    char *tag = malloc(size), *text = malloc(size);
    if (tag && text) {
        memcpy(tag, data, size);
        memcpy(text, data + 1, size - 1);
        text[size - 1] = 0;
        fnr_sem_tag_parse(tags[data[0] % 4], tag, size, &nm);
        fnr_ome_parse(text, &ome);
        fnr_imagej_parse(text, &imagej);
        fnr_openfibsem_parse(text, &nm);
        fnr_unit_to_nm(text);
        fnr_parse_number(text, &end, &value);
    }
    free(text);
    free(tag);
    return 0;
}
