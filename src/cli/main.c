#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("fnet-register " FNR_VERSION);
        return 0;
    }
    fputs("usage: fnet-register --version\n", stderr);
    return 2;
}
