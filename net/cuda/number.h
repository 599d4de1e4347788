/* Numbers in the GPU's memory: float32 or bfloat16, alone or in groups of eight channels.  Shared by kernels and tests. */
#ifndef FNR_NET_CUDA_NUMBER_H
#define FNR_NET_CUDA_NUMBER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "src/core/hd.h"

typedef enum { FNR_CU_FLOAT32, FNR_CU_BF16 } fnr_cu_type;

static FNR_HD size_t fnr_cu_size(int type)
{
    return type == FNR_CU_BF16 ? 2 : 4;
}

/* Rounds to nearest, ties to even; NaN stays NaN. */
static FNR_HD uint16_t fnr_cu_to_bf16(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) {
        return (uint16_t)(bits >> 16 | 0x40u);
    }
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

static FNR_HD float fnr_cu_from_bf16(uint16_t v)
{
    const uint32_t bits = (uint32_t)v << 16;
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

static FNR_HD float fnr_cu_get(const void *p, int type, size_t i)
{
    return type == FNR_CU_BF16 ? fnr_cu_from_bf16(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

static FNR_HD void fnr_cu_put(void *p, int type, size_t i, float v)
{
    if (type == FNR_CU_BF16) {
        ((uint16_t *)p)[i] = fnr_cu_to_bf16(v);
    } else {
        ((float *)p)[i] = v;
    }
}

/* Channels that one thread handles together: 16 bytes of bfloat16. Tensors with other numbers of channels go one by one. */
enum { FNR_CU_GROUP = 8 };

/* Reads `v` neighbours (1 or FNR_CU_GROUP; then i is a multiple of it and p 16-byte aligned). */
static FNR_HD void fnr_cu_get_group(const void *p, int type, int v, size_t i, float *out)
{
#ifdef __CUDA_ARCH__
    if (v == FNR_CU_GROUP && type == FNR_CU_BF16) {
        const uint4 raw = *(const uint4 *)((const uint16_t *)p + i);
        const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
        for (int k = 0; k < 4; k++) {
            out[2 * k] = __uint_as_float(words[k] << 16);
            out[2 * k + 1] = __uint_as_float(words[k] & 0xFFFF0000u);
        }
        return;
    }
    if (v == FNR_CU_GROUP) {
        const float4 a = *(const float4 *)((const float *)p + i), b = *((const float4 *)((const float *)p + i) + 1);
        out[0] = a.x, out[1] = a.y, out[2] = a.z, out[3] = a.w;
        out[4] = b.x, out[5] = b.y, out[6] = b.z, out[7] = b.w;
        return;
    }
#endif
    for (int k = 0; k < v; k++) {
        out[k] = fnr_cu_get(p, type, i + (size_t)k);
    }
}

static FNR_HD void fnr_cu_put_group(void *p, int type, int v, size_t i, const float *in)
{
#ifdef __CUDA_ARCH__
    if (v == FNR_CU_GROUP && type == FNR_CU_BF16) {
        uint32_t words[4];
#pragma unroll
        for (int k = 0; k < 4; k++) {
            words[k] = fnr_cu_to_bf16(in[2 * k]) | (uint32_t)fnr_cu_to_bf16(in[2 * k + 1]) << 16;
        }
        *(uint4 *)((uint16_t *)p + i) = make_uint4(words[0], words[1], words[2], words[3]);
        return;
    }
    if (v == FNR_CU_GROUP) {
        float4 *to = (float4 *)((float *)p + i);
        to[0] = make_float4(in[0], in[1], in[2], in[3]);
        to[1] = make_float4(in[4], in[5], in[6], in[7]);
        return;
    }
#endif
    for (int k = 0; k < v; k++) {
        fnr_cu_put(p, type, i + (size_t)k, in[k]);
    }
}

#endif
