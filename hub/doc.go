// SPDX-License-Identifier: Apache-2.0

// Package hub is a whole parley hub in one value, for programs that embed it and for cmd/parley.
//
// # Basics
//
// [New] checks the options and says all that is wrong with them at once. [Hub.Start] opens the
// listeners; when it returns, every door accepts. [Hub.Shutdown] drains: it stops accepting, tells
// the clients, and closes.
//
// # Caveats
//
// The log is in memory: a confirm says that the queues have the message, and nothing survives a
// restart.
package hub
