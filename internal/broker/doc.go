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
// # Backlogs
//
// A queue keeps a window of its ready messages in memory. What does not fit is behind it, in the log
// alone, and is counted, not kept; so is everything that comes after it, until pagers have read it
// back. Memory does not grow with the depth of a backlog. Unsettled deliveries stay in memory, and
// so do queues with priorities, whose order is not the log's.
//
// # Seams
//
// The heart states five interfaces and implements none of them: [Log], [Format], [Sink],
// [Endpoint] and [Peers].
//
// # Locks
//
// What lets one goroutine at a time read a queue's messages from the log comes before its lock.
// Queues (several only in id order) come before {the log's ring | a session | an output buffer};
// the right-hand ones are leaves. No session lock is held when a queue is called. Work that is
// found under a lock and needs another (dead letters, returned credit, flushes) goes on the
// caller's turn and is done after unlocking. docs/ARCHITECTURE.md has the table.
package broker
