# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# The parts of the virtual machine: packages of Debian, unpacked below the cache
# when they are first needed. Sourced by tools/dev.d/vm.sh inside the root.
#
# Below $vm_cache lie
#   tools        QEMU and what packages.list names, unpacked
#   kernel-NAME  a kernel: usr/lib/modules/VERSION, usr/src, and made from
#                them vmlinux (what QEMU boots) and initramfs; NAME is that of
#                the suite it is from
#   apt          package index and lists of apt, private
#   fetch.log    what apt said last time
#
# Nothing is installed anywhere: deleting $vm_cache is the way to start over, and
# to move to a newer kernel.

: "${repo:?}" "${cache:?}" "${root_id:?}" "${suite:?}" # set by dev, tools/dev.d/root.sh

vm_parts=$repo/tools/vm

# Counts up when this file makes something different of the same packages.
vm_fetch_version=1

vm_cache=
vm_tools=

vm_packages() { sed -n -e 's/#.*//' -e 's/[[:space:]]//g' -e "$1" "$vm_parts/packages.list"; }

# Sets $vm_cache and $vm_tools. Paths within are absolute, hence the cache's own
# place is part of the name.
vm_locate() {
	local id
	id=$({
		echo "$vm_fetch_version $cache $root_id"
		cat "$vm_parts/packages.list" "$vm_parts/init.sh"
	} | sha256sum)
	vm_cache=$cache/vm-${id:0:12}
	vm_tools=$vm_cache/tools
}

# A program of the tools, with their libraries.
vm_tool() {
	local name=$1
	shift
	LD_LIBRARY_PATH=$vm_tools/usr/lib/x86_64-linux-gnu exec "$(vm_tool_path "$name")" "$@"
}

vm_tool_path() {
	local name=$1 folder
	for folder in "$vm_tools/usr/bin" "$vm_tools/usr/sbin" /usr/bin /usr/sbin; do
		[[ -x $folder/$name ]] && echo "$folder/$name" && return
	done
	die "the virtual machine's tools lack $name"
}

# The archive that this root's own packages are from.
vm_mirror() {
	local created release uri
	# shellcheck disable=SC2016 # apt's variables, not ours
	while IFS='|' read -r created release uri; do
		if [[ $created == Packages && $release == "$suite" ]]; then
			echo "${uri%/}"
			return
		fi
	done < <(apt-get indextargets --no-release-info --format '$(CREATED_BY)|$(RELEASE)|$(REPO_URI)' 2>/dev/null)
	return 1
}

# apt with lists, caches and locks of its own; the root's package database says
# what is there already.
vm_apt() {
	local program=$1
	shift
	"$program" -o Dir::Etc::SourceList="$vm_cache/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State="$vm_cache/apt" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$vm_cache/apt" \
		-o Dir::Log="$vm_cache/apt" -o APT::Sandbox::User=root -o Debug::NoLocking=1 -o Acquire::Languages=none \
		-o Acquire::Retries=3 "$@"
}

# Bring the package index up to date, once a run.
vm_apt_update() {
	local mirror
	[[ ! $vm_updated ]] || return 0
	mirror=$(vm_mirror) || die "apt's sources name no archive of $suite"
	mkdir -p "$vm_cache/apt/lists/partial" "$vm_cache/apt/archives/partial"
	: >"$vm_cache/apt/extended_states"
	printf 'deb %s %s main\n' "$mirror" "$suite" "$mirror" "$suite-backports" >"$vm_cache/apt/sources.list"
	vm_apt apt-get update
	vm_updated=yes
}
vm_updated=

# Fetch the packages in $2..., with what they need, and unpack them into $1,
# except those that packages.list marks with `-`.
vm_unpack() {
	local target=$1 package name
	shift
	rm -rf "$vm_cache/apt/archives"
	mkdir -p "$vm_cache/apt/archives/partial" "$target"
	vm_apt apt-get install -y --download-only --no-install-recommends --reinstall "$@"
	for package in "$vm_cache"/apt/archives/*.deb; do
		name=${package##*/}
		vm_packages 's/^-//p' | grep -qxF "${name%%_*}" && continue
		dpkg-deb --fsys-tarfile "$package" | tar -x --no-same-owner --exclude='./usr/share/doc' --exclude='./usr/share/man' \
			--exclude='./usr/share/locale' --exclude='./usr/include' -C "$target"
	done
	rm -rf "$vm_cache/apt/archives"
	[[ -e $target/lib ]] || ln -s usr/lib "$target/lib"
}

# Do $3... into a new folder, in the background of one line of progress; what
# is half done is not kept.
vm_make() {
	local folder=$1 what=$2 log=$vm_cache/fetch.log new=$1.new.$$
	shift 2
	[[ -d $folder ]] && return
	mkdir -p "$vm_cache" || die "cannot write to $vm_cache"
	(
		exec 7>"$vm_cache/.lock"
		flock 7
		[[ -d $folder ]] && exit
		rm -rf "$vm_cache"/*.new.*
		say "fetching $what, once"
		# In the background, because bash ignores -e within a condition.
		(
			umask 022
			vm_apt_update
			"$@" "$new"
		) </dev/null >"$log" 2>&1 7>&- &
		if ! wait $!; then
			tail -n 20 "$log" >&2
			rm -rf "$new"
			die "that failed; the whole log is $log. No network? Otherwise try again."
		fi
		mv -T "$new" "$folder"
	) || exit
}

vm_make_tools() {
	local packages
	mapfile -t packages < <(vm_packages '/^-/d;/./p')
	vm_unpack "$1" "${packages[@]}"
}

# The newest version of package $2 in suite $1.
vm_newest() { vm_apt apt-cache madison "$2" | awk -F ' *[|] *' -v suite="$1/" 'index($3, suite) { print $2; exit }'; }

# The kernel of suite $1 into folder $2: image, modules and headers.
vm_make_kernel() {
	local from=$1 target=$2 version abi packages=() wanted image final=$vm_cache/kernel-$1
	version=$(vm_newest "$from" linux-headers-amd64)
	[[ $version ]] || { echo "$from has no kernel" && return 1; }
	abi=$(vm_apt apt-cache show "linux-headers-amd64=$version" | sed -n 's/^Depends:.*linux-headers-\([0-9][^ ,]*-amd64\).*/\1/p')
	for wanted in "linux-binary-$abi" "linux-modules-$abi" "linux-headers-$abi"; do
		if vm_apt apt-cache show "$wanted" >/dev/null 2>&1; then
			packages+=("$wanted")
		fi
	done
	# Older suites have image and modules in one package, which depends on
	# makers of an initramfs that are of no use here.
	if [[ ${#packages[@]} -eq 1 ]]; then
		mkdir -p "$target"
		cd "$vm_cache/apt" || return
		vm_apt apt-get download "linux-image-$abi"
		dpkg-deb --fsys-tarfile ./"linux-image-$abi"_*.deb | tar -x --no-same-owner -C "$target"
		rm -f ./"linux-image-$abi"_*.deb
	fi
	vm_unpack "$target" "${packages[@]}"
	echo "$abi" >"$target/version"

	# The headers know where they are installed. With type information of
	# the kernel, modules want theirs made by a program that is not here.
	rm -f "$target/usr/src/linux-headers-$abi/vmlinux"
	sed -i "s,/usr/src,$final/usr/src,g" "$target/usr/src/linux-headers-$abi/Makefile"
	image=$target/usr/lib/modules/$abi/vmlinuz
	[[ -e $image ]] || image=$target/boot/vmlinuz-$abi
	vm_extract_vmlinux "$image" >"$target/vmlinux"
	(vm_tool depmod -b "$target" "$abi")
	vm_make_initramfs "$target" "$abi"
}

# The ELF kernel of a compressed one: the boot protocol's header says where in
# it the payload lies. The last four bytes are the payload's length when
# unpacked, which the unpacker does not want to see.
vm_extract_vmlinux() {
	local image=$1 sectors offset length begin magic unpack
	sectors=$(od -A n -t u1 -j $((0x1f1)) -N 1 "$image")
	read -r offset length < <(od -A n -t u4 -j $((0x248)) -N 8 "$image")
	begin=$(((sectors + 1) * 512 + offset))
	magic=$(od -A n -t x1 -j "$begin" -N 4 "$image")
	case $magic in
	' 28 b5 2f fd') unpack=(vm_tool zstd -dc) ;;
	' fd 37 7a 58') unpack=(vm_tool xz -dc) ;;
	' 1f 8b '*) unpack=(gzip -dc) ;;
	*) echo "$image: unknown compression:$magic" && return 1 ;;
	esac
	tail -c "+$((begin + 1))" "$image" | head -c "$((length - 4))" | ("${unpack[@]}")
}

# Only what it takes to reach the root file system. `modprobe -D` lists the
# files in order of need.
vm_make_initramfs() {
	local target=$1 abi=$2 tree=$1/initramfs.d module file name
	mkdir -p "$tree"/{bin,modules,proc,sys,dev,ro,rw,root}
	cp "$vm_tools/usr/bin/busybox" "$tree/bin/"
	cp "$vm_parts/init.sh" "$tree/init"
	chmod 755 "$tree/init"
	: >"$tree/modules/order"
	for module in 9pnet_virtio 9p overlay; do
		(vm_tool modprobe -d "$target" -S "$abi" -D "$module")
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$tree/files"
	while read -r file; do
		name=${file##*/}
		name=${name%.xz}
		case $file in
		*.xz) (vm_tool xz -dc "$file") >"$tree/modules/$name" ;;
		*) cp "$file" "$tree/modules/$name" ;;
		esac
		echo "$name" >>"$tree/modules/order"
	done <"$tree/files"
	rm "$tree/files"
	(cd "$tree" && find . | (vm_tool cpio --quiet -o -H newc)) >"$target/initramfs"
	rm -r "$tree"
}

# Have the tools, and the kernel of suite $1. Those of other versions of this
# file go when nobody has used them for two days.
vm_fetch() {
	vm_locate
	vm_make "$vm_tools" "QEMU (30 MB)" vm_make_tools
	vm_make "$vm_cache/kernel-$1" "the kernel of $1 (140 MB)" vm_make_kernel "$1"
	touch "$vm_cache"
	find "$cache" -maxdepth 1 -name 'vm-????????????' -mtime +1 ! -path "$vm_cache" -exec rm -rf --one-file-system {} +
}
