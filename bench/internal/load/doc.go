// SPDX-License-Identifier: Apache-2.0

// Package load is the load generator of the benchmark. It must cost less than the broker it
// measures, so it speaks AMQP 0-9-1, STOMP and the text protocol of NATS on raw sockets: messages are
// encoded once, only their sequence numbers are patched, many leave in one write, and a scanner
// reads deliveries out of the read buffer without copying them.
//
// The basics are three works. Stream is one publisher, one queue (or subject), one consumer.
// Confirmed is the same with durable messages, a window of publisher confirms and one
// acknowledgement per message. Requests asks and answers, with a fixed number outstanding.
// Each warms up, measures for a while, stops sending, waits for what is under way and then
// accounts for every message: lost, duplicated, out of order.
//
// Caveats: both ends of a work run in this one process, so a latency holds the wake-ups of the
// generator too, the same for every broker; times are taken once per read, not per message.
// Heartbeats are switched off, and the connections are plain TCP on one machine.
package load
