# Room of a file, by its folder.
function room_of(path) {
    if (path ~ /^src\//) { return word(path, 2) }
    if (path ~ /^net\/[a-z]+\//) { return "net/" word(path, 2) }
    return word(path, 1)
}
function word(path, n,    parts) { split(path, parts, "/"); return parts[n] }

function complain(text) { print FILENAME ":" FNR ": " text }

BEGIN {
    below["core"] = "core"
    below["image"] = "image core"
    below["geom"] = "geom image core"
    below["cv"] = "cv geom image core"
    below["net"] = "net cv geom image core"
    below["montage"] = "montage cv geom image core"
    below["register"] = "register cv geom image core"
    below["sim"] = "sim cv geom image core"
    below["pipeline"] = "pipeline montage register net sim cv geom image core"
    below["cli"] = "cli " below["pipeline"]
    # What the backends share with the network above them.
    interface = " net/backend.h net/graph.h net/shape.h net/host_state.h net/plugin.h net/patch_pixel.h "

    # Libraries: pattern of their headers and the files that may use them.
    owner["^opencv2/"] = "^src/cv/cv[.]cpp$"
    owner["^fftw3[.]h"] = "^src/cv/fft[.]c$"
    owner["^tiff(io)?[.]h"] = "^src/image/"
    owner["^libxml/"] = "^src/(image|geom)/"
    owner["^(png|jpeglib)[.]h"] = "^src/image/"
    owner["^(oneapi/|dnnl)"] = "^net/onednn/"
    owner["^(cuda|cudnn|cublas|nccl)"] = "^net/cuda/"
    owner["^ini[.]h"] = "^src/core/"
    owner["^sha2[.]h"] = "^src/core/"
    owner["^omp[.]h"] = "^src/core/threads[.]c$"
}

{ strip($0) }

code ~ /^[ \t]*#[ \t]*pragma[ \t]+omp/ && FILENAME !~ /^(src\/core\/threads[.]c|tests\/)/ && !allowed {
    complain("OpenMP belongs into src/core/threads.c alone: call fnr_parallel_for")
}

code ~ /^[ \t]*#[ \t]*include[ \t]*"/ {
    name = $0
    sub(/^[^"]*"/, "", name)
    sub(/".*/, "", name)
    if ((getline first < name) < 0) {
        complain("\"" name "\" is no path from the root of the project")
    }
    close(name)
    room = room_of(FILENAME)
    target = room_of(name)
    if (room == "tests") {
        next
    }
    if (room ~ /^net\//) { # a backend
        if (target != room && target != "core" && index(interface, " " name " ") == 0) {
            complain("a backend may include" interface "src/core and its own folder, not " name)
        }
    } else if (!(room in below)) {
        complain("the folder of this file has no place in the layers (tests/check/includes.awk)")
    } else if (index(" " below[room] " ", " " target " ") == 0) {
        complain(room " may not include " name ": it may see " below[room])
    }
}

code ~ /^[ \t]*#[ \t]*include[ \t]*</ && FILENAME !~ /^tests\// {
    name = $0
    sub(/^[^<]*</, "", name)
    sub(/>.*/, "", name)
    for (pattern in owner) {
        if (name ~ pattern && FILENAME !~ owner[pattern] && !allowed) {
            complain("<" name "> may be included by files that match " owner[pattern] " only")
        }
    }
}
