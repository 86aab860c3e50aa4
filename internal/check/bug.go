// SPDX-License-Identifier: Apache-2.0

package check

// SeededBug is a mistake that a build can be given on purpose, to prove that the fault tests see
// it (`make faults-proof`). Each has a build tag, and a file here that sets Bug under it. In every
// other build Bug is NoBug, and the compiler removes what depends on it.
type SeededBug uint8

// The seeded bugs. A real bug that the fault tests missed joins them.
const (
	NoBug SeededBug = iota
	// DropFdatasync: a batch counts as durable without being synced.
	DropFdatasync
	// ConfirmBeforeSync: publishers are told before the sync of their batch.
	ConfirmBeforeSync
	// DropDirSync: a new segment is used before its name is durable.
	DropDirSync
	// SkipChecksum: frames and records are taken without a look at their checksums.
	SkipChecksum
	// KeepTornTail: what lies behind a cut stays there.
	KeepTornTail
	// ReplyBeforeAcks: a synchronous answer leaves before the acknowledgements ahead of it are
	// written.
	ReplyBeforeAcks
	// RequeueAtTail: a requeued message goes behind the others.
	RequeueAtTail
	// LoseRedelivered: deliveries are never flagged as redelivered.
	LoseRedelivered
	// FreeSegmentEarly: a segment goes while a message in it is alive.
	FreeSegmentEarly
	// SwallowNoSpace: a write that found no room counts as done.
	SwallowNoSpace
	// RetrySync: a sync that failed is tried again.
	RetrySync
	// PublishTwice: now and then a publish is done a second time.
	PublishTwice
)
