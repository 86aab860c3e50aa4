// SPDX-License-Identifier: Apache-2.0

// Package line is the door for programs and shells that speak no other protocol: JSON objects, one
// a line, over TCP or a Unix socket, and single ones in UDP datagrams.
//
// # Basics
//
//   - A [Door] serves each connection with [Door.Serve], on the caller's goroutine: it reads a batch
//     of lines, carries them out one by one, and ends the batch with one flush. Deliveries, answers
//     and confirms come from whichever goroutine made them, straight into the connection's output
//     buffer. [Door.ServePacket] carries out datagrams and answers none.
//   - scan.go reads JSON where it lies in the read buffer. It is stricter than encoding/json: an
//     unknown member, a member that stands twice and a wrong type are errors, and numbers stay text.
//   - A message keeps its properties as the members of an event that show them ([Format]), so that
//     from line to line they are copied and nothing is decoded.
//
// # Caveats
//
//   - Only a line that is no JSON object, one that is too long, and a failed login end the
//     connection. Every other error is an answer.
//   - A request without an id gets no answer, an error neither; it is counted.
//   - At the end of what a client sends (half-close), its subscriptions end; what it asked before is
//     answered still.
package line
