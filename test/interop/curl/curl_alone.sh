#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Declares, binds, sends, leases, answers and deletes with curl alone. $1 is the hub's /v1. Prints a line
# for each step: what it was, the statuses, and what came.
set -eu
base=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# http METHOD PATH [curl arguments]: prints the status; head and body are in files.
http() {
	method=$1 path=$2
	shift 2
	curl -sS -X "$method" "$@" -D "$dir/head" -o "$dir/body" -w '%{http_code}' --max-time 20 "$base$path"
}

# header NAME: the header of the last answer.
header() {
	tr -d '\r' <"$dir/head" | sed -n "s/^$1: //Ip"
}

raw='Accept: application/octet-stream'
echo "declare $(http PUT /queues/alone) $(http PUT /queues/alone)"
echo "bind $(http POST /bindings -d \
	'{"source":"amq.topic","destination_queue":"alone","binding_key":"greet.*"}')"
echo "publish $(http POST /topics/greet.all/messages -H 'Content-Type: text/plain' -d hello)"
status=$(http POST /queues/alone/leases -H "$raw" -d '{"wait_ms":5000}')
[ "$status" = 200 ]
echo "lease $(cat "$dir/body")"
lease=/leases/$(header Parley-Lease)
echo "acknowledge $(http DELETE "$lease") $(http DELETE "$lease")"
echo "ask $(http POST /services/alone/SayHello -H 'Prefer: respond-async' -H 'Content-Type: text/plain' -d Ada)"
request=$(header Location)
request=${request#/v1}
status=$(http POST /queues/alone/leases -H "$raw" -d '{"wait_ms":5000}')
[ "$status" = 200 ]
name=$(cat "$dir/body")
echo "worker $name"
lease=/leases/$(header Parley-Lease)
echo "reply $(http POST "$lease/reply" -H 'Content-Type: text/plain' -d "Hello, $name")"
status=$(http GET "$request/response")
echo "answer $status $(cat "$dir/body")"
echo "delete $(http DELETE /queues/alone) $(http GET /queues/alone)"
