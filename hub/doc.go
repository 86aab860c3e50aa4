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
// With Options.Data the log lies in that directory: a confirm means on disk, and durable structure
// and persistent messages are there again after a start. A program that embeds the hub should end
// when [Hub.Failed] yields. Without Data the log is in memory: a confirm says that the queues have
// the message, and nothing survives a restart. docs/reliability.md says what else is not kept.
package hub
