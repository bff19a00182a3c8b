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
	build_tree dev -DCMAKE_BUILD_TYPE=RelWithDebInfo || return
	mkdir -p "$build/cppcheck"
	cppcheck --project="$build/compile_commands.json" --cppcheck-build-dir="$build/cppcheck" -j "$(nproc)" \
		--enable=warning,portability --inline-suppr --suppressions-list="$repo/tools/dev.d/cppcheck.supp" \
		--error-exitcode=1 --quiet
}

check_tidy() {
	build_tree dev -DCMAKE_BUILD_TYPE=RelWithDebInfo || return
	run-clang-tidy -quiet -p "$build" "^$repo/(?!build/).*\.c$" 2>/dev/null >"$build/tidy.log" || {
		grep -E -A 4 '(warning|error):' "$build/tidy.log"
		return 1
	}
}

check_clang() {
	CC=clang build_tree clang -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMIRRORCL_WERROR=ON
}

check_asan() {
	build_tree asan -DCMAKE_BUILD_TYPE=Debug -DMIRRORCL_SANITIZE=address,undefined || return
	UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS:-} check_tests asan
}

check_tsan() {
	build_tree tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMIRRORCL_SANITIZE=thread || return
	# The thread sanitizer wants its shadow at fixed places.
	local fixed=(setarch -R)
	"${fixed[@]}" true 2>/dev/null || fixed=()
	check_tests tsan "${fixed[@]}"
}

# Run the tests of build/$1; what follows is put before ctest.
check_tests() {
	local dir=$repo/build/$1
	shift
	(cd "$dir" && "$@" ctest --output-on-failure --no-tests=error -LE '^slow$')
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
