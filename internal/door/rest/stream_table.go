// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// Bounds of streams that wait for their client to come back (rest.md, Streams).
const (
	parkedMax   = 1_000
	parkTime    = leaseDefault     // of queues and durable topics: as long as leases without their stream
	parkOwnTime = 10 * time.Second // of a queue that fills meanwhile
	resumeWait  = 5 * time.Second  // for the request whose stream it is to let go of it
	endedStream = 4_096            // streams that are remembered
)

// streamTable counts the open streams, and finds those that a client may come back to. Its lock is a
// leaf.
type streamTable struct {
	mu      sync.Mutex
	all     int
	byUser  map[string]int
	byToken map[string]*stream
	parked  int
	closed  bool
	// last is how many events a stream had sent that has ended; ring has the same tokens, in the
	// order in which they ended.
	last map[string]uint64
	ring []string
	at   int
}

func (t *streamTable) init() {
	t.byUser = make(map[string]int)
	t.byToken = make(map[string]*stream)
	t.last = make(map[string]uint64)
}

// count returns how many streams are open.
func (t *streamTable) count() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int64(t.all)
}

func (d *Door) enterStream(user string) error {
	t := &d.streams
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all >= d.options.StreamsMax || t.byUser[user] >= d.options.StreamsPerUser {
		return &problem{
			word: "quota", detail: "too many open streams", violated: quotaStreams,
			limit: d.options.StreamsPerUser,
		}
	}
	t.all++
	t.byUser[user]++
	return nil
}

func (d *Door) leaveStream(user string) {
	t := &d.streams
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all--
	if t.byUser[user]--; t.byUser[user] <= 0 {
		delete(t.byUser, user)
	}
}

// eventID is the id of an event: which stream sent it, the how manieth it was, and where the log has
// the message of a durable topic, which holds after the stream is gone.
type eventID struct {
	token string
	n     uint64
	at    broker.LSN
}

// String writes an id; in a lease's id there is no place in the log.
func (e eventID) String() string {
	s := e.token + "." + strconv.FormatUint(e.n, 10)
	if e.at != 0 {
		s += "." + strconv.FormatUint(uint64(e.at), 10)
	}
	return s
}

func parseEventID(s string) (e eventID, ok bool) {
	token, rest, found := strings.Cut(s, ".")
	number, place, hasPlace := strings.Cut(rest, ".")
	n, err := strconv.ParseUint(number, 10, 64)
	e.token, e.n = token, n
	if hasPlace && err == nil {
		var at uint64
		at, err = strconv.ParseUint(place, 10, 64)
		e.at = broker.LSN(at)
	}
	return e, found && err == nil
}

// add lists a stream that a request has.
func (t *streamTable) add(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byToken[s.token] = s
}

// park lets a stream wait for its client, for a time, and reports whether there is room for it.
func (t *streamTable) park(s *stream, wait time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.parked >= parkedMax {
		return false
	}
	t.parked++
	s.parked = true
	s.timer = s.door.options.Broker.AfterFunc(wait, func() { s.abandon(false) })
	close(s.free)
	return true
}

// remove takes a stream out, parked or not, and reports whether it was there: who removes it ends it.
func (t *streamTable) remove(s *stream) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.drop(s)
}

// removeParked is remove for a stream that no request has.
func (t *streamTable) removeParked(s *stream) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.parked && t.drop(s)
}

func (t *streamTable) drop(s *stream) bool {
	if t.byToken[s.token] != s {
		return false
	}
	delete(t.byToken, s.token)
	if s.parked {
		t.parked--
		s.timer.Stop()
	} else {
		close(s.free)
	}
	return true
}

// remember notes how many events a stream has sent that ends.
func (t *streamTable) remember(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ring) < endedStream {
		t.ring = append(t.ring, s.token)
	} else {
		delete(t.last, t.ring[t.at])
		t.ring[t.at] = s.token
		t.at = (t.at + 1) % endedStream
	}
	t.last[s.token] = s.count
}

// find returns the stream of an owner that reads a source.
func (t *streamTable) find(token string, owner clientKey, source string) *stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byToken[token]
	if s == nil || s.owner != owner || s.terms.source() != source {
		return nil
	}
	return s
}

// take hands a parked stream to a request. Of two requests one gets it.
func (t *streamTable) take(s *stream) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byToken[s.token] != s || !s.parked {
		return false
	}
	t.parked--
	s.parked, s.free, s.kicked = false, make(chan struct{}), make(chan struct{})
	s.timer.Stop()
	return true
}

// ended returns how many events a stream had sent that is gone.
func (t *streamTable) ended(token string) (sent uint64, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sent, known = t.last[token]
	return sent, known
}

// close ends the parked streams, and no other is parked.
func (t *streamTable) close() {
	t.mu.Lock()
	t.closed = true
	var list []*stream
	for _, s := range t.byToken {
		if s.parked {
			list = append(list, s)
		}
	}
	t.mu.Unlock()
	for _, s := range list {
		if t.removeParked(s) {
			s.end(true)
		}
	}
}
