#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh: measure the loaded module. Meant for the virtual machine when it counts
# instructions as time; `./dev bench --module` is
#
#   ./dev vm --accel icount -- kernel-hmm/selftests/bench/run.sh
#
# Status 1: a mark was missed.
set -eu
: "${HMM_MIRROR_BENCH:?is set by ./dev vm}"
[ -c /dev/hmm_mirror ] || { echo "/dev/hmm_mirror is not there"; exit 4; }
if [ "${HMM_FLOOR_MODULE:-}" ]; then
	insmod "$HMM_FLOOR_MODULE"
fi
status=0
"$HMM_MIRROR_BENCH" "$@" || status=$?
if [ "${HMM_FLOOR_MODULE:-}" ]; then
	rmmod hmm_floor
fi
exit $status
