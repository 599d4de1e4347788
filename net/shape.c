#include "net/shape.h"

enum { MAX_CHANNELS = 1024, MAX_DEPTH = 8, MAX_DEEP_CHANNELS = 8192 };

static bool in_range(int value, int low, int high, const char *what, fnr_error *err)
{
    if (value < low || value > high) {
        return fnr_fail(err, FNR_E_FORMAT, "network description: %s is %d, but must lie in %d..%d", what, value, low, high);
    }
    return true;
}

bool fnr_netdesc_check(const fnr_netdesc *d, fnr_error *err)
{
    if (!in_range(d->spatial, 2, 3, "the number of spatial axes", err) ||
        !in_range(d->in_channels, 1, MAX_CHANNELS, "the number of input channels", err) ||
        !in_range(d->out_channels, 1, MAX_CHANNELS, "the number of output channels", err) ||
        !in_range(d->base_channels, 1, MAX_CHANNELS, "the number of base channels", err) ||
        !in_range(d->depth, 0, MAX_DEPTH, "the depth", err)) {
        return false;
    }
    /* Keeps every later product of channel counts and taps far from overflow. */
    if (d->base_channels << d->depth > MAX_DEEP_CHANNELS) {
        return fnr_fail(err, FNR_E_FORMAT, "network description: %d base channels doubled %d times are more than %d",
                        d->base_channels, d->depth, MAX_DEEP_CHANNELS);
    }
    return true;
}

int fnr_netdesc_receptive_field(const fnr_netdesc *d)
{
    /* The bottom level looks 2 px far (two 3x3 convolutions).  A level above sees, at worst alignment, 2 * (what is below) + 5:
     * two 3x3 convolutions before and two after, and 1 px because a 2x2 cell is always taken as a whole. */
    int reach = 2;
    for (int i = 0; i < d->depth; i++) {
        reach = 2 * reach + 5;
    }
    return reach + 1; /* conv_out */
}

int fnr_netdesc_grid(const fnr_netdesc *d)
{
    return 1 << d->depth;
}
