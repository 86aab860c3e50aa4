// SPDX-License-Identifier: Apache-2.0

// Package stomp is the door for STOMP 1.0, 1.1 and 1.2 clients: it translates their conversation
// into calls of a broker session, and what the session's sink hears into frames.
//
// # Basics
//
//   - A [Door] serves each connection with [Door.Serve], on the caller's goroutine: it reads a batch
//     of frames, handles them one by one, and ends the batch with one flush. Deliveries come through
//     the sink from whichever goroutine published, straight into the connection's output buffer.
//   - A message keeps its headers as it got them, in the form that [Format] describes, so that from
//     STOMP to STOMP they are copied and nothing is decoded.
//   - A [Dialect] says what destinations, headers and NACK mean: by default RabbitMQ's, of which
//     destination.go and convert.go have the tables, or ActiveMQ's, in the files activemq….go. What the
//     frames themselves do is the same in both.
//
// # Caveats
//
//   - Every ERROR is followed by the close of the connection, in every version.
//   - A RECEIPT for SEND is written when the message is safe: for a persistent message in a durable
//     queue, after the log has it on disk.
//   - STOMP over WebSocket is a connection like any other here.
package stomp
