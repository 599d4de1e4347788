#include "src/pipeline/prediction.h"

#include <math.h>
#include <string.h>

#include "src/pipeline/stack.h"

static const float u16_low = -4.0f, u16_per_sd = 2048.0f;

void fnr_prediction_to_u16(const float *from, size_t n, uint16_t *to)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint16_t)lrintf(fminf(65535.0f, fmaxf(0.0f, (from[i] - u16_low) * u16_per_sd)));
    }
}

bool fnr_prediction_path(const fnr_netdesc *desc, const char *output, int channel, char path[FNR_PATH_MAX], fnr_error *err)
{
    const char *dot = strrchr(fnr_path_base(output), '.');
    const int stem = dot ? (int)(dot - output) : (int)strlen(output);
    const int n = desc->out_channels == 1 ? snprintf(path, FNR_PATH_MAX, "%s", output)
                                          : snprintf(path, FNR_PATH_MAX, "%.*s.c%d%s", stem, output, channel + 1, dot ? dot : "");
    return n < FNR_PATH_MAX || fnr_fail(err, FNR_E_USAGE, "%s: the path is too long", output);
}

bool fnr_prediction_channels_fit(const fnr_predicting *p, const char *input, fnr_error *err)
{
    fnr_stack s;
    if (p->desc->spatial == 2 && p->desc->in_channels == 1) {
        return true; /* the first page, whatever follows */
    }
    return fnr_stack_open(input, p->desc->spatial, &s, err) &&
           (s.channels == p->desc->in_channels || fnr_fail(err, FNR_E_FORMAT, "%s: has %d channel%s, the network takes %d", input, s.channels,
                                                           s.channels == 1 ? "" : "s", p->desc->in_channels));
}
