# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# The Debian 13 root: where it is, how it is made, when it is removed, and the
# way into it. Sourced by ../../dev on the host.
#
# Below $cache lie
#   root-HASH           a complete root; HASH covers the package list
#   root-HASH.tmp.PID   one being made; renamed when complete
#   setup.lock          held while a root is made
#   use.lock            held (shared) while a root is entered, (exclusive) while
#                       an old one is taken away
#   setup.log           what mmdebstrap said last time

: "${repo:?}" # set by dev

# The Debian release of the root.
suite=trixie

# Counts up when this file makes a different root of the same packages.
bootstrap_version=1

cache=
root=
root_id=

# Names of the packages, one a line.
root_packages() { sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$repo/tools/packages.list"; }

# Sets $cache, $root and $root_id; starts as few processes as it can.
root_locate() {
	local home=${HOME:-}
	[[ $home ]] || home=$(getent passwd "$(id -u)" | cut -d: -f6)
	cache=${MIRRORCL_CACHE:-${XDG_CACHE_HOME:-$home/.cache}/mirrorcl}
	[[ $cache == /* ]] || cache=$PWD/$cache
	root_id=$({
		echo "$suite $bootstrap_version"
		root_packages | LC_ALL=C sort
	} | sha256sum)
	root_id=${root_id:0:12}
	root=$cache/root-$root_id
}

# Whether this system is itself what the root would be.
root_not_needed() {
	[[ -e /.mirrorcl-root && $(</.mirrorcl-root) == "$root_id" ]] && return 0
	[[ ${MIRRORCL_DEV_ROOT:-} != always ]] || return 1
	grep -qsx 'VERSION_CODENAME="\?trixie"\?' /etc/os-release || return 1
	local installed
	installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p') || return 1
	! root_packages | grep -qvxFf <(echo "$installed")
}

# How a root can be entered here: "root", "user" (user namespaces), or not.
root_mode() {
	if [[ $EUID -eq 0 ]]; then
		unshare --mount true 2>/dev/null && echo root && return
	elif unshare --user --map-root-user --mount true 2>/dev/null; then
		echo user && return
	fi
	return 1
}

# Neither way works: name the remedy for what forbids it.
root_explain_no_mode() {
	say "this system lets us neither mount folders nor make a user namespace; one of them is needed to enter a Debian 13 root."
	if [[ $EUID -eq 0 ]] && ! mountpoint -q /; then
		say "you are in a chroot whose top folder is not a mount point. Outside of it, run this and enter it again:"
		say "    mount --bind /its/folder /its/folder"
		return
	fi
	if [[ $EUID -eq 0 ]]; then
		say "you are root, so this is probably a container without the right to mount. Start it with that right:"
		say "    docker run --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined ..."
		say "or use a Debian 13 image, in which no root is needed, and run in it:"
		say "    apt-get update && apt-get install -y $(root_packages | xargs)"
		return
	fi
	say "run it as root:"
	say "    sudo ./dev $command"
	local key
	for key in kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0 user.max_user_namespaces=65536; do
		local file=/proc/sys/${key%%=*}
		file=${file/kernel./kernel/}
		file=${file/user./user/}
		[[ -r $file ]] || continue
		[[ $(<"$file") == "${key#*=}" ]] && continue
		[[ $key == user.* && $(<"$file") != 0 ]] && continue
		say "or allow user namespaces, then run it as yourself:"
		say "    sudo sysctl -w $key"
	done
}

# What the host lacks to make a root in mode $1, as Debian package names.
root_missing_tools() {
	command -v mmdebstrap >/dev/null || echo mmdebstrap
	[[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || echo debian-archive-keyring
	[[ $1 == root ]] || command -v newuidmap >/dev/null || echo uidmap
}

# Install the bootstrap tool, the only thing that is ever done to the host.
root_install_tools() {
	local mode=$1 as_root=() missing
	mapfile -t missing < <(root_missing_tools "$mode")
	[[ ${#missing[@]} -gt 0 ]] || return 0

	local install=(apt-get install -y --no-install-recommends "${missing[@]}")
	if ! command -v apt-get >/dev/null; then
		die "please install ${missing[*]} with your system's package manager, then run this again"
	fi
	if [[ $EUID -ne 0 ]]; then
		if ! command -v sudo >/dev/null || ! { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
			say "${missing[*]} must be installed first. Run as root:"
			say "    apt-get update; ${install[*]}"
			exit 1
		fi
		as_root=(sudo)
	fi
	say "installing ${missing[*]}, to make a Debian 13 root with: ${as_root[*]}${as_root[*]:+ }${install[*]}"
	as_root+=(env DEBIAN_FRONTEND=noninteractive)
	# A package index may be absent or old; and an update may fail for
	# a third-party source that has nothing to do with us.
	if ! "${as_root[@]}" "${install[@]}" </dev/null >"$cache/install.log" 2>&1; then
		say "refreshing the package index: apt-get update"
		"${as_root[@]}" apt-get update </dev/null >>"$cache/install.log" 2>&1 || true
		if ! "${as_root[@]}" "${install[@]}" </dev/null >>"$cache/install.log" 2>&1; then
			tail -n 20 "$cache/install.log" >&2
			say "that did not work (all of it: $cache/install.log). Please run as root, and then try again:"
			say "    apt-get update; ${install[*]}"
			exit 1
		fi
	fi
}

# The archive that this host takes its own Debian packages from, if any. apt
# itself reads the sources, so every format of them is understood. Origin and
# label are known once an index was fetched; without one, the address must do.
root_host_mirror() {
	command -v apt-get >/dev/null || return 0
	local known created origin label release uri
	# shellcheck disable=SC2016 # apt's variables, not ours
	for known in --release-info --no-release-info; do
		while IFS='|' read -r created origin label release uri; do
			[[ $created == Packages && $release != *[-/]* ]] || continue
			uri=${uri%/}
			[[ $uri != mirror+file:* ]] || uri=$(root_first_mirror "${uri#mirror+file:}")
			[[ $uri =~ ^(https?|file): ]] || continue
			[[ $origin/$label == Debian/Debian || ($known == --no* && $uri == */debian) ]] || continue
			printf '%s\n' "$uri"
			return
		done < <(apt-get indextargets "$known" --format '$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(RELEASE)|$(REPO_URI)' 2>/dev/null)
	done
}

# The first address in a list of mirrors, as Debian's cloud images have it.
root_first_mirror() { sed -n 's,^\(https\?:[^[:space:]]*[^[:space:]/]\).*,\1,p' "$1" 2>/dev/null | head -n 1; }

# Whether archive $1 has the suite; a mirror may hold only the host's own.
root_mirror_has_suite() {
	local helper=/usr/lib/apt/apt-helper probe
	[[ -x $helper ]] || return 0
	probe=$(mktemp)
	# The file is apt's to create, perhaps as another user.
	rm -f "$probe"
	if "$helper" download-file "$1/dists/$suite/InRelease" "$probe" >/dev/null 2>&1; then
		rm -f "$probe"
		return 0
	fi
	rm -f "$probe"
	return 1
}

# mmdebstrap's arguments for mode $1 and target $2, one a line. The host's
# proxies and the like are handed on; documentation is left out.
root_bootstrap_arguments() {
	local mode=$1 target=$2 mirror line
	printf '%s\n' --verbose --variant=apt --components=main "--include=$(root_packages | paste -sd,)" \
		--dpkgopt=force-unsafe-io \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--aptopt='APT::Sandbox::User "root"' --aptopt='Acquire::Languages "none"' \
		--aptopt='Acquire::Retries "3"'
	if command -v apt-config >/dev/null; then
		while read -r line; do
			printf '%s\n' "--aptopt=$line"
		done < <(apt-config dump | grep -E '^Acquire::(http|https|Check-Valid-Until|Check-Date|ForceIPv[46])\b.* "[^"]+";$')
	fi
	if [[ $mode == user ]]; then
		printf '%s\n' --mode=unshare --format=tar
	else
		printf '%s\n' --mode=root --format=directory
	fi
	printf '%s\n' "$suite" "$target"
	mirror=$(root_host_mirror)
	if [[ $mirror ]] && root_mirror_has_suite "$mirror"; then
		printf '%s\n' "$mirror"
	fi
}

# Make the root in folder $2. Namespaces of its own, so that whatever happens to
# it nothing stays mounted and nothing goes on running. Without root, mmdebstrap
# works as the user's subordinate ids and the result is unpacked as the user's
# own files, so that they can be used and deleted without help.
root_bootstrap() {
	local mode=$1 target=$2 arguments fd
	umask 022
	PATH=$PATH:/usr/sbin:/sbin
	# mmdebstrap hands a descriptor to dash, which takes one digit only.
	for fd in /proc/self/fd/*; do
		fd=${fd##*/}
		((fd <= 2)) || eval "exec $fd>&-"
	done
	if [[ $mode == root ]]; then
		mapfile -t arguments < <(root_bootstrap_arguments root "$target")
		setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc mmdebstrap "${arguments[@]}"
	else
		mapfile -t arguments < <(root_bootstrap_arguments user -)
		mkdir "$target"
		TMPDIR=$(root_scratch) mmdebstrap "${arguments[@]}" |
			tar -x --no-same-owner --exclude='./dev/*' -C "$target"
	fi
	echo "$root_id" >"$target/.mirrorcl-root"
}

# Where mmdebstrap works for an ordinary user: a folder that the user's
# subordinate ids can reach, which is not so for most homes.
root_scratch() { echo "/var/tmp/mirrorcl-dev-$EUID"; }

# Remove what an interrupted set-up left. The lock is held: none of it is in use.
root_remove_leftovers() {
	local mode=$1 scratch
	rm -rf --one-file-system "$cache"/root-*.tmp.* "$cache"/root-*.old.*
	scratch=$(root_scratch)
	if [[ $mode == user ]]; then
		if compgen -G "$scratch/*" >/dev/null; then
			unshare --user --map-root-user --map-auto rm -rf --one-file-system "$scratch" || true
		fi
		mkdir -p "$scratch"
		[[ -O $scratch ]] || die "$scratch belongs to someone else; please remove it"
		chmod 711 "$scratch"
	fi
}

# One line about how far mmdebstrap is, from its log. Packages are fetched,
# unpacked and set up, in two rounds; the second is the long one.
root_progress() {
	awk '
	/^I: running apt-get update/ { stage = "reading the package index" }
	/^I: downloading packages/ { stage = "downloading the base system" }
	/^I: extracting archives/ { stage = "unpacking the base system" }
	/^I: installing essential/ { stage = "installing the base system" }
	/^I: installing remaining/ { stage = "installing packages"; second = 1; done = 0 }
	/^I: (cleaning|creating tarball|success)/ { stage = "finishing" }
	second && / newly installed,/ { total = 3 * $3 }
	/^(Get:[0-9]|Unpacking |Setting up )/ { done++ }
	END {
		if (stage == "installing packages")
			printf "%s: %d%%\n", stage, total ? int(100 * done / total) : 0
		else
			print stage == "" ? "starting" : stage
	}' "$1" 2>/dev/null || echo starting
}

# Show progress until process $1 ends: one line that is rewritten on a
# terminal, one line per stage and quarter otherwise.
root_follow() {
	local job=$1 log=$2 line last='' key begun=$SECONDS
	while kill -0 "$job" 2>/dev/null; do
		line=$(root_progress "$log")
		if [[ -t 2 ]]; then
			printf '\r\033[Kdev:   %s (%d s)' "$line" $((SECONDS - begun)) >&2
		else
			key=$line
			if [[ $line == *%* ]]; then
				key=${line##* }
				key="${line%:*}: $((${key%\%} / 25 * 25))%"
			fi
			if [[ $key != "$last" ]]; then
				say "  $key ($((SECONDS - begun)) s)"
				last=$key
			fi
		fi
		sleep 0.5
	done
	if [[ -t 2 ]]; then
		printf '\r\033[K' >&2
	fi
}

# Two gigabytes are needed; say so before, not after, they have run out.
root_check_space() {
	local folder available
	for folder in "$@"; do
		available=$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')
		((available >= 2500000)) || die "$folder has less than 2.5 GB free. Make room, or set MIRRORCL_CACHE to a roomier place."
	done
}

# An ordinary user's files in a root need subordinate ids to be made with.
root_check_subids() {
	local name
	name=$(id -un)
	if ! getsubids "$name" >/dev/null 2>&1 && ! grep -qsE "^($name|$EUID):" /etc/subuid; then
		say "user $name has no subordinate ids, which making a root without being root needs. Run:"
		say "    sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $name"
		say "or run everything as root: sudo ./dev $command"
		exit 1
	fi
}

# Make the root unless another process makes it while we wait for the lock.
root_setup() {
	local mode=$1
	mkdir -p "$cache"
	exec 9>"$cache/setup.lock"
	if ! flock -n 9; then
		say "waiting for another set-up to finish (its log: $cache/setup.log)"
		flock 9
	fi
	if [[ -d $root ]]; then
		exec 9>&-
		return
	fi

	root_install_tools "$mode"
	if [[ $mode == user ]]; then
		root_check_subids
	fi
	root_remove_leftovers "$mode"
	if [[ $mode == user ]]; then
		root_check_space "$cache" "$(root_scratch)"
	else
		root_check_space "$cache"
	fi

	local new=$root.tmp.$$ log=$cache/setup.log job status=0
	say "making a Debian 13 root for MirrorCL in $root"
	say "this is done once and takes one or two minutes"
	: >"$log"
	# A session of its own: an interruption reaches only this script, which
	# then ends the whole group. If this script is killed the group is told.
	export -f root_bootstrap root_bootstrap_arguments root_packages root_host_mirror root_first_mirror \
		root_mirror_has_suite root_scratch
	repo=$repo suite=$suite root_id=$root_id setpriv --pdeathsig TERM setsid bash -euo pipefail -c '
		trap "trap - TERM; kill -TERM 0" TERM
		root_bootstrap "$@" &
		wait $!' bash "$mode" "$new" </dev/null >"$log" 2>&1 &
	job=$!
	# shellcheck disable=SC2064 # the values of now
	trap "root_abandon $job '$new' $mode" EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	root_follow "$job" "$log"
	wait "$job" || status=$?
	trap - EXIT INT TERM HUP
	if [[ $status -ne 0 ]]; then
		tail -n 25 "$log" >&2
		root_remove_leftovers "$mode"
		say "making the root failed (status $status); above is the end of its log, $log"
		say "if it could not reach Debian's archive: it needs a network; mirror and proxy are those of this machine's apt"
		die "what is missing is fetched again when you run the same command once more"
	fi
	mv -T "$new" "$root"
	if [[ $mode == user ]]; then
		rmdir "$(root_scratch)" 2>/dev/null || true
	fi
	say "the root is complete"
	root_remove_old
	exec 9>&-
}

# Interrupted: end the whole process group, leave nothing behind.
root_abandon() {
	local job=$1 mode=$3
	printf '\n' >&2
	say "interrupted; cleaning up"
	kill -TERM -- "-$job" 2>/dev/null || true
	wait "$job" 2>/dev/null || true
	root_remove_leftovers "$mode"
	rmdir "$(root_scratch)" 2>/dev/null || true
}

# Remove roots of other package lists. Kept are those that some process lives
# in, and the one used last if that was within a day: it may belong to another
# branch that is worked on in turns.
root_remove_old() {
	local old keep=1
	exec 8>"$cache/use.lock"
	flock 8
	while read -r old; do
		[[ $old && $old != "$root" && -d $old ]] || continue
		if [[ $keep -eq 1 && -n $(find "$old/.last-used" -mtime -1 2>/dev/null) ]]; then
			keep=0
			continue
		fi
		keep=0
		grep -qs "/${old##*/} / " /proc/[0-9]*/mountinfo && continue
		mv -T "$old" "$old.old.$$"
	done < <(cd "$cache" && for old in root-????????????; do
		printf '%s %s\n' "$(stat -c %Y "$old/.last-used" 2>/dev/null || echo 0)" "$cache/$old"
	done | sort -rn | cut -d' ' -f2-)
	exec 8>&-
	rm -rf --one-file-system "$cache"/root-*.old.*
}

# The folders that the program under `run` is in: where it is, and where it
# really is if that is a link.
root_program_paths() {
	local program
	program=$(type -P -- "$1" 2>/dev/null) || return 0
	realpath -s -- "$program"
	realpath -- "$program"
}

# Run `dev --inside COMMAND ...` in the right place. Does not return.
root_run() {
	local command=$1 mode binds=() path
	root_locate
	if root_not_needed; then
		exec bash "$repo/dev" --inside "$@"
	fi
	mode=$(root_mode) || {
		root_explain_no_mode
		exit 1
	}
	mkdir -p "$cache"
	# Entering holds use.lock, so that no set-up of another version takes the
	# root away meanwhile.
	while :; do
		[[ -d $root ]] || root_setup "$mode"
		exec 8>"$cache/use.lock"
		flock -s 8
		[[ -d $root ]] && break
	done
	: >"$root/.last-used"

	binds=("$repo" "$(pwd -P)")
	for path in "$cache" "${HOME:-}" "${TMPDIR:-}" "${XDG_RUNTIME_DIR:-}"; do
		[[ $path == /* && -d $path ]] && binds+=("$(cd "$path" 2>/dev/null && pwd -P)")
	done
	if [[ $command == run ]]; then
		while read -r path; do
			binds+=("${path%/*}" "$path")
		done < <(root_program_paths "$2")
	fi

	local namespaces=(--mount)
	[[ $mode == root ]] || namespaces=(--user --map-root-user --mount)
	exec unshare "${namespaces[@]}" bash "$repo/tools/dev.d/enter.sh" "$root" "$EUID" "$(id -g)" "$(pwd -P)" \
		"${binds[@]}" -- bash "$repo/dev" --inside "$@"
}
