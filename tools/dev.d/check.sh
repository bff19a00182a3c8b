# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# The stages of `./dev check`. Sourced on the host for their names and inside
# the root to run them. A stage is a function check_NAME that fails if there is
# something to report.

: "${repo:?}" "${build:?}" # set by dev

check_stages=(
	'format|C sources are formatted as .clang-format says'
	'shell|shell scripts: shellcheck'
	'man|man pages: mandoc'
	'cppcheck|static analysis: cppcheck'
	'tidy|static analysis: clang-tidy, as .clang-tidy says'
	'clang|a build with clang in which warnings are errors'
	'asan|build and tests with the address and undefined-behaviour sanitizers'
	'tsan|build and tests with the thread sanitizer'
	'valgrind|unit tests under memcheck, those without a device process'
	'kernel|the kernel module: checkpatch --strict, sparse, coccicheck'
)

check_list_stages() {
	local stage
	for stage in "${check_stages[@]}"; do
		printf '  %-9s %s\n' "${stage%%|*}" "${stage#*|}"
	done
}

# Whether all arguments are names of stages; says which is not.
check_valid_stages() {
	local name
	for name; do
		if [[ " ${check_stages[*]%%|*} " != *" $name "* ]]; then
			say "there is no stage '$name'"
			return 1
		fi
	done
}

# Tracked files that match the patterns, without those of the kernel module
# (the kernel's own tools look after them), NUL-separated. Deleted ones not.
check_files() {
	local file
	git -C "$repo" -c safe.directory='*' ls-files -z --cached --others --exclude-standard -- "$@" ':!kernel-hmm' |
		while IFS= read -r -d '' file; do
			[[ -f $file ]] && printf '%s\0' "$file"
		done
	return 0
}

# The report is the change that clang-format would make.
check_format() {
	# One look at all of them is faster; it says where, not what.
	check_files '*.c' '*.h' | xargs -0r clang-format --dry-run -Werror 2>/dev/null && return
	local file bad=()
	while IFS= read -r -d '' file; do
		clang-format "$file" | diff -u --label "$file" --label "$file, formatted" "$file" - || bad+=("$file")
	done < <(check_files '*.c' '*.h')
	[[ ${#bad[@]} -gt 0 ]] || return 0
	echo "to format them: clang-format -i ${bad[*]}"
	return 1
}

check_shell() {
	check_files '*.sh' dev .ci/run | xargs -0r shellcheck -x -S warning
}

check_man() {
	check_files '*.[1-8]' '*.[1-8].in' | xargs -0r mandoc -T lint -W warning
}

# Both analysers need the compiler command lines, and generated headers.
check_cppcheck() {
	local work=$build/cppcheck header
	build_tree dev -DCMAKE_BUILD_TYPE=RelWithDebInfo || return
	# Of the system's headers it needs those whose macros and types it cannot do without; with all it loses its way.
	mkdir -p "$work/include"
	for header in CL uthash.h utlist.h; do
		ln -sfn "/usr/include/$header" "$work/include/$header"
	done
	sed "s,\"command\": \"[^ ]*,& -I$work/include," "$build/compile_commands.json" >"$work/compile_commands.json"
	cppcheck --project="$work/compile_commands.json" --cppcheck-build-dir="$work" -j "$(nproc)" \
		--enable=warning,portability --library="$repo/tools/dev.d/cppcheck.cfg" --inline-suppr \
		--suppressions-list="$repo/tools/dev.d/cppcheck.supp" --error-exitcode=1 --quiet
}

# In tests, assertions are not known to end a function, so what follows from a
# failed one is not worth reading; vfork and realloc are what some of them test.
check_tidy() {
	local work=$repo/build/clang tests='(tests|conformance|samples|benchmarks)/' status=0
	check_clang || return
	check_tidy_files "$work" "^$repo/(?!build/)(?!(.*/)?$tests).*\.c$" || status=1
	check_tidy_files "$work" "^$repo/(?!build/)(.*/)?$tests.*\.c$" \
		"-checks=-clang-analyzer-*,-bugprone-suspicious-realloc-usage,-bugprone-unsafe-functions,-bugprone-not-null-terminated-result" || status=1
	return $status
}

# The command lines in folder $1, the files $2; further arguments to clang-tidy.
check_tidy_files() {
	local work=$1 files=$2
	shift 2
	run-clang-tidy -quiet -p "$work" "$@" "$files" 2>/dev/null >"$work/tidy.log" || {
		grep -E -A 4 '(warning|error):' "$work/tidy.log"
		return 1
	}
}

check_clang() {
	CC=clang build_tree clang -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMIRRORCL_WERROR=ON
}

# A sanitizer build in build/$1. The programs under test get the compiler of build/dev: it runs for most of the time of a
# test, LLVM is slow under a sanitizer, and mirrorcl-cc's own tests run this build's. So what it has compiled once stays
# in the cache, too.
check_sanitizer_tree() {
	local name=$1
	shift
	build_tree dev -DCMAKE_BUILD_TYPE=RelWithDebInfo || return
	build_tree "$name" -DMIRRORCL_TEST_CC="$build/device-backend/compiler/mirrorcl-cc" "$@"
}

check_asan() {
	check_sanitizer_tree asan -DCMAKE_BUILD_TYPE=Debug -DMIRRORCL_SANITIZE=address,undefined || return
	LSAN_OPTIONS=suppressions=$repo/tools/dev.d/lsan.supp:print_suppressions=0:${LSAN_OPTIONS:-} \
		UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS:-} \
		check_tests asan
}

# Not run with the thread sanitizer, as a regular expression, with the reason:
#
# ^mirror\. It has its tables where the tests' engine is linked.
# \.uffd$ The pager orders what it does by system calls that the sanitizer does not see, and nobody has yet looked at what it
#         makes of that.
not_tsan='^mirror\.|\.uffd$'

check_tsan() {
	check_sanitizer_tree tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMIRRORCL_SANITIZE=thread || return
	# A child of fork() that starts over has threads; not supported, says the sanitizer, but it works.
	TSAN_OPTIONS=die_after_fork=0:suppressions=$repo/tools/dev.d/tsan.supp:${TSAN_OPTIONS:-} check_tests tsan -E "$not_tsan"
}

# The tools are fetched when they run first, like those of the virtual machine.
check_kernel() {
	local kernel tool status=0
	# shellcheck source=tools/dev.d/root.sh
	source "$repo/tools/dev.d/root.sh"
	root_locate
	# shellcheck source=tools/vm/fetch.sh
	source "$repo/tools/vm/fetch.sh"
	# shellcheck source=tools/vm/lint.sh
	source "$repo/tools/vm/lint.sh"
	vm_fetch "$suite-backports"
	kernel=$vm_cache/kernel-$suite-backports
	lint_fetch
	for tool in checkpatch sparse coccicheck; do
		("lint_$tool" "$kernel") || {
			say "$tool has something to say"
			status=1
		}
	done
	return $status
}

# No suite of tests takes longer, in seconds: one that does has failed.
check_limit=1800

# Run the tests of build/$1; what follows is for ctest. The thread sanitizer wants
# its shadow at fixed places, the address sanitizer's runs are then alike.
check_tests() {
	local dir=$repo/build/$1 fixed=(setarch -R)
	shift
	"${fixed[@]}" true 2>/dev/null || fixed=()
	(cd "$dir" && timeout "$check_limit" "${fixed[@]}" ctest --output-on-failure --no-tests=error --timeout 900 -LE '^(slow|vm)$' "$@")
}

# Tests that start the device are left out: on the shared mirror it is a process
# made with clone(CLONE_VM) and neither CLONE_THREAD nor CLONE_SIGHAND, which
# valgrind does not support and ends the program for; on uffd its own memory would
# be the device's to take. So are those that run copies of themselves and compilers,
# and pager.thread, whose test of forks did not end there; why is not known yet.
check_valgrind() {
	local options="-q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --fair-sched=yes"
	build_tree dev -DCMAKE_BUILD_TYPE=RelWithDebInfo || return
	(cd "$build" && timeout "$check_limit" ctest -T memcheck --overwrite MemoryCheckCommand="$(type -P valgrind)" \
		--overwrite "MemoryCheckCommandOptions=$options --suppressions=$repo/tools/dev.d/valgrind.supp" \
		--output-on-failure --no-tests=error --timeout 900 -LE '^slow$' \
		-R '^(unit\.runtime\.|support_|pager\.(fault|bounce|eviction|request)$|bench_rows|tools_(report|units)|compiler_(cache|code_object|options|poclbin)$)')
}

# Run the stages named, or all. Not stopped by a failure.
check_run() {
	local name begun status failed=() results=()
	cd "$repo" || exit 1
	[[ $# -gt 0 ]] || set -- "${check_stages[@]%%|*}"
	for name; do
		printf 'check %s\n' "$name"
		begun=$SECONDS status=0
		"check_$name" || status=$?
		if [[ $status -eq 0 ]]; then
			results+=("$(printf '  %-9s passed  %4d s' "$name" $((SECONDS - begun)))")
		else
			results+=("$(printf '  %-9s FAILED  %4d s' "$name" $((SECONDS - begun)))")
			failed+=("$name")
		fi
	done
	printf '%s\n' '' "${results[@]}"
	if [[ ${#failed[@]} -gt 0 ]]; then
		echo "check: ${#failed[@]} stage(s) failed: ${failed[*]}"
		exit 1
	fi
	echo "check: passed"
}
