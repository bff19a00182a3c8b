# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# `./dev vm`: the options of the virtual machine and what happens in which
# order. Sourced by ../../dev, on the host for the options and inside the root
# to work. The machine itself is in ../vm.

: "${repo:?}" "${build:?}" "${me:?}" # set by dev

vm_kernel=backports
vm_memory=2G
vm_cpus=1
vm_limit=600
vm_accel=
vm_append=
vm_debugging=
vm_kmemleak=
vm_floor= # yes: build the benchmark's module as well
vm_shell=
vm_show_log=
vm_fetch_only=
vm_kernels=
vm_module=()
vm_command=()

vm_options_help() {
	cat <<'EOF'
  --kernel NAME    backports: Debian's newest kernel (the default; everything
                   works); stable: that of Debian 13 itself (no migration)
  --debug          a kernel that checks itself (lockdep, KASAN, DEBUG_VM, fault
                   injection), built once from the source of the newest kernel:
                   a quarter of an hour on two processors, 3 GB of disk
  --kmemleak       the same, and look for leaked memory in the end (slow)
  --shell          an interactive shell in the machine; leave it with 'exit'
  --fetch          only fetch what the machine is made of
  --kernels        compile the kernels of tests and samples first, outside
  --no-module      do not build and load the module
  --param P=VALUE  a parameter of the module; may be repeated
  --timeout S      seconds until a machine without a verdict is ended (600)
  --memory SIZE    memory of the machine (2G)
  --cpus N         its processors (1)
  --accel NAME     kvm or tcg (software emulation) instead of what a probe finds;
                   icount: emulation that counts instructions as time
  --append WORDS   more words for the kernel's command line
  --log            print the kernel's log in any case
EOF
}

# Read the options into the variables above; the rest is the command. What is
# wrong is left in vm_mistake.
vm_mistake=
vm_parse() {
	while [[ $# -gt 0 ]]; do
		case $1 in
		--)
			shift
			break
			;;
		--shell) vm_shell=yes ;;
		--fetch) vm_fetch_only=yes ;;
		--kernels) vm_kernels=yes ;;
		--debug) vm_debugging=yes ;;
		--kmemleak) vm_debugging=yes vm_kmemleak=yes ;;
		--no-module) vm_no_module=yes ;;
		--log) vm_show_log=yes ;;
		--kernel | --timeout | --memory | --cpus | --accel | --append | --param)
			vm_mistake="$1 needs a value"
			[[ $# -ge 2 ]] || return 1
			case $1 in
			--kernel) vm_kernel=$2 ;;
			--timeout) vm_limit=$2 ;;
			--memory) vm_memory=$2 ;;
			--cpus) vm_cpus=$2 ;;
			--accel) vm_accel=$2 ;;
			--append) vm_append=$2 ;;
			--param) vm_module+=("$2") ;;
			esac
			shift
			;;
		-*)
			vm_mistake="there is no option '$1'"
			return 1
			;;
		*) break ;;
		esac
		shift
	done
	vm_command=("$@")
	vm_mistake="--kernel is backports, or stable without --debug, not '$vm_kernel'"
	[[ $vm_kernel == backports || ($vm_kernel == stable && ! $vm_debugging) ]] || return 1
	vm_mistake="--accel is kvm, tcg or icount, not '$vm_accel'"
	[[ -z $vm_accel || $vm_accel == kvm || $vm_accel == tcg || $vm_accel == icount ]] || return 1
	vm_mistake="--timeout and --cpus are numbers, --memory is one with M or G"
	[[ $vm_limit =~ ^[1-9][0-9]*$ && $vm_cpus =~ ^[1-9][0-9]*$ && $vm_memory =~ ^[1-9][0-9]*[MG]$ ]] || return 1
	# shellcheck disable=SC2034 # read by dev
	vm_mistake="which command? $me vm [OPTION...] -- CMD [ARGUMENT...]"
	[[ $vm_shell || $vm_fetch_only || ${#vm_command[@]} -gt 0 ]]
}
vm_no_module=

# Build the module for kernel folder $1 and its selftests, out of their source
# folders, and put the module before its parameters in $vm_module. Silent unless
# it fails.
vm_build_module() {
	local kernel=$1 abi output
	abi=$(<"$kernel/version")
	output=$repo/build/kernel-hmm/$abi
	mkdir -p "$output"
	(
		exec 7>"$output/.lock"
		flock 7
		if ! make -C "$repo/kernel-hmm" --no-print-directory KDIR="$kernel/usr/src/linux-headers-$abi" BUILD="$output" \
			>"$output/build.log" 2>&1; then
			cat "$output/build.log" >&2
			die "the kernel module does not build"
		fi
		make -C "$repo/kernel-hmm/selftests" --no-print-directory -s BUILD="$output/selftests" >&2 ||
			die "the kernel module's selftests do not build"
		if [[ $vm_floor ]]; then
			mkdir -p "$output/floor"
			ln -sf "$repo"/kernel-hmm/selftests/bench/floor/* "$output/floor"
			make -C "$kernel/usr/src/linux-headers-$abi" --no-print-directory M="$output/floor" modules >"$output/floor.log" 2>&1 ||
				die "the benchmark's own module does not build: $output/floor.log"
		fi
	) || exit
	vm_module=("$output/hmm_mirror.ko" "${vm_module[@]}")
	export HMM_MIRROR_SELFTESTS=$output/selftests/hmm_mirror_test HMM_MIRROR_MODULE=$output/hmm_mirror.ko
	export HMM_MIRROR_BENCH=$output/selftests/hmm_mirror_bench HMM_FLOOR_MODULE=${vm_floor:+$output/floor/hmm_floor.ko}
}

# A compiler takes a minute in the machine. So programs are compiled for a processor
# that both sides have, outside, into the cache that the machine sees as well.
vm_use_kernels() {
	export MIRRORCL_TARGET_CPU=${MIRRORCL_TARGET_CPU-x86-64-v3} MIRRORCL_SPECIALIZE=${MIRRORCL_SPECIALIZE-0}
	[[ $vm_kernels ]] || return 0
	[[ -x $build/conformance/fill_cache ]] || die "build first: './dev build'"
	"$build/conformance/fill_cache" "$repo"/{samples,conformance,conformance/adversity}/*.cl >&2 ||
		die "the kernels of tests and samples do not compile"
}

inside_vm() {
	vm_parse "$@"
	# shellcheck source=tools/dev.d/root.sh
	source "$repo/tools/dev.d/root.sh"
	root_locate
	# shellcheck source=tools/vm/fetch.sh
	source "$repo/tools/vm/fetch.sh"
	# shellcheck source=tools/vm/boot.sh
	source "$repo/tools/vm/boot.sh"
	local from=$suite-backports kernel
	[[ $vm_kernel == backports ]] || from=$suite
	inside_environment
	inside_use_mirrorcl
	vm_fetch "$from"
	[[ ! $vm_fetch_only ]] || exit 0
	vm_use_kernels
	kernel=$vm_cache/kernel-$from
	if [[ $vm_debugging ]]; then
		# shellcheck source=tools/vm/debug.sh
		source "$repo/tools/vm/debug.sh"
		vm_debug_kernel "$kernel"
		kernel=$vm_debug
	fi
	if [[ ! $vm_no_module ]]; then
		vm_build_module "$kernel"
	else
		vm_module=()
	fi
	if [[ $vm_shell && ${#vm_command[@]} -eq 0 ]]; then
		vm_command=(bash)
	fi
	vm_run "$kernel" "${vm_command[@]}"
}
