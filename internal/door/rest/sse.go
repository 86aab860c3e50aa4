// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/broker"
)

// Bounds of event streams (rest.md §5.5).
const (
	streamRetry     = 2_000 * time.Millisecond
	streamComment   = 15 * time.Second
	streamWriteTime = 30 * time.Second
	streamBytes     = 2 << 20 // what waits for a slow reader
	prefetchDefault = 100
	prefetchMax     = 1_000
)

// streamPrefix begins the names of the queues of durable topic streams.
const streamPrefix = "subscription."

// streamCount bounds the open streams.
type streamCount struct {
	mu     sync.Mutex
	all    int
	byUser map[string]int
}

// count returns how many streams are open.
func (s *streamCount) count() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.all)
}

func (d *Door) enterStream(user string) error {
	s := &d.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= d.options.StreamsMax || s.byUser[user] >= d.options.StreamsPerUser {
		return problemf("quota", "too many open streams")
	}
	s.all++
	s.byUser[user]++
	return nil
}

func (d *Door) leaveStream(user string) {
	s := &d.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.byUser[user]--; s.byUser[user] <= 0 {
		delete(s.byUser, user)
	}
}

// stream is one event stream. It has a connection of the heart to itself, so that its own queue
// goes with it.
type stream struct {
	v       *visit
	conn    *broker.Connection
	holder  *holder
	control *http.ResponseController
	closed  chan struct{} // the hub ends the connection
	manual  bool
	whole   bool // each event is the message as JSON, not the body alone
	leases  []*lease
	count   uint64
}

// streamQueue is GET /queues/{q}/stream.
func (d *Door) streamQueue(v *visit) error {
	return d.stream(v, func(*broker.Session) (string, error) { return v.path("q"), nil })
}

// streamTopic is GET /topics/{pattern}/stream: a queue of its own, which goes with the stream, or
// with ?name= a durable one that all streams of that name share.
func (d *Door) streamTopic(v *visit) error {
	return d.stream(v, func(s *broker.Session) (string, error) {
		var p broker.QueueParams
		p.Exclusive, p.AutoDelete = true, true
		if name := v.r.URL.Query().Get("name"); name != "" {
			if err := checkName("subscription", streamPrefix+name); err != nil {
				return "", err
			}
			p.Name, p.Durable, p.Exclusive, p.AutoDelete = streamPrefix+name, true, false, false
		}
		info, err := s.DeclareQueue(p)
		if err != nil {
			return "", err
		}
		b := broker.BindingParams{
			Source: d.options.TopicExchange, Destination: info.Name, Key: v.path("t"),
			Arguments: nil, ToExchange: false,
		}
		return info.Name, s.Bind(b)
	})
}

// stream opens the consumer and passes events on until somebody ends it.
func (d *Door) stream(v *visit, queue func(*broker.Session) (string, error)) error {
	s := &stream{v: v, control: http.NewResponseController(v.w), closed: make(chan struct{})}
	prefetch, err := s.options()
	if err != nil {
		return err
	}
	if v.r.Method == http.MethodHead { // it must not consume
		s.head()
		v.w.WriteHeader(http.StatusOK)
		return nil
	}
	if err := d.enterStream(v.client.key.user); err != nil {
		return err
	}
	defer d.leaveStream(v.client.key.user)
	var once sync.Once
	s.conn, err = d.open(v.client.key, "http stream "+v.r.RemoteAddr, func(string) {
		once.Do(func() { close(s.closed) })
	})
	if err != nil {
		return err
	}
	sink := newMessageSink(streamBytes)
	session, err := s.conn.OpenSession(sink)
	if err != nil {
		s.conn.Close()
		return err
	}
	s.holder = &holder{session: session, sink: sink, open: true, ended: s.conn.Close}
	defer s.end()
	var p broker.ConsumerParams
	if p.Queue, err = queue(session); err != nil {
		return err
	}
	p.Prefetch = prefetch
	if p.Tag, err = v.instance(); err != nil {
		return err
	}
	c, err := session.PrepareConsume(p)
	if err != nil {
		return err
	}
	// A client that has seen the head of its stream is asked by the next gather. What is delivered
	// before the head is written waits in the sink.
	s.holder.mu.Lock()
	session.StartConsume(c)
	s.holder.mu.Unlock()
	if err := s.begin(); err != nil {
		return ignoreWrite(err)
	}
	s.run()
	s.holder.mu.Lock()
	session.Cancel(p.Tag)
	s.holder.mu.Unlock()
	return nil
}

// options reads the query.
func (s *stream) options() (prefetch int, err error) {
	q := s.v.r.URL.Query()
	prefetch = prefetchDefault
	if text := q.Get("prefetch"); text != "" {
		prefetch, err = strconv.Atoi(text)
		if err != nil || prefetch < 1 || prefetch > prefetchMax {
			return 0, badRequest("prefetch must be 1 to %d", prefetchMax)
		}
	}
	switch q.Get("ack") {
	case "", "auto":
	case "manual":
		s.manual = true
	default:
		return 0, badRequest("ack must be auto or manual")
	}
	s.whole, err = s.v.flag("envelope")
	return prefetch, err
}

// head sets the headers of a stream.
func (s *stream) head() {
	h := s.v.w.Header()
	h.Set("Content-Type", typeEvents)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
}

// begin sends the head of the stream.
func (s *stream) begin() error {
	s.head()
	s.v.w.WriteHeader(http.StatusOK)
	return s.write([]byte("retry: " + strconv.FormatInt(streamRetry.Milliseconds(), 10) + "\n\n"))
}

// write sends bytes at once; a reader that does not take them in time loses the stream.
func (s *stream) write(b []byte) error {
	// Not every ResponseWriter has deadlines.
	_ = s.control.SetWriteDeadline(time.Now().Add(streamWriteTime))
	if _, err := s.v.w.Write(b); err != nil {
		return err
	}
	return s.control.Flush()
}

// run passes events on.
func (s *stream) run() {
	ticker := time.NewTicker(streamComment)
	defer ticker.Stop()
	for {
		if s.told() { // what has arrived since goes to others
			return
		}
		list, resume, cancelled := s.holder.sink.take()
		if !s.events(list) {
			return
		}
		if resume {
			s.holder.session.Resume()
		}
		if cancelled {
			// Whether it arrives or not, the stream ends.
			_ = s.write([]byte("event: gone\ndata: the queue was deleted\n\n"))
			return
		}
		select {
		case <-s.holder.sink.wake:
		case <-ticker.C:
			if s.write([]byte(":\n\n")) != nil {
				return
			}
		case <-s.v.r.Context().Done():
			return
		case <-s.closed:
			return
		case <-s.v.client.gone:
			return
		case <-s.v.door.draining:
			// All clients at once would come back at once.
			spread := streamRetry + rand.N(streamRetry)
			_ = s.write([]byte("retry: " + strconv.FormatInt(spread.Milliseconds(), 10) + "\n\n"))
			return
		}
	}
}

// events sends deliveries; it reports false when the reader is gone.
func (s *stream) events(list []parcel) bool {
	list = s.holder.readable(list)
	if len(list) == 0 {
		return true
	}
	var leases []*lease
	if s.manual {
		var err error
		if leases, err = s.v.door.leases.add(s.holder, list, 0); err != nil {
			s.holder.giveBack() // the table is full; the client comes back
			return false
		}
		s.keep(leases)
	}
	for i := range list {
		s.count++
		id, leased := strconv.FormatUint(s.count, 10), ""
		if s.manual {
			id, leased = leases[i].id, leases[i].id
		}
		if s.write(s.event(&list[i].message, id, leased)) != nil {
			s.failed(list[i:], leases)
			return false
		}
		if !s.manual {
			s.holder.settle(list[i].tag, broker.Accepted)
		}
	}
	return true
}

// keep remembers the leases that are still out.
func (s *stream) keep(leases []*lease) {
	if len(s.leases) > 2*prefetchMax {
		out := s.leases[:0]
		for _, l := range s.leases {
			if !l.isGone() {
				out = append(out, l)
			}
		}
		clear(s.leases[len(out):])
		s.leases = out
	}
	s.leases = append(s.leases, leases...)
}

// failed gives back what could not be written.
func (s *stream) failed(rest []parcel, leases []*lease) {
	if !s.manual {
		for i := range rest {
			// The first may have been seen in part.
			outcome := broker.Undelivered
			if i == 0 {
				outcome = broker.Released
			}
			s.holder.settle(rest[i].tag, outcome)
		}
		return
	}
	for _, l := range leases[len(leases)-len(rest):] {
		_ = l.settle(broker.Released) // it may have been settled meanwhile
	}
}

// event writes one message as an event: its body line by line when it is text, else the message as
// JSON under the name envelope.
func (s *stream) event(m *message, id, leased string) []byte {
	var b bytes.Buffer
	b.WriteString("id: " + id + "\n")
	body := m.body
	if s.whole || !utf8.Valid(body) {
		envelope := m.json()
		envelope.Lease = leased
		text, err := json.Marshal(envelope)
		if err != nil { // nothing in it that JSON cannot write
			text = []byte("{}")
		}
		b.WriteString("event: envelope\n")
		body = text
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

// end lets the session go. Leases that are out get a grace time, unless the hub ended the
// connection.
func (s *stream) end() {
	if s.told() {
		s.v.door.leases.release(func(h *holder) bool { return h == s.holder })
	} else {
		for _, l := range s.leases {
			l.grace(leaseDefault)
		}
	}
	unseen, _, _ := s.holder.sink.take()
	for i := range unseen {
		s.holder.settle(unseen[i].tag, broker.Undelivered)
	}
	s.holder.finish()
}

// told reports that the hub ends the stream's connection, or all of its client's.
func (s *stream) told() bool { return isClosed(s.closed) || isClosed(s.v.client.gone) }

func (l *lease) isGone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
