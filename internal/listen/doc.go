// SPDX-License-Identifier: Apache-2.0

// Package listen turns addresses into connections: TCP and Unix sockets, the limits on clients
// that have not logged in, and the count of all that are open.
//
// The basics: [Listen] opens an address, [Listener.Serve] calls a [Handler] for each connection,
// [Listener.Shutdown] stops accepting, tells the handlers, waits, and closes what is left. What
// accepts by itself (an HTTP server) takes its connections from a [Queue].
//
// A connection counts as not logged in until its handler calls loggedIn. Until then it is one of
// at most 1,000 of its listener and 64 of its source address, and it is closed after 10 s
// (security.md).
//
// Caveats:
//   - Only loopback addresses and Unix sockets are opened unless Options.ListenAll says
//     otherwise.
//   - The bound of 64 does not hold for loopback: all clients on this machine share one address.
//   - Handlers get the *net.TCPConn or *net.UnixConn itself, so that its descriptor can be
//     written to directly.
package listen
