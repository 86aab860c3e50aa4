// SPDX-License-Identifier: Apache-2.0

// Package oracle judges whether a broker kept its promises to the clients of a test.
//
// Basics: publishers tell it what they sent and what was confirmed or refused, consumers what they
// got and what is settled: acknowledged, and a synchronous answer came after it, since an
// acknowledgement has none of its own. The test adds what it measures of the hub itself. The
// properties:
//
//	P1 no loss          what was confirmed is delivered, unless it left by a rule of its queue
//	P2 no phantom       what is delivered was sent, to that queue, and its bytes are the same
//	P3 no resurrection  what was settled does not come again
//	P4 order            first deliveries of a publisher rise; what was requeued comes before newer
//	P5 flags            a second delivery says that it is redelivered
//	P6 conservation     the hub counts in a queue what nobody has settled
//	P7 refusals         a publish that a full queue refused is never delivered
//	P8 liveness         a restarted hub confirms soon, and queues can be emptied
//	P9 hygiene          goroutines, descriptors and memory come back, and nothing panicked
//
// It is safe for concurrent use.
//
// Caveats: order is judged for one consumer per queue. What was sent and neither confirmed nor
// refused may come once, twice flagged, or never. P6 is judged while no client is at work.
package oracle
