// SPDX-License-Identifier: Apache-2.0

package line

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// A send of a small body, and of one of 16 KiB with headers, as the door reads them.
func sampleLines() map[string]string {
	return map[string]string{
		"small": `{"op":"send","id":123,"queue":"orders","body":{"sku":7,"count":2}}`,
		"large": `{"op":"send","id":"a-1","service":"orders","method":"Place","headers":{"tenant":"t1","n":5},` +
			`"body":{"text":"` + strings.Repeat("abcdefg ", 2_048) + `"}}`,
	}
}

func BenchmarkParse(b *testing.B) {
	for name, line := range sampleLines() {
		b.Run(name, func(b *testing.B) {
			text := []byte(line)
			var c command
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := c.parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEvent is what a delivery from line to line costs the door.
func BenchmarkEvent(b *testing.B) {
	for name, line := range sampleLines() {
		b.Run(name, func(b *testing.B) {
			d := delivery(b, line)
			var s scanner
			var out []byte
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if out, err = appendMessage(out[:0], d, time.Time{}, &s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// delivery composes the message of a send.
func delivery(tb testing.TB, line string) *broker.Delivery {
	tb.Helper()
	var c command
	k := composer{bodyMax: 1 << 20}
	if err := c.parse([]byte(line)); err != nil {
		tb.Fatal(err)
	}
	if err := k.send(&c, true); err != nil {
		tb.Fatal(err)
	}
	return &broker.Delivery{Message: &k.message, Attempt: 1, Tag: 1}
}

// A line is read and a delivery written without an allocation, as long as there are no headers.
func TestAllocLine(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	text := []byte(sampleLines()["small"])
	var c command
	k := composer{bodyMax: 1 << 20}
	d := delivery(t, string(text))
	var s scanner
	out := make([]byte, 0, 4<<10)
	got := testing.AllocsPerRun(100, func() {
		if c.parse(text) != nil || k.send(&c, true) != nil {
			t.Fatal("the line is refused")
		}
		if _, err := appendMessage(out, d, time.Time{}, &s); err != nil {
			t.Fatal(err)
		}
	})
	if got > 0 {
		t.Errorf("%v allocations, want none", got)
	}
}

// BenchmarkSendDeliver sends volatile messages to a subscription of the same connection.
func BenchmarkSendDeliver(b *testing.B) {
	h := newHub(b, setup{})
	h.queue("q")
	c := h.dial()
	if err := c.net.SetDeadline(time.Time{}); err != nil {
		b.Fatal(err)
	}
	c.do(`{"op":"subscribe","id":"s","queue":"q","ack":"auto"}`, `{"id":"s"}`)
	const batch = 100
	lines := strings.Repeat(`{"op":"send","queue":"q","persistent":false,"body":{"sku":7}}`+"\n", batch)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N/batch + 1 {
		if _, err := c.net.Write([]byte(lines)); err != nil {
			b.Fatal(err)
		}
		for range batch {
			if _, err := c.r.ReadSlice('\n'); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkCall calls a service on another connection, one call after the other.
func BenchmarkCall(b *testing.B) {
	h := newHub(b, setup{})
	s, c := h.dial(), h.dial()
	for _, end := range []*client{s, c} {
		if err := end.net.SetDeadline(time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
	s.do(`{"op":"serve","id":"s","service":"svc"}`, `{"id":"s"}`)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			line, err := s.r.ReadString('\n')
			if err != nil {
				return
			}
			_, rest, _ := strings.Cut(line, `"delivery":"`)
			tag, _, _ := strings.Cut(rest, `"`)
			if _, err := fmt.Fprintf(s.net, `{"op":"reply","delivery":"%s","body":1}`+"\n", tag); err != nil {
				return
			}
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		c.send(`{"op":"call","id":1,"service":"svc","body":1}`)
		if _, err := c.r.ReadSlice('\n'); err != nil {
			b.Fatal(err)
		}
	}
	_ = s.net.Close()
	<-ended
}
