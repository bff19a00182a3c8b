#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# stress.sh [SECONDS [SEED]]: the long variants of the tests that go by chance: the
# stress tests for SECONDS each (120), a thousand killed processes, more seeds for
# injected failures, more nonsense for the ioctls. Meant for the virtual machine:
#
#   ./dev vm --timeout 3000 -- kernel-hmm/selftests/stress.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export HMM_MIRROR_STRESS_SECONDS=${1:-120} HMM_MIRROR_STRESS_SEED=${2:-$RANDOM}
export HMM_MIRROR_KILLS=1000 HMM_MIRROR_INJECT_SEEDS=20 HMM_MIRROR_FUZZ_CALLS=40000
exec "$here/run.sh" stress_ kill_at_random inject_everything fuzz
