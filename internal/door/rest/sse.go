// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/broker"
)

// Bounds of event streams (rest.md, Streams).
const (
	streamRetry     = 2_000 * time.Millisecond
	streamComment   = 15 * time.Second
	streamWriteTime = 30 * time.Second
	streamBytes     = 2 << 20 // what waits for a slow reader
)

// typeEvents is the type of an event stream.
const typeEvents = "text/event-stream"

// eventWriter writes server-sent events (HTML, Server-sent events §9.2).
type eventWriter struct {
	v       *visit
	control *http.ResponseController
	whole   bool // each event is the message as JSON, not the body alone
}

// eventHead sets the headers of a stream.
func eventHead(h http.Header) {
	h.Set("Content-Type", typeEvents)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
}

// begin sends the head of the stream.
func (w *eventWriter) begin() error {
	eventHead(w.v.w.Header())
	w.v.w.WriteHeader(http.StatusOK)
	return w.retry(streamRetry)
}

// retry says after what time to come back.
func (w *eventWriter) retry(after time.Duration) error {
	return w.write([]byte("retry: " + strconv.FormatInt(after.Milliseconds(), 10) + "\n\n"))
}

// gap tells of events that the client will not see.
func (w *eventWriter) gap(g gap) error {
	return w.write([]byte("event: gap\ndata: " + string(writeJSON(g)) + "\n\n"))
}

// event sends a message.
func (w *eventWriter) event(m *message, id eventID, leased bool) error {
	return w.write(w.format(m, id.String(), leased))
}

// write sends bytes at once; a reader that does not take them in time loses the stream.
func (w *eventWriter) write(b []byte) error {
	// Not every ResponseWriter has deadlines.
	_ = w.control.SetWriteDeadline(time.Now().Add(streamWriteTime))
	if _, err := w.v.w.Write(b); err != nil {
		return err
	}
	return w.control.Flush()
}

// serve passes events on, behind what first writes, until somebody ends it.
func (s *stream) serve(w *eventWriter, first func() error) error {
	err := w.begin()
	if err == nil {
		err = first()
	}
	if err == nil {
		s.run(w)
	}
	s.leave(s.told(w.v))
	return ignoreWrite(err)
}

// told reports that the hub ends the stream's connection, or all of its client's.
func (s *stream) told(v *visit) bool { return isClosed(s.closed) || isClosed(v.client.gone) }

// run passes events on.
func (s *stream) run(w *eventWriter) {
	ticker := time.NewTicker(streamComment)
	defer ticker.Stop()
	for {
		if s.told(w.v) { // what has arrived since goes to others
			return
		}
		list, resume, cancelled := s.holder.sink.take()
		if !s.events(w, list) {
			return
		}
		if resume {
			s.holder.session.Resume()
		}
		if cancelled {
			// Whether it arrives or not, the stream ends.
			_ = w.write([]byte("event: gone\ndata: the queue was deleted\n\n"))
			return
		}
		select {
		case <-s.holder.sink.wake:
		case <-ticker.C:
			s.trim(time.Now())
			if w.write([]byte(":\n\n")) != nil {
				return
			}
		case <-w.v.r.Context().Done():
			return
		case <-s.kicked:
			return
		case <-s.closed:
			return
		case <-w.v.client.gone:
			return
		case <-w.v.door.draining:
			// All clients at once would come back at once.
			_ = w.retry(streamRetry + rand.N(streamRetry))
			return
		}
	}
}

// events sends deliveries; it reports false when the reader is gone.
func (s *stream) events(w *eventWriter, list []parcel) bool {
	list = s.notSeen(s.holder.readable(list))
	if len(list) == 0 {
		return true
	}
	var leases []*lease
	if s.terms.manual {
		var err error
		leases, err = s.door.leases.add(s.holder, list, 0, func(i int) string {
			return eventID{token: s.token, n: s.count + 1 + uint64(i), at: 0}.String()
		})
		if err != nil {
			s.holder.giveBack() // the table is full; the client comes back
			return false
		}
	}
	for i := range list {
		s.count++
		e := sentEvent{
			id: eventID{token: s.token, n: s.count, at: 0}, tag: list[i].tag,
			bytes: len(list[i].message.body) + parcelBytes, lease: nil, at: time.Now(),
		}
		switch {
		case s.terms.manual:
			e.lease = leases[i]
			s.keep(e)
		case s.tails():
			if s.terms.name != "" {
				e.id.at = s.place(e.tag)
			}
			s.keep(e)
		}
		if w.event(&list[i].message, e.id, s.terms.manual) != nil {
			s.failed(list[i:], leases)
			return false
		}
		if e.lease == nil && !s.tails() {
			s.holder.settle(e.tag, broker.Accepted)
		}
	}
	s.trim(time.Now())
	return true
}

// place returns where the log has the message of a delivery.
func (s *stream) place(tag uint64) broker.LSN {
	at, _ := s.holder.session.Locate(tag)
	return at.At()
}

// notSeen acknowledges what the client has seen before the hub was started again, and returns the rest.
func (s *stream) notSeen(list []parcel) []parcel {
	if s.skip == 0 {
		return list
	}
	return slices.DeleteFunc(list, func(p parcel) bool {
		at := s.place(p.tag)
		seen := p.message.redelivered && at != 0 && at <= s.skip
		if seen {
			s.holder.settle(p.tag, broker.Accepted)
		}
		return seen
	})
}

// failed gives back what could not be written. The first may have been seen in part: who comes back
// gets it again, if it is one that can be sent again.
func (s *stream) failed(rest []parcel, leases []*lease) {
	for i := range rest {
		switch {
		case i == 0 && (s.tails() || s.terms.manual):
		case s.terms.manual:
			_ = leases[len(leases)-len(rest)+i].settle(broker.Undelivered) // or by whom ever
		case i == 0:
			s.holder.settle(rest[i].tag, broker.Released)
		default:
			s.holder.settle(rest[i].tag, broker.Undelivered)
		}
	}
}

// format writes one message as an event: its body line by line when it is text, else the message as
// JSON under the name envelope.
func (w *eventWriter) format(m *message, id string, leased bool) []byte {
	var b bytes.Buffer
	b.WriteString("id: " + id + "\n")
	body := m.body
	if w.whole || !utf8.Valid(body) {
		envelope := m.json()
		if leased {
			envelope.Lease = id
		}
		b.WriteString("event: envelope\n")
		body = writeJSON(envelope)
	}
	// A line ends at CR LF, CR or LF (HTML, Server-sent events §9.2.6).
	for {
		end := bytes.IndexAny(body, "\r\n")
		if end < 0 {
			break
		}
		b.WriteString("data: ")
		b.Write(body[:end])
		b.WriteByte('\n')
		if body[end] == '\r' && end+1 < len(body) && body[end+1] == '\n' {
			end++
		}
		body = body[end+1:]
	}
	b.WriteString("data: ")
	b.Write(body)
	b.WriteString("\n\n")
	return b.Bytes()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
