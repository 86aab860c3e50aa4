// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"io"
	"testing"
)

// loop is an endless stream of the same octets.
type loop struct {
	data []byte
	at   int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.data[l.at:])
	l.at = (l.at + n) % len(l.data)
	return n, nil
}

// publishes returns the frames of n publishes with that body size, as a client writes them.
func publishes(n, size int) []byte {
	p := Properties{
		ContentType: "text/plain", DeliveryMode: Transient,
		Headers: Table{{"k", "v"}, {"n", int64(1)}},
	}
	p.SetFlags()
	c := Content{
		Channel: 1, FrameMax: 131072, Properties: p.Append(nil), Body: make([]byte, size),
	}
	var out []byte
	for range n {
		out = AppendPublish(out, &BasicPublish{RoutingKey: []byte("queue")}, &c)
	}
	return out
}

// readPublish reads one publish as the door does: method, header, properties, body.
func readPublish(r *Reader, m *BasicPublish, v *PropertyView) error {
	f, err := r.Next()
	if err != nil {
		return err
	}
	_, args, err := f.SplitMethod()
	if err != nil {
		return err
	}
	if err := m.Decode(args); err != nil {
		return err
	}
	if f, err = r.Next(); err != nil {
		return err
	}
	var h ContentHeader
	if err := h.Decode(f.Payload); err != nil {
		return err
	}
	if err := v.Parse(h.Properties); err != nil {
		return err
	}
	if h.BodySize > 0 {
		f, err = r.Next()
	}
	if err == nil && uint64(len(f.Payload)) != h.BodySize {
		return io.ErrShortBuffer
	}
	return err
}

func BenchmarkReadPublish(b *testing.B) {
	for _, bc := range []struct {
		name string
		size int
	}{{"16B", 16}, {"1KiB", 1024}} {
		b.Run(bc.name, func(b *testing.B) {
			r := NewReader(&loop{data: publishes(1000, bc.size)})
			r.SetFrameMax(131072)
			var m BasicPublish
			var v PropertyView
			b.ReportAllocs()
			b.SetBytes(int64(bc.size))
			for b.Loop() {
				if err := readPublish(r, &m, &v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendDeliver(b *testing.B) {
	deliver := BasicDeliver{ConsumerTag: []byte("ctag"), RoutingKey: []byte("queue")}
	p := allProperties()
	c := Content{Channel: 1, FrameMax: 131072, Properties: p.Append(nil), Body: make([]byte, 1024)}
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		deliver.DeliveryTag++
		out = AppendDeliver(out[:0], &deliver, &c)
	}
}

func BenchmarkAppendReplyTo(b *testing.B) {
	p := allProperties()
	raw := p.Append(nil)
	token := []byte("amq.rabbitmq.reply-to.g1h2.0123456789abcdef0123456789abcdef")
	out := make([]byte, 0, 4096)
	var v PropertyView
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Parse(raw); err != nil {
			b.Fatal(err)
		}
		out = v.AppendReplyTo(out[:0], token)
	}
}

func BenchmarkLookup(b *testing.B) {
	p := allProperties()
	var v PropertyView
	if err := v.Parse(p.Append(nil)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if kind, _ := v.Headers().Lookup("parley-timeout"); kind != 0 {
			b.Fatal("found")
		}
	}
}

// TestNoAllocations: from octets to a publish, and from a delivery to octets.
func TestAllocNone(t *testing.T) {
	if raceEnabled {
		t.Skip("allocation counts mean nothing under -race")
	}
	r := NewReader(&loop{data: publishes(100, 64)})
	r.SetFrameMax(131072)
	var m BasicPublish
	var v PropertyView
	out := make([]byte, 0, 8192)
	edit := PropertyEdit{Set: HasReplyTo, ReplyTo: []byte("token")}
	n := testing.AllocsPerRun(1000, func() {
		if err := readPublish(r, &m, &v); err != nil {
			t.Fatal(err)
		}
		c := Content{Channel: 1, FrameMax: 4096, Properties: v.Raw(), Body: m.RoutingKey}
		deliver := BasicDeliver{ConsumerTag: m.RoutingKey, RoutingKey: m.RoutingKey}
		out = AppendDeliver(out[:0], &deliver, &c)
		out = c.AppendEditedHeader(out, &v, &edit)
		if kind, _ := v.Headers().Lookup("parley-timeout"); kind != 0 {
			t.Fatal("found")
		}
		out = (&BasicAck{DeliveryTag: 1, Multiple: true}).AppendFrame(out, 1)
	})
	if n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}
