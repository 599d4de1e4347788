/* Mean squared error over all elements, as torch.nn.MSELoss. */
#include "net/ref/ref.h"

double fnr_ref_mse(fnr_ref_tensor *y, const float *target)
{
    const size_t count = fnr_shape_count(&y->shape);
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        const double difference = (double)y->data[i] - (double)target[i];
        sum += difference * difference;
        y->grad[i] = (float)(2 * difference / (double)count);
    }
    return sum / (double)count;
}
