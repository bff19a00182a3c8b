#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_setuid.sh PROGRAM VENDORS: nothing of a caller's is run, loaded or written by a setuid program that uses MirrorCL.
# PROGRAM is any sample; VENDORS the folder with MirrorCL's .icd file.
set -euo pipefail

program=$1 vendors=$2

skip() {
	echo "skipped: $*"
	exit 77
}

[[ $EUID -eq 0 ]] || skip "only root can make a setuid program"
folder=$(mktemp -d /tmp/mcl-test-setuid-XXXXXX)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cp "$program" "$folder/program"
chmod 4755 "$folder/program"
findmnt -no OPTIONS -T "$folder" | grep -qw nosuid && skip "/tmp is mounted with nosuid"

# Whatever might be started by name leaves a note.
mkdir -m 777 "$folder/theirs" "$folder/theirs/bin" "$folder/theirs/home" "$folder/theirs/tmp" "$folder/theirs/cache"
note=$folder/theirs/note
for name in mirrorcl-cc clang ld ld.lld lld gcc cc as sh llvm-spirv; do
	printf '#!/bin/bash\necho "%s ran as $EUID" >>%s\nexit 1\n' "$name" "$note" >"$folder/theirs/bin/$name"
	chmod 755 "$folder/theirs/bin/$name"
done
chown -R nobody "$folder/theirs"

status=0
(cd "$folder" && timeout 100 setpriv --reuid nobody --regid nogroup --clear-groups \
	env -i PATH="$folder/theirs/bin:/usr/bin:/bin" HOME="$folder/theirs/home" XDG_CACHE_HOME="$folder/theirs/cache" \
	TMPDIR="$folder/theirs/tmp" MIRRORCL_CC="$folder/theirs/bin/mirrorcl-cc" MIRRORCL_REPORT="$folder/theirs/report" \
	MIRRORCL_CACHE_DIR="$folder/theirs/cache" POCL_CACHE_DIR="$folder/theirs/cache" OCL_ICD_VENDORS="$vendors" \
	"$folder/program") >"$folder/output" 2>&1 || status=$?
cat "$folder/output"

if [[ -e $note ]]; then
	echo "a program of the caller's was run:"
	cat "$note"
	exit 1
fi
written=$(find "$folder/theirs" -user root)
if [[ $written ]]; then
	echo "written as root, where the caller wished:"
	echo "$written"
	exit 1
fi
# A loader that does not listen to the caller either finds no platform; else the program has to work.
if grep -q 'OpenCL platform' "$folder/output"; then
	skip "the ICD loader ignores OCL_ICD_VENDORS in setuid programs, and MirrorCL is not installed"
fi
exit $status
