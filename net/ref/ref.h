/* Inside the reference backend: plain loops, float32 in memory, sums in double.  One file per operation; this backend is the
 * definition of what the others compute. */
#ifndef FNR_NET_REF_REF_H
#define FNR_NET_REF_REF_H

#include "net/host_state.h"

struct fnr_backend {
    size_t max_bytes; /* 0 = no limit */
};

/* A value of the graph in memory, with guard values on both sides of each buffer. */
typedef struct {
    fnr_shape shape;
    float *data;
    float *grad; /* derivative of the loss; NULL unless training */
} fnr_ref_tensor;

bool fnr_ref_tensor_new(fnr_ref_tensor *t, const fnr_shape *shape, bool training, fnr_error *err);
void fnr_ref_tensor_free(fnr_ref_tensor *t);
size_t fnr_ref_tensor_bytes(const fnr_shape *shape, bool training);
bool fnr_ref_tensor_intact(const fnr_ref_tensor *t); /* false when something wrote past either end */

/* One operation of the graph with its operands looked up. */
typedef struct {
    const fnr_op *op;
    fnr_ref_tensor *in[2], *out;
    const float *weight, *bias;         /* bias may be NULL */
    float *dweight, *dbias;             /* NULL unless training */
    float *running_mean, *running_var;  /* BN_RELU */
    double *mean, *inv_sd;              /* BN_RELU in training: the batch's, per channel, kept for backward */
    double *rows;                       /* scratch: one row of doubles for each channel, shared by all operations */
    size_t row_length;
} fnr_ref_call;

/* Forward overwrites out->data.  Backward adds to in[]->grad and overwrites dweight and dbias. */
void fnr_ref_conv_forward(const fnr_ref_call *c);
void fnr_ref_conv_backward(const fnr_ref_call *c);
void fnr_ref_convt_forward(const fnr_ref_call *c);
void fnr_ref_convt_backward(const fnr_ref_call *c);
void fnr_ref_bn_relu_train(const fnr_ref_call *c); /* batch statistics; updates the running ones */
void fnr_ref_bn_relu_infer(const fnr_ref_call *c); /* running statistics */
void fnr_ref_bn_relu_backward(const fnr_ref_call *c);
void fnr_ref_concat_forward(const fnr_ref_call *c);
void fnr_ref_concat_backward(const fnr_ref_call *c);
/* dbias[channel] = sum of out->grad over the rest, or exactly 0 when the bias feeds a norm. */
void fnr_ref_bias_backward(const fnr_ref_call *c);
/* Mean of (y - target)^2; its gradient into y->grad. */
double fnr_ref_mse(fnr_ref_tensor *y, const float *target);

bool fnr_ref_program_new(fnr_backend *b, fnr_state *s, const fnr_shape *shape, fnr_mode mode, fnr_program **out, fnr_error *err);
void fnr_ref_program_free(fnr_program *p);
size_t fnr_ref_program_bytes(const fnr_program *p);
bool fnr_ref_forward(fnr_program *p, const float *x, float *y, fnr_error *err);
bool fnr_ref_program_mse(fnr_program *p, const float *target, double *loss, fnr_error *err);
bool fnr_ref_set_output_grad(fnr_program *p, const float *dy, fnr_error *err);
bool fnr_ref_backward(fnr_program *p, float *dx, fnr_error *err);

#endif
