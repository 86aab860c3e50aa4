#!/usr/bin/env bash
# Compares the benchmarks of an older commit with those of the present tree:
#
#   scripts/benchstat.sh OLD_REV [PACKAGE...]      BENCH=Transient RUNS=10 BENCHTIME=1s SKIP=Growth
#
# Packages default to the transient path: ./internal/door/amqp091 ./internal/broker. One that has no
# benchmarks, or is not there, in one of the two is left out, and said so. The two run in alternation,
# so that what the machine does meanwhile meets both. Nothing in the present tree is changed. Benchmarks
# of what grows are long, and left out unless SKIP says otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -lt 1 ]; then
	sed -n '2,/^set /{/^#/p}' "$0" >&2
	exit 2
fi
old_rev=$1
shift
packages=("$@")
if [ ${#packages[@]} -eq 0 ]; then packages=(./internal/door/amqp091 ./internal/broker); fi
bench=${BENCH:-.} skip=${SKIP-Growth} runs=${RUNS:-10} benchtime=${BENCHTIME:-1s}

new_tree=$PWD
work=$(mktemp -d)
old_tree=$work/tree
trap 'git worktree remove --force "$old_tree" 2>/dev/null || true; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$old_tree" "$old_rev"

# build TREE PACKAGE PROGRAM: false if there is nothing to run.
build() {
	(cd "$1" && [ -d "$2" ] && go test -c -o "$3" "$2") && [ -x "$3" ] &&
		(cd "$1/$2" && "$3" -test.run='^$' -test.list="$bench" | grep -q '^Benchmark')
}

found=0
for package in "${packages[@]}"; do
	name=$(tr -c 'a-zA-Z0-9\n' _ <<<"$package")
	for side in old new; do
		tree=${side}_tree
		if ! build "${!tree}" "$package" "$work/$name.$side"; then
			echo "benchstat: $package is left out: no benchmarks in the $side tree" >&2
			continue 2
		fi
	done
	for ((i = 1; i <= runs; i++)); do
		for side in old new; do
			tree=${side}_tree
			echo "benchstat: $package, $side, run $i of $runs" >&2
			(cd "${!tree}/$package" && "$work/$name.$side" -test.run='^$' -test.bench="$bench" \
				-test.skip="$skip" -test.benchmem -test.benchtime="$benchtime") >>"$work/$side.txt"
		done
	done
	found=1
done
if [ $found = 0 ]; then exit 1; fi
go tool -modfile="$new_tree/tools/go.mod" benchstat old="$work/old.txt" new="$work/new.txt"
