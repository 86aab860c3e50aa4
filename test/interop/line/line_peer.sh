#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Drives a hub in lines of JSON with nothing but bash and, with LINE_BY=nc, netcat; the commands are
# those of every peer script:
# send QUEUE BODY... | consume QUEUE COUNT | publish TOPIC BODY | subscribe TOPIC COUNT
# call SERVICE BODY | serve SERVICE COUNT
set -euo pipefail

name=$LINE_BY
wait_s=20

if [ "$LINE_BY" = nc ]; then
	coproc NC { exec nc "$HUB_HOST" "$HUB_LINE"; }
	exec 3<&"${NC[0]}" 4>&"${NC[1]}"
else
	exec 3<>"/dev/tcp/$HUB_HOST/$HUB_LINE" 4>&3
fi

say() { printf '%s\n' "$1" >&4; }

# hear reads the next line into $line.
hear() {
	if ! IFS= read -r -t "$wait_s" line <&3; then
		echo "line_peer: nothing came any more" >&2
		exit 1
	fi
	case $line in *'"error":{'*)
		echo "line_peer: $line" >&2
		exit 1
		;;
	esac
}

# answer hears until the answer to request $1 has come; what comes before it waits in $events.
events=()
answer() {
	while :; do
		hear
		case $line in
		"{\"id\":$1"[,}]*) return ;;
		*) events+=("$line") ;;
		esac
	done
}

# event takes the next event into $line.
event() {
	if [ ${#events[@]} -gt 0 ]; then
		line=${events[0]}
		events=("${events[@]:1}")
	else
		hear
	fi
}

# quoted TEXT: as a JSON string.
quoted() {
	local s=${1//\\/\\\\}
	printf '"%s"' "${s//\"/\\\"}"
}

# field NAME: the text of that member of $line; a body that is no text comes in base64.
field() {
	local rest=${line#*\"$1\":\"}
	if [ "$rest" != "$line" ]; then
		printf '%s' "${rest%%\"*}"
	elif [ "$1" = body ]; then
		rest=${line#*\"body_b64\":\"}
		printf '%s' "${rest%%\"*}" | base64 -d
	fi
}

# queue NAME: serving declares it.
queue() {
	say "{\"op\":\"serve\",\"id\":\"q\",\"service\":$(quoted "$1")}"
	say '{"op":"unsubscribe","id":0,"sub":"q"}'
	answer 0
	events=()
}

send() {
	local to=$1 body
	queue "$to"
	shift
	for body in "$@"; do
		say "{\"op\":\"send\",\"id\":1,\"queue\":$(quoted "$to"),\"body\":$(quoted "$body")}"
		answer 1
	done
	echo sent
}

consume() {
	local left=$2
	queue "$1"
	say "{\"op\":\"subscribe\",\"id\":1,\"queue\":$(quoted "$1"),\"prefetch\":1}"
	echo ready
	answer 1
	for (( ; left > 0; left--)); do
		event
		field body
		echo
		say "{\"op\":\"ack\",\"id\":2,\"delivery\":\"$(field delivery)\"}"
		answer 2
	done
}

publish() {
	say "{\"op\":\"publish\",\"id\":1,\"topic\":$(quoted "$1"),\"body\":$(quoted "$2")}"
	answer 1
	echo sent
}

subscribe() {
	local left=$2
	say "{\"op\":\"subscribe\",\"id\":1,\"topic\":$(quoted "$1"),\"ack\":\"auto\"}"
	answer 1
	echo ready
	for (( ; left > 0; left--)); do
		event
		field body
		echo
	done
}

call() {
	say "{\"op\":\"call\",\"id\":1,\"service\":$(quoted "$1"),\"method\":\"do\",\"body\":$(quoted "$2")}"
	answer 1
	field body
	echo
}

serve() {
	local left=$2 heard
	say "{\"op\":\"serve\",\"id\":1,\"service\":$(quoted "$1")}"
	answer 1
	echo ready
	for (( ; left > 0; left--)); do
		event
		heard=$(field body)
		say "{\"op\":\"reply\",\"id\":2,\"delivery\":\"$(field delivery)\",\"body\":$(quoted "$name heard $heard")}"
		answer 2
	done
}

command=$1
shift
"$command" "$@"
