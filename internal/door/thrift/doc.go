// SPDX-License-Identifier: Apache-2.0

// Package thrift is the door for Apache Thrift callers: a generated client that is pointed at the hub
// calls a service of the hub as if it were a Thrift server.
//
// # Layout
//
// A connection has one goroutine that reads its messages (conn, source) in whatever form they come,
// and calls. A call (call) goes to the service `S` of a message named `S:method`, or to the
// listener's default service; its answer goes out in the same form (answers). What comes over HTTP
// and over WebSocket makes the same calls (http, websocket).
//
//	bytes ─► Stream ─► call ─► Session.Direct ─► Endpoint.Call   a service that the hub calls: no hand-off
//	                        └► Session.Call   ─► queue           any other
//
// # Basics
//
//   - A call runs on the goroutine that read it. When more is there to be read, or it takes long, reading
//     goes on meanwhile on another one; answers keep the order of their messages.
//   - A body in a queue is one whole Thrift message without a frame, or, of a service that a contract
//     describes, JSON (convert).
//   - Errors of the hub are TApplicationExceptions (errors).
package thrift
