#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# dkms-check.sh HEADERS: whether the kernel with these headers can have the module;
# if not, say what it lacks.
headers=$1
config=$headers/.config
[ -r "$config" ] || config=$headers/include/config/auto.conf
if [ ! -r "$config" ]; then
	echo "hmm_mirror: no kernel configuration in $headers" >&2
	exit 1
fi
missing=
for option in HMM_MIRROR MMU_NOTIFIER TRANSPARENT_HUGEPAGE; do
	grep -q "^CONFIG_$option=y" "$config" || missing="$missing CONFIG_$option"
done
if [ -n "$missing" ]; then
	echo "hmm_mirror: this kernel was built without$missing" >&2
	exit 1
fi
grep -q '^CONFIG_DEVICE_PRIVATE=y' "$config" ||
	echo "hmm_mirror: this kernel was built without CONFIG_DEVICE_PRIVATE: pages will be mirrored, but not migrated"
