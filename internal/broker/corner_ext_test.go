// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

func TestGetKeepsTheOutputStalled(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c := newClient(t, b, "c")
	p := newClient(t, b, "p")
	c.queue("q")
	c.queue("other")
	c.sink.room = 5
	if _, err := c.Consume(broker.ConsumerParams{Queue: "q", Tag: "t", AutoAck: true}); err != nil {
		t.Fatal(err)
	}
	p.publish("", "q", "12345") // room 0: stalled
	p.publish("", "q", "x")     // waits; the consumer leaves the ring
	p.publish("", "other", "o")
	c.sink.mu.Lock()
	c.sink.room = 100 // between half and full: the output has not called Resume yet
	c.sink.mu.Unlock()
	if ok, err := c.Get("other", true); !ok || err != nil {
		t.Fatal(ok, err)
	}
	c.Resume() // the drain
	if got := c.take(); len(got) != 3 {
		t.Errorf("got %q: the consumer is stuck", got)
	}
}

func TestGatherCopyWaitsForCredit(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c := newClient(t, b, "c")
	a := newClient(t, b, "a")
	c.queue("svc")
	con, err := c.Consume(broker.ConsumerParams{Queue: "svc", Tag: "t", AutoAck: true, Limited: true})
	if err != nil {
		t.Fatal(err)
	}
	m := broker.Message{Body: []byte("ask")}
	m.Key = []byte("svc")
	if err := a.Gather(broker.GatherParams{Message: &m, Reply: func(string, *broker.Message) {}, End: func(broker.GatherResult) {}}); err != nil {
		t.Fatal(err)
	}
	con.AddCredit(1)
	if got := c.take(); len(got) != 1 {
		t.Errorf("got %q: the copy is stuck though there is credit", got)
	}
}

func TestPreparedConsumerGetsCopies(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c := newClient(t, b, "c")
	a := newClient(t, b, "a")
	c.queue("svc")
	con, err := c.PrepareConsume(broker.ConsumerParams{Queue: "svc", Tag: "t", AutoAck: true})
	if err != nil {
		t.Fatal(err)
	}
	m := broker.Message{Body: []byte("ask")}
	m.Key = []byte("svc")
	_ = a.Gather(broker.GatherParams{Message: &m, Reply: func(string, *broker.Message) {}, End: func(broker.GatherResult) {}})
	if got := c.take(); len(got) != 0 {
		t.Errorf("got %q before StartConsume", got)
	}
	c.StartConsume(con)
}

func TestPreparedConsumerResumed(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c := newClient(t, b, "c")
	p := newClient(t, b, "p")
	c.queue("q1")
	c.queue("q2")
	p.publish("", "q1", "12345")
	p.publish("", "q2", "x")
	c.sink.room = 5
	c.consume("q1", "t1", 0) // stalls
	if _, err := c.PrepareConsume(broker.ConsumerParams{Queue: "q2", Tag: "t2"}); err != nil {
		t.Fatal(err)
	}
	c.take()
	c.sink.mu.Lock()
	c.sink.room = 100
	c.sink.mu.Unlock()
	c.Resume() // the writer, at any time
	if got := c.take(); len(got) != 0 {
		t.Errorf("got %q before StartConsume", got)
	}
}

func secured(t *testing.T) *broker.Broker {
	t.Helper()
	access, err := auth.New(auth.Options{Users: []auth.User{
		auth.Guest(),
		{
			Name:        "ann",
			Permissions: map[string]auth.Permission{"/": {Configure: "ann.*", Write: "ann.*|amq\\.topic", Read: "ann.*|amq\\.topic"}},
			Topics:      map[string]map[string]auth.TopicPermission{"/": {"amq.topic": {Write: "ann\\..*", Read: "ann\\..*"}}},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{Clock: clock{}, Log: log, Access: access})
	log.Bind(b)
	t.Cleanup(b.Close)
	return b
}

func as(t *testing.T, b *broker.Broker, user string) *client {
	t.Helper()
	conn, err := b.Open(broker.ConnectionParams{Name: user, ClientName: user, User: user, VHost: "/"})
	if err != nil {
		t.Fatal(err)
	}
	k := newSink()
	s, err := conn.OpenSession(k)
	if err != nil {
		t.Fatal(err)
	}
	return &client{Session: s, sink: k, tb: t}
}

func TestSecA10CarbonCopiesNeedTopicPermission(t *testing.T) {
	t.Parallel()
	b := secured(t)
	g, a := as(t, b, "guest"), as(t, b, "ann")
	g.queue("secret")
	if err := g.Bind(broker.BindingParams{Source: "amq.topic", Destination: "secret", Key: "bob.#"}); err != nil {
		t.Fatal(err)
	}
	m := broker.Message{Body: []byte("x")}
	m.Exchange, m.Key, m.CC = []byte("amq.topic"), []byte("ann.a"), [][]byte{[]byte("bob.b")}
	n, err := a.Publish(&m, broker.PublishParams{})
	if err == nil || n != 0 {
		t.Errorf("ann wrote to topic bob.b by CC: routed %d, %v", n, err)
	}
}

// TestSecA11Impersonator: the user-id is the login, but for users with the tag impersonator.
func TestSecA11Impersonator(t *testing.T) {
	t.Parallel()
	access, err := auth.New(auth.Options{Users: []auth.User{
		auth.Guest(),
		{
			Name: "actor", Tags: []string{auth.TagImpersonator},
			Permissions: map[string]auth.Permission{"/": auth.AllPermissions()},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{Clock: clock{}, Log: log, Access: access})
	log.Bind(b)
	t.Cleanup(b.Close)
	for user, allowed := range map[string]bool{"guest": false, "actor": true} {
		c := as(t, b, user)
		m := broker.Message{Body: []byte("x")}
		m.Key, m.UserID = []byte("nowhere"), []byte("somebody")
		if _, err := c.Publish(&m, broker.PublishParams{}); (err == nil) != allowed {
			t.Errorf("%s publishes as somebody: %v", user, err)
		}
	}
}

func TestSecA10ReplyToNeedsPermission(t *testing.T) {
	t.Parallel()
	b := secured(t)
	g, a := as(t, b, "guest"), as(t, b, "ann")
	g.queue("victim")
	m := broker.Message{Body: []byte("x")}
	m.Exchange, m.Key, m.ReplyTo = []byte("amq.topic"), []byte("ann.a"), []byte("victim")
	_, err := a.Publish(&m, broker.PublishParams{Call: &broker.CallTerms{Timeout: time.Second}})
	a.Session.Flush()
	if ok, _ := g.Get("victim", true); ok {
		t.Errorf("ann, who may not write to amq.default, has put a message into victim (err %v)", err)
	}
}

func TestRequestWithoutTimeoutEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		a := newClient(t, b, "a")
		a.queue("svc")
		m := broker.Message{Body: []byte("x")}
		r, err := a.Request(broker.RequestParams{Service: "svc", Message: &m})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1000 * time.Hour)
		synctest.Wait()
		if _, err := a.FindRequest(r.ID); err == nil {
			t.Error("a request without answer is there after 1000 hours")
		}
		b.Close()
	})
}

func TestGetKeepsTheUnsettledLimit(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{Clock: clock{}, Log: log, Limits: broker.Limits{UnsettledPerSession: 2}})
	log.Bind(b)
	t.Cleanup(b.Close)
	c := newClient(t, b, "c")
	c.queue("q")
	n := 0
	for range 5 {
		c.publish("", "q", "x")
		if ok, _ := c.Get("q", false); ok {
			n++
		}
	}
	if n > 2 {
		t.Errorf("%d unsettled by Get, limit 2", n)
	}
}

// race stress

// TestReturnKeepsLimit: what comes back does not put a queue over its length limit.
func TestReturnKeepsLimit(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c := newClient(t, b, "c")
	c.queue("q", broker.Field{Name: "x-max-length", Value: int32(2)})
	c.publish("", "q", "a")
	c.publish("", "q", "b")
	c.consume("q", "t", 2)
	c.Session.Cancel("t")
	c.publish("", "q", "c")
	c.publish("", "q", "d")
	c.Recover()
	q, _ := b.VirtualHosts()[0].Queue("q")
	if st := q.Stats(); st.Ready != 2 {
		t.Errorf("%d are ready, and the limit is 2", st.Ready)
	}
	c.take()
	c.consume("q", "t", 0)
	if got := c.take(); !slices.Equal(got, []string{"c", "d"}) {
		t.Errorf("left: %v", got)
	}
}
