#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Prints the table of the benchmark (README.md in this folder): finds a build of
# MirrorCL and starts its mirrorcl-bench with the given arguments.
#
#   MIRRORCL_BUILD   the build folder; default: build/dev, then build
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

for build in ${MIRRORCL_BUILD:+"$MIRRORCL_BUILD"} "$repo/build/dev" "$repo/build"; do
	if [[ -x $build/benchmarks/mirrorcl-bench ]]; then
		exec "$build/benchmarks/mirrorcl-bench" "$@"
	fi
	[[ ${MIRRORCL_BUILD:-} ]] && break
done
echo "run.sh: no build of mirrorcl-bench found; './dev bench' builds and runs it," >&2
echo "run.sh: or give your build folder in MIRRORCL_BUILD" >&2
exit 2
