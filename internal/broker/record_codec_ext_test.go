// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parley-ipc/parley/internal/broker"
)

// opaque is a Format that only has a number.
type opaque broker.FormatID

func (o opaque) ID() broker.FormatID                                 { return broker.FormatID(o) }
func (opaque) Decode([]byte, *broker.Properties) error               { return nil }
func (opaque) Append(d []byte, _ *broker.Properties) ([]byte, error) { return d, nil }

func decoder() *broker.RecordDecoder {
	return &broker.RecordDecoder{Format: func(id broker.FormatID) broker.Format {
		if id > broker.FormatHub {
			return nil
		}
		return opaque(id)
	}}
}

// everyValue holds a field of each type that tables may have.
func everyValue() broker.Table {
	return broker.Table{
		{Name: "nil"},
		{Name: "bool", Value: true},
		{Name: "int8", Value: int8(-8)},
		{Name: "uint8", Value: uint8(8)},
		{Name: "int16", Value: int16(-16)},
		{Name: "uint16", Value: uint16(16)},
		{Name: "int32", Value: int32(-32)},
		{Name: "uint32", Value: uint32(32)},
		{Name: "int64", Value: int64(-64)},
		{Name: "float32", Value: float32(0.5)},
		{Name: "float64", Value: 0.25},
		{Name: "text", Value: "text"},
		{Name: "bytes", Value: []byte{0, 1}},
		{Name: "decimal", Value: broker.Decimal{Scale: 2, Value: 314}},
		{Name: "time", Value: broker.Timestamp(1_700_000_000)},
		{Name: "array", Value: broker.Array{"a", int32(1), broker.Table{{Name: "in", Value: "x"}}}},
		{Name: "table", Value: broker.Table{{Name: "deep", Value: broker.Array{nil}}}},
		{Name: "removed", Value: broker.Removed{}},
	}
}

func fullMessage() *broker.Message {
	m := &broker.Message{
		Format: opaque(broker.FormatAMQP091), Props: []byte("raw properties"),
		Overlay: everyValue(), Edited: true, Body: []byte("body"),
	}
	m.Envelope = broker.Envelope{
		Exchange: []byte("x"), Key: []byte("k"), CC: [][]byte{[]byte("c1"), []byte("c2")},
		ReplyTo: []byte("r"), CorrelationID: []byte("id"), Type: []byte("t"),
		ContentType: []byte("text/plain"), UserID: []byte("guest"), ExpirationMS: 60_000,
		Expires: true, Persistent: true, Priority: 9, DeadlineMS: 1_700_000_000_123,
		DueMS: 1_700_000_000_456,
	}
	return m
}

func recordSamples() map[string]*broker.Record {
	queue := broker.QueueParams{
		Name: "q", Durable: true, AutoDelete: true, Arguments: everyValue(),
	}
	small := &broker.Message{Body: []byte("b")}
	return map[string]*broker.Record{
		"publish":       {Type: broker.RecordPublish, Queues: []uint32{1, 7, 9}, Message: fullMessage()},
		"publish small": {Type: broker.RecordPublish, Queues: []uint32{1}, Message: small},
		"ack": {
			Type: broker.RecordAck, Queues: []uint32{3}, At: []broker.LSN{5, 4, 1 << 60, 6},
		},
		"delivery": {
			Type: broker.RecordDelivery, Queues: []uint32{3}, At: []broker.LSN{5, 9},
			Attempts: []uint32{1, 70_000},
		},
		"stop": {Type: broker.RecordStop},
		"transaction": {Type: broker.RecordTransaction, Records: []broker.Record{
			{Type: broker.RecordPublish, Queues: []uint32{1}, Message: small},
			{Type: broker.RecordAck, Queues: []uint32{2}, At: []broker.LSN{8}},
		}},
		"queue": {Type: broker.RecordMeta, Meta: &broker.Meta{
			Kind: broker.MetaQueueDeclare, VHost: "/", Queue: queue, QueueID: 77,
		}},
		"virtual host": {Type: broker.RecordMeta, Meta: &broker.Meta{
			Kind: broker.MetaVHostAdd, VHost: "v",
		}},
		"user": {Type: broker.RecordMeta, Meta: &broker.Meta{
			Kind: broker.MetaUserPut,
			User: broker.UserMeta{Name: "u", Value: []byte("what auth wrote")},
		}},
		"parameter": {Type: broker.RecordMeta, Meta: &broker.Meta{
			Kind: broker.MetaParameterPut, VHost: "v", Parameter: broker.Parameter{
				Component: "policy", Name: "p", Value: []byte(`{"pattern":"."}`),
			},
		}},
		"request": {Type: broker.RecordTransaction, Records: []broker.Record{
			{Type: broker.RecordPublish, Queues: []uint32{1}, Message: small},
			{Type: broker.RecordMeta, Meta: &broker.Meta{
				Kind: broker.MetaRequestPut, VHost: "/", Request: &broker.RequestMeta{
					ID: "id", Service: "svc", Operation: "do", User: "u", Token: "t",
					State: broker.RequestDone, CreatedMS: 1, DeadlineMS: 2, ForgetMS: 1 << 40,
					Answer: 77, Key: "k", Fingerprint: "\xff\x00",
				},
			}},
		}},
		"once": {Type: broker.RecordMeta, Meta: &broker.Meta{
			Kind: broker.MetaRequestPut, VHost: "/", Request: &broker.RequestMeta{
				ID: "id", User: "u", State: broker.RequestSent, CreatedMS: 1, ForgetMS: 1 << 40,
				Key: "k", Fingerprint: "f", MessageID: "m", Routed: 3,
			},
		}},
		"failed request": {Type: broker.RecordMeta, Meta: &broker.Meta{
			Kind: broker.MetaRequestPut, VHost: "/", Request: &broker.RequestMeta{
				ID: "id", User: "u", Token: "t", State: broker.RequestFailed, CreatedMS: 1, ForgetMS: 2,
				Answer: 77, Failure: "exception", Callback: "https://ci.example/", Posted: broker.CallbackDone,
			},
		}},
		"callback": {Type: broker.RecordMeta, Meta: &broker.Meta{
			Kind: broker.MetaRequestPut, VHost: "/", Request: &broker.RequestMeta{
				ID: "id", User: "u", Token: "t", State: broker.RequestExpired, CreatedMS: 1,
				Callback: "https://ci.example/done?x=1", Posted: broker.CallbackPending,
			},
		}},
		"exchange": {Type: broker.RecordMeta, Meta: &broker.Meta{
			Kind: broker.MetaExchangeDelete, VHost: "v", Exchange: broker.ExchangeParams{
				Name: "x", Type: "topic", Durable: true, Internal: true,
			},
		}},
		"binding": {Type: broker.RecordMeta, Meta: &broker.Meta{
			Kind: broker.MetaBind, VHost: "v", Binding: broker.BindingParams{
				Source: "x", Destination: "q", Key: "a.*.#", ToExchange: true,
				Arguments: broker.Table{{Name: "x-match", Value: "any"}},
			},
		}},
	}
}

func diffRecords(want, got *broker.Record) string {
	return cmp.Diff(want, got, cmpopts.EquateEmpty(),
		cmpopts.IgnoreUnexported(broker.Record{}, broker.Message{}),
		cmpopts.IgnoreFields(broker.Record{}, "TimeMS"))
}

func TestRecordCodec(t *testing.T) {
	t.Parallel()
	for name, want := range recordSamples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mark := broker.RecordMark{At: 1234, TimeMS: 99}
			raw := broker.AppendRecord([]byte("before"), want, mark)[len("before"):]
			got, head, err := decoder().Decode(append(raw, "behind"...))
			if err != nil {
				t.Fatal(err)
			}
			if d := diffRecords(want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if head.RecordMark != mark || head.Bytes != len(raw) || got.TimeMS != 99 ||
				head.Queues != len(want.Queues) {
				t.Errorf("head %+v of %d bytes", head, len(raw))
			}
			again := broker.AppendRecord(nil, got, mark)
			if !bytes.Equal(again, raw) {
				t.Error("encoded again it has other bytes")
			}
		})
	}
}

func TestRecordDamage(t *testing.T) {
	t.Parallel()
	for name, r := range recordSamples() {
		raw := broker.AppendRecord(nil, r, broker.RecordMark{At: 1})
		for n := range raw {
			if _, _, err := decoder().Decode(raw[:n]); !errors.Is(err, broker.ErrRecordDamaged) {
				t.Fatalf("%s cut at %d: %v", name, n, err)
			}
			for bit := range 8 {
				raw[n] ^= 1 << bit
				if _, _, err := decoder().Decode(raw); !errors.Is(err, broker.ErrRecordDamaged) {
					t.Fatalf("%s, bit %d of byte %d: %v", name, bit, n, err)
				}
				raw[n] ^= 1 << bit
			}
		}
	}
	unknown := &broker.Message{Format: opaque(99)}
	raw := broker.AppendRecord(nil, &broker.Record{
		Type: broker.RecordPublish, Message: unknown,
	}, broker.RecordMark{})
	if _, _, err := decoder().Decode(raw); err == nil {
		t.Error("a format that nobody registered was taken")
	}
}

// FuzzRecord decodes anything behind a right checksum: no panic, no allocation beyond what the
// bytes hold, and what is taken has one form.
func FuzzRecord(f *testing.F) {
	for _, r := range recordSamples() {
		f.Add(broker.AppendRecord(nil, r, broker.RecordMark{At: 5}))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		broker.FixRecordChecksum(raw)
		d := decoder()
		r, head, err := d.Decode(raw)
		if err != nil {
			return
		}
		first := broker.AppendRecord(nil, r, head.RecordMark)
		again, _, err := decoder().Decode(first)
		if err != nil {
			t.Fatalf("its own bytes are refused: %v", err)
		}
		if second := broker.AppendRecord(nil, again, head.RecordMark); !bytes.Equal(first, second) {
			t.Error("two forms of one record")
		}
	})
}

func BenchmarkRecordEncode(b *testing.B) {
	m := &broker.Message{Props: make([]byte, 32), Body: make([]byte, 1024)}
	m.Key, m.Persistent = []byte("queue"), true
	r := &broker.Record{Type: broker.RecordPublish, Queues: []uint32{1}, Message: m}
	var buf []byte
	b.SetBytes(1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = broker.AppendRecord(buf[:0], r, broker.RecordMark{At: 1})
	}
}

func BenchmarkRecordDecode(b *testing.B) {
	m := &broker.Message{Body: make([]byte, 1024)}
	m.Key, m.Persistent = []byte("queue"), true
	raw := broker.AppendRecord(nil, &broker.Record{
		Type: broker.RecordPublish, Queues: []uint32{1}, Message: m,
	}, broker.RecordMark{At: 1})
	d := decoder()
	b.SetBytes(1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := d.Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func TestStructure(t *testing.T) {
	t.Parallel()
	s := broker.NewStructure()
	queue := func(kind broker.MetaKind, name string) *broker.Meta {
		return &broker.Meta{Kind: kind, VHost: "/", Queue: broker.QueueParams{Name: name}}
	}
	exchange := func(kind broker.MetaKind, name string) *broker.Meta {
		return &broker.Meta{Kind: kind, VHost: "/", Exchange: broker.ExchangeParams{Name: name}}
	}
	bind := func(kind broker.MetaKind, from, to string) *broker.Meta {
		return &broker.Meta{Kind: kind, VHost: "/", Binding: broker.BindingParams{
			Source: from, Destination: to, Key: "k",
		}}
	}
	testCases := []struct {
		meta   *broker.Meta
		gone   []broker.LSN
		counts bool
	}{
		{exchange(broker.MetaExchangeDeclare, "x"), nil, true},
		{queue(broker.MetaQueueDeclare, "a"), nil, true},
		{queue(broker.MetaQueueDeclare, "b"), nil, true},
		{bind(broker.MetaBind, "x", "a"), nil, true},
		{bind(broker.MetaBind, "x", "b"), nil, true},
		{bind(broker.MetaBind, "x", "b"), []broker.LSN{5}, true},
		{queue(broker.MetaQueueDelete, "a"), []broker.LSN{2, 4}, false},
		{queue(broker.MetaQueueDelete, "a"), nil, false},
		{bind(broker.MetaUnbind, "x", "b"), []broker.LSN{6}, false},
		{bind(broker.MetaBind, "x", "b"), nil, true},
		{exchange(broker.MetaExchangeDelete, "x"), []broker.LSN{1, 10}, false},
	}
	for i, tc := range testCases {
		gone, counts := s.Apply(tc.meta, broker.LSN(i+1))
		if d := cmp.Diff(tc.gone, gone, cmpopts.EquateEmpty()); d != "" || counts != tc.counts {
			t.Errorf("change %d: counts %t, gone (-want +got)\n%s", i+1, counts, d)
		}
	}
	if all := s.All(); len(all) != 1 || all[0].Queue.Name != "b" || all[0].At != 3 {
		t.Errorf("left: %+v", all)
	}
}
