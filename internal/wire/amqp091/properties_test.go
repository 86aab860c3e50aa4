// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

func allProperties() Properties {
	p := Properties{
		ContentType: "text/plain", ContentEncoding: "gzip",
		Headers:      Table{{"CC", Array{"a"}}, {"n", int64(1)}, {"BCC", Array{"b"}}},
		DeliveryMode: Persistent, Priority: 9, CorrelationID: "corr", ReplyTo: "answers",
		Expiration: "60000", MessageID: "id", Timestamp: 1 << 40, Type: "op", UserID: "guest",
		AppID: "app", ClusterID: "cluster",
	}
	p.SetFlags()
	return p
}

// TestPropertiesEach round-trips each property alone, all, and none.
func TestPropertiesEach(t *testing.T) {
	t.Parallel()
	full := allProperties()
	if full.Flags != 0xFFFC {
		t.Fatalf("flags of all: %#x", full.Flags)
	}
	flags := []PropertyFlags{0, full.Flags}
	for i := range propertyCount {
		flags = append(flags, HasContentType>>i)
	}
	for _, f := range flags {
		p := full
		p.Flags = f
		raw := p.Append(nil)
		var got Properties
		if err := got.Decode(raw); err != nil {
			t.Fatalf("%#x: %v", f, err)
		}
		if got.Flags != f || !bytes.Equal(got.Append(nil), raw) {
			t.Errorf("%#x: got %+v", f, got)
		}
		again := got
		again.SetFlags()
		if again.Flags != f {
			t.Errorf("%#x: SetFlags gives %#x", f, again.Flags)
		}
	}
	var got Properties
	if err := got.Decode(full.Append(nil)); err != nil || !reflect.DeepEqual(got, full) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestPropertyViewFaults(t *testing.T) {
	t.Parallel()
	p := allProperties()
	raw := p.Append(nil)
	testCases := map[string][]byte{
		"nothing":             {},
		"half the flags":      {0x80},
		"octets after":        append(bytes.Clone(raw), 0),
		"more flag words":     {0x00, 0x01},
		"unknown flag":        {0x00, 0x02},
		"bad header table":    {0x20, 0x00, 0, 0, 0, 3, 1, 'a', 'Z'},
		"headers past end":    {0x20, 0x00, 0xff, 0xff, 0xff, 0xff},
		"string past the end": {0x80, 0x00, 5, 'a'},
	}
	for n := 1; n < len(raw); n++ {
		testCases["cut"] = raw[:n]
		var v PropertyView
		var e *Error
		if err := v.Parse(raw[:n]); !errors.As(err, &e) || e.Code != SyntaxError {
			t.Fatalf("%d of %d octets: %v", n, len(raw), err)
		}
	}
	for name, raw := range testCases {
		var v PropertyView
		if err := v.Parse(raw); err == nil {
			t.Errorf("%s: passes", name)
		}
		if v.Flags() != 0 || v.Raw() != nil || v.ReplyTo() != nil {
			t.Errorf("%s: the view shows something after a fault", name)
		}
	}
}

func TestPropertyEdit(t *testing.T) {
	t.Parallel()
	full := allProperties()
	bare := Properties{Type: "op"}
	bare.SetFlags()
	testCases := []struct {
		name string
		from Properties
		edit PropertyEdit
		want func(p *Properties)
	}{
		{"nothing", full, PropertyEdit{}, func(*Properties) {}},
		{
			"replace reply-to", full,
			PropertyEdit{Set: HasReplyTo, ReplyTo: []byte("token")},
			func(p *Properties) { p.ReplyTo = "token" },
		},
		{
			"add reply-to", bare,
			PropertyEdit{Set: HasReplyTo, ReplyTo: []byte("token")},
			func(p *Properties) { p.ReplyTo = "token" },
		},
		{
			"drop", full,
			PropertyEdit{Drop: HasExpiration | HasUserID},
			func(p *Properties) { p.Expiration, p.UserID = "", "" },
		},
		{
			"drop what is absent", bare,
			PropertyEdit{Drop: HasExpiration},
			func(*Properties) {},
		},
		{
			"set wins over drop", full,
			PropertyEdit{
				Drop: HasExpiration, Set: HasExpiration | HasCorrelationID,
				Expiration: []byte("1"), CorrelationID: []byte("c"),
			},
			func(p *Properties) { p.Expiration, p.CorrelationID = "1", "c" },
		},
		{
			"header away", full,
			PropertyEdit{DropHeaders: []string{"BCC"}},
			func(p *Properties) { p.Headers = p.Headers[:2] },
		},
		{
			"header away from none", bare,
			PropertyEdit{DropHeaders: []string{"BCC"}},
			func(*Properties) {},
		},
		{
			"header replaced and added", full,
			PropertyEdit{Headers: Table{{"n", int64(2)}, {"x", true}}},
			func(p *Properties) {
				p.Headers = Table{p.Headers[0], p.Headers[2], {"n", int64(2)}, {"x", true}}
			},
		},
		{
			"headers where none were", bare,
			PropertyEdit{Headers: Table{{"x", true}}},
			func(p *Properties) { p.Headers = Table{{"x", true}} },
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var v PropertyView
			if err := v.Parse(tc.from.Append(nil)); err != nil {
				t.Fatal(err)
			}
			want := tc.from
			tc.want(&want)
			want.SetFlags()
			got := v.AppendEdited(nil, &tc.edit)
			if !bytes.Equal(got, want.Append(nil)) {
				t.Errorf("got  %q\nwant %q", got, want.Append(nil))
			}
		})
	}
	var none PropertyView
	got := none.AppendReplyTo(nil, []byte("r"))
	if string(got) != "\x02\x00\x01r" {
		t.Errorf("reply-to on no properties: %q", got)
	}
}
