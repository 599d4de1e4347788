/* fnet-register: finds the command, lets args.c parse the rest through its table, configures and calls it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/args.h"
#include "src/core/threads.h"

static fnr_cancel cancel_flag;

static void on_signal(int number)
{
    (void)number;
    cancel_flag.requested = 1;
}

/* The first Ctrl-C asks the work to stop at the next safe place; a second one ends the program as usual. */
static void install_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file-size limit is a write error like a full disk */
}

/* Later assignments win: defaults, -c FILE, then --set and the options that stand for a setting, in the order given. */
static bool configure(const fnr_args *args, fnr_config *config, fnr_error *err)
{
    if (!fnr_config_load(config, fnr_args_value(args, "config"), err)) {
        return false;
    }
    for (size_t i = 0; i < args->n_given; i++) {
        const fnr_option *o = args->given[i].option;
        const char *value = args->given[i].value;
        char name[128], where[160];
        snprintf(name, sizeof name, "%s", o->setting ? o->setting : "");
        snprintf(where, sizeof where, "--%s", o->name);
        if (!strcmp(o->name, "set")) {
            const char *equals = strchr(value, '=');
            if (!equals) {
                return fnr_fail(err, FNR_E_USAGE, "--set %s: write NAME=VALUE", value);
            }
            snprintf(name, sizeof name, "%.*s", (int)(equals - value), value);
            value = equals + 1;
        }
        if (name[0] && !fnr_settings_set(&fnr_config_table, config, name, o->arg ? value : "true", where, err)) {
            err->code = FNR_E_USAGE;
            return false;
        }
    }
    return fnr_config_finish(config, err);
}

static int run_command(const fnr_command *c, const fnr_args *args)
{
    const fnr_log_level level = fnr_args_value(args, "quiet") ? FNR_LOG_QUIET : fnr_args_value(args, "verbose") ? FNR_LOG_VERBOSE : FNR_LOG_NORMAL;
    const char *log_path = fnr_args_value(args, "log");
    fnr_error err = {0};
    fnr_run run = {.log = fnr_log_new(stderr, level), .cancel = &cancel_flag, .dry_run = fnr_args_value(args, "dry-run") != NULL};
    int status;
    if (fnr_args_value(args, "quiet") && fnr_args_value(args, "verbose")) {
        status = fnr_usage_error(&err, c->name, "--quiet and --verbose contradict each other");
    } else if (!configure(args, &run.config, &err) || (log_path && !fnr_log_attach_file(run.log, log_path, &err))) {
        status = fnr_exit_of(&err);
    } else if (fnr_args_value(args, "print-config")) {
        fnr_settings_write_ini(&fnr_config_table, &run.config, stdout);
        status = FNR_EXIT_OK;
    } else {
        fnr_threads_set(run.config.compute.threads);
        status = c->main(&run, args, &err);
    }
    if (err.code != FNR_OK) {
        fnr_log_error(run.log, &err);
    }
    if (fflush(stdout) || ferror(stdout)) {
        fputs("fnet-register: cannot write to standard output\n", stderr);
        status = status ? status : FNR_EXIT_FAILED;
    }
    fnr_log_free(run.log);
    return status;
}

static bool is_any(const char *word, const char *a, const char *b)
{
    return word && (!strcmp(word, a) || !strcmp(word, b));
}

/* `fnet-register help [COMMAND]` */
static int help(const char *name)
{
    const fnr_command *c = name ? fnr_command_find(name) : NULL;
    if (name && !c) {
        fprintf(stderr, "fnet-register: there is no command %s; see `fnet-register --help`\n", name);
        return FNR_EXIT_USAGE;
    }
    if (c) {
        fnr_help_print_command(c);
    } else {
        fnr_help_print();
    }
    return FNR_EXIT_OK;
}

/* Takes the command's name out of argv, wherever it stands; the first command is meant when there is none. */
static const fnr_command *take_command(int *argc, char **argv)
{
    const int at = fnr_args_find_command(*argc, argv);
    if (at == 0) {
        return fnr_commands[0];
    }
    const fnr_command *c = fnr_command_find(argv[at]);
    memmove(argv + at, argv + at + 1, (size_t)(*argc - at) * sizeof *argv); /* with the NULL at the end */
    --*argc;
    return c;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fnr_help_print();
        return FNR_EXIT_USAGE;
    }
    if (is_any(argv[1], "--version", "-V")) {
        puts("fnet-register " FNR_VERSION);
        return FNR_EXIT_OK;
    }
    if (is_any(argv[1], "--help", "-h") || !strcmp(argv[1], "help")) {
        return help(argv[2]);
    }
    const fnr_command *command = take_command(&argc, argv);
    install_signals();
    fnr_args args;
    fnr_error err = {0};
    int status = FNR_EXIT_OK;
    if (!fnr_args_parse(command, argc, argv, &args, &err)) {
        fprintf(stderr, "fnet-register: %s\n", err.message);
        return FNR_EXIT_USAGE;
    }
    if (fnr_args_value(&args, "help")) {
        fnr_help_print_command(command);
    } else {
        status = run_command(command, &args);
    }
    fnr_args_free(&args);
    return status;
}
