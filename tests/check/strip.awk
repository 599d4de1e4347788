# Gives other awk programs `code`: the line without comments and without what stands inside quotes.  Call strip($0) once per line.
# `allowed` is set when the line carries a comment "allowed: reason".

function strip(line,    out, i, c, two, n, quote) {
    if (FNR == 1) {
        in_comment = 0
    }
    allowed = line ~ /allowed: [^ *]/
    out = ""
    quote = ""
    n = length(line)
    for (i = 1; i <= n; i++) {
        c = substr(line, i, 1)
        two = substr(line, i, 2)
        if (in_comment) {
            if (two == "*/") { in_comment = 0; i++; out = out " " }
        } else if (quote != "") {
            if (c == "\\") { i++ }
            else if (c == quote) { quote = ""; out = out c }
        } else if (two == "/*") { in_comment = 1; i++ }
        else if (two == "//") { break }
        else {
            if (c == "\"" || (c == "'" && substr(line, i - 1, 1) !~ /[0-9a-fA-F]/)) { quote = c }
            out = out c
        }
    }
    code = out
}
