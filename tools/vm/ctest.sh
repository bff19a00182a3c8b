#!/bin/bash
# SPDX-License-Identifier: MIT
#
# ctest's side of the tests that run in the virtual machine.
#
#   ctest.sh run FOLDER [OPTION OF dev vm]... -- CMD...
#            boot once, run CMD there and keep what it prints, KTAP, in FOLDER, where it
#            can be followed, as with ctest -V. Succeeds in any case: the tests below judge.
#   ctest.sh boot FOLDER [OPTION OF dev vm]... -- CMD...
#            boot for CMD alone, whose output and status are the test's.
#   ctest.sh machine FOLDER     did the machine work, without a complaint?
#   ctest.sh result FOLDER NAME the result and output of one test
#
# Exit status 77 where the machine's parts cannot be fetched.
set -u
repo=$(cd "$(dirname "$0")/../.." && pwd -P)
action=$1 folder=$2
shift 2

unavailable() {
	if [[ -s $folder/unavailable ]]; then
		echo "skipped: the virtual machine is not available here:"
		cat "$folder/unavailable"
		exit 77
	fi
}

fetch() {
	rm -rf "$folder"
	mkdir -p "$folder" || exit 1
	if ! "$repo/dev" vm --fetch >"$folder/fetch.log" 2>&1; then
		tail -n 20 "$folder/fetch.log" >"$folder/unavailable"
		unavailable
	fi
}

case $action in
boot)
	fetch
	exec "$repo/dev" vm "$@"
	;;
run)
	fetch
	"$repo/dev" vm "$@" 2>"$folder/errors" | tee "$folder/ktap" |
		grep --line-buffered -E '^(# begin |ok |not ok |1\.\.)'
	echo "${PIPESTATUS[0]}" >"$folder/status"
	exit 0
	;;
machine)
	unavailable
	status=$(cat "$folder/status" 2>/dev/null)
	[[ $status == 0 ]] && exit 0
	cat "$folder/errors"
	echo "the virtual machine ended with status ${status:-unknown}"
	exit 1
	;;
result)
	unavailable
	sed -n "/^# begin $1\$/,/^\(not \)\?ok [0-9]* $1 /p" "$folder/ktap"
	case $(grep -E "^(not )?ok [0-9]+ $1 #" "$folder/ktap") in
	*"# SKIP"*) exit 77 ;;
	"ok "*) exit 0 ;;
	"not ok "*) exit 1 ;;
	*)
		echo "$1 did not get to run, or not to its end"
		exit 1
		;;
	esac
	;;
*)
	exit 2
	;;
esac
