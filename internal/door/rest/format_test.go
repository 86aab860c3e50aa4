// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

func fullProperties() broker.Properties {
	return broker.Properties{
		Set: broker.HasContentType | broker.HasContentEncoding | broker.HasHeaders |
			broker.HasDeliveryMode | broker.HasPriority | broker.HasCorrelationID |
			broker.HasReplyTo | broker.HasExpiration | broker.HasMessageID |
			broker.HasTimestamp | broker.HasType | broker.HasUserID | broker.HasAppID |
			broker.HasClusterID,
		ContentType: "text/plain", ContentEncoding: "gzip", DeliveryMode: 2, Priority: 255,
		CorrelationID: "c", ReplyTo: "r", Expiration: "60000", MessageID: "m",
		Timestamp: math.MaxUint64, Type: "t", UserID: "u", AppID: "a", ClusterID: "k",
		Headers: broker.Table{
			{Name: "nil", Value: nil},
			{Name: "yes", Value: true},
			{Name: "no", Value: false},
			{Name: "least", Value: int64(math.MinInt64)},
			{Name: "float", Value: -0.5},
			{Name: "text", Value: "ü"},
			{Name: "bytes", Value: []byte{0, 255}},
			{Name: "empty", Value: []byte{}},
			{Name: "time", Value: broker.Timestamp(7)},
			{Name: "decimal", Value: broker.Decimal{Scale: 2, Value: math.MaxUint32}},
			{Name: "array", Value: broker.Array{int64(1), broker.Array{}, "x"}},
			{Name: "table", Value: broker.Table{{Name: "", Value: broker.Table{}}}},
		},
	}
}

// Everything that properties may hold survives the raw form.
func TestFormatRoundTrip(t *testing.T) {
	t.Parallel()
	want := fullProperties()
	raw, err := Format{}.Append([]byte("before"), &want)
	if err != nil || !bytes.HasPrefix(raw, []byte("before")) {
		t.Fatalf("%q, %v", raw, err)
	}
	raw = raw[len("before"):]
	var got broker.Properties
	if err := (Format{}).Decode(raw, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for n := range raw { // no prefix is taken for something else than a prefix
		var p broker.Properties
		if err := (Format{}).Decode(raw[:n], &p); err == nil {
			again, err := Format{}.Append(nil, &p)
			if err != nil || len(again) != n {
				t.Errorf("the first %d bytes decode to %+v", n, p)
			}
		}
	}
}

// Whole numbers of every width come out as the widest.
func TestFormatWidths(t *testing.T) {
	t.Parallel()
	p := broker.Properties{Set: broker.HasHeaders, Headers: broker.Table{
		{Name: "a", Value: int8(-1)},
		{Name: "b", Value: uint32(7)},
		{Name: "c", Value: float32(0.5)},
	}}
	raw, err := Format{}.Append(nil, &p)
	if err != nil {
		t.Fatal(err)
	}
	var got broker.Properties
	if err := (Format{}).Decode(raw, &got); err != nil {
		t.Fatal(err)
	}
	want := broker.Table{
		{Name: "a", Value: int64(-1)}, {Name: "b", Value: int64(7)}, {Name: "c", Value: 0.5},
	}
	if !reflect.DeepEqual(got.Headers, want) {
		t.Errorf("got %v, want %v", got.Headers, want)
	}
}

func TestFormatRefuses(t *testing.T) {
	t.Parallel()
	deep := func(n int) broker.Properties {
		var v any = "x"
		for range n {
			v = broker.Array{v}
		}
		return broker.Properties{Headers: broker.Table{{Name: "h", Value: v}}}
	}
	for n, want := range map[int]error{
		valueDepthMax - 2: nil, valueDepthMax - 1: nil, valueDepthMax: errDepth,
	} {
		p := deep(n)
		if _, err := (Format{}).Append(nil, &p); !errors.Is(err, want) {
			t.Errorf("depth %d: %v, want %v", n, err, want)
		}
	}
	p := broker.Properties{Headers: broker.Table{{Name: "h", Value: struct{}{}}}}
	if _, err := (Format{}).Append(nil, &p); !errors.Is(err, errType) {
		t.Errorf("a struct: %v", err)
	}
	for _, raw := range []string{
		"\x00", "\x63\x00", "\x01\x05abc", "\x00\x01h", "\x00\x01hz", "\x00\x01hi", "\x00\x01hd123",
		"\x04\x03256", "\x09\x01x", "\x00\x01hD\x01\xff\xff\xff\xff\xff\x01", "\x00\x01ha\x01z",
		"\x00\x01hm\x02\x01k", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"\x00\x01h" + strings.Repeat("a\x7f", 40),
	} {
		var p broker.Properties
		if err := (Format{}).Decode([]byte(raw), &p); err == nil {
			t.Errorf("%q was decoded to %+v", raw, p)
		}
	}
}

// What decodes, encodes to what decodes to the same (security.md).
func FuzzFormatDecode(f *testing.F) {
	p := fullProperties()
	raw, err := Format{}.Append(nil, &p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("\x00\x01ha\x02a\x00"))
	f.Add([]byte("\x0a\x05greet\x00\x01ks\x01v"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var first, second broker.Properties
		if (Format{}).Decode(raw, &first) != nil {
			return
		}
		again, err := Format{}.Append(nil, &first)
		if err != nil {
			t.Fatalf("%+v does not encode: %v", first, err)
		}
		if err := (Format{}).Decode(again, &second); err != nil {
			t.Fatalf("%q does not decode: %v", again, err)
		}
		third, err := Format{}.Append(nil, &second) // NaN is not equal to itself, its bytes are
		if err != nil || !bytes.Equal(again, third) {
			t.Fatalf("%q became %q, %v", again, third, err)
		}
	})
}

// Whatever frames the guard lets pass, it sees their boundaries the same in any pieces.
func FuzzFraming(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 3)
	f.Add([]byte("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n"), 5)
	f.Add([]byte("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"), 1)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		if size < 1 {
			return
		}
		var whole, parts framing
		good, ok := whole.scan(text)
		total := 0
		for rest := text; len(rest) > 0; {
			n, fine := parts.scan(rest[:min(size, len(rest))])
			total += n
			if !fine {
				if ok || total != good {
					t.Fatalf("refused at %d in pieces, at %d (%v) in one", total, good, ok)
				}
				return
			}
			rest = rest[n:]
		}
		if !ok || whole != parts {
			t.Fatalf("in one %v %+v, in pieces %+v", ok, whole, parts)
		}
	})
}
