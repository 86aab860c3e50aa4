// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/json"
	"strings"
	"testing"
)

// rest.md, Streams: a queue as a stream of events; each is acknowledged after it was written.
func TestStreamQueue(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("GET", "/v1/queues/none/stream", "").problem(404, "not-found")
	h.queue("q")
	ctx, cancel := testContext(t)
	s := h.stream(ctx, "/v1/queues/q/stream?prefetch=1")
	if e := s.must(); e.retry != "2000" {
		t.Fatalf("first event %+v", e)
	}
	for body, data := range map[string]string{
		"hi": "hi", "": "", "a\nb": "a\nb", "a\r\nb\rc\n": "a\nb\nc\n", ":x": ":x", " x": " x",
	} {
		h.send("q", body)
		if e := s.must(); e.data != data || e.id == "" || e.name != "" {
			t.Errorf("%q came as %+v", body, e)
		}
	}
	h.send("q", "\xff", "Parley-Type: bytes")
	e := s.must()
	var m messageBody
	if err := json.Unmarshal([]byte(e.data), &m); err != nil || e.name != "envelope" ||
		m.BodyB64 == nil || *m.BodyB64 != "/w==" || m.Type != "bytes" {
		t.Errorf("event %+v, %v", e, err)
	}
	h.eventually("all is acknowledged", func() bool {
		s := h.stats("q")
		return s.Unsettled == 0 && s.Ready == 0
	})
	cancel()
	h.eventually("the consumer is gone", func() bool { return h.stats("q").Consumers == 0 })
}

// rest.md, Streams: at most prefetch events wait for their acknowledgement; what has none returns after
// the stream.
func TestStreamManual(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	for _, body := range []string{"1", "2", "3"} {
		h.send("q", body)
	}
	ctx, cancel := testContext(t)
	s := h.stream(ctx, "/v1/queues/q/stream?prefetch=2&ack=manual&envelope=1")
	s.must()
	one, two := s.must(), s.must()
	var m messageBody
	if err := json.Unmarshal([]byte(one.data), &m); err != nil || m.Lease != one.id ||
		m.text() != "1" {
		t.Fatalf("event %+v, %v", one, err)
	}
	if st := h.stats("q"); st.Ready != 1 || st.Unsettled != 2 {
		t.Fatalf("queue %+v", st)
	}
	h.do("PATCH", "/v1/leases/"+two.id, `{"extend_ms":1000}`).want(200)
	h.do("DELETE", "/v1/leases/"+one.id, "").want(204)
	three := s.must()
	cancel()
	h.eventually("the consumer is gone", func() bool { return h.stats("q").Consumers == 0 })
	// The leases have their grace time: they can still be settled.
	h.do("DELETE", "/v1/leases/"+two.id, "").want(204)
	h.do("PATCH", "/v1/leases/"+three.id, `{"nack":{}}`).want(200)
	if m := h.one("q"); m.text() != "3" || m.Attempt != 2 {
		t.Errorf("leased %+v", m)
	}
}

// rest.md, Routes: a topic stream is a subscription of its own; with a name it outlives the stream.
func TestStreamTopic(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ctx, cancel := testContext(t)
	a := h.stream(ctx, "/v1/topics/price.%23/stream")
	b := h.stream(ctx, "/v1/topics/*.tea/stream?name=tea")
	a.must()
	b.must()
	h.do("POST", "/v1/topics/price.tea/messages", "3").want(201)
	if x, y := a.must(), b.must(); x.data != "3" || y.data != "3" {
		t.Errorf("events %+v, %+v", x, y)
	}
	v, _ := h.broker.VirtualHost("/")
	if n := len(v.Queues()); n != 2 {
		t.Errorf("%d queues, want 2", n)
	}
	cancel()
	h.giveUp()
	h.eventually("the stream's own queue is gone", func() bool { return len(v.Queues()) == 1 })
	h.eventually("no consumer is left", func() bool {
		return h.stats("subscription.tea").Consumers == 0
	})
	h.do("POST", "/v1/topics/price.tea/messages", "4").want(201)
	again, _ := testContext(t)
	c := h.stream(again, "/v1/topics/*.tea/stream?name=tea")
	c.must()
	if e := c.must(); e.data != "4" {
		t.Errorf("event %+v", e)
	}
}

// rest.md, Routes: HEAD never changes state.
func TestStreamHead(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	h.send("q", "x")
	r := h.do("HEAD", "/v1/queues/q/stream", "").want(200)
	if r.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("headers %v", r.header)
	}
	if s := h.stats("q"); s.Ready != 1 {
		t.Errorf("queue %+v", s)
	}
}

func TestStreamRefuses(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.StreamsPerUser = 1 })
	h.queue("q")
	for _, query := range []string{
		"prefetch=0", "prefetch=1001", "prefetch=x", "ack=never", "envelope=2",
	} {
		h.do("GET", "/v1/queues/q/stream?"+query, "").problem(400, "bad-request")
	}
	ctx, cancel := testContext(t)
	s := h.stream(ctx, "/v1/queues/q/stream")
	s.must()
	h.do("GET", "/v1/queues/q/stream", "").problem(429, "quota")
	other, _ := testContext(t)
	h.stream(other, "/v1/queues/q/stream", basic("ada")).must()
	cancel()
	h.eventually("the stream is counted out", func() bool {
		h.door.streams.mu.Lock()
		defer h.door.streams.mu.Unlock()
		return h.door.streams.all == 1
	})
}

// The queue of a stream is deleted: the stream says so and ends.
func TestStreamOfDeletedQueue(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	ctx, _ := testContext(t)
	s := h.stream(ctx, "/v1/queues/q/stream")
	s.must()
	h.do("DELETE", "/v1/queues/q", "").want(204)
	if e := s.must(); e.name != "gone" {
		t.Errorf("event %+v", e)
	}
	if e, ok := s.next(); ok {
		t.Errorf("event %+v behind the end", e)
	}
}

// The hub ends the connections of a stream and of a worker: what each holds goes back at once. The
// stream's goes first, or it would rightly be handed what the worker gives back.
func TestForcedClose(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	for _, body := range []string{"1", "2", "3"} {
		h.send("q", body)
	}
	ctx, _ := testContext(t)
	h.one("q")
	s := h.stream(ctx, "/v1/queues/q/stream?ack=manual")
	s.must()
	s.must()
	s.must()
	if st := h.stats("q"); st.Unsettled != 3 {
		t.Errorf("queue %+v", st)
	}
	forceClose := func(stream bool) {
		for _, c := range h.broker.Connections() {
			if strings.HasPrefix(c.Name, "http stream ") == stream {
				c.ForceClose("maintenance")
			}
		}
	}
	forceClose(true)
	if e, ok := s.next(); ok {
		t.Errorf("event %+v", e)
	}
	h.eventually("the stream is gone", func() bool { return len(h.broker.Connections()) == 1 })
	if st := h.stats("q"); st.Ready != 2 || st.Unsettled != 1 {
		t.Errorf("queue without the stream %+v", st)
	}
	forceClose(false)
	h.eventually("nothing is left", func() bool { return len(h.broker.Connections()) == 0 })
	if st := h.stats("q"); st.Ready != 3 || st.Unsettled != 0 {
		t.Errorf("queue %+v", st)
	}
	h.do("GET", "/v1/queues/q", "").want(200) // another request opens anew
}
