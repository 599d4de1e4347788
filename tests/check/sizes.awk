# A function is what stands between "{" and "}" in the first column: the style puts them there (.clang-format).

function end_of_file() {
    if (lines > file_max && !long_file) {
        print name ":" lines ": the file has more than " file_max " lines; it holds more than one idea"
    }
}

FNR == 1 {
    end_of_file()
    name = FILENAME
    long_file = 0
    start = 0
}
{
    lines = FNR
    strip($0)
    if (FNR <= 40 && /\/\* long file: [^ *]/) { long_file = 1 }
    if (/\/\* long: [^ *]/) { excused = 1 }
}
code ~ /^[A-Za-z].*\)[ \t]*[{][ \t]*$/ { print FILENAME ":" FNR ": the brace of a function stands on a line of its own" }
code ~ /^[{]/ { start = FNR; excused = 0 }
code ~ /^[}]/ && start {
    if (FNR - start - 1 > function_max && !excused) {
        print FILENAME ":" start ": a function of " (FNR - start - 1) " lines; cut it below " function_max
    }
    start = 0
}
END { end_of_file() }
