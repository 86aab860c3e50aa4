// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// Bounds of what a topic's stream has sent and does not acknowledge yet, because its client may not
// have seen it (rest.md, Streams).
const (
	tailEvents = 256
	tailBytes  = 1 << 20
	tailTime   = time.Minute
)

// stream is an event stream. It outlives its request for a while, so that the client may come back and
// find what it has not seen.
type stream struct {
	*feed

	token string // of the ids of its events
	count uint64 // events sent
	// sent are the events that may be sent again, the oldest first: with acknowledgement by the
	// client those that are leased, of a topic its tail.
	sent      []sentEvent
	sentBytes int
	// skip is up to where in the log the client has seen everything, before the hub was started again.
	skip broker.LSN

	// Guarded by the table's lock.
	parked bool
	free   chan struct{} // closed when no request has it
	kicked chan struct{} // closed when another request wants it
	timer  broker.Timer  // of who is parked
}

// sentEvent is an event that its client may not have seen.
type sentEvent struct {
	id    eventID
	tag   uint64
	bytes int
	lease *lease // nil in a tail
	at    time.Time
}

// openStream opens a stream for a client that has none.
func (d *Door) openStream(v *visit, terms feedTerms) (*stream, error) {
	s := &stream{token: newID(), free: make(chan struct{}), kicked: make(chan struct{})}
	var err error
	s.feed, err = d.openFeed(v, terms, func() {
		// The heart must not be called from here.
		d.options.Broker.AfterFunc(0, func() { s.abandon(true) })
	})
	if err != nil {
		return nil, err
	}
	if err := s.feed.consume(s.prefetch()); err != nil {
		s.holder.finish()
		return nil, err
	}
	d.streams.add(s)
	return s, nil
}

// tails reports whether the stream keeps a tail: its events are acknowledged a while after they were
// written.
func (f *feed) tails() bool { return f.terms.topic != "" && !f.terms.manual }

// prefetch returns how many deliveries may be unsettled.
func (s *stream) prefetch() int {
	if s.tails() {
		return s.terms.prefetch + tailEvents
	}
	return s.terms.prefetch
}

// resume returns the stream that the client has come back to, or nil.
func (d *Door) resume(v *visit, terms *feedTerms, last eventID) *stream {
	s := d.streams.find(last.token, v.client.key, terms.source())
	if s == nil {
		return nil
	}
	late := time.NewTimer(resumeWait)
	defer late.Stop()
	select {
	case <-s.wanted(): // the request before may not know that its client has left it
	case <-late.C:
		return nil
	case <-v.r.Context().Done():
		return nil
	}
	if !d.streams.take(s) {
		return nil
	}
	s.terms.prefetch, s.terms.whole = terms.prefetch, terms.whole
	if !s.fills() {
		s.terms.instance = terms.instance
		if err := s.feed.consume(s.prefetch()); err != nil {
			d.streams.remove(s)
			s.end(false)
			return nil // a new one finds the same fault
		}
	}
	s.seen(last.n)
	return s
}

// wanted makes a request that still has the stream let go of it; the channel is closed when it has.
func (s *stream) wanted() <-chan struct{} {
	t := &s.door.streams
	t.mu.Lock()
	defer t.mu.Unlock()
	if !s.parked && !isClosed(s.kicked) {
		close(s.kicked)
	}
	return s.free
}

// fills reports whether the stream has a queue of its own, which fills while its client is away.
func (s *stream) fills() bool { return s.terms.topic != "" && s.terms.name == "" }

// seen says that the client has all events up to the n-th.
func (s *stream) seen(n uint64) {
	for _, e := range s.sent {
		if e.lease != nil {
			e.lease.hold()
		}
	}
	if s.tails() {
		s.settleTail(func(e *sentEvent) bool { return e.id.n <= n })
	}
}

// settleTail acknowledges events from the oldest on, as long as done says so.
func (s *stream) settleTail(done func(e *sentEvent) bool) {
	for len(s.sent) > 0 && done(&s.sent[0]) {
		s.holder.settle(s.sent[0].tag, broker.Accepted)
		s.sentBytes -= s.sent[0].bytes
		s.sent[0] = sentEvent{}
		s.sent = s.sent[1:]
	}
}

// keep notes an event that is about to be sent.
func (s *stream) keep(e sentEvent) {
	if e.lease != nil && len(s.sent) > 2*prefetchMax {
		s.sent = slices.DeleteFunc(s.sent, func(e sentEvent) bool { return e.lease.isGone() })
	}
	s.sent = append(s.sent, e)
	s.sentBytes += e.bytes
}

// trim acknowledges what the tail has no room for, and what is old.
func (s *stream) trim(now time.Time) {
	if !s.tails() {
		return
	}
	s.settleTail(func(e *sentEvent) bool {
		return len(s.sent) > tailEvents || s.sentBytes > tailBytes || now.Sub(e.at) > tailTime
	})
}

// leave ends the stream or lets it wait for its client. Told says that the hub ends it.
func (s *stream) leave(told bool) {
	t := &s.door.streams
	if told || s.count == 0 || (!s.tails() && !s.terms.manual) || isClosed(s.door.draining) {
		if t.remove(s) {
			s.end(told)
		}
		return
	}
	wait := parkOwnTime
	if !s.fills() {
		s.feed.cancel()
		wait = parkTime
	}
	for _, e := range s.sent {
		if e.lease != nil {
			e.lease.grace(parkTime)
		}
	}
	switch {
	case t.park(s, wait):
		if isClosed(s.closed) { // before there was anything for abandon to find
			s.abandon(true)
		}
	case t.remove(s):
		s.end(isClosed(s.closed))
	}
}

// abandon ends the stream if no request has it: told when the hub ends its connection, else because
// its client has not come back.
func (s *stream) abandon(told bool) {
	if s.door.streams.removeParked(s) {
		s.end(told)
	}
}

// end lets the session go; the stream is in no table any more. What it has written counts as
// acknowledged, unless the hub ends it or stops: then it goes back, and whoever comes back to a durable
// topic with the id of an event does not get it twice.
func (s *stream) end(told bool) {
	stays := s.tails() && (told || isClosed(s.door.draining))
	if told {
		s.door.leases.release(func(h *holder) bool { return h == s.holder })
	} else if s.terms.manual {
		for _, e := range s.sent {
			e.lease.grace(parkTime)
		}
	} else if !stays {
		s.settleTail(func(*sentEvent) bool { return true })
	}
	if !s.terms.manual && !stays {
		s.door.streams.remember(s)
	}
	s.feed.cancel()
	s.holder.finish()
}

// gap is the event that tells of events which the client has not seen and will not see.
type gap struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to,omitempty"` // 0: nobody knows
}

// missed returns what the client of an id has missed, of a stream that is gone.
func (d *Door) missed(terms *feedTerms, last eventID) (g gap, some bool) {
	sent, known := d.streams.ended(last.token)
	switch {
	case terms.topic != "" && terms.name == "": // what came meanwhile, too
		g = gap{From: last.n + 1, To: 0}
	case known && sent > last.n:
		g = gap{From: last.n + 1, To: sent}
	default:
		return g, false
	}
	return g, true
}

// comesBack starts what a client gets that names the last event it has seen: what it has not seen of
// what was sent, or that this is gone.
func (s *stream) comesBack(w *eventWriter, last eventID) error {
	if len(s.sent) > 0 && s.sent[0].id.n > last.n+1 && s.tails() {
		if err := w.gap(gap{From: last.n + 1, To: s.sent[0].id.n - 1}); err != nil {
			return err
		}
	}
	for _, e := range s.sent {
		if e.id.n <= last.n || (e.lease != nil && e.lease.isGone()) {
			continue
		}
		var m message
		readable := false
		if !s.holder.session.Show(e.tag, func(d *broker.Delivery) { readable = m.fill(d) }) || !readable {
			continue // it was settled meanwhile
		}
		if err := w.event(&m, e.id, e.lease != nil); err != nil {
			return err
		}
	}
	return nil
}

// writeJSON is the data of an event that is JSON.
func writeJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil { // nothing in it that JSON cannot write
		return []byte("{}")
	}
	return data
}

// streamEvents is GET /queues/{q}/stream and GET /topics/{t}/stream: a WebSocket when the client asks
// for one, else server-sent events.
func (d *Door) streamEvents(v *visit) error {
	terms, err := v.feedTerms()
	if err != nil {
		return err
	}
	if v.r.Method == http.MethodHead { // it must not consume
		eventHead(v.w.Header())
		v.w.WriteHeader(http.StatusOK)
		return nil
	}
	if err := d.enterStream(v.client.key.user); err != nil {
		return err
	}
	defer d.leaveStream(v.client.key.user)
	if wantsWebSocket(v.r) && d.options.Upgrade != nil {
		return d.streamMessages(v, terms)
	}
	last, comes := parseEventID(v.r.Header.Get("Last-Event-ID"))
	var s *stream
	if comes {
		s = d.resume(v, &terms, last)
	}
	w := &eventWriter{v: v, control: http.NewResponseController(v.w), whole: terms.whole}
	if s != nil {
		return s.serve(w, func() error { return s.comesBack(w, last) })
	}
	if s, err = d.openStream(v, terms); err != nil {
		return err
	}
	return s.serve(w, func() error {
		if comes {
			s.skip = last.at
			if g, some := d.missed(&terms, last); some {
				return w.gap(g)
			}
		}
		return nil
	})
}
