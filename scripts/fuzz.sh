#!/usr/bin/env bash
# Runs every fuzz target below internal/, one a run, as the go command wants it:
#
#   scripts/fuzz.sh total SECONDS   shares SECONDS out over all targets (the smoke run of `make test`)
#   scripts/fuzz.sh each SECONDS    gives SECONDS to every target
#
# Building the instrumented test binaries is not counted. A target that fails leaves its input
# below testdata/fuzz, where plain `go test` runs it from then on.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=$1 seconds=$2
targets=$(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' internal | sed 's|/[^/]*:func | |' | sort)
count=$(printf '%s\n' "$targets" | grep -c . || true)
if [ "$count" -eq 0 ]; then
	echo "fuzz: no target below internal/" >&2
	exit 1
fi
if [ "$mode" = total ]; then
	seconds=$((seconds / count))
	if [ "$seconds" -lt 1 ]; then seconds=1; fi
fi

echo "fuzz: $count targets, $seconds s each"
while read -r dir name; do
	# Up to Go 1.26 the end of the time may be reported as a failure (go.dev/issue/75804): the bare
	# words below, with no failing input. Everything else that fails does.
	# An input that reaches something new is made smaller for up to a minute by default, in which
	# nothing else is tried: more than most runs have.
	if ! out=$(go test -run='^$' -fuzz="^$name\$" -fuzztime="${seconds}s" -fuzzminimizetime=100x \
		"./$dir" 2>&1 </dev/null) &&
		{ grep -q 'Failing input' <<<"$out" || ! grep -qx ' *context deadline exceeded' <<<"$out"; }; then
		printf '%s\n' "$out"
		echo "fuzz: FAIL $dir $name" >&2
		exit 1
	fi
	printf '%s %s: %s\n' "$dir" "$name" "$(printf '%s\n' "$out" | grep -o 'execs: [0-9]*' | tail -n 1)"
done <<<"$targets"
