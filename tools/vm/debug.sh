# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# The debug kernel: Debian's kernel source of the version that the machine boots
# otherwise, built with the configuration debug.config. Sourced by
# tools/dev.d/vm.sh inside the root, after fetch.sh.
#
# Below $vm_cache lie
#   debug-tools  what a kernel is built with beyond the root's compilers
#   debug-HASH   the kernel, with the same parts as kernel-NAME (fetch.sh) and
#                `image`, what QEMU boots: an unpacked kernel with KASAN does not
#                start. HASH covers configuration, version and compiler.
#     tree       its source; unpacked, built, and kept for building the module
#     build.log  what make said
#
# The file `version` is written last: without it the build goes on where it was
# interrupted.

: "${vm_parts:?}" "${vm_cache:?}" "${vm_tools:?}" # set by fetch.sh

# Counts up when this file makes something different of the same source.
vm_debug_version=1

# Files that are compiled, for the progress only.
vm_debug_objects=1300

# make, with the tools that were unpacked.
vm_debug_make() {
	local tools=$vm_cache/debug-tools/usr
	PATH=$tools/bin:$PATH BISON_PKGDATADIR=$tools/share/bison M4=$tools/bin/m4 \
		LD_LIBRARY_PATH=$vm_tools/usr/lib/x86_64-linux-gnu \
		make -C "$vm_debug/tree" KBUILD_BUILD_USER=mirrorcl KBUILD_BUILD_HOST=mirrorcl WERROR=0 "$@"
}

vm_make_debug_tools() { vm_unpack "$1" bison flex m4 bc kmod; }

# The source package for kernel version $1 (7.3.4+deb13-amd64), unpacked without
# what other processors, drivers and documentation need, into folder $2.
vm_debug_unpack() {
	local abi=$1 tree=$2 version package
	local exclude=('arch/[!x]*.[chS]' 'arch/*.dts*' 'Documentation/[!K]*' 'tools/testing' 'sound/*.[ch]' 'drivers/gpu/*.[ch]'
		'drivers/media/*.[ch]' 'drivers/net/ethernet/*.[ch]' 'drivers/net/wireless/*.[ch]' 'drivers/infiniband/*.[ch]'
		'drivers/staging/*.[ch]' 'drivers/scsi/*.[ch]' 'drivers/iio/*.[ch]')
	version=${abi%%[+-]*}
	package=linux-source-${version%.*}
	vm_apt_update
	mkdir -p "$vm_debug/deb"
	cd "$vm_debug/deb" || return
	version=$(vm_apt apt-cache madison "$package" | awk -F ' *[|] *' -v version="$version" 'index($2, version "-") == 1 { print $2; exit }')
	if [[ ! $version ]]; then
		echo "the archive has no $package ${abi%%[+-]*} any more; delete $vm_cache to move to its newest kernel"
		return 1
	fi
	vm_apt apt-get download "$package=$version"
	rm -rf "$tree.new"
	mkdir "$tree.new"
	dpkg-deb --fsys-tarfile ./*.deb | tar -x -O --wildcards "./usr/src/$package.tar.xz" |
		xz -dc | tar -x --no-same-owner --strip-components=1 -C "$tree.new" --anchored --wildcards \
		"${exclude[@]/#/--exclude=$package/}"
	cd /
	rm -rf "$vm_debug/deb"
	mv -T "$tree.new" "$tree"
}

# The configuration; one that the source does not take as it is written is refused.
vm_debug_configure() {
	local suffix=$1 missing
	{
		cat "$vm_parts/debug.config"
		echo "CONFIG_LOCALVERSION=\"-debug-$suffix\""
	} >"$vm_debug/wanted"
	vm_debug_make KCONFIG_ALLCONFIG="$vm_debug/wanted" allnoconfig
	missing=$(grep -E '^(CONFIG_|# CONFIG_)' "$vm_debug/wanted" | grep -vxFf "$vm_debug/tree/.config" |
		while read -r line; do
			# "is not set" may also be said by silence.
			[[ $line == '# '* ]] && ! grep -q "^${line:2:-11}=" "$vm_debug/tree/.config" && continue
			echo "$line"
		done)
	if [[ $missing ]]; then
		echo "the kernel's configuration did not take:"
		echo "$missing"
		rm -f "$vm_debug/tree/.config"
		return 1
	fi
}

# What modules need stays; what the kernel was made of goes.
vm_debug_finish() {
	local abi
	abi=$(vm_debug_make -s --no-print-directory kernelrelease)
	vm_debug_make modules_install INSTALL_MOD_PATH="$vm_debug/usr" DEPMOD=true
	ln -sfn usr/lib "$vm_debug/lib"
	mkdir -p "$vm_debug/usr/src"
	ln -sfn ../../tree "$vm_debug/usr/src/linux-headers-$abi"
	rm -f "$vm_debug/usr/lib/modules/$abi/build"
	(vm_tool depmod -b "$vm_debug" "$abi")
	vm_make_initramfs "$vm_debug" "$abi"
	cp "$vm_debug/tree/arch/x86/boot/bzImage" "$vm_debug/image"
	find "$vm_debug/tree" \( -name '*.o' -o -name '*.a' -o -name '*.cmd' -o -name '*.ko' \) ! -path '*/scripts/*' ! -path '*/tools/*' \
		! -name module-common.o -delete
	find "$vm_debug/tree" -name '*.[cS]' ! -path '*/scripts/*' ! -path '*/tools/*' -delete
	echo "$abi" >"$vm_debug/version"
}

# Whatever of it is still to be done, for kernel $1. Output is the log.
vm_debug_work() {
	local kernel=$1 suffix=$2
	[[ -d $vm_debug/tree ]] || vm_debug_unpack "$(<"$kernel/version")" "$vm_debug/tree"
	[[ -e $vm_debug/tree/.config ]] || vm_debug_configure "$suffix"
	vm_debug_make -j"$(nproc)" bzImage modules
	vm_debug_finish
}

# One line about how far the build is, from its log.
vm_debug_progress() {
	awk -v total="$vm_debug_objects" -v before="$2" '
	/^ +(CC|AS) / { n++ }
	END {
		n += before
		print n ? sprintf("compiling: %d%%", n < total ? 100 * n / total : 99) : "fetching and unpacking the source (150 MB)"
	}' "$1"
}

vm_debug_follow() {
	local job=$1 log=$2 done=$3 line last='' key begun=$SECONDS
	while kill -0 "$job" 2>/dev/null; do
		line=$(vm_debug_progress "$log" "$done")
		if [[ -t 2 ]]; then
			printf '\r\033[Kdev:   %s (%d s)' "$line" $((SECONDS - begun)) >&2
		else
			key=$line
			[[ $line != *%* ]] || key=${line//[!0-9]/}
			[[ $line != *%* ]] || key=$((key / 10))
			[[ $key == "$last" ]] || say "  $line ($((SECONDS - begun)) s)"
			last=$key
		fi
		sleep 2
	done
	if [[ -t 2 ]]; then
		printf '\r\033[K' >&2
	fi
}

# Have the debug kernel that belongs to kernel $1; sets $vm_debug, its folder.
vm_debug_kernel() {
	local kernel=$1 id before job
	id=$({
		echo "$vm_debug_version $(<"$kernel/version")"
		gcc -v 2>&1
		cat "$vm_parts/debug.config"
	} | sha256sum)
	id=${id:0:12}
	vm_debug=$vm_cache/debug-$id
	[[ ! -e $vm_debug/version ]] || return 0
	vm_make "$vm_cache/debug-tools" "tools to build a kernel (6 MB)" vm_make_debug_tools
	mkdir -p "$vm_debug"
	(
		exec 7>"$vm_debug/.lock"
		if ! flock -n 7; then
			say "waiting for another build of the debug kernel (its log: $vm_debug/build.log)"
			flock 7
		fi
		[[ ! -e $vm_debug/version ]] || exit 0
		before=$(find "$vm_debug/tree" -name '.*.o.cmd' 2>/dev/null | wc -l)
		if [[ $before -gt 0 ]]; then
			say "going on with the debug kernel ($vm_debug)"
		else
			say "building a debug kernel, once; this takes a quarter of an hour on two processors, and may be interrupted"
		fi
		(
			set -euo pipefail
			umask 022
			vm_debug_work "$kernel" "$id"
		) </dev/null >"$vm_debug/build.log" 2>&1 7>&- &
		job=$!
		trap 'kill $job 2>/dev/null; exit 130' INT TERM HUP
		vm_debug_follow "$job" "$vm_debug/build.log" "$before"
		if ! wait "$job"; then
			grep -E 'error|Error|cannot|No such|did not take' -A 3 "$vm_debug/build.log" | tail -n 20 >&2
			die "the debug kernel was not built; the whole log is $vm_debug/build.log. To start over, delete $vm_debug."
		fi
	) || exit
}
vm_debug=
