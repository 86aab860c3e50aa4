// SPDX-License-Identifier: Apache-2.0

// Package store implements the heart's Log on one machine.
//
// # Basics
//
// [Memory] keeps records in memory: for tests, for `parley serve --dev`, and for a hub without a
// data directory. It promises order and exactly-once application; what it holds ends with the
// process, so a confirm says that the queues have the message, no more.
//
// [File] keeps them in a data directory. [OpenFile] reads and checks all that is there, Bind says
// who takes the records, [File.Start] begins to write. Appending gives a record its number and
// copies it into the batch that fills; one goroutine writes batch after batch, each with one
// fdatasync, and another fires the tickets of the batch before. There is no timer: records that
// come while one batch is synced are the next batch.
//
// # Files
//
//	data/lock                      held by the process; its number is inside
//	data/wal/0000000000000001.wal  segments, in order; the last with frames is written
//	data/wal/0000000000000007.wal  spares: two are made ahead, filled with zeros and synced
//	data/wal/….wal.tmp             a segment that is being made; removed at the next start
//
// A segment begins with a block of its own (4,096 bytes):
//
//	0  magic "PRLYWAL1"   12 version   24 life, drawn at random for each use of a file
//	8  CRC32C of 12…40    16 number    32 size of the file
//
// Then frames follow without gaps, each what one fdatasync made durable:
//
//	0  magic "PRLYFRM1"      12 records in it     24 life of the segment   40 offset up to which
//	8  CRC32C of the rest,   16 bytes in all,     32 number, one more         the segment was durable
//	   records included         a multiple of 8      than the frame before 48 newest LSN
//
// Then come the records (internal/broker, record_codec.go), each with a checksum of its own, which
// is looked at whenever it is read. A frame without records is a mark: it says that everything
// before it is durable, and the next frame takes its place.
//
// # What a start makes of damage
//
// A frame that is not sound ends the log if nothing says that it was durable once: that is what a
// power loss leaves of the last write, and it was confirmed to nobody. If a later frame, a mark or
// a newer segment says so, [OpenFile] refuses with a [DamageError]. What counts as the end is written
// and synced again before anything is built on it, and the log goes on in a fresh segment.
//
// # Reclaim
//
// The oldest segment goes when nothing in it is needed: no message that a queue still waits for, no
// structure that still stands. Segments go in order only, since what settles a message lies behind
// it. When the log is more than half dead, what is alive in the oldest segment is copied to the end,
// so that one message which nobody settles pins nothing.
//
// # Caveats
//
// A disk that lies about flushes cannot be found out from here. Every message that waits has its
// bytes in memory too: a backlog is bounded by the memory alarm. There is one log for all queues,
// and no log of its own for a queue whose messages outlive many segments. After [FileOptions].OnFatal
// the process should end.
package store
