// SPDX-License-Identifier: Apache-2.0

// Package logtest is the contract of broker.Log as tests: every implementation passes [Run], and
// shares the benchmarks of [Bench].
package logtest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// ticketTimeout bounds the wait for a record to become durable.
const ticketTimeout = 10 * time.Second

// Maker opens an empty log that hands its records to an applier. The log is closed by the test.
type Maker func(tb testing.TB, a broker.Applier) broker.Log

// Run holds a log to the contract.
func Run(t *testing.T, open Maker) {
	t.Helper()
	testCases := []struct {
		name string
		// why says which promise the case is about.
		why string
		run func(*testing.T, *harness)
	}{
		{"apply", "each record is applied once, inline, with a growing LSN", testApply},
		{"tickets", "a record that is not durable at once fires its ticket once, in order", testTickets},
		{"watermarks", "Synced never goes back and reaches what is durable", testWatermarks},
		{"wait", "Wait returns when what was appended is written, or durable", testWait},
		{"read", "ReadQueue gives a queue's messages back in order, until told to stop", testRead},
		{"settled", "what a queue settled is not read again, the rest is", testSettled},
		{"shard", "a queue's records lie in one log for its life", testShard},
		{"borrow", "the log keeps nothing of the caller's bytes", testBorrow},
		{"concurrent", "appends of many goroutines are each applied once", testConcurrent},
		{"close", "a closed log refuses", testClose},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := &harness{fired: make(chan uint64, 1024)}
			h.log = open(t, h)
			tc.run(t, h)
			if t.Failed() {
				t.Log("contract: " + tc.why)
			}
		})
	}
}

// harness is applier and ticket of one test.
type harness struct {
	log   broker.Log
	fired chan uint64
	// flushed counts the ends of batches.
	flushed atomic.Int64

	mu      sync.Mutex
	applied []broker.LSN
	bodies  []string
}

// Apply implements broker.Applier.
func (h *harness) Apply(r *broker.Record, at broker.LSN) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.applied = append(h.applied, at)
	if r.Message != nil {
		h.bodies = append(h.bodies, string(r.Message.Body))
	}
}

// Fire implements broker.Ticket.
func (h *harness) Fire(seq uint64, err error) {
	if err == nil {
		h.fired <- seq
	}
}

// Flush implements broker.Ticket.
func (h *harness) Flush() { h.flushed.Add(1) }

func record(queue uint32, body string) *broker.Record {
	m := &broker.Message{Body: []byte(body)}
	m.Key, m.Persistent = []byte("q"), true
	return &broker.Record{Type: broker.RecordPublish, Queues: []uint32{queue}, Message: m}
}

// put appends one record and waits until it is durable.
func (h *harness) put(tb testing.TB, body string) broker.LSN {
	tb.Helper()
	durable, err := h.log.Append(record(1, body), h, 1)
	if err != nil {
		tb.Fatal(err)
	}
	if !durable {
		h.wait(tb)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.applied[len(h.applied)-1]
}

func (h *harness) wait(tb testing.TB) uint64 {
	tb.Helper()
	select {
	case seq := <-h.fired:
		return seq
	case <-time.After(ticketTimeout):
		tb.Fatal("the ticket did not fire")
		return 0
	}
}

func (h *harness) close(tb testing.TB) {
	tb.Helper()
	if err := h.log.Close(); err != nil {
		tb.Error(err)
	}
}

func testApply(t *testing.T, h *harness) {
	defer h.close(t)
	for i := range 100 {
		if _, err := h.log.Append(record(1, fmt.Sprint(i)), nil, 0); err != nil {
			t.Fatal(err)
		}
		if len(h.applied) != i+1 {
			t.Fatalf("after %d appends %d were applied", i+1, len(h.applied))
		}
	}
	if !slices.IsSorted(h.applied) || len(slices.Compact(slices.Clone(h.applied))) != 100 ||
		h.applied[0] == 0 {
		t.Errorf("LSNs do not grow from above 0: %v", h.applied)
	}
}

func testTickets(t *testing.T, h *harness) {
	var owed []uint64
	for seq := uint64(1); seq <= 100; seq++ {
		durable, err := h.log.Append(record(1, "m"), h, seq)
		if err != nil {
			t.Fatal(err)
		}
		if !durable {
			owed = append(owed, seq)
		}
	}
	for _, want := range owed {
		if got := h.wait(t); got != want {
			t.Fatalf("ticket %d fired, want %d", got, want)
		}
	}
	select {
	case seq := <-h.fired:
		t.Fatalf("ticket %d fired although nobody waits for it", seq)
	default:
	}
	if err := h.log.Close(); err != nil { // the last Flush may follow the last Fire
		t.Fatal(err)
	}
	if n := h.flushed.Load(); (n == 0) != (len(owed) == 0) || n > int64(len(owed)) {
		t.Errorf("%d tickets fired, %d flushes", len(owed), n)
	}
}

func testWait(t *testing.T, h *harness) {
	defer h.close(t)
	for range 20 {
		if _, err := h.log.Append(record(1, "m"), nil, 0); err != nil {
			t.Fatal(err)
		}
		h.log.Admit()
		at := h.applied[len(h.applied)-1]
		if err := h.log.Wait(false); err != nil || h.log.Written() < at {
			t.Fatalf("record %d: %v, written up to %d", at, err, h.log.Written())
		}
		if err := h.log.Wait(true); err != nil || h.log.Synced() < at {
			t.Fatalf("record %d: %v, synced up to %d", at, err, h.log.Synced())
		}
	}
}

func testWatermarks(t *testing.T, h *harness) {
	defer h.close(t)
	last := h.log.Synced()
	for range 20 {
		at := h.put(t, "m")
		synced, written := h.log.Synced(), h.log.Written()
		if synced < last || synced < at || written < synced {
			t.Fatalf("record %d durable: synced %d after %d, written %d", at, synced, last, written)
		}
		last = synced
	}
}

// read reads the messages of a queue behind an LSN, n at most.
func (h *harness) read(tb testing.TB, queue uint32, after broker.LSN, n int) (bodies []string) {
	tb.Helper()
	err := h.log.ReadQueue(queue, after, func(at broker.LSN, r *broker.Record) bool {
		if at <= after {
			tb.Errorf("read %d, asked for what is behind %d", at, after)
		}
		bodies = append(bodies, string(r.Message.Body))
		return len(bodies) < n
	})
	if err != nil {
		tb.Fatal(err)
	}
	return bodies
}

func testRead(t *testing.T, h *harness) {
	defer h.close(t)
	if !h.log.Keeps() {
		t.Skip("this log keeps no messages")
	}
	at := make([]broker.LSN, 0, 10)
	for i := range 10 {
		at = append(at, h.put(t, fmt.Sprint(i)))
	}
	if got, want := h.read(t, 1, 0, 99), h.bodies; !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
	if got := h.read(t, 1, at[3], 3); !slices.Equal(got, []string{"4", "5", "6"}) {
		t.Errorf("read three behind the fourth: %v", got)
	}
	if got := h.read(t, 2, 0, 99); len(got) > 0 {
		t.Errorf("read %v of a queue that has nothing", got)
	}
}

func testSettled(t *testing.T, h *harness) {
	defer h.close(t)
	if !h.log.Keeps() {
		t.Skip("this log keeps no messages")
	}
	at := make([]broker.LSN, 0, 10)
	for i := range 10 {
		at = append(at, h.put(t, fmt.Sprint(i)))
	}
	both := record(1, "both")
	both.Queues = append(both.Queues, 2)
	for _, r := range []*broker.Record{
		both,
		{Type: broker.RecordAck, Queues: []uint32{1}, At: []broker.LSN{at[2], at[0]}},
		{Type: broker.RecordPurge, Queues: []uint32{1}, At: []broker.LSN{at[3], at[7]}},
		{Type: broker.RecordPurge, Queues: []uint32{2}, At: []broker.LSN{0, at[9]}},
	} {
		if _, err := h.log.Append(r, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.log.Wait(false); err != nil {
		t.Fatal(err)
	}
	if got := h.read(t, 1, 0, 99); !slices.Equal(got, []string{"1", "3", "8", "9", "both"}) {
		t.Errorf("not settled: %v", got)
	}
	if got := h.read(t, 2, 0, 99); !slices.Equal(got, []string{"both"}) {
		t.Errorf("not settled by the other queue: %v", got)
	}
}

func testShard(t *testing.T, h *harness) {
	defer h.close(t)
	for queue := range uint32(50) {
		if first := h.log.Shard(queue); first == nil || first != h.log.Shard(queue) {
			t.Fatalf("queue %d has no fixed log", queue)
		}
	}
}

func testBorrow(t *testing.T, h *harness) {
	defer h.close(t)
	r := record(1, "kept")
	durable, err := h.log.Append(r, h, 1)
	if err != nil {
		t.Fatal(err)
	}
	copy(r.Message.Body, "XXXX")
	r.Queues[0] = 99
	if !durable {
		h.wait(t)
	}
	if got := h.read(t, 1, 0, 99); h.log.Keeps() && !slices.Equal(got, []string{"kept"}) {
		t.Errorf("read %q", got)
	}
}

func testConcurrent(t *testing.T, h *harness) {
	defer h.close(t)
	const writers, each = 8, 50
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				body := fmt.Sprintf("%d-%d", w, i)
				if _, err := h.log.Append(record(uint32(w+1), body), nil, 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	seen := map[string]bool{}
	for _, b := range h.bodies {
		if seen[b] {
			t.Errorf("%s was applied twice", b)
		}
		seen[b] = true
	}
	if len(seen) != writers*each {
		t.Errorf("%d of %d were applied", len(seen), writers*each)
	}
}

func testClose(t *testing.T, h *harness) {
	h.put(t, "m")
	h.close(t)
	if _, err := h.log.Append(record(1, "late"), nil, 0); err == nil {
		t.Error("a closed log took a record")
	}
	err := h.log.ReadQueue(1, 0, func(broker.LSN, *broker.Record) bool { return true })
	if err == nil {
		t.Error("a closed log was read")
	}
}

// Bench appends 1 KiB messages, each waiting for nothing but room.
func Bench(b *testing.B, open Maker) {
	b.Helper()
	h := &harness{}
	h.log = open(b, quiet{})
	defer h.close(b)
	r := record(1, string(make([]byte, 1024)))
	b.SetBytes(1024)
	b.ReportAllocs()
	for b.Loop() {
		h.log.Admit()
		if _, err := h.log.Append(r, nil, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// quiet applies nothing.
type quiet struct{}

// Apply implements broker.Applier.
func (quiet) Apply(*broker.Record, broker.LSN) {}
