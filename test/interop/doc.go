// SPDX-License-Identifier: Apache-2.0

// Package interop drives a hub with clients of other languages, as Debian and npm
// have them; docs/amqp-0-9-1.md, docs/stomp.md, docs/line.md and docs/thrift.md list them.
//
// Basics: a peer script (…_peer) has the same six commands for every client (send,
// consume, publish, subscribe, call, serve); the tests put them together, also
// across doors: every client calls a service of every other. A daily script
// (…_daily) does what the users of its client do every day, in the words of that
// client, hub restarts included; it checks what comes back and prints a line for
// each task, and its test checks the lines and what the hub holds afterwards.
//
// The clients' own tests run too, whole: amqp091-go's against a hub in a network
// namespace of their own (TestSuiteAMQP091Go), as they expect a broker on fixed
// ports, whose connections they drop; stompngo's against a hub for each of its
// modes (TestSuiteStompngo).
//
// TestThriftTest lets clients and servers of Thrift, generated at every run, call each
// other through the hub; test/interop/thrift has their programs.
//
// TestBrowser drives the page of examples/browser in headless Chromium by the
// DevTools protocol.
//
// Caveats: the clients are installed by scripts/interop.sh (`make interop`);
// without TEST_INTEROP the tests skip. amqp-tools can neither set a reply
// address that it listens on nor show properties, so it sends, consumes,
// publishes and subscribes only.
package interop
