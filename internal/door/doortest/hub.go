// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// The users of every hub. Each one's password is the name.
const (
	// guest may do everything everywhere.
	guest = "guest"
	// second is another user with the same rights.
	second = "second"
	// limited may do anything with names that begin with mine, and publish to the default exchange.
	limited = "limited"
	// nobody may open the virtual host / and do nothing there.
	nobody = "nobody"
	// stranger may open no virtual host.
	stranger = "stranger"

	root  = "/"
	other = "other" // a second virtual host

	// mine begins the names that the limited user may use.
	mine = "mine"
)

var errRefused = errors.New("refused")

func login(user, password string) error {
	if user != password {
		return errRefused
	}
	return nil
}

// rights implement broker.Access for the users above.
type rights struct{}

// Allowed implements broker.Access.
func (rights) Allowed(user, _ string, a auth.Action, resource, _ string) bool {
	switch user {
	case guest, second:
		return true
	case limited:
		return strings.HasPrefix(resource, mine) ||
			(a == auth.Write && resource == "amq.default")
	}
	return false
}

// MayOpen implements broker.Access.
func (rights) MayOpen(user, vhost string) bool {
	return user != stranger && (vhost == root || user == guest || user == second)
}

// Version implements broker.Access.
func (rights) Version() uint64 { return 1 }

// hub is a broker with a door.
type hub struct {
	tb       testing.TB
	features *Features
	clock    *Clock
	broker   *broker.Broker
	door     Door
	heart    *heartDoor
	peer     func(c Client) Client
}

// hubOptions change a hub.
type hubOptions struct {
	limits    broker.Limits
	bodyBytes int
}

func newHub(tb testing.TB, d *Driver, o hubOptions) *hub {
	tb.Helper()
	h := &hub{tb: tb, features: &d.Features, clock: NewClock(), peer: d.Peer}
	formats := []broker.Format{newTableFormat()}
	if d.Format != nil {
		formats = append(formats, d.Format)
	}
	log := store.NewMemory(store.MemoryOptions{})
	h.broker = broker.New(broker.Options{
		Name: "test", Clock: h.clock, Log: log, Formats: formats, Access: rights{}, Limits: o.limits,
	})
	log.Bind(h.broker)
	tb.Cleanup(h.broker.Close)
	if _, err := h.broker.AddVirtualHost(other); err != nil {
		tb.Fatal(err)
	}
	h.heart = &heartDoor{broker: h.broker, login: login}
	h.door = d.Serve(tb, Setup{Broker: h.broker, Login: login, BodyBytes: o.bodyBytes})
	return h
}

// connect returns a client of the door.
func (h *hub) connect(name string) Client {
	h.tb.Helper()
	return connectTo(h.tb, h.door, Account{User: guest, VHost: root, Name: name})
}

// plain returns a client of the heart.
func (h *hub) plain(name string) Client {
	h.tb.Helper()
	c := connectTo(h.tb, h.heart, Account{User: guest, VHost: root, Name: name})
	if h.peer != nil {
		return h.peer(c)
	}
	return c
}

func connectTo(tb testing.TB, d Door, who Account) Client {
	tb.Helper()
	c, err := d.Connect(tb, who)
	if err != nil {
		tb.Fatalf("%s does not come in: %v", who.User, err)
	}
	return c
}

// queue declares a durable queue behind the door's back.
func (h *hub) queue(name string, args ...broker.Field) {
	h.tb.Helper()
	h.behind(func(s *broker.Session) error {
		var p broker.QueueParams
		p.Name, p.Durable, p.Arguments = name, true, args
		_, err := s.DeclareQueue(p)
		return err
	})
}

// exchange declares a direct exchange behind the door's back.
func (h *hub) exchange(name string) {
	h.tb.Helper()
	h.behind(func(s *broker.Session) error {
		var p broker.ExchangeParams
		p.Name, p.Type, p.Durable = name, "direct", true
		_, err := s.DeclareExchange(p)
		return err
	})
}

// bind binds a queue behind the door's back.
func (h *hub) bind(source, queue, key string) {
	h.tb.Helper()
	h.behind(func(s *broker.Session) error {
		var p broker.BindingParams
		p.Source, p.Destination, p.Key = source, queue, key
		return s.Bind(p)
	})
}

// behind does something in a session of the heart that ends at once, so that it counts for no limit.
func (h *hub) behind(do func(*broker.Session) error) {
	h.tb.Helper()
	c, err := h.heart.open(Account{User: guest, VHost: root, Name: "behind"})
	if err != nil {
		h.tb.Fatal(err)
	}
	defer c.Abort()
	if err := do(c.session); err != nil {
		h.tb.Fatal(err)
	}
}

// stats returns the numbers of a queue; all are -1 when there is none.
func (h *hub) stats(queue string) broker.QueueStats {
	v, _ := h.broker.VirtualHost(root)
	q, ok := v.Queue(queue)
	if !ok {
		return broker.QueueStats{Ready: -1, Unsettled: -1, Consumers: -1, Bytes: -1}
	}
	return q.Stats()
}

// holds waits until a queue has so many messages ready and unsettled.
func (h *hub) holds(queue string, ready, unsettled int) {
	h.tb.Helper()
	var got broker.QueueStats
	h.eventually(func() bool {
		got = h.stats(queue)
		return got.Ready == ready && got.Unsettled == unsettled
	}, func() {
		h.tb.Fatalf("queue %q has %d ready and %d unsettled, want %d and %d", queue, got.Ready,
			got.Unsettled, ready, unsettled)
	})
}

// returned waits until what a client had that is gone is back in its queue, however long the door
// keeps it.
func (h *hub) returned(queue string, ready int) {
	h.tb.Helper()
	h.eventually(func() bool {
		h.clock.Advance(h.features.Away)
		got := h.stats(queue)
		return got.Ready == ready && got.Unsettled == 0
	}, func() { h.tb.Fatalf("queue %q has %+v, want %d ready", queue, h.stats(queue), ready) })
}

// consumers waits until a queue has so many consumers.
func (h *hub) consumers(queue string, n int) {
	h.tb.Helper()
	h.eventually(func() bool { return h.stats(queue).Consumers == n }, func() {
		h.tb.Fatalf("queue %q has %d consumers, want %d", queue, h.stats(queue).Consumers, n)
	})
}

// eventually polls a state of the heart, which nothing announces.
func (h *hub) eventually(holds func() bool, fail func()) {
	h.tb.Helper()
	const pause = time.Millisecond
	for end := time.Now().Add(Patience); !holds(); time.Sleep(pause) {
		if time.Now().After(end) {
			fail()
			return
		}
	}
}

// refused fails the test unless err is the door's form of a fault.
func (h *hub) refused(t *testing.T, what string, err error, fault Fault) {
	t.Helper()
	want := h.features.form(t, fault)
	r, ok := errors.AsType[*Refusal](err)
	switch {
	case !ok:
		t.Errorf("%s: got %v, want the refusal %q", what, err, want)
	case r.Form != want:
		t.Errorf("%s: refused with %q (%s), want %q", what, r.Form, r.Text, want)
	}
}

// text is a message to a queue.
func text(queue, body string) *Message { return &Message{Key: queue, Body: body} }

// send publishes messages to a queue.
func send(t *testing.T, c Client, queue string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if err := c.Publish(text(queue, body)); err != nil {
			t.Fatalf("publish %q to %s: %v", body, queue, err)
		}
	}
}

// consume opens a consumer.
func consume(t *testing.T, c Client, s Subscription) Consumer {
	t.Helper()
	k, err := c.Consume(s)
	if err != nil {
		t.Fatalf("consume %+v: %v", s, err)
	}
	return k
}

// take waits for a delivery with a body.
func take(t *testing.T, k Consumer, body string) *Delivery {
	t.Helper()
	d, err := k.Next()
	if err != nil {
		t.Fatalf("instead of %q: %v", body, err)
	}
	if d.Body != body {
		t.Fatalf("got %q, want %q", d.Body, body)
	}
	return d
}

// settle gives a delivery its outcome.
func settle(t *testing.T, k Consumer, d *Delivery, o broker.Outcome) {
	t.Helper()
	if err := k.Settle(d, o); err != nil {
		t.Fatalf("settle %q: %v", d.Body, err)
	}
}

// pair is a hub with a client on each side: one of them is the door's, the other the heart's.
type pair struct {
	*hub
	from, to Client
}

// bothWays plays a scenario from the door to the heart and back.
func bothWays(play func(t *testing.T, p pair)) func(*testing.T, Driver) {
	return func(t *testing.T, d Driver) {
		t.Run("from the door", func(t *testing.T) {
			t.Parallel()
			h := newHub(t, &d, hubOptions{})
			play(t, pair{hub: h, from: h.connect("from"), to: h.plain("to")})
		})
		t.Run("to the door", func(t *testing.T) {
			t.Parallel()
			d.Features.need(t, Receive)
			h := newHub(t, &d, hubOptions{})
			play(t, pair{hub: h, from: h.plain("from"), to: h.connect("to")})
		})
	}
}
