#include "net/graph.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/rng.h"

/* Room for one more element.  The capacity is not stored: it is the next power of two. */
static bool grow(void **array, int count, size_t size)
{
    if (count > 0 && (count & (count - 1)) != 0) {
        return true;
    }
    if (count > INT_MAX / 2) {
        return false;
    }
    void *bigger = realloc(*array, (count ? 2 * (size_t)count : 1) * size);
    if (!bigger) {
        return false;
    }
    *array = bigger;
    return true;
}

int fnr_graph_add_value(fnr_graph *g, int channels, int level)
{
    void *values = g->values;
    if (!grow(&values, g->n_values, sizeof *g->values)) {
        return -1;
    }
    g->values = values;
    g->values[g->n_values] = (fnr_value){.channels = channels, .level = level};
    g->max_level = level > g->max_level ? level : g->max_level;
    return g->n_values++;
}

int fnr_graph_add_param(fnr_graph *g, const char *name, fnr_param_role role, int rank, const int *dims)
{
    void *params = g->params;
    if (!grow(&params, g->n_params, sizeof *g->params)) {
        return -1;
    }
    g->params = params;
    fnr_param *p = &g->params[g->n_params];
    *p = (fnr_param){.role = role, .rank = rank, .count = 1, .offset = g->param_floats};
    snprintf(p->name, sizeof p->name, "%s", name);
    for (int i = 0; i < rank; i++) {
        p->dims[i] = dims[i];
        p->count *= (size_t)dims[i];
    }
    g->param_floats += p->count;
    return g->n_params++;
}

int fnr_graph_add_op(fnr_graph *g, const fnr_op *op)
{
    void *ops = g->ops;
    if (!grow(&ops, g->n_ops, sizeof *g->ops)) {
        return -1;
    }
    g->ops = ops;
    g->ops[g->n_ops] = *op;
    return g->n_ops++;
}

void fnr_graph_free(fnr_graph *g)
{
    if (g) {
        free(g->values);
        free(g->ops);
        free(g->params);
        *g = (fnr_graph){0};
    }
}

int fnr_graph_find_param(const fnr_graph *g, const char *name)
{
    for (int i = 0; i < g->n_params; i++) {
        if (strcmp(g->params[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static int extent_at(int extent, int level)
{
    return level >= 0 ? extent >> level : extent << -level;
}

/* The shape without any check. */
static fnr_shape shape_at(const fnr_graph *g, int value, const fnr_shape *input)
{
    const fnr_value *v = &g->values[value];
    fnr_shape s = *input;
    s.c = v->channels;
    s.d = s.spatial == 3 ? extent_at(s.d, v->level) : 1;
    s.h = extent_at(s.h, v->level);
    s.w = extent_at(s.w, v->level);
    return s;
}

bool fnr_graph_value_shape(const fnr_graph *g, int value, const fnr_shape *input, fnr_shape *out, fnr_error *err)
{
    const int cell = 1 << g->max_level;
    const bool has_depth = input->spatial == 3;
    if (input->spatial != g->spatial || (!has_depth && input->d != 1)) {
        return fnr_fail(err, FNR_E_USAGE, "the network is %dD, its input is not", g->spatial);
    }
    if (input->c != g->values[g->input].channels) {
        return fnr_fail(err, FNR_E_USAGE, "the network takes %d channel(s), its input has %d", g->values[g->input].channels,
                        input->c);
    }
    if (input->n < 1 || input->w < cell || input->h < cell || input->w % cell || input->h % cell ||
        (has_depth && (input->d < cell || input->d % cell))) {
        return fnr_fail(err, FNR_E_USAGE, "network input of %d x %d x %d x %d (n, d, h, w): each extent must be a multiple of %d",
                        input->n, input->d, input->h, input->w, cell);
    }
    *out = shape_at(g, value, input);
    return true;
}

double fnr_graph_macs(const fnr_graph *g, const fnr_shape *input)
{
    double macs = 0;
    for (int i = 0; i < g->n_ops; i++) {
        const fnr_op *op = &g->ops[i];
        if (op->kind != FNR_OP_CONV && op->kind != FNR_OP_CONVT) {
            continue;
        }
        /* Each weight is used once per pixel of the coarser side. */
        const int coarse = op->kind == FNR_OP_CONV ? op->out : op->in[0];
        const fnr_shape s = shape_at(g, coarse, input);
        macs += (double)g->params[op->weight].count * s.n * s.d * s.h * s.w;
    }
    return macs;
}

void fnr_graph_init(const fnr_graph *g, unsigned long long seed, float *flat)
{
    for (int i = 0; i < g->n_params; i++) {
        const fnr_param *p = &g->params[i];
        fnr_rng rng = fnr_rng_at(seed, (uint64_t)i, 0);
        double mean = 0, sd = 0;
        switch (p->role) {
        case FNR_PARAM_WEIGHT:
            sd = 0.02;
            break;
        case FNR_PARAM_NORM_WEIGHT:
            mean = 1;
            sd = 0.02;
            break;
        case FNR_PARAM_RUNNING_VAR:
            mean = 1;
            break;
        case FNR_PARAM_BIAS:
        case FNR_PARAM_NORM_BIAS:
        case FNR_PARAM_RUNNING_MEAN:
            break;
        }
        for (size_t k = 0; k < p->count; k++) {
            flat[p->offset + k] = (float)(sd > 0 ? mean + sd * fnr_rng_normal(&rng) : mean);
        }
    }
}
