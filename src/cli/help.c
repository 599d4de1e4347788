/* --help at both levels. */
#include <stdio.h>

#include "src/cli/args.h"

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

void fnr_help_print_command(const fnr_command *c)
{
    const bool main_job = c == fnr_commands[0];
    printf("usage: fnet-register %s%s%s\n\n%s\n", main_job ? "" : c->name, main_job ? "" : " ", c->usage, c->summary);
    if (c->details) {
        printf("\n%s\n", c->details);
    }
    puts("\noptions:");
    print_options(c->options);
    if (c->uses_config) {
        puts("\nsettings:");
        print_options(fnr_config_options);
    }
    puts("\nevery command:");
    print_options(fnr_common_options);
}

void fnr_help_print(void)
{
    puts("fnet-register " FNR_VERSION ": registers electron micrographs to MBP immunofluorescence through a predicted image\n");
    puts("usage: fnet-register EM_DIR MBP.tif -m MODEL -o OUT     register every tile of a section");
    puts("       fnet-register COMMAND ...\n\ncommands:");
    for (const fnr_command *const *c = fnr_commands; *c; c++) {
        printf("  %-10s %s\n", (*c)->name, (*c)->summary);
    }
    puts("\n`fnet-register COMMAND --help` tells more; `fnet-register --version` prints the version.");
    puts("Exit status: 0 done; 1 failed; 2 wrong usage; 3 finished, but some tiles are doubtful or failed.");
}
