#!/bin/bash
# Runs `make check`'s scripts on the project, and proves on planted violations that each of them can fail.
. tests/support/tap.sh
checks=$PWD/tests/check

# plant FILE <<< text : puts a file into the scratch tree.
plant() {
    mkdir -p "$scratch/tree/$(dirname "$1")"
    cat >"$scratch/tree/$1"
}
fresh_tree() { rm -rf "$scratch/tree"; mkdir "$scratch/tree"; }
run_check() { "$checks/check_$1.sh" "$scratch/tree"; }
# caught CHECK extended-regex : the scratch tree is refused with that text.
caught() { expect_status 1 run_check "$1" && expect_text out "$2"; }
clean() { expect_status 0 run_check "$1" || fail "$(cat "$scratch/out")"; }

project_is_clean() { expect_status 0 "$checks/check_$1.sh" . || { sed 's/^/# /' "$scratch/out"; false; }; }
project_includes() { project_is_clean includes; }
project_headers() { project_is_clean headers; }
project_calls() { project_is_clean calls; }
project_sizes() { project_is_clean sizes; }
project_words() { project_is_clean words; }

# ---- include layers ----

# refused_include FILE HEADER extended-regex
refused_include() {
    fresh_tree
    plant "$2" <<<'int x;'
    printf '#include "%s"\n' "$2" | plant "$1"
    caught includes "^$1:1: $3"
}
accepted_include() {
    fresh_tree
    plant "$2" <<<'int x;'
    printf '/* #include "x.h" */\n#include "%s"\n' "$2" | plant "$1"
    clean includes
}
# refused_library FILE LIBRARY_HEADER ; accepted_library likewise
refused_library() { fresh_tree; printf 'int x;\n# include <%s>\n' "$2" | plant "$1"; caught includes "^$1:2: <$2> may be"; }
accepted_library() { fresh_tree; printf '#include <%s>\n' "$2" | plant "$1"; clean includes; }

layers_only_look_down() {
    refused_include src/core/a.c src/image/view.h 'core may not include src/image/view.h'
    refused_include src/image/a.h src/geom/box.h 'image may not'
    refused_include src/geom/a.c src/cv/cv.h 'geom may not'
    refused_include src/cv/cv.cpp register/register.h 'cv may not'
    refused_include src/sim/a.c net/model.h 'sim may not'
    refused_include src/pipeline/a.c src/cli/cmd.h 'pipeline may not'
    refused_include src/new/a.c src/core/err.h 'the folder of this file has no place'
    refused_include src/core/a.c tests/support/support.h 'core may not'
    accepted_include src/cli/a.c src/pipeline/run.h
    accepted_include src/pipeline/a.c net/train.h
    accepted_include src/cv/cv.cpp src/geom/warp.h
    accepted_include src/geom/a.c src/core/err.h
    accepted_include tests/net/test_a.c register/register.h
}
siblings_do_not_meet() {
    local a b
    for a in net register montage; do
        for b in net register montage; do
            [ $a = $b ] || refused_include $a/a.c $b/b.h "$a may not include $b/b.h"
        done
        accepted_include $a/a.c src/cv/cv.h
    done
}
backends_see_the_interface_only() {
    refused_include net/onednn/a.c net/model.h 'a backend may include'
    refused_include net/ref/a.c src/image/view.h 'a backend may include'
    refused_include net/cuda/a.cu net/ref/ref.h 'a backend may include'
    refused_include net/train.c net/ref/ref.h 'net may not include net/ref/ref.h'
    accepted_include net/onednn/a.c net/backend.h
    accepted_include net/ref/a.c net/ref/window.h
    accepted_include net/cuda/a.cu src/core/mem.h
}
libraries_stay_in_their_room() {
    refused_library src/cv/other.cpp opencv2/core.hpp
    refused_library register/a.c opencv2/core.hpp
    refused_library register/a.c fftw3.h
    refused_library src/pipeline/a.c tiffio.h
    refused_library net/a.c libxml/tree.h
    refused_library net/train.c oneapi/dnnl/dnnl.h
    refused_library src/pipeline/a.c ini.h
    accepted_library src/cv/cv.cpp opencv2/core.hpp
    accepted_library src/cv/fft.c fftw3.h
    accepted_library src/image/a.c tiffio.h
    accepted_library src/geom/a.c libxml/tree.h
}
openmp_stays_in_one_file() {
    fresh_tree
    printf 'int x;\n#pragma omp parallel for\n' | plant net/ref/a.c
    caught includes '^net/ref/a.c:2: OpenMP belongs'
    fresh_tree
    printf '#pragma omp parallel for\n' | plant src/core/threads.c
    clean includes
}
include_paths_start_at_the_root() {
    fresh_tree
    plant src/core/err.h <<<'int x;'
    plant src/core/a.c <<<'#include "err.h"'
    caught includes '^src/core/a.c:1: "err.h" is no path from the root'
}

# ---- headers ----

headers_that_need_others() {
    fresh_tree
    plant src/core/a.h <<<'size_t fnr_a(void);'
    caught headers '^src/core/a.h:1: does not compile alone under gcc'
    expect_text out 'alone under clang'
}
headers_that_are_no_headers() {
    fresh_tree
    printf '/* not alone: the body of a loop, once per type */\nTYPE x;\n' | plant net/onednn/body.h
    clean headers
    printf '/* not alone: */\nTYPE x;\n' | plant net/onednn/body.h
    caught headers '^net/onednn/body.h:1:'
}
headers_without_a_guard() {
    fresh_tree
    plant src/core/a.h <<<'typedef struct { int x; } fnr_a;'
    caught headers '^src/core/a.h:1:'
    fresh_tree
    printf '#ifndef A\n#define A\n#include <stddef.h>\ntypedef struct { size_t x; } fnr_a;\n#endif\n' | plant src/core/a.h
    clean headers
}

# ---- calls ----

refused_call() { fresh_tree; plant "$1" <<<"void f(void) { $2; }"; caught calls "^$1:1: $3"; }
accepted_call() { fresh_tree; plant "$1" <<<"void f(void) { $2; }"; clean calls; }

forbidden_calls() {
    refused_call src/core/a.c 'strcpy(a, b)' 'strcpy\(\) is not for us; use snprintf'
    refused_call src/cli/a.c 'x = strcat (a, b)' 'strcat.*snprintf'
    refused_call src/cli/a.c 'if (!sprintf(a, "%d", 1))' 'sprintf.*snprintf'
    refused_call src/cli/a.c 'gets(a)' 'gets.*fgets'
    refused_call src/cli/a.c 'x = (double)atof(a)' 'atof.*strtod'
    refused_call src/cli/a.c 'g(atoi(a))' 'atoi'
    refused_call src/cli/a.c 'strtok(a, "x")' 'strtok.*strtok_r'
    refused_call net/a.c 'x = rand() % 5' 'rand.*fnr_rng'
    refused_call register/a.c 'system("ls")' 'system.*no program'
    refused_call montage/a.h 'popen("ls", "r")' 'popen'
    refused_call src/image/a.c 'exit(1)' 'exit.*fnr_fail'
    refused_call src/cv/cv.cpp 'std::abort()' 'abort'
    refused_call net/ref/a.c 'assert(x > 0)' 'assert'
    refused_call src/pipeline/a.c 'printf("x")' 'printf.*fnr_log'
    refused_call src/geom/a.c 'puts("x")' 'puts'
    refused_call src/geom/a.c 'perror("x")' 'perror'
    refused_call src/geom/a.c 'fprintf(stderr, "x")' 'libraries do not print'
}
calls_that_only_look_alike() {
    accepted_call src/core/a.c 'snprintf(a, 4, "exit(1)"); fprintf(file, "x"); vsnprintf(a); strtok_r(a)'
    accepted_call src/core/a.c 'b->exit(1); b.abort(); my_exit(2); pthread_exit(0); fputs("x", f)'
    accepted_call src/core/a.c '/* exit(1) */ f("a\" exit(1)"); // abort()'
    accepted_call src/core/a.c "c = '\"'; x = 1; /* ' */"
    accepted_call src/cli/a.c 'exit(1); printf("x"); fputs("x", stderr); assert(x)'
    accepted_call src/core/a.c 'abort(); /* allowed: the heap is broken */'
    accepted_call tests/core/test_a.c 'system("ls")'
    refused_call src/core/a.c 'abort(); /* allowed: */' 'abort' # an exception needs a reason
    refused_call src/core/a.c "c = '\"'; abort(); d = '\"'" 'abort'
    fresh_tree
    printf '/* a comment\n exit(1)\n*/ int f(void)\n{\n    exit(1);\n}\n' | plant src/core/a.c
    caught calls '^src/core/a.c:5:'
    [ "$(wc -l <"$scratch/out")" = 1 ] || fail 'the comment was counted'
}

# ---- sizes ----

function_of() { printf 'void f(void)\n{\n'; [ $# -lt 2 ] || echo "    $2"; yes '    x++;' | head -n "$1"; echo '}'; }
long_functions() {
    fresh_tree; function_of 71 | plant src/core/a.c; caught sizes '^src/core/a.c:2: a function of 71 lines'
    fresh_tree; function_of 70 | plant src/core/a.c; clean sizes
    fresh_tree; { function_of 60; function_of 60; } | plant src/core/a.c; clean sizes
    fresh_tree; function_of 90 '/* long: one case per TIFF tag */' | plant src/core/a.c; clean sizes
    fresh_tree; { function_of 9 '/* long: because */'; function_of 90; } | plant src/core/a.c; caught sizes ':15: a function of 90'
    fresh_tree; printf 'void f(void) {\n}\n' | plant src/core/a.c; caught sizes ':1: the brace of a function'
}
long_files() {
    fresh_tree; yes 'int x;' | head -n 501 | plant net/a.c; caught sizes '^net/a.c:501: the file has more than 500'
    fresh_tree; yes 'int x;' | head -n 500 | plant net/a.c; yes 'int y;' | head -n 500 | plant net/b.c; clean sizes
    fresh_tree; { echo '/* long file: a table of fonts */'; yes 'int x;' | head -n 900; } | plant net/a.c; clean sizes
    yes 'int x;' | head -n 501 | plant net/b.c; caught sizes '^net/b.c:501' # the excuse is that file's alone
}

# ---- words ----

words_of_one_machine() {
    local text
    # Put together here, so that this file does not hold them.
    for text in "see /wor""k/x" "on the build far""m" "left by another sess""ion" "by a sub""-agent" "https://py""pi.org/x" "deb http://deb.deb""ian.org/debian"; do
        fresh_tree
        printf 'first line\n%s\n' "$text" | plant docs/a.md
        caught words '^docs/a.md:2: do not mention'
    done
    fresh_tree
    plant README.md <<<'A helper function in the framework; farmers; network/x; a worker; recording sessions.'
    printf '/wor''k/x\n' | plant build/junk.txt
    printf '\0/wor''k/x\n' | plant model.safetensors
    clean words
}

# `make check` itself must pass the verdict on.
make_check_fails_when_a_check_fails() {
    fresh_tree
    unset MAKEFLAGS
    mkdir "$scratch/tree/tests"
    cp -r Makefile "$scratch/tree"
    cp -r tests/check "$scratch/tree/tests"
    expect_status 0 make -s -C "$scratch/tree" check
    plant src/core/planted.c <<<'void f(void) { abort(); }'
    expect_status 2 make -s -C "$scratch/tree" check
    expect_text out '^src/core/planted.c:1: abort'
}

tap_run project_includes project_headers project_calls project_sizes project_words \
    layers_only_look_down siblings_do_not_meet backends_see_the_interface_only libraries_stay_in_their_room \
    openmp_stays_in_one_file include_paths_start_at_the_root \
    headers_that_need_others headers_that_are_no_headers headers_without_a_guard \
    forbidden_calls calls_that_only_look_alike long_functions long_files words_of_one_machine make_check_fails_when_a_check_fails
