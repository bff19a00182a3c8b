# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What the commands do, inside the root. Sourced by ../../dev; the command is
# started by exec wherever it can be, so that nothing stands between it and its
# caller.

: "${repo:?}" "${build:?}" # set by dev

# Which system the compilers are from: what is built with one is not mixed with
# another's.
inside_system() { cat /.mirrorcl-root 2>/dev/null || echo native; }

# Debian's programs first, then what else the caller has in PATH; a locale that
# exists here; a shell that exists here (gdb starts programs through it).
inside_environment() {
	local entry usual=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	if [[ -e /.mirrorcl-root ]]; then
		local path=$usual
		while IFS= read -r -d: entry; do
			[[ $entry == /* && ":$path:" != *":$entry:"* && -d $entry ]] && path+=:$entry
		done <<<"${PATH:-}:"
		export PATH=$path
		for entry in LANG LC_ALL "${!LC_@}"; do
			case ${!entry:-} in
			'' | C | POSIX | C.UTF-8 | C.utf8) ;;
			*) export "$entry=C.UTF-8" ;;
			esac
		done
		[[ -x ${SHELL:-} ]] || export SHELL=/bin/bash
	fi
	[[ ${LC_ALL:-}${LC_CTYPE:-}${LANG:-} ]] || export LANG=C.UTF-8
}

# MirrorCL's programs in PATH, and MirrorCL as the only platform unless the
# caller has chosen others.
inside_use_mirrorcl() {
	export PATH=$build/tools:$build/device-backend/compiler:$PATH
	export OCL_ICD_VENDORS=${OCL_ICD_VENDORS-$build/icd/vendors}
}

# Bring build/$1 up to date; further arguments are for cmake. Silent if there
# is nothing to do. Targets can be given in $targets. All output to stderr, and
# only one process builds at a time.
build_tree() {
	local dir=$repo/build/$1 configuration
	shift
	[[ -f $repo/CMakeLists.txt ]] || die "$repo has no CMakeLists.txt"
	configuration="$(inside_system) $repo $*"
	mkdir -p "$dir" || die "cannot write to $dir"
	(
		exec 7>"$dir/.lock"
		if ! flock -n 7; then
			say "waiting for another build in ${dir#"$repo/"}"
			flock 7
		fi
		if [[ $(cat "$dir/.configuration" 2>/dev/null) != "$configuration" ]]; then
			find "$dir" -mindepth 1 -maxdepth 1 ! -name .lock -exec rm -rf {} +
		fi
		if [[ ! -f $dir/build.ninja ]]; then
			say "configuring ${dir#"$repo/"}"
			cmake -G Ninja -S "$repo" -B "$dir" "$@" >"$dir/configure.log" 2>&1 || {
				cat "$dir/configure.log"
				exit 1
			}
			echo "$configuration" >"$dir/.configuration"
		fi
		if ! ninja -C "$dir" -n "${targets[@]}" 2>&1 | tail -n 1 | grep -q 'no work to do'; then
			say "building ${dir#"$repo/"}"
			ninja -C "$dir" "${targets[@]}"
		fi
	) </dev/null >&2
}

targets=()

build_dev() {
	build_tree dev -DCMAKE_BUILD_TYPE=RelWithDebInfo ||
		die "the build failed; see the messages above"
}

inside_build() {
	inside_environment
	targets=("$@")
	build_dev
	say "build/dev is up to date"
}

inside_test() {
	inside_environment
	build_dev
	local argument selected=
	for argument; do
		case $argument in
		-L | -LE | -R | -I | -F | --label-* | --tests-regex | --tests-information | --tests-from-file | --rerun-failed)
			selected=yes
			;;
		esac
	done
	if [[ ! $selected ]]; then
		say "leaving out tests with the label 'slow'; './dev test -L slow' runs them"
		set -- -LE '^slow$' "$@"
	fi
	cd "$build" || exit 1
	exec ctest --output-on-failure --no-tests=error "$@"
}

inside_demo() {
	inside_environment
	build_dev
	inside_use_mirrorcl
	[[ -f $repo/tools/demo.sh ]] || die "tools/demo.sh is missing"
	if [[ $* =~ ^(--hmm|--mirror[= ]hmm)$ && ! -e /dev/hmm_mirror ]]; then
		say "no /dev/hmm_mirror here: showing the kernel module in a virtual machine"
		inside_vm --kernels --cpus 2 -- env MIRRORCL_BUILD="$build" sh "$repo/tools/demo.sh" --hmm
		return
	fi
	MIRRORCL_BUILD=$build exec sh "$repo/tools/demo.sh" "$@"
}

inside_bench() {
	if [[ ${1:-} == --module ]]; then
		vm_floor=yes inside_vm --accel icount "${@:2}" -- "$repo/kernel-hmm/selftests/bench/run.sh"
		return
	fi
	inside_environment
	build_dev
	inside_use_mirrorcl
	[[ -f $repo/benchmarks/run.sh ]] || die "benchmarks/run.sh is missing"
	MIRRORCL_BUILD=$build exec bash "$repo/benchmarks/run.sh" "$@"
}

inside_run() {
	[[ $1 == -- ]] && shift
	inside_environment
	build_dev
	inside_use_mirrorcl
	if ! type -P -- "$1" >/dev/null; then
		say "$1: not found, or not executable. Programs of the host's system folders are not all visible here;"
		say "add the package to tools/packages.list, or give the program's full path."
		exit 127
	fi
	exec "$@"
}

inside_shell() {
	inside_environment
	inside_use_mirrorcl
	export debian_chroot=mirrorcl # Debian's prompt shows it
	exec bash "$@"
}

inside_check() {
	inside_environment
	# shellcheck source=tools/dev.d/check.sh
	source "$repo/tools/dev.d/check.sh"
	check_run "$@"
}
