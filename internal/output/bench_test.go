// SPDX-License-Identifier: Apache-2.0

package output

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// discardFrom reads what is sent to conn until it is closed.
func discardFrom(tb testing.TB, conn net.Conn) {
	tb.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, conn, make([]byte, 64<<10))
	}()
	tb.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
}

// In steady state neither a batch that the socket takes nor one that the writer writes
// allocates.
func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops items at random under the race detector")
	}
	testCases := []struct {
		name            string
		messages, bytes int
	}{
		{"one small", 1, 64},
		{"a batch", 100, 64},
		{"a large batch", 50, 4 << 10},
		{"several blocks", 20, 40 << 10},
		{"large messages", 2, 1<<20 + 100},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			server, client := tcpPair(t)
			b := newBuffer(t, server, Options{})
			discardFrom(t, client)
			body := make([]byte, tc.bytes)
			batch := func() {
				for range tc.messages {
					b.End(append(b.BeginSize(len(body)), body...))
				}
				b.Flush()
				if b.Throttle() != nil {
					t.Fatal(b.Err())
				}
			}
			batch()
			if got := testing.AllocsPerRun(200, batch); got != 0 {
				t.Errorf("%v allocations per batch, want 0", got)
			}
		})
	}
}

// An idle connection costs its Buffer and nothing else.
func TestIdleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory counts")
	}
	const conns, limitBytes = 64, 4 << 10
	server, client := tcpPair(t)
	discardFrom(t, client)
	buffers := make([]*Buffer, conns)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	body := make([]byte, 200<<10)
	for i := range buffers {
		buffers[i] = New(server, Options{}) // one connection: only the buffers count
		b := buffers[i]
		b.End(append(b.BeginSize(len(body)), body...))
		b.Flush()
		b.Wait()
		if b.Buffered() != 0 {
			t.Fatal("not drained")
		}
	}
	runtime.GC()
	runtime.GC() // the second one empties the pools' victims
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / conns
	if each > limitBytes {
		t.Errorf("an idle connection keeps %d bytes, want at most %d", each, limitBytes)
	}
	runtime.KeepAlive(buffers)
}

func BenchmarkBeginEnd(b *testing.B) {
	server, client := tcpPair(b)
	out := newBuffer(b, server, Options{})
	discardFrom(b, client)
	body := make([]byte, 64)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		out.End(append(out.Begin(), body...))
		if n++; n%1000 == 0 {
			out.Flush()
			_ = out.Throttle()
		}
	}
}

// A batch of messages and one Flush against a real socket, as a read loop does it.
func BenchmarkFlush(b *testing.B) {
	for _, messages := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("messages=%d", messages), func(b *testing.B) {
			server, client := tcpPair(b)
			out := newBuffer(b, server, Options{StallTimeout: time.Minute})
			discardFrom(b, client)
			body := make([]byte, 64)
			b.ReportAllocs()
			b.SetBytes(int64(messages * len(body)))
			for b.Loop() {
				for range messages {
					out.End(append(out.Begin(), body...))
				}
				out.Flush()
				_ = out.Throttle()
			}
		})
	}
}
