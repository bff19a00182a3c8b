#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Each case that a row of the benchmark names exists, each limit runs and gives a
# positive number, and each case of a paired row gives two.
# Usage: test_cases.sh FOLDER_OF_THE_PROGRAMS ROWS_C FOLDER_OF_THE_ICD_FILE
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
paired=$(awk -F'"' '/\.measure = /{ name = $2 } /\.paired = true/{ print name }' "$2")
[[ $paired ]] || { echo "no paired row found in $2"; exit 1; }
for name in $paired; do
	values=$(OCL_ICD_VENDORS=$3 MIRRORCL_MIRROR=shared "$1/mirrorcl-bench-case" "$name")
	awk -v values="$values" 'BEGIN { exit !(split(values, v) == 2 && v[1] > 0 && v[2] > 0) }' ||
		{ echo "$name gave '$values'"; exit 1; }
done
if "$1/mirrorcl-bench-case" no-such-case 2>/dev/null; then
	echo "an unknown case was accepted"
	exit 1
fi
