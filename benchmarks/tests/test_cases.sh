#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Each case that a row of the benchmark names exists, and each limit runs and
# gives a positive number. Usage: test_cases.sh FOLDER_OF_THE_PROGRAMS ROWS_C
set -euo pipefail

cases=$("$1/mirrorcl-bench-case" --list)
named=$(sed -nE 's/.*\.(measure|limit) = "([^"]*)".*/\2/p' "$2" | sort -u)
[[ $named ]] || { echo "no case found in $2"; exit 1; }
for name in $named; do
	grep -qxF "$name" <<<"$cases" || { echo "no case $name"; exit 1; }
done
for name in $(grep '^limit-' <<<"$cases"); do
	value=$("$1/mirrorcl-bench-case" "$name")
	awk -v value="$value" 'BEGIN { exit !(value > 0) }' || { echo "$name gave '$value'"; exit 1; }
done
if "$1/mirrorcl-bench-case" no-such-case 2>/dev/null; then
	echo "an unknown case was accepted"
	exit 1
fi
