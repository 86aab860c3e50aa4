// SPDX-License-Identifier: Apache-2.0

package broker

// Recovered is what a log held when it was opened. Volatile messages are not in it: they ended with
// their process.
type Recovered struct {
	// Structure is what stands of durable structure, in the order in which it was made.
	Structure []PlacedMeta
	// Backlogs are the queues with messages that nobody settled.
	Backlogs map[uint32]Backlog
	// Attempts are how often messages of a queue were delivered, as the last RecordDelivery says.
	Attempts map[uint32]map[LSN]uint32
	// LastQueueID is the highest number of a queue that the log knows.
	LastQueueID uint32
}

// Backlog is the messages of one queue that nobody settled.
type Backlog struct {
	// Messages is their number, Bytes the bytes of their bodies; the latter is an estimate when some
	// of the queue's messages were settled.
	Messages, Bytes int
	// No message is behind Last. Up to Suspect nobody knows whether they were delivered, unless
	// Attempts says so; it is Last after a process that did not end in order.
	Last, Suspect LSN
	// Expires says that some of them expire by themselves.
	Expires bool
}
