#!/bin/bash
# SPDX-License-Identifier: MIT
#
# mirrorcl(7) describes every option of config.def, with its default and in the
# same words. Usage: test_man.sh MIRRORCL
set -u

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
failures=0
miss() {
	echo "$1"
	failures=$((failures + 1))
}

options=$(env -i "$1" info --options)
[[ $(grep -c '^MIRRORCL_' <<<"$options") -gt 0 ]] || miss 'info --options names no option'
while IFS= read -r name && IFS= read -r help; do
	default=${name#*"(default '"}
	default=${default%"')"*}
	name=${name%% *}
	help=${help#    }
	grep -qxF ".It Ev $name" "$tools/man/mirrorcl.7" || miss "mirrorcl.7 does not describe $name"
	# shellcheck disable=SC1003
	grep -qxF "${help//\\/\\\\}" "$tools/man/mirrorcl.7" || miss "mirrorcl.7 says it in other words: $name: $help"
	if [[ $default ]] && ! grep -A4 -xF ".It Ev $name" "$tools/man/mirrorcl.7" | grep -qxF "Default: $default."; then
		miss "mirrorcl.7 has another default for $name: $default"
	fi
done <<<"$options"

if command -v mandoc >/dev/null; then
	for page in "$tools"/man/*.[17]; do
		mandoc -T lint -W warning "$page" || miss "$page is not a clean manual page"
	done
fi
[[ $failures -eq 0 ]]
