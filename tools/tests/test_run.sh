#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `mirrorcl run` stands between a caller and a program without either noticing.
# Usage: test_run.sh MIRRORCL
set -u

mirrorcl=$1
unset OCL_ICD_VENDORS MIRRORCL_REPORT MIRRORCL_MIRROR MIRRORCL_COMPUTE_UNITS MIRRORCL_VRAM
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failures=0

# expect WHAT WANTED GOT
expect() {
	[[ $2 == "$3" ]] && return
	echo "$1: wanted '$2', got '$3'"
	failures=$((failures + 1))
}

run() { "$mirrorcl" run -q "$@"; }

# Exit statuses are passed through, and our own are those of env(1).
run -- sh -c 'exit 0'
expect 'status 0' 0 $?
run -- sh -c 'exit 42'
expect 'status 42' 42 $?
run -- "$scratch/none" 2>/dev/null
expect 'not found' 127 $?
run -- "$scratch" 2>/dev/null
expect 'not a program' 126 $?
run --no-such-option -- true 2>/dev/null
expect 'unknown option' 2 $?
run 2>/dev/null
expect 'no program' 2 $?
for bad in --mirror=other --compute-units=-1 --compute-units=x --vram=12Q --report=/no/such/folder/file; do
	run "$bad" -- true 2>/dev/null
	expect "$bad" 2 $?
done

# A signal that ends the program ends us: the shell sees 128 + its number.
for signal in TERM KILL SEGV; do
	(run -- sh -c "kill -$signal \$\$") 2>/dev/null
	status=$?
	expect "ended by $signal" $((128 + $(kill -l $signal))) $status
done

# A signal sent to us reaches the program, and its answer is ours.
"$mirrorcl" run -q -- bash -c 'trap "exit 7" TERM; echo ready; for ((i = 0; i < 100; i++)); do sleep 0.05; done' \
	>"$scratch/ready" &
pid=$!
for _ in {1..200}; do
	[[ -s $scratch/ready ]] && break
	sleep 0.02
done
kill -TERM $pid
wait $pid
expect 'TERM forwarded' 7 $?

# Input, output, arguments and the working directory.
expect 'arguments' 'a|b c|--mirror=x' "$(run -- sh -c 'printf "%s|%s|%s" "$@"' sh a 'b c' --mirror=x)"
expect 'input' hello "$(echo hello | run -- cat)"
expect 'folder' "$scratch" "$(cd "$scratch" && run -- pwd)"

# The environment: options set it, the caller's own choice of drivers stays.
expect 'options' 'uffd 3 64M' "$(run --mirror=uffd --compute-units=3 --vram=64M -- \
	sh -c 'echo "$MIRRORCL_MIRROR $MIRRORCL_COMPUTE_UNITS $MIRRORCL_VRAM"')"
expect 'inherited' uffd "$(MIRRORCL_MIRROR=uffd run -- sh -c 'echo "$MIRRORCL_MIRROR"')"
expect 'their drivers' /elsewhere "$(OCL_ICD_VENDORS=/elsewhere run -- sh -c 'echo "$OCL_ICD_VENDORS"')"
expect 'our driver' mirrorcl.icd "$(run -- sh -c 'ls "$OCL_ICD_VENDORS"')"

# The report: what the program leaves in MIRRORCL_REPORT is rendered and, with --report, kept.
cat >"$scratch/device" <<'DEVICE'
#!/bin/sh
echo '{"format": 1, "pid": 1, "program": "device", "mirror": "uffd", "compute_units": 2, "kernels": 3,
"groups": 9, "aborts": 0, "causes": {"prefetch": {"count": 1, "pages": 16, "ns": 5000}}}' | tr -d '\n' >>"$MIRRORCL_REPORT"
DEVICE
chmod +x "$scratch/device"
text=$("$mirrorcl" run -- "$scratch/device" 2>&1)
case $text in
*"device (1): uffd mirror, 2 compute units; 3 kernels, 9 work-groups"*prefetch*"64.0 KiB"*) ;;
*) expect 'table' 'a table' "$text" ;;
esac
echo old >"$scratch/kept"
(cd "$scratch" && "$mirrorcl" run --report=kept -- ./device 2>/dev/null)
expect 'report kept' 1 "$(grep -c prefetch "$scratch/kept")"
expect 'report replaced' 0 "$(grep -c old "$scratch/kept")"
expect 'their report' 1 "$(MIRRORCL_REPORT=$scratch/mine "$mirrorcl" run -- "$scratch/device" 2>&1; grep -c prefetch "$scratch/mine")"
expect 'no device' 1 "$("$mirrorcl" run -- true 2>&1 | grep -c 'opened no MirrorCL device')"
expect 'killed' 1 "$( ("$mirrorcl" run -- sh -c 'kill -KILL $$') 2>&1 | grep -c 'ended by signal 9')"
mkdir "$scratch/tmp"
TMPDIR=$scratch/tmp "$mirrorcl" run -- true 2>/dev/null
expect 'nothing left behind' '' "$(ls "$scratch/tmp")"

# Help and version, of the program and of its commands.
for arguments in --help --version 'run --help' 'info --help' 'doctor --help' --usage; do
	# shellcheck disable=SC2086
	"$mirrorcl" $arguments >"$scratch/out" || expect "$arguments" 0 $?
	[[ -s $scratch/out ]] || expect "$arguments" 'some text' ''
done
"$mirrorcl" no-such-command 2>/dev/null
expect 'unknown command' 2 $?
"$mirrorcl" 2>/dev/null
expect 'no command' 2 $?

[[ $failures -eq 0 ]]
