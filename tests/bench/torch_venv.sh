#!/bin/bash
# Puts the newest PyTorch that pip finds into a folder of its own (several GB), for comparisons.  Usage: torch_venv.sh DIR
# Says so when it cannot, and leaves no half-made folder; comparisons then go on without it.
set -u
dir=$1
[ -e "$dir/complete" ] && exit 0
rm -rf "$dir"
echo "installing the newest PyTorch into $dir (several GB; TORCH_PYTHONS=/usr/bin/python3 does without)"
if python3 -m venv "$dir" >"$dir.log" 2>&1 && "$dir/bin/python" -m pip install -q torch numpy >>"$dir.log" 2>&1; then
    touch "$dir/complete"
    rm -f "$dir.log"
else
    echo "it could not be installed: $(tail -n 1 "$dir.log")"
    rm -rf "$dir"
fi
exit 0
