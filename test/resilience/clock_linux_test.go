// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

const (
	// late is how much later than it should something may happen on a machine with other work.
	late = 3 * time.Second
	// early allows for clocks that tick in milliseconds.
	early = 50 * time.Millisecond
)

// jumps runs a test for a wall clock that is set forth, and one that is set back, by an hour.
func jumps(t *testing.T, test func(t *testing.T, clock *wallClock, by time.Duration)) {
	t.Helper()
	for name, by := range map[string]time.Duration{"forth": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWallClock(t), by)
		})
	}
}

// TestClockSetCalls is row 15 for calls through every door: the wall clock of the hub is set while they
// wait for their turn, and while nobody answers them.
func TestClockSetCalls(t *testing.T) {
	t.Parallel()
	jumps(t, func(t *testing.T, clock *wallClock, by time.Duration) {
		t.Helper()
		const quick, never = "quick", "never"
		hub := harness.Start(t, askingBinary(t), clock.options(t))
		server, err := peers.Contracted(peers.Protocols()[0]).Dial(t.Context(), hub)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		err = server.Serve(t.Context(), service, func(_ context.Context, r peers.Request) peers.Reply {
			if strings.Contains(r.Body, never) {
				return peers.Reply{Silent: true}
			}
			time.Sleep(300 * time.Millisecond) // one at a time: the others wait in the queue
			return peers.Reply{Body: r.Body}
		})
		if err != nil {
			t.Fatal(err)
		}
		everybody := func(body string, limit, pause time.Duration) map[string]outcome {
			clock.set(0) // a client may give its deadline by the wall clock
			ctx, cancel := context.WithTimeout(t.Context(), 2*wait)
			defer cancel()
			got := make(map[string]outcome)
			var mu sync.Mutex
			var all sync.WaitGroup
			for _, p := range peers.Clients() {
				client, err := peers.Contracted(p).Dial(t.Context(), hub)
				if err != nil {
					t.Fatalf("%s: %v", p.Name, err)
				}
				defer client.Close()
				all.Go(func() {
					begin := time.Now()
					answer, err := client.Call(ctx, service, body, limit)
					one := outcome{time.Since(begin), codeOf(err)}
					if err == nil && !strings.Contains(answer, body) {
						one.code = "wrong answer " + answer
					}
					mu.Lock()
					defer mu.Unlock()
					got[p.Name] = one
				})
			}
			time.Sleep(pause)
			clock.set(by)
			all.Wait()
			return got
		}
		for door, o := range everybody(quick, wait, 200*time.Millisecond) {
			if o.code != "" {
				t.Errorf("%s: %q after %v, want an answer", door, o.code, o.took)
			}
		}
		const limit = 2 * time.Second
		for door, o := range everybody(never, limit, limit/2) {
			if o.code != "deadline" || o.took < limit-early || o.took > limit+late {
				t.Errorf("%s: %q after %v, want a deadline after %v", door, o.code, o.took, limit)
			}
		}
		clock.used(t)
	})
}

// TestClockSetMessages is row 15 for messages on disk: those that may wait for so long do, and no longer.
func TestClockSetMessages(t *testing.T) {
	t.Parallel()
	jumps(t, func(t *testing.T, clock *wallClock, by time.Duration) {
		t.Helper()
		const life = 3 * time.Second
		hub := harness.Start(t, askingBinary(t), clock.options(t))
		conn, err := amqp.Dial(hub.AMQPURL())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		if err := ch.Confirm(false); err != nil {
			t.Fatal(err)
		}
		dead := amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
		old := maps.Clone(dead)
		old["x-message-ttl"] = life.Milliseconds()
		for name, args := range map[string]amqp.Table{"dead": nil, "old": old, "marked": dead} {
			if _, err := ch.QueueDeclare(name, true, false, false, false, args); err != nil {
				t.Fatal(err)
			}
		}
		begin := time.Now()
		for name, expiration := range map[string]string{"old": "", "marked": "3000"} {
			confirm, err := ch.PublishWithDeferredConfirm("", name, false, false, amqp.Publishing{
				DeliveryMode: amqp.Persistent, Expiration: expiration, Body: []byte(name),
			})
			if err != nil || !confirm.Wait() {
				t.Fatalf("%s: not confirmed, %v", name, err)
			}
		}
		time.Sleep(life / 3)
		clock.set(by)
		ended, err := ch.Consume("dead", "", true, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			select {
			case m := <-ended:
				if took := time.Since(begin); took < life-early || took > life+late {
					t.Errorf("%s expired after %v, want %v", m.Body, took, life)
				}
			case <-time.After(wait):
				t.Fatalf("not expired after %v", time.Since(begin))
			}
		}
		clock.used(t)
	})
}

// TestClockSetServers is row 15 for what the hub thinks of servers: one that is ejected stays so for its
// time, and a breaker is open for its time, under load from every door.
func TestClockSetServers(t *testing.T) {
	t.Parallel()
	jumps(t, func(t *testing.T, clock *wallClock, by time.Duration) {
		t.Helper()
		const base, open = 4 * time.Second, 4 * time.Second
		f := launchOn(t, 3, `services: {svc: {pool: {ejection: {base: 4s, interval: 1m}, breaker: {open: 4s}}}}`,
			askingBinary(t), clock.options(t))
		bad := f.servers[0]
		load := f.drive(1, http.MethodPost, callWait)
		bad.behave(behaviour{Status: http.StatusInternalServerError})
		var ejected time.Time
		f.eventually("a server is ejected", func() bool {
			before := bad.seen().Calls
			ejected = time.Now()
			time.Sleep(base / 8)
			return before >= 5 && bad.seen().Calls == before
		})
		bad.behave(behaviour{DelayMS: usual})
		calls := bad.seen().Calls
		clock.set(by)
		f.eventually("it is called again", func() bool { return bad.seen().Calls > calls })
		if took := time.Since(ejected); took < base-base/8-early || took > base+late {
			t.Errorf("it was ejected for %v, want %v", took, base)
		}
		for _, s := range f.servers {
			s.behave(behaviour{Status: http.StatusServiceUnavailable})
		}
		f.eventually("the breaker opens", func() bool { return f.hub.Lines("to=open") > 0 })
		opened := time.Now()
		clock.set(0)
		for _, s := range f.servers {
			s.behave(behaviour{DelayMS: usual})
		}
		f.eventually("calls succeed again", load.well)
		// Give or take a fifth, and what it took to see that it is open.
		if took := time.Since(opened); took > open*6/5+late || took < open*4/5-open/4 {
			t.Errorf("the breaker was open for %v, want %v", took, open)
		}
		for door, list := range load.end().doors {
			for _, o := range list {
				switch o.code {
				case "", "exception", "breaker-open":
				case "deadline": // STOMP's client gives the hub a time by its own wall clock
					if door == "STOMP" && by > 0 {
						continue
					}
					fallthrough
				default:
					t.Errorf("%s: a call failed with %q after %v", door, o.code, o.took)
				}
			}
		}
		clock.used(t)
	})
}
