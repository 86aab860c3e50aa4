// SPDX-License-Identifier: Apache-2.0

package broker

// LSN says where a record's bytes lie in a log. It is compared, never computed with; 0 is before
// the first record.
type LSN uint64

// Log keeps records durably and in order. internal/store implements it on files and in memory,
// internal/jetstream on an engine for many machines; internal/logtest holds all to this contract.
// All methods are safe for concurrent use.
type Log interface {
	// Append adds one record and calls Apply for it inline, exactly once, in log order. The caller
	// holds the locks of the record's queues. It never blocks on the disk. When it returns
	// durable, the record is safe already and the ticket does not fire; otherwise the ticket
	// fires once, later, from the log's own goroutine, with nil when the record is durable or with
	// the error. Tickets fire in log order. A nil ticket is never fired. The record and what it
	// points to is borrowed until Append returns.
	Append(r *Record, t Ticket, seq uint64) (durable bool, err error)
	// Admit holds a publisher back, for a bounded time, while the log has more to write than it
	// should. It is called under no lock.
	Admit()
	// Wait returns when everything that was appended before the call is written, or durable too,
	// or with the error that prevents it. It is called under no lock.
	Wait(durable bool) error
	// Written returns up to which LSN records are written; a process that is killed keeps them.
	Written() LSN
	// Synced returns up to which LSN records are durable. It never goes back.
	Synced() LSN
	// Shard returns the log in which a queue's records lie; fixed for the queue's life.
	Shard(queue uint32) Log
	// Keeps reports whether ReadQueue gives messages back. A heart whose log does not keeps every
	// backlog in memory.
	Keeps() bool
	// ReadQueue calls fn for the messages of one queue behind an LSN that are not settled, in
	// order, up to what is written at the call, until fn returns false. What fn gets is a
	// RecordPublish, with LSN and time; it is borrowed until fn returns. Its times are the heart's,
	// however often somebody has set the wall clock meanwhile, whatever the log keeps. Damaged bytes are an error and
	// end it. It is called under no lock and may read from the disk.
	ReadQueue(queue uint32, after LSN, fn func(LSN, *Record) bool) error
	// Recovered returns what the log held when it was opened. It is called once, before the first
	// Append. From then on the process counts: one that is killed did not end in order, even if it
	// appended nothing, since it may have delivered.
	Recovered() (*Recovered, error)
	// Close waits for what was appended and frees what the log holds.
	Close() error
}

// Ticket is told when a record is durable. It is called without any lock of the heart.
type Ticket interface {
	// Fire tells of one record.
	Fire(seq uint64, err error)
	// Flush follows the last Fire of a batch.
	Flush()
}

// Applier is the heart's side of a log: what Append and recovery hand each record to.
type Applier interface {
	// Apply takes over one record. It is called exactly once for each, in log order.
	Apply(r *Record, at LSN)
}
