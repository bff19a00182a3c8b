#!/bin/bash
# SPDX-License-Identifier: MIT
#
# enter.sh ROOT UID GID CWD PATH... -- COMMAND...
#
# Makes ROOT the root folder of this mount namespace, with the host's kernel
# file systems and the user's folders in it, and becomes COMMAND in CWD. Started
# by root.sh in a fresh mount namespace (and, for ordinary users, a user
# namespace in which they are root), so nothing here can be seen outside and
# nothing has to be undone. File descriptor 8 is the lock that root.sh took.
set -euo pipefail

root=$1 uid=$2 gid=$3 cwd=$4
shift 4
wanted=()
while [[ $1 != -- ]]; do
	wanted+=("$1")
	shift
done
shift

PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin

# Top-level folders that are the system's: the root has its own.
is_system() { [[ $1 =~ ^/(bin|sbin|lib[^/]*|usr|etc|var|run|boot|proc|dev|sys|lost\+found)(/|$) ]]; }

# Show the host's $1 at the same place in the root.
bind() {
	local there=$root$1
	if [[ -d $1 ]]; then
		[[ -d $there ]] || mkdir -p "$there"
	else
		[[ -e $there ]] || : >"$there"
	fi
	mount --rbind "$1" "$there"
}

# Whether the root has nothing of its own at $1: a system's folder (or file)
# that is there is the root's, one that is not may be shown from the host. Empty
# folders and files are what bind() once made.
is_vacant() { [[ ! -e $root$1 || -z $(find "$root$1" ! -type d -size +0 -print -quit) ]]; }

mount --bind "$root" "$root"
for path in /proc /dev /sys; do
	mount --rbind $path "$root$path"
done
for path in /*; do
	if [[ -d $path ]] && ! is_system "$path"; then
		bind "$path" || echo "dev: $path cannot be shown in the root" >&2
	fi
done
mount --rbind /var/tmp "$root/var/tmp"
# Sorted, so that a folder comes before what is in it, which is then there too.
while read -r path; do
	if is_system "$path" && [[ -e $path && ! $path -ef $root$path ]] && is_vacant "$path"; then
		bind "$path"
	fi
done < <(printf '%s\n' "${wanted[@]}" | LC_ALL=C sort -u)
# Names of users and hosts are the host's.
for path in /etc/passwd /etc/group /etc/hosts; do
	[[ -f $path && -f $root$path ]] && mount --bind "$path" "$root$path"
done

# Become the root. A program in a chroot may make no user namespaces, so that is
# only for systems whose own root is an initial RAM disk, which cannot be moved.
cd "$root"
if pivot_root . . 2>/dev/null; then
	umount -l .
else
	exec 8>&-
	# shellcheck disable=SC2016 # for the inner shell
	exec chroot . /bin/bash -c 'cd "$0" && exec "$@"' "$cwd" "$@"
fi
exec 8>&-
cd "$cwd" || exit 1

# An ordinary user is that user again, with no rights in the namespace.
if [[ $uid -ne 0 ]]; then
	exec unshare --user --map-user="$uid" --map-group="$gid" -- "$@"
fi
exec "$@"
