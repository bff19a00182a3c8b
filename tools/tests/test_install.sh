#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What `cmake --install` puts where: each file that names another names one that
# is there, for any prefix, and below DESTDIR too; what was moved says so.
# And that a program finds the header, which compiles alone as C99 and C++.
# Usage: test_install.sh CMAKE BUILD_FOLDER LIBDIR INCLUDEDIR (relative to the prefix)
set -u

cmake=$1 build=$2 libdir=$3 includedir=$4
unset OCL_ICD_VENDORS DESTDIR
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failures=0

# expect WHAT WANTED GOT
expect() {
	[[ $2 == "$3" ]] && return
	echo "$1: wanted '$2', got '$3'"
	failures=$((failures + 1))
}

prefix=$scratch/prefix
"$cmake" --install "$build" --prefix "$prefix" >"$scratch/log" || {
	cat "$scratch/log"
	exit 1
}
library=$prefix/$libdir/libmirrorcl.so
for file in "$library" "$prefix"/bin/{mirrorcl,mirrorcl-cc} "$prefix"/share/man/man1/mirrorcl{,-cc}.1 \
	"$prefix/share/man/man7/mirrorcl.7" "$prefix/$includedir/CL/cl_ext_mirrorcl.h"; do
	[[ -s $file ]] || expect "$file" 'a file' 'none'
done
expect 'public .icd file' "$library" "$(cat "$prefix/etc/OpenCL/vendors/mirrorcl.icd")"
expect 'private .icd file' "$library" "$(cat "$prefix/share/mirrorcl/vendors/mirrorcl.icd")"
export PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig
expect 'pkg-config: driver' "$library" "$(pkg-config --variable=driver mirrorcl)"
expect 'pkg-config: vendors' "$prefix/etc/OpenCL/vendors" "$(pkg-config --variable=vendors mirrorcl)"
# shellcheck disable=SC2016 # the inner shell's
expect 'mirrorcl run' "$prefix/share/mirrorcl/vendors" "$("$prefix/bin/mirrorcl" run -q -- sh -c 'echo $OCL_ICD_VENDORS')"

# compile LANGUAGE COMPILER FLAGS...: nothing but the header, and what it declares is there.
compile() {
	local language=$1
	shift
	cat <<-EOF >"$scratch/header"
		#include <CL/cl_ext_mirrorcl.h>
		#if !cl_mirrorcl_counters || !cl_mirrorcl_abort
		#error extension
		#endif
		clGetContextMirrorInfoMCL_fn mirror_info;
		clGetEventAbortInfoMCL_fn abort_info;
		cl_mirror_counter_mcl counter = { 1, 2, 3 };
	EOF
	# shellcheck disable=SC2046 # flags are words
	"$@" $(pkg-config --cflags mirrorcl) -x "$language" -Wall -Wextra -Wundef -Werror -pedantic-errors -fsyntax-only \
		"$scratch/header" >"$scratch/log" 2>&1 || {
		expect "$language: the header" 'no message' "$(cat "$scratch/log")"
	}
}
compile c "${CC:-cc}" -std=c99 -DCL_TARGET_OPENCL_VERSION=300
compile c "${CC:-cc}" -std=c17 -DCL_TARGET_OPENCL_VERSION=120
compile c++ "${CXX:-c++}" -std=c++11 -DCL_TARGET_OPENCL_VERSION=300

# In /usr, where loaders look.
DESTDIR=$scratch/staged "$cmake" --install "$build" --prefix /usr >"$scratch/log" || cat "$scratch/log"
expect 'in /usr' "/usr/$libdir/libmirrorcl.so" "$(cat "$scratch/staged/etc/OpenCL/vendors/mirrorcl.icd")"
[[ -s $scratch/staged/usr/$libdir/libmirrorcl.so ]] || expect 'in DESTDIR' 'a file' 'none'

mv "$prefix" "$scratch/moved"
"$scratch/moved/bin/mirrorcl" run -q -- true 2>"$scratch/log"
expect 'moved: status' 2 $?
expect 'moved: reason' 1 "$(grep -c "is not where it was installed" "$scratch/log")"

[[ $failures -eq 0 ]]
