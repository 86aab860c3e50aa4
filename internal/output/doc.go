// SPDX-License-Identifier: Apache-2.0

// Package output is the output side of one connection: bytes that any goroutine appends and
// that reach the socket in order, without a hand-off where the socket takes them at once.
//
// The basics: a read loop appends what it produces for a connection between [Buffer.Begin] and
// [Buffer.End], for as many messages as its read batch holds, and calls [Buffer.Flush] once per
// connection it touched. Flush writes without blocking. What the socket does not take, what a
// connection without a descriptor of its own (TLS, net.Pipe) is to send, and what was flushed
// while another goroutine was writing, is written by the connection's writer: a goroutine that
// is started when there is such work and ends when that work is done. An idle connection has
// no writer and no buffers.
//
// Room is advice. [Buffer.End] says how many bytes are left below the limit; a caller that gets
// zero or less stops delivering and waits for Options.OnDrain. Answers that cannot wait are
// appended all the same, so the connection's own read loop calls [Buffer.Throttle] after each
// batch: a peer that asks and never reads is then no longer read.
//
// Caveats: the write deadline of the connection belongs to the Buffer, so doors set read
// deadlines only. Between Begin and End the Buffer's lock is held: append, nothing else.
package output
