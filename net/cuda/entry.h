/* The functions of the backend's table that work on programs (program.c), and their parts that a captured step shares. */
#ifndef FNR_NET_CUDA_ENTRY_H
#define FNR_NET_CUDA_ENTRY_H

#include "net/cuda/program.h"

bool fnr_cu_program_new(fnr_backend *b, fnr_state *s, const fnr_shape *shape, fnr_mode mode, fnr_program **out, fnr_error *err);
void fnr_cu_program_free(fnr_program *p);
size_t fnr_cu_program_bytes(const fnr_program *p);
bool fnr_cu_program_forward(fnr_program *p, const float *x, float *y, fnr_error *err);
bool fnr_cu_program_mse(fnr_program *p, const float *target, double *loss, fnr_error *err);
bool fnr_cu_program_set_output_grad(fnr_program *p, const float *dy, fnr_error *err);
bool fnr_cu_program_backward(fnr_program *p, float *dx, fnr_error *err);

/* Queues the loss of the last forward pass against the target in planes_out, and its gradient. */
bool fnr_cu_queue_mse(const fnr_program *p, int rank, fnr_error *err);

#endif
