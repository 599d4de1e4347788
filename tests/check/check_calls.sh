#!/bin/bash
# Calls that the product must not make, each with what to use instead.
. "$(dirname "$0")/lib.sh"
product_sources c h cpp cu | check_awk calls.awk
