// SPDX-License-Identifier: Apache-2.0

// Package interop drives a hub with clients of other languages: Debian's
// amqp-tools, python3-pika, python3-stomp and curl, npm's amqplib and
// @stomp/stompjs.
//
// Basics: each client has one script with the same six commands (send, consume,
// publish, subscribe, call, serve), written as a user of that library would;
// the tests here put them together, also across doors: every client calls a
// service of every other.
//
// Caveats: the clients are installed by scripts/interop.sh (`make interop`);
// without TEST_INTEROP the tests skip. amqp-tools can neither set a reply
// address that it listens on nor show properties, so it sends, consumes,
// publishes and subscribes only.
package interop
