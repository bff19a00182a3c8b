#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh [NAME...]: run the selftests of the loaded module, all or those whose
# names contain a NAME. Meant for the virtual machine:
#
#   ./dev vm -- kernel-hmm/selftests/run.sh
#
# which has built them already (HMM_MIRROR_SELFTESTS); elsewhere they are built.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
program=${HMM_MIRROR_SELFTESTS:-}
if [ ! -x "$program" ]; then
	folder=$(mktemp -d)
	trap 'rm -rf "$folder"' EXIT
	make -s -C "$here" BUILD="$folder"
	program=$folder/hmm_mirror_test
fi
[ -c /dev/hmm_mirror ] || { echo "1..0 # SKIP /dev/hmm_mirror is not there"; exit 4; }

# In a machine that is thrown away: something to swap to, and huge pages.
if [ "$(id -u)" = 0 ] && grep -q 'vm\.job=' /proc/cmdline; then
	# Once, if this is the second call.
	if modprobe zram 2>/dev/null && [ "$(cat /sys/block/zram0/disksize)" = 0 ]; then
		echo 256M >/sys/block/zram0/disksize
		mkswap -q /dev/zram0 && swapon /dev/zram0
	fi
	echo 2 >/proc/sys/vm/nr_hugepages
fi
# A kernel that checks everything takes its time.
[[ $(uname -r) != *-debug-* ]] || export HMM_MIRROR_TEST_SECONDS=${HMM_MIRROR_TEST_SECONDS:-600}
"$program" "$@"
