#!/bin/busybox sh
# SPDX-License-Identifier: MIT
#
# The first program of the virtual machine, in its initramfs: makes the root file
# system (the host's, read-only, with memory on top of it) and starts
# tools/vm/guest.sh there. `vm.guest=` on the kernel's command line says where
# that lies, `vm.job=` which folder describes what to do.
set -e
bb=/bin/busybox

$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
while read -r module; do
	$bb insmod "/modules/$module"
done </modules/order

$bb mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /ro
$bb mount -t tmpfs -o mode=755,size=90% memory /rw
$bb mkdir /rw/upper /rw/work
$bb mount -t overlay -o lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work overlay /root
for folder in proc sys dev; do
	$bb mount --move /$folder /root/$folder
done

guest='' job=''
for word in $($bb cat /root/proc/cmdline); do
	case $word in
	vm.guest=*) guest=${word#*=} ;;
	vm.job=*) job=${word#*=} ;;
	esac
done
exec $bb switch_root /root /bin/bash "$guest" "$job"
