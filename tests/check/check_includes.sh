#!/bin/bash
# Who may include whom: cli -> pipeline -> {montage, register, net, sim} -> {cv, geom} -> image -> core; backends see the interface
# only; a library's headers stay in the room that owns it.
. "$(dirname "$0")/lib.sh"
sources c h cpp cu | check_awk includes.awk
