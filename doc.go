// SPDX-License-Identifier: Apache-2.0

// Package parley lets Go programs talk through a parley hub: call, send, request, publish and
// gather, and serve all of these.
//
// # Basics
//
// A contract is a value, declared once and used by both sides:
//
//	var SayHello = parley.NewOp[Name, Greeting]("greeter.SayHello")
//
//	greeting, err := SayHello.Call(ctx, conn, Name{"Ada"})   // wait for the answer
//	err = SayHello.Send(ctx, conn, Name{"Ada"})              // notify; nil means on disk
//	pending, err := SayHello.Start(ctx, conn, Name{"Ada"})   // fetch the answer later, anywhere
//	for r, err := range SayHello.Gather(ctx, conn, Name{"Ada"}, parley.Until{All: true}) { … }
//
// An [Op] is an operation of one service, a [Topic] is what many may follow, a [Service] handles
// both. [Dial] opens a [Conn], which any number of goroutines share.
//
// # Names
//
// The name of an operation is "service.Operation", cut at its last dot, or "service/Operation", cut
// at its first slash, for names with dots of their own. A service is a queue of that name; the
// operation travels in the AMQP property type. "quote" alone is a service with one unnamed
// operation, and "my.queue/" is that for a name with dots.
//
// # The wire
//
// A parley:// connection is AMQP 0-9-1 and carries the hub's headers: a call has parley-timeout, an
// error answer parley-error and parley-error-message, a gather parley-gather. So services written
// with this package answer callers of every other door and the other way round. amqp:// is the same
// protocol; a broker that does not know the headers never answers for a service, and its calls end
// at their deadline.
//
// # Caveats
//
// A [Conn] that has failed stays failed: pending work ends with an [Error] whose code says whether
// it may have been carried out, and the program dials again. Bodies are JSON; []byte and string
// travel as they are.
package parley
