#!/bin/sh
# SPDX-License-Identifier: MIT
# Run the samples, one after the other, on every mirror that can run here; last line "demo: passed" or "demo: FAILED: ...".
# Started by ./dev demo, which sets up everything first; works on its own with a finished build.
set -u

usage() {
	cat <<USAGE
Usage: demo.sh [--mirror MIRROR]... [BUILD_DIR]

Run the samples on MirrorCL and print what each of them did, with its table of faults and migrations.

  --mirror M   only this one: shared, uffd or hmm (may be given several times;
               default: shared, then uffd and hmm where this machine can run them)
  --help       show this text

BUILD_DIR defaults to \$MIRRORCL_BUILD, then ./build.
Exit status: 0 if every sample passed, 1 if one failed, 2 for a wrong argument.
USAGE
}

wrong() {
	echo "demo.sh: $1; see --help" >&2
	exit 2
}

mirrors=
build=
# ./dev asks before it sets up anything: are these arguments all right?
check=
if [ "${1:-}" = --check ]; then
	check=yes
	shift
fi
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h)
		usage
		exit 0
		;;
	--mirror)
		[ $# -ge 2 ] || wrong "--mirror needs a name"
		mirrors="$mirrors $2"
		shift
		;;
	--mirror=*) mirrors="$mirrors ${1#--mirror=}" ;;
	--hmm) mirrors="$mirrors hmm" ;;
	-*) wrong "unknown option $1" ;;
	*)
		[ -z "$build" ] || wrong "more than one build folder"
		build=$1
		;;
	esac
	shift
done
for mirror in $mirrors; do
	case $mirror in
	shared | uffd | hmm) ;;
	*) wrong "there is no mirror '$mirror'" ;;
	esac
done

[ -z "$check" ] || exit 0

build=${build:-${MIRRORCL_BUILD:-build}}
[ -x "$build/samples/linked-list" ] || wrong "no samples in '$build': build them first (./dev demo does)"
if [ -z "${OCL_ICD_VENDORS:-}" ]; then
	OCL_ICD_VENDORS=$(cd "$build" && pwd)/icd/vendors
	export OCL_ICD_VENDORS
fi

# A mirror that was not asked for by name is left out where it cannot run, and only then: the device is reported as not
# available. A sample that fails in any other way is for the demo to show.
can_run() {
	output=$(MIRRORCL_MIRROR=$1 MIRRORCL_DEBUG=error timeout 120 "$build/samples/linked-list" 2>&1) && return 0
	case $output in
	*"FAILED: no device here"*) ;;
	*) return 0 ;;
	esac
	reason=$(echo "$output" | sed -n 's/^mirrorcl: //p' | tail -n 1)
	echo "The $1 mirror cannot run here: ${reason:-its device is not available ('mirrorcl doctor' says why)}"
	return 1
}
if [ -z "$mirrors" ]; then
	mirrors=shared
	for mirror in uffd hmm; do
		can_run $mirror && mirrors="$mirrors $mirror"
	done
fi

samples="linked-list wordcount producer-consumer graph bad-pointer"
total=0
for mirror in $mirrors; do
	for sample in $samples; do
		total=$((total + 1))
	done
done

failed=
number=0
for mirror in $mirrors; do
	for sample in $samples; do
		number=$((number + 1))
		echo
		echo "=== $number/$total: $sample on the $mirror mirror ==="
		MIRRORCL_MIRROR=$mirror MIRRORCL_REPORT=- timeout 120 "$build/samples/$sample" 2>&1
		status=$?
		[ $status -eq 0 ] && continue
		[ $status -eq 124 ] && echo "$sample: no result after 120 s"
		failed="$failed $sample/$mirror"
	done
done

echo
if [ -n "$failed" ]; then
	echo "demo: FAILED:$failed"
	exit 1
fi
echo "demo: passed"
