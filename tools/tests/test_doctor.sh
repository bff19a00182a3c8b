#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `mirrorcl doctor` finds a working MirrorCL usable, and what was broken on
# purpose unusable, with the reason. Usage: test_doctor.sh MIRRORCL
set -u

mirrorcl=$1
unset OCL_ICD_VENDORS MIRRORCL_MIRROR MIRRORCL_CC MIRRORCL_DEBUG
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
export MIRRORCL_CACHE_DIR=$scratch/cache
failures=0

# check WHAT WANTED_STATUS WANTED_TEXT -- COMMAND...
check() {
	local what=$1 wanted=$2 text=$3 output status
	shift 4
	output=$("$@" 2>&1)
	status=$?
	if [[ $status -ne $wanted ]]; then
		echo "$what: status $status instead of $wanted: $output"
		failures=$((failures + 1))
	fi
	# Whatever the width of the terminal broke into lines.
	if ! tr -s ' \n' ' ' <<<"$output" | grep -qF -- "$text"; then
		echo "$what: does not say '$text': $output"
		failures=$((failures + 1))
	fi
}

check 'a healthy machine' 0 'ran on malloc' -- "$mirrorcl" doctor
check 'as JSON' 0 '"usable": true' -- "$mirrorcl" doctor --json
check 'an unknown mirror' 1 'bad mirror in use' -- env MIRRORCL_MIRROR=other "$mirrorcl" doctor
check 'as JSON' 1 '"usable": false' -- env MIRRORCL_MIRROR=other "$mirrorcl" doctor --json
check 'no compiler' 1 'bad kernel compiler' -- env MIRRORCL_CC=/no/such/mirrorcl-cc "$mirrorcl" doctor
check 'a compiler that crashes' 1 'bad kernel compiler' -- env MIRRORCL_CC=/bin/false "$mirrorcl" doctor
check 'not among the drivers' 0 'warn OpenCL loader' -- env OCL_ICD_VENDORS="$scratch" "$mirrorcl" doctor
check 'the cache is off' 0 'warn program cache' -- env MIRRORCL_CACHE_SIZE=0 "$mirrorcl" doctor
check 'files are limited' 0 'files may not grow beyond' -- \
	bash -c 'ulimit -f 4000000; exec "$0" doctor' "$mirrorcl"
check 'an argument' 2 'too many arguments' -- "$mirrorcl" doctor now

[[ $failures -eq 0 ]]
