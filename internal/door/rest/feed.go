// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/url"
	"strconv"
	"sync"

	"github.com/parley-ipc/parley/internal/broker"
)

// Bounds of what a stream asks for.
const (
	prefetchDefault = 100
	prefetchMax     = 1_000
)

// streamPrefix begins the names of the queues of durable topic streams.
const streamPrefix = "subscription."

// feedTerms are what a client asks for that reads messages as they come.
type feedTerms struct {
	// topic, a pattern, or else queue is what it reads; name is that of a durable subscription.
	queue, topic, name string
	prefetch           int
	manual             bool // it acknowledges, each message by its lease
	whole              bool // it wants each message as JSON, not the body alone
	instance           string
}

// source tells what a feed reads, so that nobody resumes another one.
func (t *feedTerms) source() string {
	return strconv.Quote(t.queue) + strconv.Quote(t.topic) + strconv.Quote(t.name) +
		strconv.FormatBool(t.manual)
}

// feedTerms reads the path and the query.
func (v *visit) feedTerms() (t feedTerms, err error) {
	q := v.r.URL.Query()
	t = feedTerms{queue: v.path("q"), topic: v.path("t"), prefetch: prefetchDefault}
	if t.topic != "" {
		t.name = q.Get("name")
		if err := checkName("subscription", streamPrefix+t.name); err != nil {
			return t, err
		}
	}
	if t.prefetch, err = prefetchOf(q); err != nil {
		return t, err
	}
	switch q.Get("ack") {
	case "", "auto":
	case "manual":
		t.manual = true
	default:
		return t, badRequest("ack must be auto or manual")
	}
	if t.whole, err = v.flag("envelope"); err != nil {
		return t, err
	}
	t.instance, err = v.instance()
	return t, err
}

func prefetchOf(q url.Values) (int, error) {
	text := q.Get("prefetch")
	if text == "" {
		return prefetchDefault, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > prefetchMax {
		return 0, badRequest("prefetch must be 1 to %d", prefetchMax)
	}
	return n, nil
}

// feed is a consumer with a connection of the heart to itself, so that its own queue goes with it.
type feed struct {
	door   *Door
	owner  clientKey
	terms  feedTerms
	conn   *broker.Connection
	holder *holder
	queue  string        // that it consumes from
	closed chan struct{} // closed when the hub ends the connection
}

// openFeed opens a connection and finds or makes the queue. ended is told when the hub ends the
// connection.
func (d *Door) openFeed(v *visit, terms feedTerms, ended func()) (*feed, error) {
	f := &feed{door: d, owner: v.client.key, terms: terms, closed: make(chan struct{})}
	var once sync.Once
	var err error
	f.conn, err = d.open(f.owner, "http stream "+v.r.RemoteAddr, func(string) {
		once.Do(func() {
			close(f.closed)
			ended()
		})
	})
	if err != nil {
		return nil, err
	}
	sink := newMessageSink(streamBytes)
	session, err := f.conn.OpenSession(sink)
	if err != nil {
		f.conn.Close()
		return nil, err
	}
	f.holder = &holder{session: session, sink: sink, open: true, ended: f.conn.Close}
	if f.queue, err = f.subscribe(session); err != nil {
		f.holder.finish()
		return nil, err
	}
	return f, nil
}

// subscribe returns the queue to consume from: the one that is named, or for a topic one of its own,
// which goes with the connection, or with a name a durable one that all of that name share.
func (f *feed) subscribe(s *broker.Session) (string, error) {
	if f.terms.topic == "" {
		return f.terms.queue, nil
	}
	var p broker.QueueParams
	p.Exclusive, p.AutoDelete = true, true
	if f.terms.name != "" {
		p.Name, p.Durable, p.Exclusive = streamPrefix+f.terms.name, true, false
		p.AutoDelete = false
	}
	info, err := s.DeclareQueue(p)
	if err != nil {
		return "", err
	}
	b := broker.BindingParams{
		Source: f.door.options.TopicExchange, Destination: info.Name, Key: f.terms.topic,
		Arguments: nil, ToExchange: false,
	}
	return info.Name, s.Bind(b)
}

// consume opens the consumer, with room for so many unsettled deliveries. A client that has seen the
// head of its answer is asked by the next gather, so this comes before it; what is delivered meanwhile
// waits in the sink.
func (f *feed) consume(prefetch int) error {
	var p broker.ConsumerParams
	p.Queue, p.Prefetch, p.Tag = f.queue, prefetch, f.terms.instance
	f.holder.mu.Lock()
	defer f.holder.mu.Unlock()
	_, err := f.holder.session.Consume(p)
	return err
}

// cancel ends the consumer; what came and was not taken goes back as if it had not been delivered.
func (f *feed) cancel() {
	f.holder.mu.Lock()
	f.holder.session.Cancel(f.terms.instance)
	f.holder.mu.Unlock()
	unseen, _, _ := f.holder.sink.take()
	for i := range unseen {
		f.holder.settle(unseen[i].tag, broker.Undelivered)
	}
}
