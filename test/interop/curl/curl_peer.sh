#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Drives a hub with curl alone; the commands are those of every peer script:
# send QUEUE BODY... | consume QUEUE COUNT | publish TOPIC BODY | subscribe TOPIC COUNT
# call SERVICE BODY | serve SERVICE COUNT
set -eu

name=curl
base=http://$HUB_HOST:$HUB_REST/v1
wait_ms=10000

# http METHOD PATH [curl arguments]: fails, and says why, on a status of 400 or more.
http() {
	method=$1 path=$2
	shift 2
	curl --silent --show-error --fail-with-body --max-time 20 -u guest:guest -X "$method" "$@" "$base$path"
}

declare_queue() {
	http PUT "/queues/$1" -H 'Content-Type: application/json' -d '{}' >/dev/null
}

# lease QUEUE: prints one message as JSON, or nothing.
lease() {
	http POST "/queues/$1/leases" -H 'Content-Type: application/json' \
		-d "{\"max\":1,\"wait_ms\":${2:-$wait_ms},\"lease_ms\":10000}"
}

# field NAME: the text member of that name in the JSON read.
field() {
	sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

send() {
	queue=$1
	shift
	declare_queue "$queue"
	for body in "$@"; do
		http POST "/queues/$queue/messages" -H 'Content-Type: text/plain' -d "$body" >/dev/null
	done
	echo sent
}

consume() {
	declare_queue "$1"
	echo ready
	left=$2
	while [ "$left" -gt 0 ]; do
		message=$(lease "$1")
		[ -n "$message" ] || continue
		printf '%s\n' "$message" | field body
		http DELETE "/leases/$(printf '%s' "$message" | field lease)"
		left=$((left - 1))
	done
}

publish() {
	http POST "/topics/$1/messages" -H 'Content-Type: text/plain' -d "$2" >/dev/null
	echo sent
}

subscribe() {
	left=$2
	curl --silent --no-buffer --max-time 20 -u guest:guest "$base/topics/$1/stream" |
		while IFS= read -r line; do
			case $line in
			retry:*) echo ready ;;
			data:*)
				line=${line#data:}
				printf '%s\n' "${line# }"
				left=$((left - 1))
				;;
			esac
			# Leaving ends curl at its next write, at the latest after its time limit.
			[ "$left" -gt 0 ] || break
		done
}

call() {
	http POST "/services/$1/do" -H 'Content-Type: text/plain' -H 'Prefer: wait=10' -d "$2"
	echo
}

serve() {
	declare_queue "$1"
	# One lease that does not wait: the hub knows the worker then.
	message=$(lease "$1" 0)
	echo ready
	left=$2
	while [ "$left" -gt 0 ]; do
		if [ -n "$message" ]; then
			http POST "/leases/$(printf '%s' "$message" | field lease)/reply" \
				-H 'Content-Type: text/plain' \
				-d "$name heard $(printf '%s' "$message" | field body)" >/dev/null
			left=$((left - 1))
		fi
		[ "$left" -eq 0 ] || message=$(lease "$1")
	done
}

command=$1
shift
"$command" "$@"
