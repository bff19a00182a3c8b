#!/bin/bash
# SPDX-License-Identifier: MIT
#
# guest.sh JOB
#
# Runs inside the virtual machine as its process 1, on the root file system that
# init.sh made: completes the system, loads the module, runs the command that the
# folder JOB describes, reports its exit status on a port of its own and switches
# the machine off. JOB holds
#   environment   sourced: the caller's exported variables
#   command       the words of the command, each ended by a NUL byte
#   folder        where to run it
#   module        the module to load before, and its parameters; may be absent
#   modules       folder of the kernel's modules
#   tools         folder in which fetch.sh unpacked the tools
#   shell         present: an interactive shell on the console instead
#
# Ports (see boot.sh): 1 verdict, 2 stdout, 3 stderr, 4 the whole kernel log.
job=$1

port() { echo /dev/vport[0-9]p"$1"; }

# Say it to the host, and be gone. Without a verdict the run has failed.
finish() {
	dmesg --color=never >"$(port 4)" 2>/dev/null
	echo "$*" >"$(port 1)"
	echo b >/proc/sysrq-trigger
	sleep 1000
}

# Something outside the command failed.
broken() {
	echo "vm: $*" >"$(port 3)"
	finish broken
}

mount_all() {
	mount -t tmpfs -o mode=755 run /run &&
		mkdir -p /dev/shm /dev/pts /run/lock &&
		mount -t tmpfs -o mode=1777 shm /dev/shm &&
		mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts &&
		mount -t tmpfs -o mode=1777 tmp /var/tmp &&
		mount -t debugfs debugfs /sys/kernel/debug &&
		{ mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup; } &&
		ln -sfn /proc/self/fd /dev/fd && ln -sfn fd/0 /dev/stdin && ln -sfn fd/1 /dev/stdout && ln -sfn fd/2 /dev/stderr
}

# The kernel's own modules, for modprobe.
show_modules() {
	local folder
	folder=/lib/modules/$(uname -r)
	mkdir -p "$folder" && mount --bind "$(<"$job/modules")" "$folder"
}

# kmod, from the unpacked tools: the development root has none.
show_kmod() {
	local tools name
	tools=$(<"$job/tools")
	type -P insmod >/dev/null && return
	ln -s "$tools"/usr/lib/x86_64-linux-gnu/libkmod.so.* /usr/lib/x86_64-linux-gnu/
	for name in insmod rmmod lsmod modprobe modinfo; do
		ln -s "$tools/usr/bin/kmod" "/usr/sbin/$name"
	done
}

load_module() {
	local words
	[[ -s $job/module ]] || return 0
	mapfile -d '' -t words <"$job/module"
	insmod "${words[@]}"
}

# What a module leaves behind shows when it goes. A command may have removed it.
unload_module() {
	local words name
	[[ -s $job/module ]] || return 0
	mapfile -d '' -t words <"$job/module"
	name=${words[0]##*/}
	name=${name%.ko}
	[[ -d /sys/module/$name ]] || return 0
	for _ in {1..40}; do
		rmmod "$name" && return
		sleep 0.05
	done
	return 1
}

# Memory that nothing points at any more, if the kernel was told to look for it. What it
# finds before the command is not the command's; what is younger than five seconds it
# does not report. It says so in its log, which fails the run.
kmemleak=
kmemleak_begin() {
	[[ " $(</proc/cmdline) " == *" kmemleak=on "* ]] || return 0
	kmemleak=/sys/kernel/debug/kmemleak
	echo scan=off >$kmemleak && echo scan >$kmemleak && echo clear >$kmemleak
}

kmemleak_end() {
	[[ $kmemleak ]] || return 0
	sleep 6
	echo scan >$kmemleak && echo scan >$kmemleak && cat $kmemleak >"$(port 3)"
}

exec </dev/null >/dev/null 2>&1
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount_all || broken "cannot mount the kernel's file systems"
show_modules || broken "cannot show the kernel's modules"
show_kmod || broken "cannot show kmod"
echo 60 >/proc/sys/kernel/hung_task_timeout_secs

# shellcheck disable=SC1091 # made by boot.sh
source "$job/environment"
PATH=$PATH:$(<"$job/path")
kmemleak_begin || broken "the kernel cannot look for leaks"
if ! message=$(load_module 2>&1); then
	broken "the module does not load: $message"
fi
mapfile -d '' -t words <"$job/command"
cd "$(<"$job/folder")" || broken "no folder $(<"$job/folder")"

if [[ -e $job/shell ]]; then
	setsid -c "${words[@]}" <>/dev/hvc0 >&0 2>&1
	finish exited $?
fi

# Pipes, not the ports themselves: programs may open /dev/stdout anew.
exec 4> >(exec cat >"$(port 2)")
out=$!
exec 5> >(exec cat >"$(port 3)")
err=$!
"${words[@]}" >&4 2>&5 4>&- 5>&-
status=$?
exec 4>&- 5>&-
# A daemon that the command left behind may hold the pipes.
for _ in {1..100}; do
	kill -0 $out 2>/dev/null || kill -0 $err 2>/dev/null || break
	sleep 0.05
done
if ! message=$(unload_module 2>&1); then
	broken "the module does not unload: $message"
fi
kmemleak_end || broken "the kernel did not look for leaks"
finish exited $status
