/* An opened oneDNN device. */
#ifndef FNR_NET_ONEDNN_ONEDNN_H
#define FNR_NET_ONEDNN_ONEDNN_H

#include "net/backend.h"
#include "net/onednn/conv.h"
#include "net/onednn/kernels.h"
#include "net/onednn/wino_kernels.h"

struct fnr_backend {
    fnr_dn_device dev;
    const fnr_dn_kernels *kernels;
    const fnr_dn_wino_kernels *wino, *wino6; /* tiles of 4x4 and of 6x6 */
    bool winograd;
    int precision; /* fnr_precision */
    size_t max_bytes;
};

#endif
