// SPDX-License-Identifier: Apache-2.0

package broker

import "slices"

// RecordType says what a log record holds. The numbers are on disk.
type RecordType uint8

// The record types.
const (
	// RecordPublish is one message in one or more queues.
	RecordPublish RecordType = 1
	// RecordAck says that messages of one queue are settled.
	RecordAck RecordType = 2
	// RecordDelivery says how often messages of one queue were delivered that are not settled. A
	// message with 0 attempts stands for all up to it that the record does not name: nobody knows
	// whether they were.
	RecordDelivery RecordType = 3
	// RecordTransaction holds other records, all or nothing.
	RecordTransaction RecordType = 4
	// RecordMeta is a change of durable structure: see MetaKind.
	RecordMeta RecordType = 6
	// RecordStop is the last record of a process that ended in order: what was delivered before is
	// in the RecordDelivery records, and nothing else was.
	RecordStop RecordType = 7
	// RecordPurge says that all messages of one queue between two places are settled: behind At[0],
	// up to At[1].
	RecordPurge RecordType = 8
	// RecordStart is the first record of a process: from here on messages are delivered of which the
	// log does not know.
	RecordStart RecordType = 9
)

// String returns a word for a type, for people.
func (t RecordType) String() string {
	switch t {
	case RecordPublish:
		return "publish"
	case RecordAck:
		return "ack"
	case RecordDelivery:
		return "delivery"
	case RecordTransaction:
		return "transaction"
	case RecordMeta:
		return "meta"
	case RecordStop:
		return "stop"
	case RecordPurge:
		return "purge"
	case RecordStart:
		return "start"
	}
	return "unknown"
}

// Record is one entry of the log. Which fields count depends on its type.
type Record struct {
	Type RecordType
	// Queues are the ids of the queues that the record is about, ascending.
	Queues []uint32
	// Message is what a RecordPublish carries.
	Message *Message
	// At are the places of the messages that a RecordAck or a RecordPurge settles or a
	// RecordDelivery is about.
	At []LSN
	// Attempts are the deliveries so far of a RecordDelivery's messages.
	Attempts []uint32
	// TimeMS is when the record was appended, in milliseconds since 1970 by the heart's clock. The log
	// sets it when it reads the record back.
	TimeMS int64
	// Meta is what a RecordMeta carries.
	Meta *Meta
	// Records are the parts of a RecordTransaction.
	Records []Record

	// targets are the queues themselves, when the record was made by this process.
	targets []*Queue
	turn    *turn
	again   bool // see putting
	// answers is the request whose answer a RecordPublish is.
	answers *Request
}

// MetaKind says which structure a Meta changes.
type MetaKind uint8

// The kinds of structure. The numbers are on disk.
const (
	MetaQueueDeclare    MetaKind = 1
	MetaQueueDelete     MetaKind = 2
	MetaExchangeDeclare MetaKind = 3
	MetaExchangeDelete  MetaKind = 4
	MetaBind            MetaKind = 5
	MetaUnbind          MetaKind = 6
	// MetaVHostAdd and MetaVHostDelete are about a virtual host. What is in it is deleted by
	// records of its own, before it.
	MetaVHostAdd    MetaKind = 7
	MetaVHostDelete MetaKind = 8
	// MetaUserPut and MetaUserDelete are about a user, in no virtual host.
	MetaUserPut    MetaKind = 9
	MetaUserDelete MetaKind = 10
	// MetaRequestPut and MetaRequestDelete are about a stored request.
	MetaRequestPut    MetaKind = 11
	MetaRequestDelete MetaKind = 12
	// MetaParameterPut and MetaParameterDelete are about a runtime parameter: policies, limits and
	// what else is set while the hub runs. Global ones are in no virtual host.
	MetaParameterPut    MetaKind = 13
	MetaParameterDelete MetaKind = 14
)

// Meta is a change of durable structure.
type Meta struct {
	Kind      MetaKind
	VHost     string
	Queue     QueueParams
	QueueID   uint32
	Exchange  ExchangeParams
	Binding   BindingParams
	User      UserMeta
	Request   *RequestMeta
	Parameter Parameter
}

// UserMeta is a user as the log keeps it.
type UserMeta struct {
	Name string
	// Value is for internal/auth to read.
	Value []byte
}

// Clone returns a copy that outlives the caller's borrow; only its public fields are kept.
func (r *Record) Clone() *Record {
	c := &Record{
		Type: r.Type, Queues: slices.Clone(r.Queues), At: slices.Clone(r.At),
		Attempts: slices.Clone(r.Attempts), TimeMS: r.TimeMS,
		Records: make([]Record, len(r.Records)),
	}
	if r.Message != nil {
		c.Message = r.Message.clone()
	}
	if r.Meta != nil {
		meta := *r.Meta
		meta.User.Value = slices.Clone(meta.User.Value)
		meta.Parameter.Value = slices.Clone(meta.Parameter.Value)
		if meta.Request != nil {
			request := *meta.Request
			meta.Request = &request
		}
		c.Meta = &meta
	}
	for i := range r.Records {
		c.Records[i] = *r.Records[i].Clone()
	}
	return c
}
