#!/bin/bash
# What must not be in a project that others clone: paths of one machine, words about how the text came to be, package hosts.
. "$(dirname "$0")/lib.sh"
# Brackets keep the patterns from finding this file.
words='/wor[k]/|\b(code|build|server)?[ -]?far[m]\b|\bsub-?agent[s]?\b|\bhelper session[s]?\b|\b(another|other|this|the|a) session[s]?\b'
words+='|\bthe helper[s]?\b|\bclaud[e]\b|\banthropi[c]\b|\bchatgp[t]\b|\bopena[i]\b|\bAI[ -]generate[d]\b'
hosts='(deb|snapshot|security|ftp)\.debian\.or[g]|archive\.ubuntu\.co[m]|\bpypi\.or[g]|files\.pythonhosted\.or[g]|registry\.npmjs\.or[g]'
hosts+='|conda\.anaconda\.or[g]|\bcrates\.i[o]|proxy\.golang\.or[g]|developer\.download\.nvidia\.co[m]'
found=$(find . \( -name .git -o -name build -o -name 'build-*' -o -name demo-out \) -prune -o -type f -print0 |
    xargs -0 -r grep -IinHoE -- "$words|$hosts" | sed -E 's|^\./||; s/^([^:]*:[0-9]*):(.*)/\1: do not mention "\2"/' | LC_ALL=C sort)
[ -z "$found" ] || { printf '%s\n' "$found"; exit 1; }
