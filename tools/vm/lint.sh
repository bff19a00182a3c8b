# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# `./dev check kernel`: the kernel's own tools on the module. Sourced inside the
# root, after fetch.sh, whose folders it shares:
#   lint         sparse and coccinelle, unpacked; and from the kernel's source
#                scripts/ with checkpatch and the semantic patches
#   kernel-NAME  the headers that the module is built with
#
# Each lint_NAME prints what it finds and fails if there is something.

: "${repo:?}" "${vm_cache:=}" # set by dev and fetch.sh

lint_packages=(sparse coccinelle)

lint_make() {
	local target=$1 version
	vm_unpack "$target" "${lint_packages[@]}"
	version=$(vm_apt apt-cache show linux-source | sed -n 's/^Depends:.*\(linux-source-[0-9.]*[0-9]\).*/\1/p' | sort -V | tail -n 1)
	cd "$vm_cache/apt" || return
	vm_apt apt-get download "$version"
	dpkg-deb --fsys-tarfile ./"$version"_*.deb | tar -x --to-stdout --wildcards './usr/src/*.tar.xz' |
		(vm_tool xz -dc) | tar -x -C "$target" --strip-components=1 --wildcards '*/scripts/checkpatch.pl' \
		'*/scripts/spelling.txt' '*/scripts/const_structs.checkpatch' '*/scripts/checker-valid.sh' '*/scripts/coccinelle'
	rm -f ./"$version"_*.deb
}

lint_fetch() {
	lint=$vm_cache/lint
	vm_make "$lint" "sparse, coccinelle and checkpatch (180 MB, of which 20 are kept)" lint_make
}
lint=

# The settings, with reasons, are in kernel-hmm/.checkpatch.conf, which
# checkpatch reads from the folder it runs in.
lint_checkpatch() {
	local file found status=0
	cd "$repo/kernel-hmm" || return
	while IFS= read -r -d '' file; do
		found=$(perl "$lint/scripts/checkpatch.pl" --terse --show-types --file "$file") || status=1
		printf '%s\n' "$found" | grep -vE '^$|^total: 0 errors, 0 warnings, 0 checks'
	done < <(find . -name '*.[ch]' -print0 | sort -z)
	return $status
}

# A build of its own, in which sparse sees every file. Debian's headers lack the
# script which finds out that sparse can be used, and its sparse a word of gcc 14.
lint_sparse() {
	local kernel=$1 abi output file line rest text
	abi=$(<"$kernel/version")
	output=$repo/build/kernel-lint
	cp -u "$lint/scripts/checker-valid.sh" "$kernel/usr/src/linux-headers-${abi%-*}-common/scripts/" || return
	rm -rf "$output"
	mkdir -p "$output"
	if ! make -C "$repo/kernel-hmm" --no-print-directory KDIR="$kernel/usr/src/linux-headers-$abi" BUILD="$output" \
		C=2 CHECK="$lint/usr/bin/sparse -D__typeof_unqual__=__typeof__" >"$output/log" 2>&1; then
		cat "$output/log"
		return 1
	fi
	if ! grep -q '^  CHECK .*main\.c' "$output/log"; then
		cat "$output/log"
		return 1
	fi
	# The kernel's headers have findings of their own; and this sparse does
	# not find the macros of module parameters constant.
	grep -E '^[a-z]+\.[ch]:[0-9]+:' "$output/log" | while IFS=: read -r file line rest; do
		text=$(sed -n "${line}p" "$repo/kernel-hmm/$file")
		[[ $rest == *'error: bad constant expression' && $text =~ ^(module_param|MODULE_) ]] || echo "$file:$line:$rest"
	done >"$output/found"
	cat "$output/found"
	[[ ! -s $output/found ]]
}

# Every semantic patch that reports; each names its own options.
lint_coccicheck() {
	local patch options found=0 report
	for patch in $(find "$lint/scripts/coccinelle" -name '*.cocci' | sort); do
		grep -q '^virtual report' "$patch" || continue
		options=$(sed -n 's|^// Options: *||p' "$patch")
		# shellcheck disable=SC2086 # words
		report=$(COCCINELLE_HOME=$lint/usr/lib/coccinelle "$lint/usr/bin/spatch" -D report --very-quiet --no-show-diff \
			--cocci-file "$patch" $options --include "$repo/kernel-hmm/internal.h" --dir "$repo/kernel-hmm" 2>/dev/null) || true
		[[ ! $report ]] || { echo "$report" && found=1; }
	done
	return $found
}
