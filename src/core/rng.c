#include "src/core/rng.h"

#include <math.h>

double fnr_rng_normal(fnr_rng *r)
{
    const double radius = sqrt(-2 * log(1 - fnr_rng_uniform(r))); /* 1 - u is in (0, 1]: the logarithm is finite */
    return radius * cos(6.283185307179586477 * fnr_rng_uniform(r));
}
