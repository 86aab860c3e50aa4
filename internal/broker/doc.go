// SPDX-License-Identifier: Apache-2.0

// Package broker is the heart of parley: virtual hosts, exchanges, bindings, queues, consumers,
// settlement, calls and gathers. It is pure Go: no network, no files, no clock of its own, so all
// of it runs under testing/synctest and in a simulator, and it knows no protocol.
//
// # Basics
//
// A door opens a [Connection] for each client and on it a [Session] for each conversation (an AMQP
// channel, a STOMP connection, a REST request). A session is the only thing that a door holds: it
// declares, publishes, consumes and settles there. What the heart has to say to the client it
// says through the session's [Sink], which appends to the connection's output buffer and never
// blocks.
//
// A message goes to an exchange, through bindings, to queues, to consumers. Volatile messages stay
// in memory; persistent messages in durable queues are appended to the [Log] while the queues'
// locks are held, so that the order of the log is the order of every queue.
//
// # Seams
//
// The heart states five interfaces and implements none of them: [Log], [Format], [Sink],
// [Endpoint] and [Peers].
//
// # Locks
//
// Queues (several only in id order) come before {the log's ring | a session | an output buffer};
// the right-hand ones are leaves. No session lock is held when a queue is called. Work that is
// found under a lock and needs another (dead letters, returned credit, flushes) goes on the
// caller's turn and is done after unlocking. docs/ARCHITECTURE.md has the table.
package broker
