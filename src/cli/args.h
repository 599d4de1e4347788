/* Inside the command line: which commands and options there are, parsing, help. */
#ifndef FNR_CLI_ARGS_H
#define FNR_CLI_ARGS_H

#include "src/cli/command.h"

/* All commands, NULL-terminated; the first is meant when none is named. */
extern const fnr_command *const fnr_commands[];
const fnr_command *fnr_command_find(const char *name);

/* Options of every command, and of those that take settings; each ends with a NULL name. */
extern const fnr_option fnr_common_options[], fnr_config_options[];

/* Position in argv of the command's name: the first word, or the first behind options that every command has; 0 when no command
 * is named. */
int fnr_args_find_command(int argc, char **argv);

/* Parses argv[1 ...] (the command's name taken out); reorders argv.  False with FNR_E_USAGE; otherwise fnr_args_free. */
bool fnr_args_parse(const fnr_command *c, int argc, char **argv, fnr_args *out, fnr_error *err);
void fnr_args_free(fnr_args *args);

void fnr_help_print(void);
void fnr_help_print_command(const fnr_command *c);

#endif
