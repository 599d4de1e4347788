/* Prediction that does not wait for the host: the functions of the backend's table whose names begin with flow. */
#ifndef FNR_NET_CUDA_FLOW_H
#define FNR_NET_CUDA_FLOW_H

#include "net/cuda/program.h"

bool fnr_cu_flow_new(fnr_program *p, fnr_flow **out, fnr_error *err);
void fnr_cu_flow_free(fnr_flow *f);
void fnr_cu_flow_ends(fnr_flow *f, int lane, int slot, float **in, const float **out);
bool fnr_cu_flow_push(fnr_flow *f, int lane, int slot, fnr_error *err);
bool fnr_cu_flow_take(fnr_flow *f, int lane, int slot, bool wait, bool *done, fnr_error *err);

#endif
