// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
)

// A record on disk, all integers little-endian:
//
//	offset 0   CRC32C of everything behind it    offset 12  number of queue ids
//	offset 4   length in bytes, a multiple of 8  offset 16  LSN
//	offset 8   type, flags, format, priority     offset 24  time of the append, ms since 1970
//	offset 32  queue ids, 4 bytes each, then what the type needs, then zeros
//
// Texts and byte strings have their length before them as a varint.
const (
	recordHeadBytes  = 32
	recordAlignBytes = 8
	// envelopeTexts is the number of byte strings of a message before its carbon copies.
	envelopeTexts = 8
	// RecordOverheadBytes bounds what a record costs beside the bytes of its message.
	RecordOverheadBytes = 256
)

// Flags of a record. The bits are on disk.
const (
	recordPersistent = 1 << iota
	recordExpires
	recordEdited
	recordDeadline
	recordCarbonCopies
	recordOverlay
	recordDue
)

//nolint:gochecknoglobals // a table, never written
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrRecordDamaged says that bytes are no record, or not any more.
var ErrRecordDamaged = errors.New("damaged record")

// RecordMark is what the log knows of a record: its place, and when it was appended by the wall clock.
type RecordMark struct {
	At     LSN
	TimeMS int64
	// ShiftMS is by how much the wall clock was ahead of the heart's then: the times of a message are
	// the heart's in memory, the wall clock's in the log.
	ShiftMS int64
}

// Shift moves the times of a record, and of what it carries, by some milliseconds.
func (r *Record) Shift(ms int64) {
	r.TimeMS += ms
	if m := r.Message; m != nil && m.DeadlineMS != 0 {
		m.DeadlineMS += ms
	}
	if m := r.Message; m != nil && m.DueMS != 0 {
		m.DueMS = shifted(m.DueMS, ms)
	}
}

// shifted moves a time; one that never comes stays as far away.
func shifted(at, ms int64) int64 {
	if ms > 0 && at > math.MaxInt64-ms {
		return math.MaxInt64
	}
	return at + ms
}

// LSNs returns how many numbers of the log a record takes: one, and one for each part.
func (r *Record) LSNs() int { return 1 + len(r.Records) }

// AppendRecord appends a record as bytes and returns the longer slice.
func AppendRecord(dst []byte, r *Record, mark RecordMark) []byte {
	start := len(dst)
	var head [recordHeadBytes]byte
	dst = append(dst, head[:]...)
	for _, id := range r.Queues {
		dst = binary.LittleEndian.AppendUint32(dst, id)
	}
	flags := uint8(0)
	switch r.Type {
	case RecordPublish:
		dst, flags = appendMessage(dst, r.Message, mark.ShiftMS)
	case RecordAck, RecordPurge:
		dst = appendPlaces(dst, r.At)
	case RecordDelivery:
		dst = appendPlaces(dst, r.At)
		for i := range r.At {
			dst = binary.AppendUvarint(dst, uint64(r.Attempts[i]))
		}
	case RecordTransaction:
		dst = binary.LittleEndian.AppendUint64(dst, uint64(len(r.Records)))
		for i := range r.Records {
			part := mark
			part.At += LSN(1 + i)
			dst = AppendRecord(dst, &r.Records[i], part)
		}
	case RecordMeta:
		dst = appendMeta(dst, r.Meta)
	case RecordStart, RecordStop:
	}
	for (len(dst)-start)%recordAlignBytes != 0 {
		dst = append(dst, 0)
	}
	h := dst[start:]
	binary.LittleEndian.PutUint32(h[4:], uint32(len(h)))
	h[8], h[9] = uint8(r.Type), flags
	if m := r.Message; m != nil && r.Type == RecordPublish {
		if m.Format != nil {
			h[10] = uint8(m.Format.ID())
		}
		h[11] = m.Priority
	}
	binary.LittleEndian.PutUint32(h[12:], uint32(len(r.Queues)))
	binary.LittleEndian.PutUint64(h[16:], uint64(mark.At))
	binary.LittleEndian.PutUint64(h[24:], uint64(mark.TimeMS))
	binary.LittleEndian.PutUint32(h, crc32.Checksum(h[4:], castagnoli))
	return dst
}

// appendMessage appends what a publish holds, its times moved, and returns its flags.
func appendMessage(dst []byte, m *Message, shiftMS int64) (out []byte, flags uint8) {
	if m.Persistent {
		flags |= recordPersistent
	}
	if m.Edited {
		flags |= recordEdited
	}
	if m.Expires {
		flags |= recordExpires
		dst = binary.LittleEndian.AppendUint64(dst, uint64(m.ExpirationMS))
	}
	if m.DeadlineMS != 0 {
		flags |= recordDeadline
		dst = binary.LittleEndian.AppendUint64(dst, uint64(m.DeadlineMS+shiftMS))
	}
	if m.DueMS != 0 {
		flags |= recordDue
		dst = binary.LittleEndian.AppendUint64(dst, uint64(shifted(m.DueMS, shiftMS)))
	}
	for _, text := range [envelopeTexts][]byte{
		m.Exchange, m.Key, m.ReplyTo, m.CorrelationID, m.Type, m.ContentType, m.UserID, m.Props,
	} {
		dst = appendBytes(dst, text)
	}
	if len(m.CC) > 0 {
		flags |= recordCarbonCopies
		dst = binary.AppendUvarint(dst, uint64(len(m.CC)))
		for _, key := range m.CC {
			dst = appendBytes(dst, key)
		}
	}
	if len(m.Overlay) > 0 {
		flags |= recordOverlay
		dst = appendTable(dst, m.Overlay)
	}
	return appendBytes(dst, m.Body), flags
}

// appendPlaces appends LSNs, each as its difference to the one before.
func appendPlaces(dst []byte, at []LSN) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(at)))
	last := LSN(0)
	for _, lsn := range at {
		dst = binary.AppendVarint(dst, int64(lsn-last))
		last = lsn
	}
	return dst
}

// Bits of a Meta's properties. They are on disk.
const (
	metaDurable = 1 << iota
	metaExclusive
	metaAutoDelete
	metaInternal
	metaToExchange
)

func bit(on bool, mask uint8) uint8 {
	if on {
		return mask
	}
	return 0
}

func appendMeta(dst []byte, m *Meta) []byte {
	dst = append(dst, uint8(m.Kind))
	dst = appendText(dst, m.VHost)
	switch m.Kind {
	case MetaQueueDeclare, MetaQueueDelete:
		q := &m.Queue
		dst = binary.LittleEndian.AppendUint32(dst, m.QueueID)
		dst = append(dst, bit(q.Durable, metaDurable)|bit(q.Exclusive, metaExclusive)|
			bit(q.AutoDelete, metaAutoDelete))
		dst = appendText(dst, q.Name)
		return appendTable(dst, q.Arguments)
	case MetaExchangeDeclare, MetaExchangeDelete:
		x := &m.Exchange
		dst = append(dst, bit(x.Durable, metaDurable)|bit(x.AutoDelete, metaAutoDelete)|
			bit(x.Internal, metaInternal))
		dst = appendText(appendText(dst, x.Name), x.Type)
		return appendTable(dst, x.Arguments)
	case MetaBind, MetaUnbind:
		b := &m.Binding
		dst = append(dst, bit(b.ToExchange, metaToExchange))
		dst = appendText(appendText(appendText(dst, b.Source), b.Destination), b.Key)
		return appendTable(dst, b.Arguments)
	case MetaUserPut, MetaUserDelete:
		return appendBytes(appendText(dst, m.User.Name), m.User.Value)
	case MetaRequestPut, MetaRequestDelete:
		return appendRequest(dst, m.Request)
	case MetaParameterPut, MetaParameterDelete:
		p := &m.Parameter
		return appendBytes(appendText(appendText(dst, p.Component), p.Name), p.Value)
	case MetaVHostAdd, MetaVHostDelete:
	}
	return dst
}

func appendBytes(dst, p []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(p))), p...)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
