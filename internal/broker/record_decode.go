// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/parley-ipc/parley/internal/check"
)

// RecordHead is what every record begins with.
type RecordHead struct {
	RecordMark
	Type RecordType
	// Bytes is the length of the whole record, Queues the number of its queue ids.
	Bytes, Queues int
}

// ReadRecordHead reads the head of the record that b begins with. It does not look at the checksum:
// [RecordDecoder.Decode] does.
func ReadRecordHead(b []byte) (RecordHead, error) {
	if len(b) < recordHeadBytes {
		return RecordHead{}, fmt.Errorf("%w: %d bytes are no record", ErrRecordDamaged, len(b))
	}
	le := binary.LittleEndian
	n, queues := uint64(le.Uint32(b[4:])), uint64(le.Uint32(b[12:]))
	if n < recordHeadBytes || n%recordAlignBytes != 0 || n > uint64(len(b)) {
		return RecordHead{}, fmt.Errorf("%w: length %d of %d", ErrRecordDamaged, n, len(b))
	}
	if queues > (n-recordHeadBytes)/4 {
		return RecordHead{}, fmt.Errorf("%w: %d queues in %d bytes", ErrRecordDamaged, queues, n)
	}
	return RecordHead{
		RecordMark: RecordMark{
			At: LSN(le.Uint64(b[16:])), TimeMS: int64(le.Uint64(b[24:])),
		},
		Type: RecordType(b[8]), Bytes: int(n), Queues: int(queues),
	}, nil
}

// RecordHeadBytes is how much of a record its length is read from.
const RecordHeadBytes = recordHeadBytes

// RecordLength returns the length that the record which b begins with says to have.
func RecordLength(b []byte) int64 { return int64(binary.LittleEndian.Uint32(b[4:])) }

// Queue returns the i-th queue id of the record that b begins with.
func (h RecordHead) Queue(b []byte, i int) uint32 {
	return binary.LittleEndian.Uint32(b[recordHeadBytes+4*i:])
}

// Publication is what a log needs to know of a RecordPublish without decoding it.
type Publication struct {
	BodyBytes int
	// Persistent messages outlive the process.
	Persistent bool
	// Expires says that the message does so by itself.
	Expires bool
}

// ReadPublication reads it from the record that b begins with.
func ReadPublication(b []byte, h RecordHead) (Publication, error) {
	flags := b[9]
	p := Publication{
		Persistent: flags&recordPersistent != 0, Expires: flags&(recordExpires|recordDeadline) != 0,
	}
	in := recordReader{b: b[recordHeadBytes+4*h.Queues : h.Bytes]}
	for _, time := range [...]uint8{recordExpires, recordDeadline, recordDue} {
		if flags&time != 0 {
			in.uint64()
		}
	}
	for range envelopeTexts {
		in.bytes()
	}
	if flags&recordCarbonCopies != 0 {
		for range in.count() {
			in.bytes()
		}
	}
	if flags&recordOverlay != 0 {
		in.table(0)
	}
	if p.BodyBytes = len(in.bytes()); in.bad {
		return p, fmt.Errorf("%w: record %d is no message", ErrRecordDamaged, h.At)
	}
	return p, nil
}

// TransactionParts returns the records inside a transaction and where they begin in it.
func TransactionParts(b []byte) (parts []byte, offset int, err error) {
	h, err := ReadRecordHead(b)
	if err != nil {
		return nil, 0, err
	}
	offset = recordHeadBytes + 4*h.Queues + 8
	if h.Type != RecordTransaction || offset > h.Bytes {
		return nil, 0, fmt.Errorf("%w: record %d is no transaction", ErrRecordDamaged, h.At)
	}
	return b[offset:h.Bytes], offset, nil
}

// RecordDecoder turns bytes into records. What it returns is borrowed until the next call. It is
// for one goroutine.
type RecordDecoder struct {
	// Format returns the format with an id, or nil.
	Format func(FormatID) Format

	record  Record
	message Message
	meta    Meta
}

// Decode reads the record that b begins with, after checking its checksum.
func (d *RecordDecoder) Decode(b []byte) (*Record, RecordHead, error) {
	h, err := ReadRecordHead(b)
	if err != nil {
		return nil, h, err
	}
	b = b[:h.Bytes]
	if check.Bug != check.SkipChecksum &&
		binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:], castagnoli) {
		return nil, h, fmt.Errorf("%w: checksum of record %d", ErrRecordDamaged, h.At)
	}
	d.record = Record{Queues: d.record.Queues[:0], At: d.record.At[:0]}
	r := &d.record
	r.Type, r.TimeMS = h.Type, h.TimeMS
	in := recordReader{b: b[recordHeadBytes:]}
	for range h.Queues {
		r.Queues = append(r.Queues, in.uint32())
	}
	switch h.Type {
	case RecordPublish:
		err = d.decodeMessage(&in, b)
		r.Message = &d.message
	case RecordAck, RecordPurge:
		r.At = in.places(r.At)
	case RecordDelivery:
		r.At = in.places(r.At)
		for range r.At {
			r.Attempts = append(r.Attempts, uint32(in.uvarint()))
		}
	case RecordTransaction:
		err = d.decodeParts(&in)
	case RecordMeta:
		d.meta = in.meta()
		r.Meta = &d.meta
	case RecordStart, RecordStop:
	default:
		return nil, h, fmt.Errorf("%w: record %d has type %d", ErrRecordDamaged, h.At, h.Type)
	}
	if err == nil && in.bad {
		err = fmt.Errorf("%w: record %d does not hold what it says", ErrRecordDamaged, h.At)
	}
	return r, h, err
}

// decodeParts reads the parts of a transaction; each gets a decoder of its own, since all of them
// are returned at once.
func (d *RecordDecoder) decodeParts(in *recordReader) error {
	for range in.uint64() {
		if len(in.b) == 0 {
			in.bad = true
			return nil
		}
		part := RecordDecoder{Format: d.Format}
		r, h, err := part.Decode(in.b)
		if err != nil {
			return err
		}
		if h.Type == RecordTransaction {
			in.bad = true // they do not nest
			return nil
		}
		d.record.Records = append(d.record.Records, *r)
		in.b = in.b[h.Bytes:]
	}
	return nil
}

func (d *RecordDecoder) decodeMessage(in *recordReader, b []byte) error {
	d.message = Message{}
	m, flags := &d.message, b[9]
	if id := FormatID(b[10]); id != FormatNone {
		if d.Format != nil {
			m.Format = d.Format(id)
		}
		if m.Format == nil {
			return fmt.Errorf("a message has properties of format %d, which this build lacks", id)
		}
	}
	m.Priority = b[11]
	m.Persistent, m.Edited = flags&recordPersistent != 0, flags&recordEdited != 0
	if m.Expires = flags&recordExpires != 0; m.Expires {
		m.ExpirationMS = int64(in.uint64())
	}
	if flags&recordDeadline != 0 {
		m.DeadlineMS = int64(in.uint64())
	}
	if flags&recordDue != 0 {
		m.DueMS = int64(in.uint64())
	}
	for _, at := range [envelopeTexts]*[]byte{
		&m.Exchange, &m.Key, &m.ReplyTo, &m.CorrelationID, &m.Type, &m.ContentType, &m.UserID,
		&m.Props,
	} {
		*at = in.bytes()
	}
	if flags&recordCarbonCopies != 0 {
		for range in.count() {
			m.CC = append(m.CC, in.bytes())
		}
	}
	if flags&recordOverlay != 0 {
		m.Overlay = in.table(0)
	}
	m.Body = in.bytes()
	return nil
}

// recordReader reads fields one after the other. After the first one that is not there, bad is set
// and everything reads as zero.
type recordReader struct {
	b   []byte
	bad bool
}

func (d *recordReader) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	p := d.b[:n:n]
	d.b = d.b[n:]
	return p
}

func (d *recordReader) uint8() uint8 {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *recordReader) uint16() uint16 {
	if p := d.take(2); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

func (d *recordReader) uint32() uint32 {
	if p := d.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (d *recordReader) uint64() uint64 {
	if p := d.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (d *recordReader) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || d.bad {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *recordReader) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 || d.bad {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads how many things follow; each takes a byte at least.
func (d *recordReader) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *recordReader) bytes() []byte {
	p := d.take(d.uvarint())
	if len(p) == 0 {
		return nil
	}
	return p
}

func (d *recordReader) text() string { return string(d.bytes()) }

func (d *recordReader) places(at []LSN) []LSN {
	last := LSN(0)
	for range d.count() {
		last += LSN(d.varint())
		if d.bad {
			return at[:0]
		}
		at = append(at, last)
	}
	return at
}

func (d *recordReader) meta() Meta {
	m := Meta{Kind: MetaKind(d.uint8()), VHost: d.text()}
	switch m.Kind {
	case MetaQueueDeclare, MetaQueueDelete:
		m.QueueID = d.uint32()
		bits := d.uint8()
		m.Queue.Durable, m.Queue.Exclusive = bits&metaDurable != 0, bits&metaExclusive != 0
		m.Queue.AutoDelete = bits&metaAutoDelete != 0
		m.Queue.Name = d.text()
		m.Queue.Arguments = d.table(0)
	case MetaExchangeDeclare, MetaExchangeDelete:
		bits := d.uint8()
		m.Exchange.Durable, m.Exchange.Internal = bits&metaDurable != 0, bits&metaInternal != 0
		m.Exchange.AutoDelete = bits&metaAutoDelete != 0
		m.Exchange.Name, m.Exchange.Type = d.text(), d.text()
		m.Exchange.Arguments = d.table(0)
	case MetaBind, MetaUnbind:
		m.Binding.ToExchange = d.uint8()&metaToExchange != 0
		m.Binding.Source, m.Binding.Destination = d.text(), d.text()
		m.Binding.Key = d.text()
		m.Binding.Arguments = d.table(0)
	case MetaUserPut, MetaUserDelete:
		m.User = UserMeta{Name: d.text(), Value: slices.Clone(d.bytes())}
	case MetaRequestPut, MetaRequestDelete:
		m.Request = d.request()
	case MetaParameterPut, MetaParameterDelete:
		m.Parameter = Parameter{
			Component: d.text(), Name: d.text(), Value: slices.Clone(d.bytes()),
		}
	case MetaVHostAdd, MetaVHostDelete:
	default:
		d.bad = true
	}
	return m
}
