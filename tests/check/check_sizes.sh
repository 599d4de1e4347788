#!/bin/bash
# No function longer than 70 lines, no source longer than 500.  A table that cannot be cut says so in a comment of its own:
# /* long: reason */ inside the function, or /* long file: reason */ among the first lines of the file.
. "$(dirname "$0")/lib.sh"
sources c h cpp cu | check_awk sizes.awk function_max=70 file_max=500
