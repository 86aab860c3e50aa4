// SPDX-License-Identifier: Apache-2.0

package output

import (
	"bytes"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
)

// memory counts its holders.
type memory struct {
	bytes []byte
	held  atomic.Int64
}

func (m *memory) Retain()  { m.held.Add(1) }
func (m *memory) Release() { m.held.Add(-1) }

// sharing returns a Buffer that shares, and skips the test where none does.
func sharing(t *testing.T, options Options) (*Buffer, io.Reader) {
	t.Helper()
	server, client := tcpPair(t)
	if err := client.SetReadDeadline(time.Now().Add(waitBound)); err != nil {
		t.Fatal(err)
	}
	b := newBuffer(t, server, options)
	if !b.Shares() {
		t.Skip("this system writes from one place at a time")
	}
	return b, client
}

// What is appended and what is shared arrive in order, whatever the sizes and however slowly the peer
// reads; and all memory is given back.
func TestShare(t *testing.T) {
	t.Parallel()
	b, client := sharing(t, Options{LimitBytes: 1 << 30})
	random := rand.New(rand.NewPCG(1, 2))
	m := &memory{bytes: make([]byte, 1<<20)}
	for i := range m.bytes {
		m.bytes[i] = byte(random.Uint32())
	}
	var want bytes.Buffer
	sizes := []int{0, 1, 7, 100, 5_000, 70_000, 300_000}
	for range 400 {
		buf := b.BeginSize(sizes[random.IntN(5)])
		for range random.IntN(4) {
			own := sizes[random.IntN(5)]
			buf = append(buf, m.bytes[:own]...)
			want.Write(m.bytes[:own])
			from := random.IntN(len(m.bytes) / 2)
			part := m.bytes[from : from+sizes[random.IntN(len(sizes))]]
			b.Share(buf, part, m)
			want.Write(part)
		}
		if random.IntN(2) == 0 {
			buf = append(buf, '.')
			want.WriteByte('.')
		}
		b.End(buf)
		if random.IntN(3) == 0 {
			b.Flush()
		}
	}
	if got := b.Buffered() + int(b.Written()); got != want.Len() {
		t.Errorf("%d bytes buffered and written, want %d", got, want.Len())
	}
	b.Flush()
	got := make([]byte, want.Len())
	for at := 0; at < len(got); {
		n, err := client.Read(got[at:min(len(got), at+1+random.IntN(200_000))])
		if err != nil {
			t.Fatal(err)
		}
		at += n
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("other bytes arrived than were appended")
	}
	b.Wait()
	if n := m.held.Load(); n != 0 {
		t.Errorf("memory is held %d times when all is written", n)
	}
}

// A connection that ends gives back what it shares, whether it was to be written, is being written, or
// is dropped.
func TestShareEnds(t *testing.T) {
	t.Parallel()
	share := func(b *Buffer, m *memory) int {
		buf := append(b.Begin(), "head"...)
		b.Share(buf, m.bytes, m)
		return b.End(buf)
	}
	for name, end := range map[string]func(b *Buffer){
		"closed":       func(b *Buffer) { _ = b.Close() },
		"closing":      func(b *Buffer) { b.CloseAfterFlush(time.Millisecond) },
		"being closed": func(b *Buffer) { b.Flush(); _ = b.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &memory{bytes: make([]byte, 1<<20)}
			b, _ := sharing(t, Options{})
			for range 20 { // more than the sockets hold
				share(b, m)
			}
			end(b)
			if room := share(b, m); room != 0 {
				t.Errorf("room %d behind the end", room)
			}
			b.Wait()
			if n := m.held.Load(); n != 0 {
				t.Errorf("memory is held %d times", n)
			}
		})
	}
}

// Shared memory counts against the limit like any other.
func TestShareCounts(t *testing.T) {
	t.Parallel()
	b, _ := sharing(t, Options{LimitBytes: 100_000})
	m := &memory{bytes: make([]byte, 100_000)}
	buf := append(b.Begin(), "abc"...)
	b.Share(buf, m.bytes[:90_000], m)
	if room := b.End(append(buf, "de"...)); room != 100_000-90_005 {
		t.Errorf("room %d", room)
	}
	buf = b.Begin()
	b.Share(buf, m.bytes[:20_000], m)
	if room := b.End(buf); room > 0 {
		t.Errorf("room %d beyond the limit", room)
	}
}
