/* The tables of commands and options, and getopt_long on top of them. */
#include "src/cli/args.h"

#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/text.h"

const fnr_command *const fnr_commands[] = {&fnr_cmd_register, &fnr_cmd_train,   &fnr_cmd_predict, &fnr_cmd_evaluate,
                                           &fnr_cmd_simulate, &fnr_cmd_convert, &fnr_cmd_info,    NULL};

const fnr_option fnr_common_options[] = {
    {"threads", 't', "N", "compute.threads", "threads; 0 = all processors"},
    {"device", 0, "NAME", "compute.device", "what runs the network: auto (default), cuda, cpu, onednn, ref"},
    {"quiet", 'q', NULL, NULL, "warnings and errors only"},
    {"verbose", 'v', NULL, NULL, "more detail"},
    {"log", 0, "FILE", NULL, "append every message to FILE"},
    {"help", 'h', NULL, NULL, "this text"},
    {0},
};

const fnr_option fnr_config_options[] = {
    {"config", 'c', "FILE", NULL, "settings (INI); see --print-config for all of them"},
    {"set", 's', "NAME=VALUE", NULL, "one setting, e.g. --set train.steps=5000"},
    {"print-config", 0, NULL, NULL, "print the settings in force with their meaning, and stop"},
    {"dry-run", 'n', NULL, NULL, "say what would be done, and stop"},
    {0},
};

const fnr_command *fnr_command_find(const char *name)
{
    for (const fnr_command *const *c = fnr_commands; *c; c++) {
        if (!strcmp((*c)->name, name)) {
            return *c;
        }
    }
    return NULL;
}

/* ---- what a command asks --------------------------------------------------------------------------------------------------- */

const char *fnr_args_value(const fnr_args *args, const char *name)
{
    for (size_t i = args->n_given; i > 0; i--) {
        if (!strcmp(args->given[i - 1].option->name, name)) {
            return args->given[i - 1].value;
        }
    }
    return NULL;
}

size_t fnr_args_values(const fnr_args *args, const char *name, const char **out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < args->n_given; i++) {
        if (!strcmp(args->given[i].option->name, name) && n < max) {
            out[n++] = args->given[i].value;
        }
    }
    return n;
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

bool fnr_args_int(const fnr_args *args, const char *name, int min, int max, int otherwise, int *out, fnr_error *err)
{
    double v;
    *out = otherwise;
    if (!fnr_args_number(args, name, min, max, otherwise, &v, err)) {
        return false;
    }
    if (v != trunc(v)) {
        return fnr_fail(err, FNR_E_USAGE, "--%s %s: not a whole number", name, fnr_args_value(args, name));
    }
    *out = (int)v;
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

/* ---- the command's name ---------------------------------------------------------------------------------------------------- */

/* How many words of argv the option at argv[0] takes; 0 when it is none that every command has. */
static int words_of_common_option(char **argv)
{
    const char *word = argv[0];
    for (const fnr_option *o = fnr_common_options; o->name; o++) {
        const size_t length = strlen(o->name);
        if (!strncmp(word, "--", 2) && !strncmp(word + 2, o->name, length) && (!word[2 + length] || word[2 + length] == '=')) {
            return o->arg && !word[2 + length] ? 2 : 1;
        }
        if (word[0] == '-' && o->letter && word[1] == o->letter) {
            return o->arg && !word[2] ? 2 : 1; /* of a group of letters, the first tells */
        }
    }
    return 0;
}

int fnr_args_find_command(int argc, char **argv)
{
    int at = 1;
    while (at < argc && argv[at][0] == '-') {
        const int words = words_of_common_option(argv + at);
        if (words == 0) {
            return 0;
        }
        at += words;
    }
    return at < argc && fnr_command_find(argv[at]) ? at : 0;
}

/* ---- parsing --------------------------------------------------------------------------------------------------------------- */

enum { TABLE_MAX = 64 }; /* options that one command knows */

/* What getopt_long returns for row 0: every row has a value of its own, or it would take an ambiguous beginning for the first. */
enum { FIRST_LONG = 256 };

typedef struct {
    const fnr_option *rows[TABLE_MAX];
    struct option longs[TABLE_MAX + 1];
    char shorts[2 * TABLE_MAX + 2];
    int n;
} option_set;

static void add_options(option_set *set, const fnr_option *o)
{
    for (; o && o->name && set->n < TABLE_MAX; o++) {
        set->longs[set->n] = (struct option){o->name, o->arg ? required_argument : no_argument, NULL, FIRST_LONG + set->n};
        set->rows[set->n++] = o;
        if (o->letter) {
            const size_t used = strlen(set->shorts);
            snprintf(set->shorts + used, sizeof set->shorts - used, "%c%s", o->letter, o->arg ? ":" : "");
        }
    }
}

static const fnr_option *option_of(const option_set *set, int got)
{
    if (got >= FIRST_LONG) {
        return set->rows[got - FIRST_LONG];
    }
    for (int i = 0; i < set->n; i++) {
        if (set->rows[i]->letter == got) {
            return set->rows[i];
        }
    }
    return NULL;
}

/* What is wrong with a long option that getopt_long refused: "--dry-run=3", "--if" (of two), "--modle". */
static void name_long_culprit(const option_set *set, const char *word, char *out, size_t size)
{
    const char *name = word + 2;
    const size_t length = strcspn(name, "=");
    int begins[2], n = 0;
    for (int i = 0; i < set->n; i++) {
        if (!strncmp(set->rows[i]->name, name, length)) {
            begins[n < 2 ? n : 1] = i;
            n++;
        }
    }
    if (n == 1 && name[length]) {
        snprintf(out, size, "%s: --%s takes no value", word, set->rows[begins[0]]->name);
    } else if (n > 1) {
        snprintf(out, size, "%s: may mean --%s or --%s; write it out", word, set->rows[begins[0]]->name, set->rows[begins[1]]->name);
    } else {
        size_t best = 3; /* further away it is no typing error */
        const char *nearest = NULL;
        for (int i = 0; i < set->n; i++) {
            const size_t d = fnr_text_distance(name, set->rows[i]->name);
            nearest = d < best ? set->rows[i]->name : nearest;
            best = d < best ? d : best;
        }
        snprintf(out, size, "%s: unknown option%s%s%s", word, nearest ? " (did you mean --" : "", nearest ? nearest : "", nearest ? "?)" : "");
    }
}

/* The word that getopt_long stumbled over.  It moves words that are no options behind the others, so its position tells nothing;
 * of a group of letters only the wrong one is named. */
static void name_culprit(const option_set *set, char **argv, int got, char *out, size_t size)
{
    const char *word = argv[optind - 1];
    if (got == '?' && optopt > 0 && optopt < FIRST_LONG) {
        snprintf(out, size, "-%c: unknown option", optopt);
    } else if (got == ':') {
        snprintf(out, size, "%s: the argument is missing", word);
    } else {
        name_long_culprit(set, word, out, size);
    }
}

static bool take_options(const fnr_command *c, const option_set *set, int argc, char **argv, fnr_args *args, fnr_error *err)
{
    opterr = 0;
    optind = 1;
    for (;;) {
        const int got = getopt_long(argc, argv, set->shorts, set->longs, NULL);
        if (got == -1) {
            return true;
        }
        if (got == ':' || got == '?') {
            char culprit[400];
            name_culprit(set, argv, got, culprit, sizeof culprit);
            fnr_usage_error(err, c->name, "%s", culprit);
            return false;
        }
        const fnr_option *option = option_of(set, got);
        if (optarg && !*optarg) { /* most often a variable of the shell that was never set */
            fnr_usage_error(err, c->name, "--%s: its argument is empty", option->name);
            return false;
        }
        if (!fnr_grow(&args->given, &args->capacity, args->n_given, sizeof *args->given, "options", err)) {
            return false;
        }
        args->given[args->n_given++] = (fnr_given){option, optarg ? optarg : ""};
    }
}

bool fnr_args_parse(const fnr_command *c, int argc, char **argv, fnr_args *out, fnr_error *err)
{
    option_set set = {.shorts = ":"};
    fnr_args args = {0};
    add_options(&set, c->options);
    if (c->uses_config) {
        add_options(&set, fnr_config_options);
    }
    add_options(&set, fnr_common_options);
    bool ok = take_options(c, &set, argc, argv, &args, err);
    args.positional = (const char *const *)argv + optind;
    args.n_positional = argc - optind;
    for (int i = 0; ok && i < args.n_positional; i++) {
        if (!args.positional[i][0]) {
            fnr_usage_error(err, c->name, "argument %d is empty", i + 1);
            ok = false;
        }
    }
    if (!ok) {
        fnr_args_free(&args);
        return false;
    }
    *out = args;
    return true;
}

void fnr_args_free(fnr_args *args)
{
    free(args->given);
    *args = (fnr_args){0};
}
