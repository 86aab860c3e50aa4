// SPDX-License-Identifier: Apache-2.0

// Package matrix proves parley's promise: any client protocol, any service
// protocol, any style.
//
// Basics: one cell a style (call, send, request, publish, gather) runs for every
// pair of protocols that package peers drives, with third-party clients on both
// ends of a real hub. A cell passes only if it shows what sets its style apart.
// The outcome is printed as a table, one line a pair (go test -v ./matrix).
//
// Beside the table stand the rows that belong to no single cell: one connection
// that serves and calls, and calls that are never dispatched after their
// deadline.
package matrix
