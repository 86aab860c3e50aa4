// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

func propertyScenarios() []scenario {
	return []scenario{
		{"properties", properties},
		{"headers sent", headersSent},
		{"headers shown", headersShown},
	}
}

// samples has each property once, with a value that no default has.
func samples() map[string]broker.Properties {
	return map[string]broker.Properties{
		"content type":     {ContentType: "text/plain", Set: broker.HasContentType},
		"content encoding": {ContentEncoding: "gzip", Set: broker.HasContentEncoding},
		"delivery mode":    {DeliveryMode: persistent, Set: broker.HasDeliveryMode},
		"priority":         {Priority: 7, Set: broker.HasPriority},
		"correlation id":   {CorrelationID: "c:\\ä/1", Set: broker.HasCorrelationID},
		"reply to":         {ReplyTo: "answers", Set: broker.HasReplyTo},
		"expiration":       {Expiration: "86400000", Set: broker.HasExpiration},
		"message id":       {MessageID: "m-1", Set: broker.HasMessageID},
		"timestamp":        {Timestamp: 1_700_000_000, Set: broker.HasTimestamp},
		"type":             {Type: "order.placed", Set: broker.HasType},
		"user id":          {UserID: guest, Set: broker.HasUserID},
		"app id":           {AppID: "till", Set: broker.HasAppID},
		"cluster id":       {ClusterID: "c1", Set: broker.HasClusterID},
		"none":             {},
	}
}

// properties: each property means the same on both sides, or is left out with a reason.
func properties(t *testing.T, d Driver) {
	d.Features.need(t, SendToQueue)
	h := newHub(t, &d, hubOptions{})
	h.queue("in")
	h.queue("out")
	client, plain := h.connect("client"), h.plain("plain")
	seen := consume(t, plain, Subscription{Queue: "in", Auto: true})
	shown := consume(t, client, Subscription{Queue: "out", Auto: true})
	for name, p := range samples() {
		m := &Message{Key: "in", Properties: p, Body: name}
		if _, missing := d.Features.NotSent[p.Set]; missing {
			m.Properties = broker.Properties{}
		}
		if err := client.Publish(m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := d.Features.withoutAdded(take(t, seen, name).Properties, m.Properties.Set)
		same(t, name+" to the heart", got, m.Properties)
		m = &Message{Key: "out", Properties: p, Body: name}
		want := *m
		if _, missing := d.Features.NotShown[p.Set]; missing {
			want.Properties = broker.Properties{}
		}
		if err := plain.Publish(m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, name+" to the client", take(t, shown, name).Properties, want.Properties)
	}
}

// withoutAdded takes away the properties that the door sets when the client did not.
func (f *Features) withoutAdded(p broker.Properties, sent broker.PropertySet) broker.Properties {
	added := f.Adds &^ sent
	if added&broker.HasDeliveryMode != 0 {
		p.DeliveryMode = 0
	}
	if added&broker.HasMessageID != 0 {
		p.MessageID = ""
	}
	if added&broker.HasTimestamp != 0 {
		p.Timestamp = 0
	}
	if added&broker.HasContentType != 0 {
		p.ContentType = ""
	}
	p.Set &^= added
	return p
}

// same compares all properties but the headers.
func same(t *testing.T, what string, got, want broker.Properties) {
	t.Helper()
	for _, p := range []*broker.Properties{&got, &want} {
		p.Headers = nil
		p.Set &^= broker.HasHeaders
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

// values has each type of a header's value.
func values() []any {
	return []any{
		"text", "", "line\nbreak: \\ \r ä", true, int8(-8), uint8(200), int16(-16_000),
		uint16(60_000), int32(-32), uint32(1 << 31), int64(-1 << 60), float32(0.5), 2.25,
		[]byte("bytes"),
		broker.Decimal{Scale: 2, Value: 314},
		broker.Timestamp(1_700_000_000), nil,
		broker.Table{{Name: "inner", Value: "v"}},
		broker.Array{"a", int64(1)},
	}
}

// headersSent: what the client's values are to the heart.
func headersSent(t *testing.T, d Driver) {
	d.Features.need(t, SendToQueue)
	h := newHub(t, &d, hubOptions{})
	h.queue("q")
	client := h.connect("client")
	k := consume(t, h.plain("plain"), Subscription{Queue: "q", Auto: true})
	sent := 0
	for _, value := range values() {
		want, can := d.Features.Sends(value)
		if !can {
			continue
		}
		sent++
		if err := client.Publish(withHeader(value)); err != nil {
			t.Fatalf("%T: %v", value, err)
		}
		compareHeader(t, k, value, want)
	}
	if sent == 0 {
		t.Error("the client can send no header at all")
	}
}

// headersShown: what the heart's values are to the client.
func headersShown(t *testing.T, d Driver) {
	d.Features.need(t, Receive)
	h := newHub(t, &d, hubOptions{})
	h.queue("q")
	plain := h.plain("plain")
	k := consume(t, h.connect("client"), Subscription{Queue: "q", Auto: true})
	for _, value := range values() {
		if err := plain.Publish(withHeader(value)); err != nil {
			t.Fatalf("%T: %v", value, err)
		}
		want, shown := d.Features.Shows(value)
		if !shown {
			want = absent{}
		}
		compareHeader(t, k, value, want)
	}
}

// absent stands for a header that is not shown.
type absent struct{}

// testHeader is the name of the header under test; some protocols know no case in names.
const testHeader = "x-test"

func withHeader(value any) *Message {
	m := text("q", fmt.Sprintf("%T", value))
	m.Properties.Headers = broker.Table{{Name: testHeader, Value: value}}
	m.Properties.Set = broker.HasHeaders
	return m
}

func compareHeader(t *testing.T, k Consumer, value, want any) {
	t.Helper()
	d := take(t, k, fmt.Sprintf("%T", value))
	got, there := d.Properties.Headers.Get(testHeader)
	if !there {
		got = absent{}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%T %v is %T %v, want %T %v", value, value, got, got, want, want)
	}
}
