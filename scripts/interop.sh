#!/usr/bin/env bash
# Clients of other languages against a real hub, RabbitMQ and ActiveMQ as oracles of the same scripts,
# Apache's Thrift compiler as that of the IDL parser, clients and servers that it generates, and every
# command that the README shows.
# Installs what is missing from Debian and npm, then lets the tests below test/ drive it; gotestsum
# prints each client's seconds. `scripts/interop.sh full` runs the whole tables.
set -euo pipefail
cd "$(dirname "$0")/.."

# Debian's python3 stands at /usr/bin: the clients are its packages, not those of another python3.
packages=()
[ -x /usr/bin/amqp-publish ] || packages+=(amqp-tools)
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || packages+=(rabbitmq-server)
[ -e /usr/share/activemq/bin/activemq.jar ] || packages+=(activemq)
/usr/bin/python3 -c 'import pika' 2>/dev/null || packages+=(python3-pika)
/usr/bin/python3 -c 'import aio_pika' 2>/dev/null || packages+=(python3-aio-pika)
/usr/bin/python3 -c 'import stomp' 2>/dev/null || packages+=(python3-stomp)
/usr/bin/python3 -c 'import celery, kombu' 2>/dev/null || packages+=(python3-celery)
/usr/bin/python3 -c 'import thrift' 2>/dev/null || packages+=(python3-thrift)
command -v ruby >/dev/null && ruby -e 'require "bunny"' 2>/dev/null || packages+=(ruby-bunny)
command -v php >/dev/null || packages+=(php-cli)
[ -e /usr/share/php/PhpAmqpLib ] || packages+=(php-amqplib)
command -v php >/dev/null && php -r 'exit((int) !extension_loaded("stomp"));' || packages+=(php-stomp)
command -v ruby >/dev/null && ruby -e 'require "stomp"' 2>/dev/null || packages+=(ruby-stomp)
perl -MNet::Stomp -e 1 2>/dev/null || packages+=(libnet-stomp-perl)
command -v thrift >/dev/null || packages+=(thrift-compiler)
command -v nc >/dev/null || packages+=(netcat-openbsd)
command -v curl >/dev/null || packages+=(curl ca-certificates)
command -v wrk >/dev/null || packages+=(wrk)
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)
command -v chromium >/dev/null || packages+=(chromium fonts-liberation)
command -v "$(go env CC)" >/dev/null || packages+=(gcc libc6-dev) # the race detector of a suite
if [ ${#packages[@]} -gt 0 ]; then
	start=$SECONDS
	echo "interop: installing ${packages[*]}"
	sudo=$([ "$(id -u)" = 0 ] || echo sudo)
	# The oracle is started by the tests on free ports; the package's own service is not wanted.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
		$sudo chmod +x $policy
		trap '$sudo rm -f $policy' EXIT
	fi
	$sudo apt-get update -q
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${packages[@]}"
	echo "interop: installed in $((SECONDS - start)) s"
fi
for lock in test/interop/*/package-lock.json examples/*/package-lock.json; do
	[ -e "$lock" ] || continue
	(cd "$(dirname "$lock")" && npm ci --loglevel=error --no-audit --no-fund)
done

export TEST_INTEROP=${1:-1} TEST_DIFFERENTIAL=1
TEST_INTEROP_REPORT=$(mktemp)
export TEST_INTEROP_REPORT
cd test
go tool -modfile=../tools/go.mod gotestsum --format=testname --hide-summary=skipped -- \
	-count=1 -timeout=30m ./interop/... ./differential/... ./script/... ./contract/...
sort "$TEST_INTEROP_REPORT" && rm "$TEST_INTEROP_REPORT"
