#include <math.h>

#include "src/pipeline/evaluate.h"

double fnr_eval_published_error(const fnr_transform *a, const fnr_transform *b, int w, int h)
{
    /* dx + dy is an affine function of the pixel. */
    const double by_x = a->m00 - b->m00 + a->m10 - b->m10, by_y = a->m01 - b->m01 + a->m11 - b->m11,
                 at_0 = a->m02 - b->m02 + a->m12 - b->m12;
    double sum = 0;
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            sum += fabs(at_0 + by_x * x + by_y * y);
        }
    }
    return sum / ((double)w * h);
}

void fnr_eval_published_sd(fnr_eval_stats *s)
{
    s->sd *= s->n > 0 ? sqrt((double)(s->n - 1) / (double)s->n) : 1;
}
