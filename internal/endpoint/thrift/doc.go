// SPDX-License-Identifier: Apache-2.0

// Package thrift calls services that speak Apache Thrift: one [endpoint.Kind].
//
// The basics: a message becomes a call on a connection of its own for as long as it takes, out of a
// pool. A body of Thrift is a whole message; only its head is written anew, with a sequence id of the
// connection's and the name that the service wants, and its struct passes untouched, or is copied
// between binary and compact, which both carry their types. The answer comes back under the asker's
// own head. A body of JSON, and TJSON beside another protocol, need the service's contract.
//
//	asker's body   | head | arguments |              or an object of arguments
//	to the member  | around | head' | arguments |    framed, unframed, headers, zlib, HTTP
//	its answer     | around | head' | result |
//	asker's answer | head" | result |                or the value of the result
//
// Caveats: the arguments are walked before they are sent, for what is behind their end would be the
// next call to the service. After a timeout or a cancelled call the connection is closed, since the
// late answer would meet the next call. Connections to one member are at most Options.Conns; a
// oneway call leaves its connection to other oneway calls, while the service may still work on it.
package thrift
