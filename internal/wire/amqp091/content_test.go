// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// TestContentFrames: whatever the size, the frames keep to frame-max and join to the body.
func TestContentFrames(t *testing.T) {
	t.Parallel()
	const chunk = FrameMinBytes - FrameOverheadBytes
	p := allProperties()
	for _, size := range []int{0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk, 3*chunk + 5} {
		body := bytes.Repeat([]byte("0123456789abcdef!"), size/17+1)[:size]
		c := Content{Channel: 4, FrameMax: FrameMinBytes, Properties: p.Append(nil), Body: body}
		deliver := BasicDeliver{ConsumerTag: []byte("t"), DeliveryTag: 1, RoutingKey: []byte("k")}
		raw := AppendDeliver(nil, &deliver, &c)
		head := len(deliver.AppendFrame(nil, 4))
		if len(raw)-head != c.Size() {
			t.Errorf("%d octets: Size says %d, appended %d", size, c.Size(), len(raw)-head)
		}
		wantContent(t, raw, IDBasicDeliver, &c)
	}
}

func wantContent(t *testing.T, raw []byte, id MethodID, want *Content) {
	t.Helper()
	r := NewReader(bytes.NewReader(raw))
	r.SetFrameMax(FrameMinBytes)
	f, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := f.SplitMethod(); got != id || err != nil {
		t.Fatalf("method %v, %v", got, err)
	}
	if f, err = r.Next(); err != nil || f.Type != FrameHeader || f.Channel != want.Channel {
		t.Fatalf("header: %+v, %v", f, err)
	}
	var h ContentHeader
	if err := h.Decode(f.Payload); err != nil {
		t.Fatal(err)
	}
	properties := want.Properties
	if len(properties) == 0 {
		properties = []byte{0, 0}
	}
	if h.ClassID != ClassBasic || h.BodySize != uint64(len(want.Body)) ||
		!bytes.Equal(h.Properties, properties) {
		t.Fatalf("header: %+v", h)
	}
	var body []byte
	for len(body) < len(want.Body) {
		f, err := r.Next()
		if err != nil || f.Type != FrameBody {
			t.Fatalf("body: %+v, %v", f, err)
		}
		if len(f.Payload) > FrameMinBytes-FrameOverheadBytes {
			t.Fatalf("body frame of %d octets", len(f.Payload))
		}
		body = append(body, f.Payload...)
	}
	if !bytes.Equal(body, want.Body) || r.Pending() != 0 {
		t.Fatalf("body of %d octets, %d left over", len(body), r.Pending())
	}
}

func TestContentMethods(t *testing.T) {
	t.Parallel()
	c := Content{Channel: 1, FrameMax: FrameMinBytes, Body: []byte("hello")}
	get := BasicGetOk{DeliveryTag: 1, MessageCount: 3}
	wantContent(t, AppendGetOk(nil, &get, &c), IDBasicGetOk, &c)
	back := BasicReturn{ReplyCode: 312, ReplyText: []byte("NO_ROUTE")}
	wantContent(t, AppendReturn(nil, &back, &c), IDBasicReturn, &c)
	wantContent(t, AppendPublish(nil, &BasicPublish{}, &c), IDBasicPublish, &c)
	whole := c
	whole.FrameMax = 0
	wantContent(t, AppendPublish(nil, &BasicPublish{}, &whole), IDBasicPublish, &whole)
}

func TestEditedHeader(t *testing.T) {
	t.Parallel()
	p := allProperties()
	var v PropertyView
	if err := v.Parse(p.Append(nil)); err != nil {
		t.Fatal(err)
	}
	edit := PropertyEdit{Set: HasReplyTo, ReplyTo: []byte("token")}
	c := Content{Channel: 2, FrameMax: FrameMinBytes, Body: []byte("b")}
	raw := (&BasicDeliver{}).AppendFrame(nil, 2)
	raw = c.AppendBody(c.AppendEditedHeader(raw, &v, &edit))
	want := c
	want.Properties = v.AppendEdited(nil, &edit)
	wantContent(t, raw, IDBasicDeliver, &want)
}

// TestSecA3BodySize: a size above the hard limit is refused at the header.
func TestSecA3BodySize(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		size uint64
		want string
	}{
		{MaxBodyBytes - 1, ""},
		{MaxBodyBytes, ""},
		{MaxBodyBytes + 1, "content body size 536870913 exceeds maximum allowed size 536870912"},
		{1 << 63, "content body size 9223372036854775808 exceeds maximum allowed size 536870912"},
	} {
		payload := []byte{0, 60, 0, 0}
		payload = binary.BigEndian.AppendUint64(payload, tc.size)
		var h ContentHeader
		err := h.Decode(append(payload, 0, 0))
		if tc.want == "" {
			if err != nil || h.BodySize != tc.size {
				t.Errorf("%d: %v", tc.size, err)
			}
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Code != FrameError || e.Text != tc.want {
			t.Errorf("%d: %v", tc.size, err)
		}
	}
	var h ContentHeader
	if err := h.Decode(make([]byte, contentHeadBytes+1)); err == nil {
		t.Error("a header without flags passes")
	}
}
