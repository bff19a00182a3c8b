#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tests.sh LIST: run tests inside the virtual machine, all in one boot, and print
# what they said as KTAP. A line of LIST is a test: its name, its time limit in
# seconds and its command, separated by spaces. A test's own output follows its
# "# begin NAME" line, each line after "# ". Exit status 0 unless LIST cannot be
# read: whether a test passed is in its own line.
list=$1
number=0
echo "KTAP version 1"
echo "1..$(grep -c . "$list")" || exit 2
while read -r name limit command; do
	number=$((number + 1))
	echo "# begin $name"
	began=$EPOCHREALTIME
	# shellcheck disable=SC2086 # the words of the command
	timeout -k 10 "$limit" $command </dev/null > >(exec sed -u 's/^/# /') 2>&1
	status=$?
	wait $! # for the last lines
	took=$(((${EPOCHREALTIME/./} - ${began/./}) / 1000))
	case $status in
	0) echo "ok $number $name # $took ms" ;;
	77) echo "ok $number $name # SKIP" ;;
	124 | 137) echo "not ok $number $name # no end within $limit s" ;;
	*) echo "not ok $number $name # status $status, $took ms" ;;
	esac
done <"$list"
