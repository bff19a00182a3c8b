#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The packages that the README tells people to install are among those that
# MirrorCL is built with, and the files it links to exist.
set -u

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
failures=0
miss() {
	echo "README.md: $1"
	failures=$((failures + 1))
}

packages=$(sed -n '/apt-get install/,/[^\\]$/p' "$top/README.md" | tr -d '\\' | sed 's/.*apt-get install//')
[[ $packages ]] || miss 'names no packages'
for package in $packages; do
	grep -qx -- "$package" "$top/tools/packages.list" || miss "$package is not in tools/packages.list"
done

links=$(grep -oE '\]\([^)#]+' "$top/README.md" | cut -c3- | grep -v '^http')
[[ $links ]] || miss 'links to nothing'
for link in $links; do
	[[ -e $top/$link ]] || miss "$link does not exist"
done
[[ $failures -eq 0 ]]
