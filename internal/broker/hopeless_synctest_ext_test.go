// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// takes sets within what time half of the answers come, and nearly all.
func (p *pool) takes(half, most time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.half, p.nearly = half, most
}

// within asks, and returns what comes and after what time.
func (c *client) within(service, body string, timeout time.Duration) <-chan string {
	c.tb.Helper()
	began := time.Now()
	out := make(chan string, 1)
	_, err := c.Call(broker.CallParams{
		Service: service, Message: &broker.Message{Body: []byte(body)}, Timeout: timeout,
		Done: func(m *broker.Message, err *broker.Error) {
			took := time.Since(began)
			if err != nil {
				out <- fmt.Sprint(err.Code, " ", took)
				return
			}
			out <- fmt.Sprint(string(m.Body), " ", took)
		},
	})
	if err != nil {
		c.tb.Fatal(err)
	}
	c.Session.Flush()
	return out
}

// TestHopelessCallLeaves: a call that waits for an endpoint leaves as soon as less time is left than half
// of the answers take, whatever waits before it; who has a slot keeps it.
func TestHopelessCallLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 1)
		p.takes(100*time.Millisecond, 100*time.Millisecond)
		attach(t, b, "svc", p)
		c := newClient(t, b, "caller")
		taken := c.within("svc", "taken", time.Second)
		call := p.next()
		waits := c.within("svc", "waits", time.Second)
		short := c.within("svc", "short", 150*time.Millisecond)
		hopeless := c.within("svc", "hopeless", 100*time.Millisecond)
		served := c.within("svc", "served", 2*time.Second)
		if s := got(hopeless); s != "deadline 0s" {
			t.Errorf("with no time to wait: %q", s)
		}
		q, _ := c.Connection().VirtualHost().Queue("svc")
		for _, step := range []struct {
			at      time.Duration
			of      <-chan string
			want    string
			waiting int
		}{
			{49 * time.Millisecond, short, "", 4},
			{51 * time.Millisecond, short, "deadline 50ms", 4}, // it is not the first
			{899 * time.Millisecond, waits, "", 4},
			// With it go those behind that have left before.
			{901 * time.Millisecond, waits, "deadline 900ms", 1},
			{999 * time.Millisecond, taken, "", 1},
			{1001 * time.Millisecond, taken, "deadline 1s", 0},
		} {
			time.Sleep(step.at - time.Since(call.began))
			if s := got(step.of); s != step.want {
				t.Errorf("after %v: %q, want %q", step.at, s, step.want)
			}
			if n := q.Stats().Ready; n != step.waiting {
				t.Errorf("after %v %d calls wait, want %d", step.at, n, step.waiting)
			}
		}
		last := p.next()
		time.Sleep(950 * time.Millisecond) // 49 ms are left: it has begun
		last.reply("done")
		if s := got(served); s != "done 1.951s" {
			t.Errorf("the one that had time: %q", s)
		}
		if n := b.Metrics().CallsHopeless.Load(); n != 3 {
			t.Errorf("%d calls are counted, want 3", n)
		}
		p.none()
	})
}

// TestHopelessLooksAgain: how long answers take changes while a call waits.
func TestHopelessLooksAgain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		half, most time.Duration
		want       string
	}{
		{"less", 5 * time.Millisecond, 20 * time.Millisecond, "deadline 980ms"},
		{"more", 300 * time.Millisecond, 300 * time.Millisecond, "deadline 900ms"},
		{"nobody knows", 0, 0, "deadline 1s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, p := newBroker(t), newPool(t, 0)
				p.takes(100*time.Millisecond, 100*time.Millisecond)
				attach(t, b, "svc", p)
				answer := newClient(t, b, "caller").within("svc", "x", time.Second)
				time.Sleep(800 * time.Millisecond)
				p.takes(tc.half, tc.most)
				time.Sleep(time.Second)
				if s := got(answer); s != tc.want {
					t.Errorf("%q, want %q", s, tc.want)
				}
				p.set(1, nil)
				p.none()
			})
		})
	}
}

// TestHopelessLeavesTime: where a few answers take very long, a call may wait for half of its time, and where
// half of them do, no longer than is of use.
func TestHopelessLeavesTime(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		half, most time.Duration
		want       string
	}{
		{"few", 20 * time.Millisecond, 5 * time.Second, "deadline 500ms"},
		{"many", 700 * time.Millisecond, 5 * time.Second, "deadline 300ms"},
		{"all", 2 * time.Second, 5 * time.Second, "deadline 0s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, p := newBroker(t), newPool(t, 0)
				p.takes(tc.half, tc.most)
				attach(t, b, "svc", p)
				answer := newClient(t, b, "caller").within("svc", "x", time.Second)
				time.Sleep(time.Second)
				if s := got(answer); s != tc.want {
					t.Errorf("%q, want %q", s, tc.want)
				}
			})
		})
	}
}

// Of clients nobody knows how long they take; a message that is no call has no deadline to be met.
func TestHopelessIsForEndpointsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 0)
		p.takes(100*time.Millisecond, 100*time.Millisecond)
		attach(t, b, "svc", p)
		c, service := newClient(t, b, "caller"), newClient(t, b, "service")
		service.consume("svc", "client", 1)
		c.publish("", "svc", "busy")
		c.Session.Flush()
		answer := c.within("svc", "call", time.Second)
		time.Sleep(950 * time.Millisecond)
		synctest.Wait()
		service.settle(service.all()[0].tag, broker.Accepted)
		synctest.Wait()
		if got := service.take(); len(got) != 1 || got[0] != "call" {
			t.Fatalf("the client gets %q", got)
		}
		time.Sleep(time.Second)
		if s := got(answer); s != "deadline 1s" {
			t.Errorf("the caller gets %q", s)
		}
		m := broker.Message{Body: []byte("sent")}
		m.Key, m.Expires, m.ExpirationMS = []byte("svc"), true, 1000
		if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
			t.Fatal(err)
		}
		c.Session.Flush()
		service.Connection().Close()
		p.set(2, nil)
		sent := p.next()
		sent.reply("")
		if sent.body != "sent" {
			t.Errorf("the endpoint gets %q", sent.body)
		}
		p.none()
	})
}

// TestHopelessOnDisk: a call that waits in the log alone is known again when it comes back.
func TestHopelessOnDisk(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 2, CallsWaiting: 100}, func(h *backlog) {
		h.durable("svc")
		p := newPool(h.t, 1)
		p.takes(100*time.Millisecond, 100*time.Millisecond)
		a := attach(h.t, h.b, "svc", p)
		began := time.Now()
		answers := make([]<-chan string, 20)
		for i := range answers {
			m := &broker.Message{Body: fmt.Append(nil, i)}
			m.Persistent = true
			out := make(chan string, 1)
			answers[i] = out
			_, err := h.Call(broker.CallParams{
				Service: "svc", Message: m, Timeout: time.Second,
				Done: func(m *broker.Message, err *broker.Error) {
					if err != nil {
						out <- fmt.Sprint(err.Code, " ", time.Since(began))
					} else {
						out <- string(m.Body)
					}
				},
			})
			if err != nil {
				h.t.Fatal(err)
			}
			h.Session.Flush()
		}
		for range answers[:18] {
			call := p.next()
			time.Sleep(49 * time.Millisecond)
			call.reply("done " + call.body)
		}
		last := p.next() // at 882 ms, and it is not answered before its deadline
		time.Sleep(99 * time.Millisecond)
		last.reply("done " + last.body)
		for i, answer := range answers {
			want := fmt.Sprint("done ", i)
			if i == len(answers)-1 {
				want = "deadline 900ms"
			}
			if s := got(answer); s != want {
				h.t.Errorf("call %d: %q, want %q", i, s, want)
			}
		}
		p.none()
		if err := a.Close(h.t.Context()); err != nil {
			h.t.Error(err)
		}
	})
}
