// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// everyType has a field of each type, nested ones too.
func everyType() broker.Table {
	return broker.Table{
		{Name: "S", Value: "text"},
		{Name: "x", Value: []byte{0, 255}},
		{Name: "t", Value: true},
		{Name: "b", Value: int8(-1)},
		{Name: "B", Value: uint8(255)},
		{Name: "s", Value: int16(-1)},
		{Name: "u", Value: uint16(65535)},
		{Name: "I", Value: int32(-1)},
		{Name: "i", Value: uint32(math.MaxUint32)},
		{Name: "l", Value: int64(math.MinInt64)},
		{Name: "f", Value: float32(1.5)},
		{Name: "d", Value: math.Inf(1)},
		{Name: "D", Value: broker.Decimal{Scale: 255, Value: 7}},
		{Name: "T", Value: broker.Timestamp(math.MaxUint64)},
		{Name: "V", Value: nil},
		{Name: "A", Value: broker.Array{"a", broker.Array{}, broker.Timestamp(1)}},
		{Name: "F", Value: broker.Table{{Name: "in", Value: broker.Decimal{Value: 1}}}},
	}
}

// TestFormatRoundTrip (security.md A5): the canonical form loses nothing.
func TestFormatRoundTrip(t *testing.T) {
	t.Parallel()
	want := broker.Properties{
		Set: 0xFFFC, ContentType: "a", ContentEncoding: "b", Headers: everyType(), DeliveryMode: 2,
		Priority: 9, CorrelationID: "c", ReplyTo: "d", Expiration: "1", MessageID: "e",
		Timestamp: 1, Type: "f", UserID: "g", AppID: "h", ClusterID: "i",
	}
	raw, err := Format{}.Append([]byte("before"), &want)
	if err != nil {
		t.Fatal(err)
	}
	var got broker.Properties
	if err := (Format{}).Decode(raw[len("before"):], &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	again, err := Format{}.Append(nil, &got)
	if err != nil || !bytes.Equal(again, raw[len("before"):]) {
		t.Errorf("octets differ: %v", err)
	}
	if err := (Format{}).Decode([]byte{0x80, 0}, &got); err == nil {
		t.Error("a property list that is cut short decodes")
	}
	if (Format{}).ID() != broker.FormatAMQP091 {
		t.Error("the format's id is in the log")
	}
}

// TestPropertiesOutBounds: what this protocol cannot say is left out, never cut in half.
func TestPropertiesOutBounds(t *testing.T) {
	t.Parallel()
	p := broker.Properties{
		Set:           broker.HasCorrelationID | broker.HasType | broker.HasHeaders,
		CorrelationID: strings.Repeat("c", 256), Type: strings.Repeat("t", 255),
	}
	deep := broker.Table{}
	for range 2 * wire.MaxTableDepth {
		deep = broker.Table{{Name: "in", Value: broker.Array{deep}}}
	}
	p.Headers = broker.Table{{Name: "gone", Value: broker.Removed{}}, {Name: "deep", Value: deep}}
	raw, err := Format{}.Append(nil, &p)
	if err != nil {
		t.Fatal(err)
	}
	var v wire.PropertyView
	if err := v.Parse(raw); err != nil {
		t.Fatalf("a client could not read it: %v", err)
	}
	if v.Has(wire.HasCorrelationID) || len(v.Type()) != 255 {
		t.Errorf("correlation id %q, type %q", v.CorrelationID(), v.Type())
	}
	if kind, _ := v.Headers().Lookup("gone"); kind != 0 {
		t.Error("a removed header goes out")
	}
}

// foreign is the format of some other protocol: its raw form is a correlation id.
type foreign struct{}

func (foreign) ID() broker.FormatID { return broker.FormatSTOMP }

func (foreign) Decode(raw []byte, p *broker.Properties) error {
	*p = broker.Properties{
		Set: broker.HasCorrelationID | broker.HasHeaders, CorrelationID: string(raw),
		Headers: broker.Table{{Name: "a", Value: "1"}},
	}
	return nil
}

func (foreign) Append(dst []byte, _ *broker.Properties) ([]byte, error) { return dst, nil }

// TestConvertedProperties: a message of another protocol is converted, one of this protocol that the
// hub changed is edited in place.
func TestConvertedProperties(t *testing.T) {
	t.Parallel()
	own := wire.Properties{
		CorrelationID: "corr", ReplyTo: "r", Expiration: "5", Type: "t",
		Headers: wire.Table{{Name: "BCC", Value: "x"}, {Name: "k", Value: uint16(1)}},
	}
	own.SetFlags()
	testCases := []struct {
		name    string
		m       *broker.Message
		replyTo string
		want    wire.Properties
	}{
		{
			"foreign", &broker.Message{Format: foreign{}, Props: []byte("id")}, "token",
			wire.Properties{
				CorrelationID: "id", ReplyTo: "token",
				Headers: wire.Table{{Name: "a", Value: "1"}},
			},
		},
		{
			"foreign, with headers of the hub", &broker.Message{
				Format: foreign{}, Props: []byte("id"),
				Overlay: broker.Table{
					{Name: "b", Value: int64(2)}, {Name: strings.Repeat("n", 256), Value: "cut"},
				},
			}, "", wire.Properties{
				CorrelationID: "id",
				Headers:       wire.Table{{Name: "a", Value: "1"}, {Name: "b", Value: int64(2)}},
			},
		},
		{
			"the hub's own", &broker.Message{Overlay: broker.Table{{Name: "b", Value: true}}}, "",
			wire.Properties{Headers: wire.Table{{Name: "b", Value: true}}},
		},
		{"as it came", &broker.Message{Format: Format{}, Props: own.Append(nil)}, "", own},
		{
			"gather's copy", &broker.Message{Format: Format{}, Props: own.Append(nil)}, "token",
			wire.Properties{
				CorrelationID: "corr", ReplyTo: "token", Expiration: "5", Type: "t",
				Headers: own.Headers,
			},
		},
		{
			"edited", &broker.Message{
				Format: Format{}, Props: own.Append(nil), Edited: true,
				Envelope: broker.Envelope{ReplyTo: []byte("other")},
			}, "", wire.Properties{
				CorrelationID: "corr", ReplyTo: "other", Type: "t", Headers: own.Headers,
			},
		},
		{
			"edited expiration, headers removed and added", &broker.Message{
				Format: Format{}, Props: own.Append(nil), Edited: true,
				Envelope: broker.Envelope{Expires: true, ExpirationMS: 77},
				Overlay: broker.Table{
					{Name: "BCC", Value: broker.Removed{}}, {Name: "x-death", Value: broker.Array{}},
				},
			}, "", wire.Properties{
				CorrelationID: "corr", Expiration: "77", Type: "t", Headers: wire.Table{
					{Name: "k", Value: uint16(1)}, {Name: "x-death", Value: wire.Array{}},
				},
			},
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &sink{c: &conn{frameMax: 4096}, channel: 1}
			tc.m.Body = []byte("body")
			var o outgoing
			d := broker.Delivery{Message: tc.m, ReplyTo: []byte(tc.replyTo)}
			if err := o.prepare(s, &d); err != nil {
				t.Fatal(err)
			}
			raw, err := o.append(nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(raw) > o.size() {
				t.Errorf("%d octets, size said %d", len(raw), o.size())
			}
			p := &peer{tb: t, in: wire.NewReader(bytes.NewReader(raw))}
			got := p.content()
			tc.want.SetFlags()
			if got.body != "body" || !reflect.DeepEqual(got.properties, tc.want) {
				t.Errorf("got  %+v\nwant %+v", got.properties, tc.want)
			}
		})
	}
}
