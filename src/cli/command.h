/* The command line: a table of commands, each with a table of options.  args.c parses, cmd_*.c act. */
#ifndef FNR_CLI_COMMAND_H
#define FNR_CLI_COMMAND_H

#include "src/pipeline/run.h"

typedef struct {
    const char *name;    /* long option without dashes */
    char letter;         /* 0 = none */
    const char *arg;     /* what the argument is called in --help; NULL = a flag */
    const char *setting; /* the setting it assigns, or NULL: the command reads it with fnr_args_value() */
    const char *help;
} fnr_option;

typedef struct {
    const fnr_option *option;
    const char *value; /* a flag's is "" */
} fnr_given;

typedef struct {
    fnr_given *given; /* as given, in order */
    size_t n_given, capacity;
    const char *const *positional;
    int n_positional;
} fnr_args;

typedef struct fnr_command {
    const char *name, *summary;
    const char *usage; /* arguments behind the name */
    const char *details; /* paragraphs for --help, may be NULL */
    const fnr_option *options; /* ends with a NULL name */
    bool uses_config;          /* takes -c, --set, --print-config */
    /* Exit status; error messages are logged by the caller when err is filled and the status is not 0. */
    int (*main)(fnr_run *run, const fnr_args *args, fnr_error *err);
} fnr_command;

/* Value of an option (the last one given), or NULL; a flag's value is "". */
const char *fnr_args_value(const fnr_args *args, const char *name);
/* All values of an option, in order, at most `max` of them; how many there are. */
size_t fnr_args_values(const fnr_args *args, const char *name, const char **out, size_t max);
/* Number or whole number within [min, max]; `otherwise` when not given. */
bool fnr_args_number(const fnr_args *args, const char *name, double min, double max, double otherwise, double *out, fnr_error *err);
bool fnr_args_int(const fnr_args *args, const char *name, int min, int max, int otherwise, int *out, fnr_error *err);

enum { FNR_EXIT_OK = 0, FNR_EXIT_FAILED = 1, FNR_EXIT_USAGE = 2, FNR_EXIT_DOUBTFUL = 3 };
/* 2 for FNR_E_USAGE, 1 otherwise. */
int fnr_exit_of(const fnr_error *err);
/* FNR_E_USAGE with a hint at `fnet-register COMMAND --help`. */
int fnr_usage_error(fnr_error *err, const char *command, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

extern const fnr_command fnr_cmd_register, fnr_cmd_train, fnr_cmd_predict, fnr_cmd_simulate, fnr_cmd_evaluate, fnr_cmd_convert,
    fnr_cmd_info;

#endif
