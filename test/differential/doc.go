// SPDX-License-Identifier: Apache-2.0

// Package differential runs the same client scripts, without any of parley's own
// headers, against Debian's RabbitMQ and against parley and compares what the
// clients see.
//
// Basics: a script drives a real client (amqp091-go, go-stomp) and notes one
// observation a step: a reply, a delivery, an error with its code and text. Both
// brokers run the script; the two lists must be equal line by line. What may
// differ stands in one table (allowed) with its reason, and a line of that table
// that no longer differs fails the run, so the table cannot outlive its reasons.
//
// ActiveMQ is the oracle of its own dialect of STOMP (TestActiveMQ), with scripts and a table of
// its own.
//
// Caveats: it needs the packages rabbitmq-server and activemq and is therefore part of
// `make interop`, not of `make test`; TEST_DIFFERENTIAL=1 turns it on. A step that
// observes that nothing comes waits a moment; no other step waits for time.
package differential
