/* fnet-register: parses the command line through the tables of the commands, then calls one of them. */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/cli/command.h"
#include "src/core/threads.h"

static const fnr_command *const commands[] = {&fnr_cmd_register, &fnr_cmd_train, &fnr_cmd_predict, &fnr_cmd_evaluate,
                                              &fnr_cmd_simulate, &fnr_cmd_convert, &fnr_cmd_info};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const fnr_option common_options[] = {
    {"threads", 't', "N", "compute.threads", "threads; 0 = all processors"},
    {"device", 0, "NAME", "compute.device", "what runs the network: auto (default), cuda, cpu, onednn, ref"},
    {"quiet", 'q', NULL, NULL, "warnings and errors only"},
    {"verbose", 'v', NULL, NULL, "more detail"},
    {"log", 0, "FILE", NULL, "append every message to FILE"},
    {"help", 'h', NULL, NULL, "this text"},
    {0},
};

static const fnr_option config_options[] = {
    {"config", 'c', "FILE", NULL, "settings (INI); see --print-config for all of them"},
    {"set", 's', "NAME=VALUE", NULL, "one setting, e.g. --set train.steps=5000"},
    {"print-config", 0, NULL, NULL, "print the settings in force with their meaning, and stop"},
    {"dry-run", 'n', NULL, NULL, "say what would be done, and stop"},
    {0},
};

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

const char *fnr_args_value(const fnr_args *args, const char *name)
{
    for (int i = args->n_given - 1; i >= 0; i--) {
        if (!strcmp(args->options[i]->name, name)) {
            return args->values[i];
        }
    }
    return NULL;
}

bool fnr_args_number(const fnr_args *args, const char *name, double min, double max, double otherwise, double *out, fnr_error *err)
{
    const char *text = fnr_args_value(args, name);
    *out = otherwise;
    if (!text) {
        return true;
    }
    char *end;
    const double v = strtod(text, &end);
    if (end == text || *end || !(v >= min && v <= max)) {
        return fnr_fail(err, FNR_E_USAGE, "--%s %s: not a number from %g to %g", name, text, min, max);
    }
    *out = v;
    return true;
}

int fnr_exit_of(const fnr_error *err)
{
    return err->code == FNR_E_USAGE ? FNR_EXIT_USAGE : FNR_EXIT_FAILED;
}

int fnr_usage_error(fnr_error *err, const char *command, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fnr_fail(err, FNR_E_USAGE, "%s; see `fnet-register %s --help`", text, command);
    return FNR_EXIT_USAGE;
}

/* ---- help ------------------------------------------------------------------------------------------------------------------ */

static void print_options(const fnr_option *o)
{
    for (; o && o->name; o++) {
        char left[80];
        snprintf(left, sizeof left, "%s%c%s --%s%s%s", o->letter ? "-" : " ", o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name,
                 o->arg ? " " : "", o->arg ? o->arg : "");
        printf("  %-30s %s", left, o->help);
        if (o->setting) {
            printf(" (setting %s)", o->setting);
        }
        putchar('\n');
    }
}

static void print_command_help(const fnr_command *c)
{
    const bool main_job = c == commands[0];
    printf("usage: fnet-register %s%s%s\n\n%s\n", main_job ? "" : c->name, main_job ? "" : " ", c->usage, c->summary);
    if (c->details) {
        printf("\n%s\n", c->details);
    }
    puts("\noptions:");
    print_options(c->options);
    if (c->uses_config) {
        print_options(config_options);
    }
    print_options(common_options);
}

static void print_help(void)
{
    puts("fnet-register " FNR_VERSION ": registers electron micrographs to MBP immunofluorescence through a predicted image\n");
    puts("usage: fnet-register EM_DIR MBP.tif -m MODEL -o OUT     register every tile of a section");
    puts("       fnet-register COMMAND ...\n\ncommands:");
    for (int i = 0; i < N_COMMANDS; i++) {
        printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    }
    puts("\n`fnet-register COMMAND --help` tells more; `fnet-register --version` prints the version.");
    puts("Exit status: 0 done; 1 failed; 2 wrong usage; 3 finished, but some tiles are doubtful or failed.");
}

/* ---- parsing --------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const fnr_option *rows[FNR_MAX_OPTIONS];
    struct option longs[FNR_MAX_OPTIONS + 1];
    char shorts[2 * FNR_MAX_OPTIONS + 2];
    int n;
} option_set;

static void add_options(option_set *set, const fnr_option *o)
{
    for (; o && o->name && set->n < FNR_MAX_OPTIONS; o++) {
        set->longs[set->n] = (struct option){o->name, o->arg ? required_argument : no_argument, NULL, 0};
        set->rows[set->n++] = o;
        if (o->letter) {
            const size_t used = strlen(set->shorts);
            snprintf(set->shorts + used, sizeof set->shorts - used, "%c%s", o->letter, o->arg ? ":" : "");
        }
    }
}

static const fnr_option *option_of(const option_set *set, int got, int long_index)
{
    if (got == 0) {
        return set->rows[long_index];
    }
    for (int i = 0; i < set->n; i++) {
        if (set->rows[i]->letter == got) {
            return set->rows[i];
        }
    }
    return NULL;
}

/* The word that getopt_long stumbled over.  It moves words that are no options behind the others, so its position tells nothing;
 * of a group of letters only the wrong one is named. */
static void name_culprit(char *out, size_t size, char **argv, int got)
{
    const char *word = argv[optind - 1];
    if (got == '?' && optopt) {
        snprintf(out, size, "-%c: unknown option", optopt);
    } else {
        snprintf(out, size, "%s: %s", word, got == ':' ? "the argument is missing" : "unknown option");
    }
}

static bool parse(const fnr_command *c, int argc, char **argv, fnr_args *args, fnr_error *err)
{
    option_set set = {.shorts = ":"};
    add_options(&set, c->options);
    if (c->uses_config) {
        add_options(&set, config_options);
    }
    add_options(&set, common_options);
    *args = (fnr_args){0};
    opterr = 0;
    optind = 1;
    for (;;) {
        int index = 0;
        const int got = getopt_long(argc, argv, set.shorts, set.longs, &index);
        if (got == -1) {
            break;
        }
        if (got == ':' || got == '?') {
            char culprit[256];
            name_culprit(culprit, sizeof culprit, argv, got);
            fnr_usage_error(err, c->name, "%s", culprit);
            return false;
        }
        if (args->n_given == FNR_MAX_OPTIONS) {
            fnr_usage_error(err, c->name, "more than %d options", FNR_MAX_OPTIONS);
            return false;
        }
        const fnr_option *option = option_of(&set, got, index);
        if (optarg && !*optarg) { /* most often a variable of the shell that was never set */
            fnr_usage_error(err, c->name, "--%s: its argument is empty", option->name);
            return false;
        }
        args->options[args->n_given] = option;
        args->values[args->n_given++] = optarg ? optarg : "";
    }
    args->positional = (const char *const *)argv + optind;
    args->n_positional = argc - optind;
    for (int i = 0; i < args->n_positional; i++) {
        if (!args->positional[i][0]) {
            fnr_usage_error(err, c->name, "argument %d is empty", i + 1);
            return false;
        }
    }
    return true;
}

/* Later assignments win: defaults, -c FILE, then --set and the options that stand for a setting, in the order given. */
static bool configure(const fnr_args *args, fnr_config *config, fnr_error *err)
{
    if (!fnr_config_load(config, fnr_args_value(args, "config"), err)) {
        return false;
    }
    for (int i = 0; i < args->n_given; i++) {
        const fnr_option *o = args->options[i];
        char name[128], where[160];
        const char *value = args->values[i];
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
    if (!configure(args, &run.config, &err) || (log_path && !fnr_log_attach_file(run.log, log_path, &err))) {
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

int main(int argc, char **argv)
{
    const fnr_command *command = commands[0];
    if (argc < 2) {
        print_help();
        return FNR_EXIT_USAGE;
    }
    if (!strcmp(argv[1], "--version")) {
        puts("fnet-register " FNR_VERSION);
        return FNR_EXIT_OK;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_help();
        return FNR_EXIT_OK;
    }
    for (int i = 0; i < N_COMMANDS; i++) {
        if (!strcmp(argv[1], commands[i]->name)) {
            command = commands[i];
            argv++;
            argc--;
            break;
        }
    }
    install_signals();
    fnr_args args;
    fnr_error err = {0};
    if (!parse(command, argc, argv, &args, &err)) {
        fprintf(stderr, "fnet-register: %s\n", err.message);
        return FNR_EXIT_USAGE;
    }
    if (fnr_args_value(&args, "help")) {
        print_command_help(command);
        return FNR_EXIT_OK;
    }
    return run_command(command, &args);
}
