BEGIN {
    # Everywhere.
    instead["strcpy stpcpy strcat strncat sprintf vsprintf"] = "snprintf, which knows the size"
    instead["gets"] = "fgets or fnr_read_file"
    instead["atoi atol atoll atof"] = "fnr_settings_set or strtol/strtod with the end checked"
    instead["strtok"] = "strtok_r or strcspn"
    instead["rand srand random srandom drand48"] = "fnr_rng (src/core/rng.h)"
    instead["system popen"] = "a function of our own: no program is started"
    instead["alloca"] = "fnr_calloc"
    instead["tmpnam tempnam mktemp"] = "fnr_atomic_open (src/core/fs.h)"
    instead["asctime ctime gmtime localtime"] = "the same function with _r"
    instead["setlocale"] = "newlocale: the locale belongs to the program that uses this library"
    # Everywhere but in src/cli.
    outside_cli["exit _exit _Exit quick_exit abort assert"] = "an error: return fnr_fail(err, ...)"
    outside_cli["printf vprintf puts putchar perror"] = "fnr_log, or a FILE * that the caller gives"
    expand(instead, banned)
    expand(outside_cli, banned_in_libraries)
}

function expand(table, out,    names, parts, n, i) {
    for (names in table) {
        n = split(names, parts, " ")
        for (i = 1; i <= n; i++) {
            out[parts[i]] = table[names]
        }
    }
}

# Complains of every identifier in front of a '(' that the table holds; members (x.exit, x->exit) are not meant.
function look(table,    rest, name, before) {
    rest = code
    while (match(rest, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
        name = substr(rest, RSTART, RLENGTH - 1)
        sub(/[ \t]+$/, "", name)
        before = RSTART > 1 ? substr(rest, RSTART - 1, 1) : " "
        if (RSTART > 2 && substr(rest, RSTART - 2, 2) == "->") { before = "." }
        if (before != "." && name in table) {
            print FILENAME ":" FNR ": " name "() is not for us; use " table[name]
        }
        rest = substr(rest, RSTART + RLENGTH - 1)
    }
}

{
    strip($0)
    if (allowed) {
        next
    }
    look(banned)
    if (FILENAME !~ /^src\/cli\//) {
        look(banned_in_libraries)
        if (FILENAME !~ /^src\/pipeline\// && code ~ /(^|[^A-Za-z0-9_])(stdout|stderr)([^A-Za-z0-9_]|$)/) {
            print FILENAME ":" FNR ": libraries do not print; return an error, or write to a FILE * that the caller gives"
        }
    }
}
