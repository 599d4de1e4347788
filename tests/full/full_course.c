/* A training course whose weights and batches come from files, for tests/full/check_full.sh.
 * Usage: full_course DIR SPATIAL BATCH DEPTH HEIGHT WIDTH STEPS direct|winograd
 * DIR/init.f32 holds the parameters in the order of the state_dict, DIR/batches.f32 input and target of every step.  Prints one
 * loss per line.  The paper's network, Adam with lr 1e-3 and betas 0.5, 0.999. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/backend.h"

typedef struct {
    const fnr_backend_ops *ops;
    fnr_backend *device;
    fnr_graph graph;
    fnr_state *state;
    fnr_program *program;
    FILE *batches;
    float *x, *y;
    size_t count; /* elements of x, and of y */
} course;

static bool read_floats(FILE *f, float *p, size_t n, fnr_error *err)
{
    return fread(p, sizeof *p, n, f) == n || fnr_fail(err, FNR_E_FORMAT, "the file ends too soon");
}

static bool read_init(course *c, const char *dir, fnr_error *err)
{
    char path[512];
    snprintf(path, sizeof path, "%s/init.f32", dir);
    FILE *f = fopen(path, "rb");
    float *values = malloc(c->graph.param_floats * sizeof *values);
    bool ok = f && values ? read_floats(f, values, c->graph.param_floats, err) && fgetc(f) == EOF
                          : fnr_fail(err, FNR_E_IO, "cannot read %s", path);
    ok = ok && c->ops->state_write(c->state, FNR_STATE_VALUES, values, err);
    free(values);
    if (f) {
        fclose(f);
    }
    return ok;
}

static bool begin(course *c, const char *dir, const fnr_shape *shape, fnr_error *err)
{
    const fnr_netdesc desc = {shape->spatial, 1, 1, 32, 4};
    char path[512];
    snprintf(path, sizeof path, "%s/batches.f32", dir);
    c->batches = fopen(path, "rb");
    c->count = fnr_shape_count(shape);
    c->x = malloc(c->count * sizeof *c->x);
    c->y = malloc(c->count * sizeof *c->y);
    if (!c->batches || !c->x || !c->y) {
        return fnr_fail(err, FNR_E_IO, "cannot read %s", path);
    }
    return fnr_unet_build(&desc, &c->graph, err) && c->ops->state_new(c->device, &c->graph, true, &c->state, err) &&
           read_init(c, dir, err) && c->ops->program_new(c->device, c->state, shape, FNR_MODE_TRAIN, &c->program, err);
}

static bool run(course *c, long steps, fnr_error *err)
{
    static const fnr_adam adam = {.lr = 1e-3, .beta1 = 0.5, .beta2 = 0.999, .eps = 1e-8};
    for (long step = 1; step <= steps; step++) {
        double loss;
        if (!read_floats(c->batches, c->x, c->count, err) || !read_floats(c->batches, c->y, c->count, err) ||
            !c->ops->forward(c->program, c->x, NULL, err) || !c->ops->mse(c->program, c->y, &loss, err) ||
            !c->ops->backward(c->program, NULL, err) || !c->ops->adam(c->state, &adam, step, err)) {
            return false;
        }
        printf("%.9g\n", loss);
        fflush(stdout);
    }
    return true;
}

static void end(course *c)
{
    if (c->program) {
        c->ops->program_free(c->program);
    }
    if (c->state) {
        c->ops->state_free(c->state);
    }
    if (c->batches) {
        fclose(c->batches);
    }
    fnr_graph_free(&c->graph);
    free(c->x);
    free(c->y);
    c->ops->close(c->device);
}

int main(int argc, char **argv)
{
    if (argc != 9) {
        fprintf(stderr, "usage: full_course DIR SPATIAL BATCH DEPTH HEIGHT WIDTH STEPS direct|winograd\n");
        return 2;
    }
    const fnr_shape shape = {atoi(argv[2]), atoi(argv[3]), 1, atoi(argv[4]), atoi(argv[5]), atoi(argv[6])};
    const fnr_backend_options options = {.winograd = strcmp(argv[8], "winograd") == 0};
    fnr_error err = {0};
    course c = {.ops = fnr_backend_find("auto", &err)};
    if (!c.ops || !c.ops->open(&options, &c.device, &err)) {
        fprintf(stderr, "full_course: %s\n", err.message);
        return 1;
    }
    const bool ok = begin(&c, argv[1], &shape, &err) && run(&c, atol(argv[7]), &err);
    if (!ok) {
        fprintf(stderr, "full_course: %s\n", err.message);
    }
    end(&c);
    return ok ? 0 : 1;
}
