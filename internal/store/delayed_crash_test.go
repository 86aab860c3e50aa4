// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// TestDelayedCrash: a hub whose disk loses power, or that is killed, at a drawn operation while
// delayed messages come and become due, and somebody sets the wall clock. None is early. Afterwards each
// confirmed one is in its queue once, when its time is over, none is there twice, and what a consumer saw
// before is flagged.
func TestDelayedCrash(t *testing.T) {
	t.Parallel()
	seeds := uint64(60)
	if raceEnabled || testing.Short() {
		seeds = 15
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { delayedCrash(t, seed) })
		})
	}
}

// confirmSink remembers up to which number publishes are confirmed, and what is delivered.
type confirmSink struct {
	mu        sync.Mutex
	confirmed uint64
	nacked    map[uint64]bool
	bodies    []string
	again     map[string]bool // of the bodies
	due       map[string]time.Time
	early     []string
}

func (s *confirmSink) Deliver(d *broker.Delivery) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies = append(s.bodies, string(d.Message.Body))
	s.again[string(d.Message.Body)] = d.Redelivered
	if time.Now().Before(s.due[string(d.Message.Body)]) {
		s.early = append(s.early, string(d.Message.Body))
	}
	return 1
}

func (s *confirmSink) Confirm(upTo uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirmed = upTo
}

func (s *confirmSink) Nack(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nacked[seq] = true
}

func (*confirmSink) Cancel(*broker.Consumer)               {}
func (*confirmSink) Return(*broker.Message, *broker.Error) {}
func (*confirmSink) Block(string)                          {}
func (*confirmSink) Flush()                                {}

// delayedHub is a heart on a log on a file system that crashes.
type delayedHub struct {
	log     *store.File
	heart   *broker.Broker
	session *broker.Session
	sink    *confirmSink
}

func openDelayed(t *testing.T, fs *crashFS, c *hubClock) *delayedHub {
	t.Helper()
	log, err := store.OpenFile(store.FileOptions{
		Dir: "data", FS: fs, Clock: c, FirstSegmentBytes: 16 << 10, FrameBytes: 1 << 10,
	})
	if err != nil {
		t.Fatalf("recovery: %v", err)
	}
	// A window of one: most of what waits is in the log alone.
	h := &delayedHub{log: log, sink: &confirmSink{
		nacked: map[uint64]bool{}, again: map[string]bool{}, due: map[string]time.Time{},
	}}
	h.heart = broker.New(broker.Options{
		Clock: c, Log: log, Limits: broker.Limits{WindowMessages: 1},
	})
	log.Bind(h.heart)
	if err := h.heart.Recover(); err != nil {
		t.Fatalf("recovery: %v", err)
	}
	log.Start()
	conn, err := h.heart.Open(broker.ConnectionParams{Name: "c", User: "guest", VHost: "/"})
	if err == nil {
		h.session, err = conn.OpenSession(h.sink)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *delayedHub) close() {
	h.heart.Close()
	_ = h.log.Close() // it may have failed
}

// declare makes a delayed exchange and its queue.
func (h *delayedHub) declare(t *testing.T) {
	t.Helper()
	_, err := h.session.DeclareExchange(broker.ExchangeParams{
		Name: "x", Type: "x-delayed-message", Durable: true,
		Arguments: broker.Table{{Name: "x-delayed-type", Value: "fanout"}},
	})
	if err == nil {
		_, err = h.session.DeclareQueue(broker.QueueParams{Name: "q", Durable: true})
	}
	if err == nil {
		err = h.session.Bind(broker.BindingParams{Source: "x", Destination: "q"})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// drain takes what is in the queue.
func (h *delayedHub) drain(t *testing.T) []string {
	t.Helper()
	for {
		ok, err := h.session.Get("q", true)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			h.sink.mu.Lock()
			defer h.sink.mu.Unlock()
			return h.sink.bodies
		}
	}
}

func delayedCrash(t *testing.T, seed uint64) {
	t.Helper()
	const messages, longestMS = 150, 60
	rng := rand.New(rand.NewPCG(seed, 2))
	fs := newCrashFS()
	set := new(hubClock)
	hub := openDelayed(t, fs, set)
	hub.declare(t)
	hub.session.EnableConfirms()
	if _, err := hub.session.Consume(broker.ConsumerParams{Queue: "q", Prefetch: 20}); err != nil {
		t.Fatal(err)
	}
	hub.session.Flush()
	fs.mu.Lock()
	fs.fail = crashing(fs.ops + 1 + rng.IntN(150))
	fs.mu.Unlock()
	for i := range messages {
		set.set(rng)
		delay := 1 + rng.IntN(longestMS)
		m := broker.Message{
			Body:    fmt.Appendf(nil, "%03d", i),
			Overlay: broker.Table{{Name: "x-delay", Value: int32(delay)}},
		}
		hub.sink.mu.Lock()
		hub.sink.due[string(m.Body)] = time.Now().Add(time.Duration(delay) * time.Millisecond)
		hub.sink.mu.Unlock()
		m.Exchange, m.Persistent = []byte("x"), true
		if _, err := hub.session.Publish(&m, broker.PublishParams{}); err != nil {
			break // the power is gone
		}
		if rng.IntN(3) == 0 {
			time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
		}
	}
	hub.sink.mu.Lock()
	var confirmed []string
	for seq := uint64(1); seq <= hub.sink.confirmed; seq++ {
		if !hub.sink.nacked[seq] {
			confirmed = append(confirmed, fmt.Sprintf("%03d", seq-1))
		}
	}
	seen, early := hub.sink.bodies, hub.sink.early
	hub.sink.mu.Unlock()
	if len(early) > 0 {
		t.Errorf("delivered before they were due: %v", early)
	}
	var left *crashFS
	if rng.IntN(3) == 0 {
		left = fs.killClone()
	} else {
		left = fs.crashClone([]float64{0, 0.5, 1}[rng.IntN(3)], rng)
	}
	hub.close()

	set.set(rng) // while it is down
	set = set.next()
	again := openDelayed(t, left, set)
	for range 2 * longestMS {
		time.Sleep(time.Millisecond)
		set.set(rng)
	}
	synctest.Wait()
	got := again.drain(t)
	slices.Sort(got)
	for _, body := range confirmed {
		if !slices.Contains(got, body) {
			t.Errorf("%s was confirmed and is lost", body)
		}
	}
	for _, body := range seen {
		if again, ok := again.sink.again[body]; ok && !again {
			t.Errorf("%s was delivered before and is not flagged", body)
		}
	}
	if n := len(got); len(slices.Compact(got)) != n {
		t.Errorf("a message came twice: %v", got)
	}
	x, _ := again.heart.VirtualHosts()[0].Exchange("x")
	if n, _ := x.Delayed(); n != 0 {
		t.Errorf("%d still wait", n)
	}
	again.close()
}
