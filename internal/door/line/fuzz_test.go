// SPDX-License-Identifier: Apache-2.0

package line

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/broker"
)

// FuzzLine: no line is too much for the parser. What it takes for an object encoding/json does too, and
// the other way round; a value is what encoding/json reads.
func FuzzLine(f *testing.F) {
	for _, seed := range []string{
		`{"op":"send","id":1,"queue":"q","body":{"a":[1,2.5e3,"x",null,true]},"headers":{"a":1}}`,
		`{"op":"gather","id":"a","topic":"t","until":{"quorum":true,"sentinel":true,"stall_ms":5}}`,
		`{"op":"reply","delivery":"1","error":{"code":"x","message":"\u00e4\ud83d\ude00"}}`,
		`{"op":"send","queue":"q","body_b64":"AAEC","key":"k","priority":1,"expires_ms":10}`,
		` { } `, `{"a":{"b":[[[]]]},"a":1}`, `{"body":"\ud800"}`, "{\"a\":\"\xff\"}", `{"a":01}`, `[]`,
		`{"op":"subscribe","id":-0,"topic":"#"}`, `{"a":"\`, `{"a":"\u12`, `{"a":tru`, `{"a"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c command
		err := c.parse(text)
		object := utf8.Valid(text) && json.Valid(text) &&
			bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{"))
		if taken := err == nil || !err.fatal; taken != object {
			t.Fatalf("%q: taken for an object: %t (%v), encoding/json says %t", text, taken, err, object)
		}
		if err != nil {
			return
		}
		compareValues(t, text, &c)
		k := composer{bodyMax: 1 << 20}
		if k.compose(&c, nil) != nil {
			return
		}
		m := &k.message
		if _, err := m.Properties(); err != nil {
			t.Fatalf("%q: its raw form %q: %v", text, m.Props, err)
		}
		var s scanner
		d := broker.Delivery{Message: m}
		event, failed := appendMessage([]byte(`{"a":1`), &d, clock{}.Now(), &s)
		if event = append(event, '}'); failed != nil || !json.Valid(event) || bytes.Contains(event, []byte("\n")) {
			t.Fatalf("%q: its event is %q, %v", text, event, failed)
		}
	})
}

// compareValues holds members that are text against encoding/json.
func compareValues(t *testing.T, text []byte, c *command) {
	t.Helper()
	var want map[string]any
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	for m := range memberCount {
		value, ok := want[m.String()].(string)
		if !c.has(m) || !ok {
			continue
		}
		got, err := c.text(m)
		if err == nil && string(got) != value {
			t.Fatalf("%q: %s is %q, encoding/json says %q", text, m, got, value)
		}
	}
}

// FuzzText: what is written is one string, without a line break, and reads as what it was.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "plain", "ä\u2028\n\r\t\x00\x1f\"\\/", "\xff\xfeab", "😀"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := appendText(nil, text)
		var s string
		if err := json.Unmarshal(got, &s); err != nil || bytes.ContainsAny(got, "\r\n") {
			t.Fatalf("%q is written %q: %v", text, got, err)
		}
		if want := string(bytes.ToValidUTF8(text, []byte("\uFFFD"))); s != want {
			t.Fatalf("%q reads as %q", text, s)
		}
		back, ok := unquote(nil, got[1:len(got)-1])
		if !ok || string(back) != s {
			t.Fatalf("%q: unquoted %q, %t", got, back, ok)
		}
	})
}

// FuzzFormat: no raw form is too much; what can be decoded is the same when it is written again.
func FuzzFormat(f *testing.F) {
	for _, p := range formatSamples() {
		raw, err := Format{}.Append(nil, &p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte{0, 200, 1, ','})
	f.Add([]byte{0, 0, ',', '"', 'm', 'e', 't', 'h', 'o', 'd', '"', ':', '"'})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p, again broker.Properties
		if (Format{}).Decode(raw, &p) != nil {
			return
		}
		second, err := Format{}.Append(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		if err := (Format{}).Decode(second, &again); err != nil {
			t.Fatalf("%q, written as %q: %v", raw, second, err)
		}
		third, err := Format{}.Append(nil, &again)
		if err != nil || !bytes.Equal(second, third) {
			t.Fatalf("%q: written as %q, then as %q, %v", raw, second, third, err)
		}
	})
}

// formatSamples are properties of every kind.
func formatSamples() []broker.Properties {
	return []broker.Properties{
		{},
		{
			Set:         1<<16 - 1<<2,
			ContentType: "text/plain", ContentEncoding: "gzip", DeliveryMode: 2, Priority: 9,
			CorrelationID: "c\n\"ä", ReplyTo: "q", Expiration: "60000", MessageID: "m", Timestamp: 1 << 40,
			Type: "t", UserID: "u", AppID: "a", ClusterID: "cl",
			Headers: broker.Table{
				{Name: "s", Value: "x"},
				{Name: "", Value: int64(-1 << 63)},
				{Name: "b", Value: true},
				{Name: "f", Value: 2.5},
				{Name: "n", Value: nil},
				{Name: "a", Value: broker.Array{int64(1)}},
				{Name: "t", Value: broker.Table{{Name: "x", Value: broker.Array{}}}},
			},
		},
		{Set: broker.HasDeliveryMode, DeliveryMode: 1},
	}
}

// The raw form keeps every property, and JSON's own types of header values.
func TestFormat(t *testing.T) {
	t.Parallel()
	for _, p := range formatSamples() {
		raw, err := Format{}.Append([]byte("before"), &p)
		if err != nil {
			t.Fatal(err)
		}
		var got broker.Properties
		if err := (Format{}).Decode(raw[len("before"):], &got); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if !reflect.DeepEqual(got, p) {
			t.Errorf("got  %+v\nwant %+v", got, p)
		}
	}
	for _, bad := range []string{
		"\x00", "\x00\x05", "\x00\x00x", "\x00\x00,\"frob\":1", "\x00\x00,\"priority\":300",
		"\x00\x00,\"method\":1", "\x00\x00,\"headers\":[]", "\x00\x00,\"headers\":{\"a\":1,\"a\":2}",
		"\x00\x00,\"expires_ms\":\"1\"", "\x00\x00,\"method\":\"\\ud800\"",
	} {
		if err := (Format{}).Decode([]byte(bad), &broker.Properties{}); err == nil {
			t.Errorf("%q is decoded", bad)
		}
	}
}
