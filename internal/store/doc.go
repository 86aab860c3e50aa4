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
// fdatasync, and another fires the tickets of the batch before. No timer makes batches: records that
// come while one batch is synced are the next batch. One that nobody waits for, settlements mostly, is
// synced with the next that somebody does wait for, or a little later.
//
// # Files
//
//	data/lock                      held by the process; its number is inside
//	data/checkpoint.0, .1          what the log knew at a segment (checkpoint.go)
//	data/wal/0000000000000001.wal  segments, in order; the last with frames is written
//	data/wal/0000000000000001.idx  where the messages of each queue lie in it (indexfile.go)
//	data/wal/0000000000000007.wal  spares: four are made ahead, filled with zeros and synced
//	data/wal/….tmp                 a file that is being made; removed at the next start
//
// A segment begins with a block of its own (4,096 bytes):
//
//	0  magic "PRLYWAL1"   12 version   24 life, drawn at random    32 size of the file
//	8  CRC32C of 12…48    16 number       for each use of a file   40 flags: 1 written again
//
// Then frames follow without gaps, each what one fdatasync made durable:
//
//	0  magic "PRLYFRM1"      12 records in it     24 life of the segment   40 offset up to which
//	8  CRC32C of the rest,   16 bytes in all,     32 number, one more         the segment was
//	   records included         a multiple of 8      than the frame before    durable
//
// Then come the records (internal/broker, record_codec.go), each with a checksum of its own, which
// is looked at whenever it is read. A frame without records is a mark: it says that everything
// before it is durable, and the next frame takes its place.
//
// # A backlog
//
// A message is written once and stays where it was written. What is kept of it in memory, while it
// waits, is nothing: for each queue and segment there is a [run], forty bytes, and which of its
// messages are settled while only some are. The entries that say where each message lies are in
// the segment's index file. [File.ReadQueue] reads from there; a queue alone in the log is read in
// blocks of 256 KiB, one among thousands message by message.
//
// # What a start makes of damage
//
// A start reads the newer checkpoint, the index files of the segments that it names, and all frames
// from the segment on in which it was taken. A frame that is not sound ends the log if nothing says
// that it was durable once: that is what a power loss leaves of the last write, and it was confirmed
// to nobody. If a later frame, a mark, a newer segment or the checkpoint says so, [OpenFile] refuses
// with a [DamageError]. What counts as the end is written and synced again before anything is built
// on it, and the log goes on in a fresh segment, or behind it when a full disk has no other. Damage to
// an older message is found when it is read: ReadQueue ends with a DamageError, and the queue gets
// nothing more from there. A damaged index file is made again.
//
// # Reclaim
//
// Each time the log goes on to another segment, and when nobody needs anything of one, a checkpoint is
// taken. When it is durable, the segments that it does not name go, wherever they lie. One that has
// little left is written again without what was settled, so that a message which nobody settles
// keeps its own bytes on the disk and no others.
//
// # Locks
//
// File.mu guards the batches and is a leaf for the heart. reading -> index.mu: a reader holds
// reading, so that no file goes under it; the writer takes index.mu for each frame, and whoever puts
// another file in a segment's place both.
//
// # Caveats
//
// A disk that lies about flushes cannot be found out from here. There is one log for all queues.
// After [FileOptions].OnFatal the process should end.
package store
