# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Boot a kernel in QEMU, have guest.sh run a command in it, judge the result.
# Sourced by tools/dev.d/vm.sh inside the root, after fetch.sh.
#
# The command's status arrives on a port of its own: whatever goes wrong on the
# way there (a panic, a hang, a machine that switches itself off) is a missing
# verdict, which is a failure. Whatever the status, a report in the kernel's log
# (BUG, WARNING, lockdep, a stuck task ...) is a failure too, and the log is shown.

: "${repo:?}" "${vm_parts:?}" "${vm_cache:=}" "${vm_limit:?}" # set by dev, fetch.sh and vm.sh

# Exit statuses of our own; the command's are passed through.
vm_status_kernel=86 # the kernel complained
vm_status_lost=87   # no verdict: panic, hang, time limit

# What no healthy kernel says. The second list is what it may say nevertheless.
vm_complaints='BUG: |WARNING: |WARNING! |Oops: |Oops! |general protection fault|Kernel panic|INFO: task .* blocked for more|INFO: rcu|rcu: INFO|self-detected stall|possible (recursive|circular|irq lock)|inconsistent lock state|suspicious RCU|bad unlock balance|lock held when|locks? held at|KASAN|UBSAN|KCSAN|kmemleak: [0-9]+ new|Bad page (map|state)|Bad rss|refcount_t: |list_(add|del) corruption|soft lockup|hard LOCKUP|Unable to handle|kernel BUG at|VM_BUG_ON|double fault'
vm_harmless='mitigations|WARNING: Spectre|possible recursive fault injection'

# Words of QEMU's command line for accelerator $1, into the array $qemu.
vm_qemu_arguments() {
	local accelerator=$1 kernel=$2 job=$3 append image
	image=$kernel/image
	[[ -e $image ]] || image=$kernel/vmlinux
	append="vm.guest=$vm_parts/guest.sh vm.job=$job console=ttyS0 quiet loglevel=5 panic=-1 oops=panic reboot=t mitigations=off"
	append+=" nokaslr rcupdate.rcu_expedited=1 no_timer_check tsc=reliable random.trust_cpu=on ${vm_kmemleak:+kmemleak=on}"
	# The debug kernel would take the engine's entries for a corruption. It has no
	# clock to compare the processor's with, and would go by ticks of 4 ms; in
	# emulation the processor's is the host's.
	append+=" ${vm_debugging:+page_table_check=off tsc_early_khz=$(awk '/^cpu MHz/ { printf "%d", $4 * 1000; exit }' /proc/cpuinfo)}"
	# A busy host may stop the machine for a minute, which to the kernel looks like a
	# processor that hangs. What really hangs still meets these limits, or the run's.
	append+=" rcupdate.rcu_cpu_stall_timeout=300 watchdog_thresh=60 ${vm_append:-}"
	qemu=(
		-machine "q35,usb=off,sata=off,smbus=off,hpet=off,vmport=off" -nodefaults -no-user-config -nic none -display none
		-no-reboot -L "$vm_tools/usr/share/qemu" -L "$vm_tools/usr/share/seabios"
		-m "${vm_memory}" -smp "${vm_cpus}"
		-kernel "$image" -initrd "$kernel/initramfs" -append "$append"
		-fsdev "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"
		-device "virtio-9p-pci,fsdev=host,mount_tag=host"
		-chardev "file,id=log,path=$job/console.log" -serial chardev:log
		-device "virtio-serial-pci,max_ports=8"
		-chardev "file,id=verdict,path=$job/verdict" -device "virtserialport,chardev=verdict,nr=1"
		-chardev "file,id=dmesg,path=$job/dmesg" -device "virtserialport,chardev=dmesg,nr=4"
		-object "rng-random,filename=/dev/urandom,id=rng" -device "virtio-rng-pci,rng=rng"
	)
	# Where instructions count, so does every step of a repeated one. A processor
	# that boasts of fast ones byte by byte (erms) makes the kernel clear a page in
	# 4096 steps instead of 512; without that, bytes per step are nearer to those
	# of the vector instructions of programs, as time is on real machines.
	case $accelerator in
	kvm) qemu+=(-accel kvm -cpu "host,la57=off") ;;
	tcg) qemu+=(-accel tcg -cpu "max,la57=off") ;;
	icount) qemu+=(-accel "tcg,thread=single" -icount "shift=1,sleep=off" -cpu "max,la57=off,erms=off,fsrm=off,fsrs=off,fzrm=off") ;;
	esac
	if [[ -e $job/shell ]]; then
		qemu+=(-chardev "stdio,id=console,signal=off" -device "virtconsole,chardev=console,nr=0")
		qemu+=(-chardev "null,id=out" -chardev "file,id=err,path=$job/err")
	else
		qemu+=(-chardev "file,id=out,path=/proc/self/fd/5" -chardev "file,id=err,path=/proc/self/fd/6")
	fi
	qemu+=(-device "virtserialport,chardev=out,nr=2" -device "virtserialport,chardev=err,nr=3")
}

# Run the machine once; its result lies in the job folder. Pipes take the
# command's output, because QEMU would empty a file that it is given.
vm_machine() {
	local accelerator=$1 kernel=$2 job=$3 limit=$4 qemu
	vm_qemu_arguments "$accelerator" "$kernel" "$job"
	if [[ -e $job/shell ]]; then
		(vm_tool qemu-system-x86_64 "${qemu[@]}" 2>"$job/qemu.log")
		return
	fi
	(
		exec 5> >(exec cat) 6> >(exec cat >&2)
		export LD_LIBRARY_PATH=$vm_tools/usr/lib/x86_64-linux-gnu
		exec timeout --foreground -k 5 "$limit" "$(vm_tool_path qemu-system-x86_64)" "${qemu[@]}" \
			</dev/null >"$job/qemu.log" 2>&1
	)
}

# A job folder for guest.sh, with the words of the command as arguments.
vm_job() {
	local kernel=$1 job
	shift
	job=$(mktemp -d "${TMPDIR:-/tmp}/mirrorcl-vm.XXXXXX") || die "cannot make a folder in ${TMPDIR:-/tmp}"
	export -p | grep -vE '^declare -x (PATH|PWD|OLDPWD|SHLVL|TERM|DISPLAY|TMPDIR|XDG_RUNTIME_DIR|LS_COLORS)(=|$)' >"$job/environment"
	echo "declare -x TERM=${TERM:-linux}" >>"$job/environment"
	printf '%s\0' "$@" >"$job/command"
	echo "$PATH" >"$job/path"
	pwd -P >"$job/folder"
	echo "$kernel/usr/lib/modules/$(<"$kernel/version")" >"$job/modules"
	echo "$vm_tools" >"$job/tools"
	: >"$job/verdict"
	echo "$job"
}

# Whether KVM works: a node may be there and yet not run a stock kernel. Asked
# once per boot of this machine and kernel.
vm_accelerator() {
	local kernel=$1 known job answer
	known=$vm_cache/kvm-$(</proc/sys/kernel/random/boot_id)-${kernel##*/}
	if [[ ! -e $known ]]; then
		rm -f "$vm_cache"/kvm-*
		answer=tcg
		if [[ -r /dev/kvm && -w /dev/kvm ]]; then
			job=$(vm_job "$kernel" true)
			vm_machine kvm "$kernel" "$job" 20 >/dev/null 2>&1 || true
			[[ $(<"$job/verdict") == 'exited 0' ]] && answer=kvm
			rm -rf "$job"
		fi
		echo "$answer" >"$known"
	fi
	cat "$known"
}

# The whole log of the kernel if it got that far, else what the console saw.
vm_log() {
	local job=$1
	if [[ -s $job/dmesg ]]; then
		cat "$job/dmesg"
	else
		tr -d '\r' <"$job/console.log"
	fi
}

# Judge the run in the job folder; prints what is wrong and returns the status.
vm_judge() {
	local job=$1 limit=$2 ended=$3 verdict status
	verdict=$(<"$job/verdict")
	if [[ $verdict == broken ]]; then
		vm_log "$job" | tail -n 40 >&2
		say "vm: the machine did not get as far as the command, or not properly away from it; see above"
		return $vm_status_lost
	fi
	status=${verdict#exited }
	if [[ $verdict != "exited $status" || ! $status =~ ^[0-9]+$ ]]; then
		vm_log "$job" | tail -n 200 >&2
		cat "$job/qemu.log" >&2
		case $ended in
		124 | 137) say "vm: no verdict within $limit s; the kernel's log is above" ;;
		*) say "vm: the machine ended without a verdict (QEMU: $ended); the kernel's log is above" ;;
		esac
		return $vm_status_lost
	fi
	if cat "$job/dmesg" "$job/console.log" 2>/dev/null | grep -E "$vm_complaints" | grep -vqE "$vm_harmless"; then
		vm_log "$job" >&2
		say "vm: the kernel complained (its log is above); the command itself exited with $status"
		return $vm_status_kernel
	fi
	return "$status"
}

# Run the command in a machine with kernel $1 and return its status.
vm_run() {
	local kernel=$1 job accelerator ended=0 status=0
	shift
	job=$(vm_job "$kernel" "$@")
	# shellcheck disable=SC2064 # the folder of now
	trap "rm -rf '$job'" EXIT
	[[ ! ${vm_shell:-} ]] || : >"$job/shell"
	[[ ! ${vm_module[*]:-} ]] || printf '%s\0' "${vm_module[@]}" >"$job/module"
	accelerator=${vm_accel:-$(vm_accelerator "$kernel")}
	vm_machine "$accelerator" "$kernel" "$job" "$vm_limit" || ended=$?
	[[ ! -s $job/err ]] || cat "$job/err" >&2
	vm_judge "$job" "$vm_limit" "$ended" || status=$?
	if [[ ${vm_show_log:-} ]]; then
		vm_log "$job" >&2
	fi
	return $status
}
