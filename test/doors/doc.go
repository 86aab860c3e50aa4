// SPDX-License-Identifier: Apache-2.0

// Package doors reaches one hub in every way that a listener offers, with the
// Go clients of each protocol: over TLS, with client certificates, over
// WebSocket, and all of them through one shared port.
//
// The hub runs in the test's own process, so that the race detector sees it.
package doors
