// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// breaks sets whose breakers are open, and tells.
func (p *pool) breaks(operations ...string) {
	p.mu.Lock()
	p.broken = make(map[string]bool)
	for _, o := range operations {
		p.broken[o] = true
	}
	p.mu.Unlock()
	if p.watch != nil {
		p.watch()
	}
}

// operation publishes a persistent message of an operation.
func (c *client) operation(name, body string) {
	c.tb.Helper()
	m := broker.Message{Body: []byte(body)}
	m.Key, m.Type, m.Persistent = []byte("svc"), []byte(name), true
	if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
		c.tb.Fatal(err)
	}
	c.Session.Flush()
}

// wantCalls answers the calls that come one after the other, and holds them against their bodies.
func (p *pool) wantCalls(what string, want ...string) {
	p.tb.Helper()
	var got []string
	for {
		synctest.Wait()
		select {
		case c := <-p.calls:
			got = append(got, c.body)
			c.reply("")
			continue
		default:
		}
		break
	}
	if diff := cmp.Diff(want, got); diff != "" {
		p.tb.Errorf("%s: calls (-want +got)\n%s", what, diff)
	}
}

// What waits for the breaker of its own operation does not hold up messages of others. Each operation
// keeps its order.
func TestHeldOperationsArePassed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 1)
		p.breaks("a", "b")
		attach(t, b, "svc", p)
		c := newClient(t, b, "sender")
		for i := range 3 {
			for _, name := range []string{"a", "b", "c", "d"} {
				c.operation(name, fmt.Sprint(name, i))
			}
		}
		p.wantCalls("two are held", "c0", "d0", "c1", "d1", "c2", "d2")
		c.operation("c", "c3")
		c.operation("a", "a3")
		p.wantCalls("what comes later", "c3")
		p.breaks("a")
		p.wantCalls("one is let go", "b0", "b1", "b2")
		c.operation("b", "b3")
		p.breaks("c")
		c.operation("c", "c4")
		p.wantCalls("another one is held", "b3", "a0", "a1", "a2", "a3")
		p.breaks()
		p.wantCalls("none is held", "c4")
	})
}

// TestHeldComesBack: what an endpoint could not do keeps its place, also while others pass it, and what
// waits for a slot gets one.
func TestHeldComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 2)
		attach(t, b, "svc", p)
		c := newClient(t, b, "sender")
		for _, body := range []string{"a0", "b0", "a1", "b1", "a2", "b2"} {
			c.operation(body[:1], body)
		}
		first, second := p.next(), p.next()
		p.breaks("a")
		p.none()
		if first.body != "a0" {
			first, second = second, first
		}
		p.set(1, nil)
		first.fail(broker.CodeBreakerOpen) // before anybody has seen it
		second.fail(broker.CodeBadReply)
		p.wantCalls("while a is held", "b1", "b2")
		time.Sleep(2 * time.Second) // both are back
		p.wantCalls("b0 is back", "b0")
		p.breaks()
		p.wantCalls("a is let go", "a0", "a1", "a2")
		q, _ := c.Connection().VirtualHost().Queue("svc")
		if s := q.Stats(); s.Ready != 0 || s.Unsettled != 0 {
			t.Errorf("left: %+v", s)
		}
	})
}

// TestHeldProbes: half-open, a breaker lets one call through at a time; each is the oldest.
func TestHeldProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 4)
		p.breaks("a")
		attach(t, b, "svc", p)
		c := newClient(t, b, "sender")
		for i := range 4 {
			c.operation("a", fmt.Sprint("a", i))
		}
		c.operation("b", "b0")
		p.wantCalls("held", "b0")
		for i := range 2 {
			p.mu.Lock()
			p.broken, p.probes = map[string]bool{}, "a"
			p.mu.Unlock()
			p.watch()
			probe := p.next()
			if want := fmt.Sprint("a", i); probe.body != want {
				t.Errorf("the probe is %q, want %q", probe.body, want)
			}
			c.operation("b", fmt.Sprint("b", i+1))
			if other := p.next(); other.body != fmt.Sprint("b", i+1) {
				t.Errorf("beside the probe comes %q", other.body)
			} else {
				other.reply("")
			}
			probe.reply("")
			p.none()
		}
		p.set(1, nil)
		p.breaks()
		p.wantCalls("closed", "a2", "a3")
	})
}

// TestHeldBacklog: of a backlog on disk others come as far as the window shows them, and all in order when
// the breaker closes, from a hub that was started again too.
func TestHeldBacklog(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 8}, func(h *backlog) {
		h.durable("svc")
		var bad, good []string
		for i := range 40 {
			if i%4 == 0 {
				bad = append(bad, fmt.Sprint("bad", i))
				h.operation("bad", bad[len(bad)-1])
			} else {
				good = append(good, fmt.Sprint("good", i))
				h.operation("good", good[len(good)-1])
			}
		}
		h.Session.Close()
		h.b.Close()
		h.start(h.log) // again
		p := newPool(h.t, 1)
		p.breaks("bad")
		a := attach(h.t, h.b, "svc", p)
		// Until half of a window of 8 is full of what is held: then the window is not filled any more.
		var passed []string
		for n := 0; n < len(good); {
			synctest.Wait()
			select {
			case c := <-p.calls:
				passed = append(passed, c.body)
				c.reply("")
				n++
				continue
			default:
			}
			break
		}
		if diff := cmp.Diff(good[:len(passed)], passed); diff != "" || len(passed) < 9 {
			h.t.Errorf("%d have passed (-want +got)\n%s", len(passed), diff)
		}
		p.breaks()
		p.wantCalls("the rest", inOrder(bad, good[len(passed):])...)
		if err := a.Close(h.t.Context()); err != nil {
			h.t.Error(err)
		}
		if s := h.stats("svc"); s.Ready != 0 || s.Unsettled != 0 {
			h.t.Errorf("left: %+v", s)
		}
	})
}

// inOrder merges bodies by the numbers at their ends.
func inOrder(lists ...[]string) (out []string) {
	for i := range 40 {
		for _, list := range lists {
			for _, body := range list {
				if body == fmt.Sprint("good", i) || body == fmt.Sprint("bad", i) {
					out = append(out, body)
				}
			}
		}
	}
	return out
}

// A call passes however many messages wait for the breaker of another operation, through a queue too.
func TestHeldDoNotRefuseCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{})
		b := broker.New(broker.Options{
			Clock: clock{}, Log: log, Limits: broker.Limits{CallsWaiting: 4},
		})
		log.Bind(b)
		defer b.Close()
		p := newPool(t, 1)
		p.breaks("bad")
		attach(t, b, "svc", p)
		c := newClient(t, b, "caller")
		for i := range 10 {
			c.operation("bad", fmt.Sprint(i))
		}
		answer := c.call("svc", "passes")
		call := p.next()
		call.reply("done")
		if s := got(answer); call.body != "passes" || s != "done" {
			t.Errorf("%q got %q", call.body, s)
		}
		c.call("svc", "busy")
		p.next()
		waits := c.call("svc", "waits")
		p.none()
		if s := got(waits); s != "" {
			t.Errorf("the first that waits got %q", s)
		}
		if _, err := c.Call(broker.CallParams{
			Service: "svc", Message: &broker.Message{}, Done: func(*broker.Message, *broker.Error) {},
		}); !errors.Is(err, &broker.Error{Code: broker.CodeOverloaded}) {
			t.Errorf("the next one: %v", err)
		}
	})
}

// What waits for the breaker of its own operation does not hold up calls of others.
func TestBrokenOperationHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 1)
		p.breaks("bad")
		attach(t, b, "svc", p)
		c := newClient(t, b, "caller")
		m := broker.Message{Body: []byte("waits")}
		m.Key, m.Type = []byte("svc"), []byte("bad")
		if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
			t.Fatal(err)
		}
		c.Session.Flush()
		p.none()
		direct := func() broker.Direct {
			t.Helper()
			var m broker.Message
			m.Type = []byte("good")
			d, err := c.Direct("svc", &m)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		first := direct()
		if !first.Taken() {
			t.Fatal("a broken operation holds up another one")
		}
		if second := direct(); second.Taken() {
			t.Error("more calls than slots")
		}
		p.breaks()
		p.none() // its breaker is closed, but there is no slot
		if late := direct(); late.Taken() {
			t.Error("before what waits")
		}
		first.End()
		p.next().reply("")
	})
}
