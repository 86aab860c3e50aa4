// SPDX-License-Identifier: Apache-2.0

// Package trace reads and writes the trace context that a message carries: the traceparent of
// W3C Trace Context, 55 bytes.
//
//	00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//	│  │                                │                └ flags: bit 0 sampled, bit 1 random
//	│  └ trace id, 16 bytes             └ span id of the sender, 8 bytes
//	└ version
//
// The basics: [Parse] what came in, [Context.Child] for the hub's own span, [Context.Append]
// what goes out. None of them allocates.
//
// Caveats: there is no exporter here. A malformed or all-zero traceparent is as good as none: the
// message goes on without it, which is no error of the client.
package trace
