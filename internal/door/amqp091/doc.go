// SPDX-License-Identifier: Apache-2.0

// Package amqp091 is the door for AMQP 0-9-1 as RabbitMQ 3.13 speaks it: it translates the
// conversation on a connection's channels into calls of broker sessions, and what the heart has
// to say into frames.
//
// # Basics
//
// [Door.Serve] owns a connection's read loop. It parses every frame in the read buffer, calls the
// channels' sessions, and at the end of the read batch flushes the sessions that it touched: one
// non-blocking write for each connection that got something. A channel is one broker session and
// one [broker.Sink]. Bodies that arrive whole are published out of the read buffer; others are
// put together in a buffer of the channel.
//
// # Caveats
//
// A channel's methods run on the read loop only. The sink's run on whichever goroutine delivers;
// they share nothing with the channel but the output buffer and what atomics guard.
//
// tx is kept here: publishes and acknowledgements of a transaction wait in the channel and are
// handed over one after the other at commit, so a commit is durable but not isolated.
package amqp091
