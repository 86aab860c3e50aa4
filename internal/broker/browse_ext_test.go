// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
)

// browse returns the bodies that a browser sees.
func (c *client) browse(queue string, limit int) (out []string) {
	c.tb.Helper()
	err := c.Browse(broker.BrowseParams{Queue: queue, Messages: limit}, func(d *broker.Delivery) bool {
		body := string(d.Message.Body)
		if d.Redelivered {
			body += " again"
		}
		out = append(out, body)
		return true
	})
	if err != nil {
		c.tb.Error(err)
	}
	return out
}

// TestBrowse: what waits is seen in the order of delivery and stays; what a consumer has is not seen.
func TestBrowse(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c := newClient(t, b, "c")
	c.queue("q")
	for _, body := range []string{"1", "2", "3", "4"} {
		c.publish("", "q", body)
	}
	c.consume("q", "t", 2)
	c.Session.Cancel("t")
	c.settle(2, broker.Released)
	c.settle(1, broker.Released)
	s := stats(b, "q")
	if s.Ready != 4 || s.Unsettled != 0 {
		t.Fatalf("queue %+v", s)
	}
	if diff := cmp.Diff([]string{"1 again", "2 again", "3", "4"}, c.browse("q", 10)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := c.browse("q", 2); len(got) != 2 || got[0] != "1 again" {
		t.Errorf("two of them: %q", got)
	}
	if after := stats(b, "q"); after != s {
		t.Errorf("browsing changed %+v to %+v", s, after)
	}
	c.consume("q", "t", 1)
	if got := c.browse("q", 10); len(got) != 3 {
		t.Errorf("with one at a consumer: %q", got)
	}
	seen := 0
	err := c.Browse(broker.BrowseParams{Queue: "q", Messages: 10}, func(*broker.Delivery) bool {
		seen++
		return false
	})
	if err != nil || seen != 1 {
		t.Errorf("%d shown to somebody who had enough (%v)", seen, err)
	}
	err = c.Browse(broker.BrowseParams{Queue: "none", Messages: 1}, nil)
	if !errors.Is(err, &broker.Error{Code: broker.CodeNotFound}) {
		t.Errorf("browsing no queue: %v", err)
	}
}

// TestBrowsePriorities: the higher ones first.
func TestBrowsePriorities(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("q", arg("x-max-priority", int32(9)))
	for i, body := range []string{"low", "high", "middle"} {
		m := broker.Message{Body: []byte(body)}
		m.Key, m.Priority = []byte("q"), []uint8{1, 9, 5}[i]
		if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"high", "middle", "low"}
	if got := c.browse("q", 10); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestBrowseBehind: what is only in the log is seen too, and what has expired is not.
func TestBrowseBehind(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 4}, func(h *backlog) {
		h.durable("q")
		h.fill("q", 1, 20)
		synctest.Wait()
		before := h.stats("q")
		if diff := cmp.Diff(numbers(1, 20), h.browse("q", 100)); diff != "" {
			h.t.Errorf("-want +got\n%s", diff)
		}
		if diff := cmp.Diff(numbers(1, 7), h.browse("q", 7)); diff != "" {
			h.t.Errorf("seven of them: -want +got\n%s", diff)
		}
		if after := h.stats("q"); after != before {
			h.t.Errorf("browsing changed %+v to %+v", before, after)
		}
		h.durable("ttl", arg("x-message-ttl", int32(1_000)))
		h.fill("ttl", 1, 2)
		time.Sleep(time.Second)
		if got := h.browse("ttl", 10); len(got) != 0 {
			h.t.Errorf("expired and seen: %q", got)
		}
	})
}

// TestSole: one at a time takes everything, the one with the highest priority first.
func TestSole(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c, d := newClient(t, b, "c"), newClient(t, b, "d")
	c.queue("q")
	both := func(body string) (string, string) {
		c.publish("", "q", body)
		return joined(c.take()), joined(d.take())
	}
	check := func(body, wantC, wantD string) {
		t.Helper()
		if gotC, gotD := both(body); gotC != wantC || gotD != wantD {
			t.Errorf("%s reached c as %q and d as %q", body, gotC, gotD)
		}
	}
	c.filter(broker.ConsumerParams{Queue: "q", Tag: "plain", AutoAck: true})
	check("1", "1", "")
	d.filter(broker.ConsumerParams{Queue: "q", Tag: "sole", AutoAck: true, Sole: true})
	check("2", "", "2")
	check("3", "", "3")
	c.filter(broker.ConsumerParams{Queue: "q", Tag: "waits", AutoAck: true, Sole: true})
	check("4", "", "4")
	c.filter(broker.ConsumerParams{
		Queue: "q", Tag: "first", AutoAck: true, Sole: true, Priority: 3, Filter: contains("x"),
	})
	check("5", "", "") // it is for the one with the filter
	check("6x", "6x", "")
	c.Session.Cancel("first")
	if got := joined(d.take()); got != "5" {
		t.Errorf("d got %q when the first had gone", got)
	}
	d.Session.Cancel("sole")
	check("7", "7", "")
}

func joined(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	out := ""
	for _, s := range list {
		out += s + " "
	}
	return out
}

// TestRejectTo: what a session rejects goes to its queue, unless the queue it is from says where, or
// is that one; in a transaction too.
func TestRejectTo(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c := newClient(t, b, "c")
	c.EnableConfirms()
	c.queue("dead")
	c.queue("own")
	c.queue("q")
	c.queue("says", arg("x-dead-letter-exchange", ""), arg("x-dead-letter-routing-key", "own"))
	if err := c.RejectTo("dead"); err != nil {
		t.Fatal(err)
	}
	reject := func(queue string, settle func(tag uint64)) {
		t.Helper()
		c.publish("", queue, queue)
		c.consume(queue, "t", 0)
		got := c.all()
		settle(got[len(got)-1].tag)
		c.Session.Cancel("t")
	}
	once := func(tag uint64) { c.settle(tag, broker.Rejected) }
	reject("q", once)
	reject("q", func(tag uint64) {
		_, err := c.Commit(broker.Commit{
			Settlements: []broker.SettleParams{{Tag: tag, Outcome: broker.Rejected}},
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	reject("says", once)
	if dead, own := stats(b, "dead"), stats(b, "own"); dead.Ready != 2 || own.Ready != 1 {
		t.Errorf("dead letters: %+v and %+v", dead, own)
	}
	c.consume("dead", "d", 0)
	for _, d := range c.all() {
		if reason, _ := d.headers.Text("x-first-death-queue"); reason != "q" {
			t.Errorf("headers %v", d.headers)
		}
		c.settle(d.tag, broker.Rejected)
	}
	if dead := stats(b, "dead"); dead.Ready+dead.Unsettled != 0 {
		t.Errorf("what was rejected from the queue of dead letters is there: %+v", dead)
	}
}

// TestSecA10Browse: to look at a queue one must be allowed to read it, and to name a queue for rejects
// one must be allowed to write to queues.
func TestSecA10Browse(t *testing.T) {
	t.Parallel()
	b := secured(t)
	g, a := as(t, b, "guest"), as(t, b, "ann")
	g.queue("secret")
	g.publish("", "secret", "x")
	err := a.Browse(broker.BrowseParams{Queue: "secret", Messages: 1}, func(*broker.Delivery) bool {
		t.Error("ann sees it")
		return true
	})
	forbidden := &broker.Error{Code: broker.CodeForbidden}
	if !errors.Is(err, forbidden) {
		t.Errorf("ann browses: %v", err)
	}
	if err := a.RejectTo("secret"); !errors.Is(err, forbidden) {
		t.Errorf("ann rejects to a queue: %v", err)
	}
	info, err := g.DeclareQueue(broker.QueueParams{Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	other := as(t, b, "guest")
	err = other.Browse(broker.BrowseParams{Queue: info.Name, Messages: 1}, nil)
	if !errors.Is(err, &broker.Error{Code: broker.CodeLocked}) {
		t.Errorf("another's exclusive queue: %v", err)
	}
}
