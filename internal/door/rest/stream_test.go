// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/store"
)

// message returns the next event that is a message.
func (e *events) message() event {
	e.tb.Helper()
	for {
		if out := e.must(); out.id != "" || out.name != "" {
			return out
		}
	}
}

// rest.md: a client that comes back with Last-Event-ID, at any point, sees each message of a
// topic once and in order; also what it was sent and has not seen.
func TestStreamResumeTopic(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/v1/topics/n.*/stream", "/v1/topics/n.*/stream?name=durable"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			const messages = 120
			var last string
			sent := 0
			for seen := 0; seen < messages; {
				ctx, cancel := testContext(t)
				var headers []string
				if last != "" {
					headers = []string{"Last-Event-ID: " + last}
				}
				s := h.stream(ctx, path, headers...)
				for range 20 { // more than the client reads before it is gone
					if sent < messages {
						sent++
						h.do("POST", "/v1/topics/n.x/messages", strconv.Itoa(sent)).want(201)
					}
				}
				for range 7 {
					if seen == messages {
						break
					}
					e := s.message()
					if seen++; e.data != strconv.Itoa(seen) || e.name != "" {
						t.Fatalf("event %+v, want %d", e, seen)
					}
					last = e.id
				}
				cancel()
			}
		})
	}
}

// rest.md, Streams: leases that are out when the stream breaks stay with it; who comes back gets those
// events again that were not seen, under the same ids.
func TestStreamResumeManual(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	for i := range 4 {
		h.send("q", strconv.Itoa(i))
	}
	const path = "/v1/queues/q/stream?ack=manual&prefetch=3"
	ctx, cancel := testContext(t)
	s := h.stream(ctx, path)
	one, two, three := s.message(), s.message(), s.message()
	h.do("DELETE", "/v1/leases/"+one.id, "").want(204)
	four := s.message()
	cancel()
	h.eventually("the consumer is gone", func() bool { return h.stats("q").Consumers == 0 })
	if st := h.stats("q"); st.Unsettled != 3 {
		t.Errorf("queue %+v", st)
	}
	again, _ := testContext(t)
	h.do("GET", path, "", "Last-Event-ID: "+two.id, basic("ada"), "Accept: text/html").want(406)
	s = h.stream(again, path, "Last-Event-ID: "+two.id)
	if e := s.message(); e != three {
		t.Errorf("event %+v, want %+v", e, three)
	}
	if e := s.message(); e != four {
		t.Errorf("event %+v, want %+v", e, four)
	}
	for _, e := range []event{two, three, four} {
		h.do("DELETE", "/v1/leases/"+e.id, "").want(204)
	}
	h.send("q", "live")
	if e := s.message(); e.data != "live" {
		t.Errorf("event %+v", e)
	}
	if st := h.stats("q"); st.Unsettled != 1 || st.Ready != 0 {
		t.Errorf("queue %+v", st)
	}
}

// A client whose request the hub takes for alive comes back: the old stream ends, the new one goes on.
func TestStreamResumeTakesOver(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	const path = "/v1/topics/n/stream?name=d"
	ctx, _ := testContext(t)
	old := h.stream(ctx, path)
	h.do("POST", "/v1/topics/n/messages", "1").want(201)
	one := old.message()
	s := h.stream(ctx, path, "Last-Event-ID: "+one.id)
	h.do("POST", "/v1/topics/n/messages", "2").want(201)
	if e := s.message(); e.data != "2" {
		t.Errorf("event %+v", e)
	}
	if e, ok := old.next(); ok {
		t.Errorf("the old stream goes on with %+v", e)
	}
	// Another user, or another source, is another stream.
	h.stream(ctx, path, "Last-Event-ID: "+one.id, basic("ada")).must()
	h.stream(ctx, "/v1/topics/n/stream?name=other", "Last-Event-ID: "+one.id).must()
	if n := h.stats("subscription.d").Consumers; n != 2 {
		t.Errorf("%d consumers, want ada's and the one that came back", n)
	}
}

// giveUp ends the streams that wait for their clients, as their time does.
func (h *hub) giveUp() {
	h.tb.Helper()
	h.eventually("all streams wait", func() bool {
		t := &h.door.streams
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.parked > 0 && t.parked == len(t.byToken)
	})
	t := &h.door.streams
	t.mu.Lock()
	var list []*stream
	for _, s := range t.byToken {
		list = append(list, s)
	}
	t.mu.Unlock()
	for _, s := range list {
		s.abandon(false)
	}
}

// rest.md, Streams: who comes back too late is told what is gone.
func TestStreamGap(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/v1/topics/n/stream?name=d": `{"from":2,"to":3}`, "/v1/topics/n/stream": `{"from":2}`,
	} {
		h := newHub(t)
		ctx, cancel := testContext(t)
		s := h.stream(ctx, path)
		s.must()
		for _, body := range []string{"1", "2", "3"} {
			h.do("POST", "/v1/topics/n/messages", body).want(201)
		}
		one := s.message()
		s.message()
		s.message()
		cancel()
		h.giveUp()
		again, _ := testContext(t)
		s = h.stream(again, path, "Last-Event-ID: "+one.id)
		if e := s.message(); e.name != "gap" || e.data != want || e.id != "" {
			t.Errorf("%s: %+v", path, e)
		}
		h.do("POST", "/v1/topics/n/messages", "4").want(201)
		if e := s.message(); e.data != "4" {
			t.Errorf("%s: %+v", path, e)
		}
	}
}

// What a tail has no room for is acknowledged; so are the events of a client that does not come back.
func TestStreamTail(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	const path = "/v1/topics/n/stream?name=d"
	ctx, cancel := testContext(t)
	s := h.stream(ctx, path)
	s.must()
	var first event
	for i := range tailEvents + 10 {
		h.do("POST", "/v1/topics/n/messages", "x").want(201)
		if e := s.message(); i == 0 {
			first = e
		}
	}
	h.eventually("the tail is full", func() bool {
		return h.stats("subscription.d").Unsettled == tailEvents
	})
	cancel()
	again, stop := testContext(t)
	s = h.stream(again, path, "Last-Event-ID: "+first.id)
	if e := s.message(); e.name != "gap" || e.data != `{"from":2,"to":10}` {
		t.Errorf("event %+v", e)
	}
	if e := s.message(); !strings.HasPrefix(e.id, first.id[:22]+".11") {
		t.Errorf("event %+v", e)
	}
	stop()
	h.giveUp()
	if st := h.stats("subscription.d"); st.Unsettled != 0 || st.Ready != 0 {
		t.Errorf("queue %+v", st)
	}
}

// rest.md, Streams: the place in a durable topic holds over a restart of the hub.
func TestStreamResumeAfterRestart(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: realClock{}})
	const path = "/v1/topics/n/stream?name=d&envelope=1"
	var last string
	t.Run("before", func(t *testing.T) {
		h := recovered(t, log)
		ctx, _ := testContext(t)
		s := h.stream(ctx, path)
		s.must()
		for i := range 6 {
			h.do("POST", "/v1/topics/n/messages", strconv.Itoa(i+1)).want(201)
		}
		for range 3 {
			last = s.message().id
		}
	})
	t.Run("after", func(t *testing.T) {
		h := recovered(t, log)
		ctx, _ := testContext(t)
		s := h.stream(ctx, path, "Last-Event-ID: "+last)
		for i := 4; i <= 6; i++ {
			var m messageBody
			if err := json.Unmarshal([]byte(s.message().data), &m); err != nil {
				t.Fatal(err)
			}
			if m.text() != strconv.Itoa(i) {
				t.Errorf("event %+v, want %d", m, i)
			}
		}
	})
}

// Ids that nobody has given are no reason to refuse a stream.
func TestStreamUnknownID(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	h.send("q", "x")
	for _, id := range []string{"x", "1", "x.y", "AAAAAAAAAAAAAAAAAAAAAA.1", "x.1.y", "x.99999999999999999999"} {
		ctx, cancel := testContext(t)
		h.stream(ctx, "/v1/queues/q/stream?ack=manual", "Last-Event-ID: "+id).must()
		cancel()
	}
	for _, text := range []string{"a.1", "a.18446744073709551615.7"} {
		if id, ok := parseEventID(text); !ok || id.String() != text {
			t.Errorf("%q is %+v", text, id)
		}
	}
}
