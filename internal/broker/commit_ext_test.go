// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// txPublish is a publish of a transaction.
func txPublish(exchange, key, body string, persistent bool) broker.CommitPublish {
	m := &broker.Message{Body: []byte(body)}
	m.Exchange, m.Key, m.Persistent = []byte(exchange), []byte(key), persistent
	return broker.CommitPublish{Message: m, PublishParams: broker.PublishParams{Mandatory: true}}
}

// txClient returns a client of three durable queues and a transient one; the first holds two
// messages, which it has.
func txClient(t *testing.T, b *broker.Broker, args ...broker.Field) *client {
	t.Helper()
	c := newClient(t, b, "c")
	c.EnableConfirms()
	for _, p := range []broker.QueueParams{
		{Name: "a", Durable: true},
		{Name: "b", Durable: true, Arguments: args},
		{Name: "c", Durable: true},
		{Name: "transient"},
	} {
		if _, err := c.DeclareQueue(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Bind(broker.BindingParams{Source: "amq.fanout", Destination: "b"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Bind(broker.BindingParams{Source: "amq.fanout", Destination: "c"}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "", "a", "1")
	put(t, c, "", "a", "2")
	c.consume("a", "t", 0)
	synctest.Wait()
	if got := c.take(); !slices.Equal(got, []string{"1", "2"}) {
		t.Fatalf("delivered %q", got)
	}
	return c
}

// TestCommit: everything in it happens, in its order.
func TestCommit(t *testing.T) {
	t.Parallel()
	for _, window := range []int{0, 1} {
		t.Run(fmt.Sprint("window ", window), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := store.NewMemory(store.MemoryOptions{Retain: true})
				b := broker.New(broker.Options{
					Clock: clock{}, Log: log, Limits: broker.Limits{WindowMessages: window},
				})
				log.Bind(b)
				testCommit(t, b)
				b.Close()
			})
		})
	}
}

func testCommit(t *testing.T, b *broker.Broker) {
	t.Helper()
	c := txClient(t, b)
	upTo, err := c.Commit(broker.Commit{
		Publishes: []broker.CommitPublish{
			txPublish("amq.fanout", "", "x", true), txPublish("", "b", "y", false),
			txPublish("", "b", "z", true), txPublish("", "nowhere", "lost", true),
			txPublish("", "transient", "v", false), txPublish("", "transient", "w", true),
		},
		Settlements: []broker.SettleParams{
			{Tag: 1, Outcome: broker.Accepted},
			{Tag: 2, Multiple: true, Outcome: broker.Released}, // what is left of it
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Session.Flush()
	if c.confirmed != upTo || upTo == 0 {
		t.Errorf("confirmed up to %d of %d", c.confirmed, upTo)
	}
	if got := strings.Join(c.returned, ","); got != "NO_ROUTE lost" {
		t.Errorf("returned %q", got)
	}
	if got := summary(c.all()); !slices.Equal(got, []string{"2 #2 again"}) {
		t.Errorf("delivered again %q", got)
	}
	c.Session.Cancel("t")
	if err := c.Settle(broker.SettleParams{Multiple: true}); err != nil {
		t.Fatal(err)
	}
	want := []string{"a: ", "b: x y z", "c: x", "transient: v w"}
	if got := contents(t, b); !slices.Equal(got, want) {
		t.Errorf("queues %q, want %q", got, want)
	}
}

// TestCommitIsOneStep: after a crash at any point all of it was done, or nothing.
func TestCommitIsOneStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, log := newCut()
		c := txClient(t, b)
		before := log.count()
		if _, err := c.Commit(broker.Commit{
			Publishes: []broker.CommitPublish{
				txPublish("amq.fanout", "", "x", true), txPublish("", "b", "y", true),
			},
			Settlements: []broker.SettleParams{{Tag: 2, Multiple: true, Outcome: broker.Accepted}},
		}); err != nil {
			t.Fatal(err)
		}
		b.Close()
		synctest.Wait()
		var seen []string
		for n := before; n <= log.count(); n++ {
			second := restarted(t, log.upTo(n))
			state := strings.Join(contents(t, second), ", ")
			if len(seen) == 0 || seen[len(seen)-1] != state {
				seen = append(seen, state)
			}
			second.Close()
		}
		want := []string{"a: 1 2, b: , c: ", "a: , b: x y, c: x"}
		if !slices.Equal(seen, want) {
			t.Errorf("states %q, want %q", seen, want)
		}
	})
}

// TestCommitFails: whatever prevents a part prevents all.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	good := txPublish("amq.fanout", "", "x", true)
	full := []broker.Field{
		{Name: "x-max-length", Value: int32(2)}, {Name: "x-overflow", Value: "reject-publish"},
	}
	testCases := []struct {
		name   string
		commit broker.Commit
		dead   bool // the log
		code   broker.Code
	}{
		{"log", broker.Commit{Publishes: []broker.CommitPublish{good}}, true, broker.CodeInternal},
		{"full", broker.Commit{Publishes: []broker.CommitPublish{
			good, txPublish("", "b", "y", false), txPublish("", "b", "z", false),
		}}, false, broker.CodeQueueFull},
		{"exchange", broker.Commit{Publishes: []broker.CommitPublish{
			good, txPublish("gone", "", "x", true),
		}}, false, broker.CodeNotFound},
		{"tag", broker.Commit{
			Publishes: []broker.CommitPublish{good}, Settlements: []broker.SettleParams{{Tag: 9}},
		}, false, broker.CodeUnknownTag},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, log := newCut()
				c := txClient(t, b, full...)
				log.refuses = func(*broker.Record) bool { return tc.dead }
				tc.commit.Settlements = append([]broker.SettleParams{{Tag: 1}},
					tc.commit.Settlements...)
				_, err := c.Commit(tc.commit)
				if !errors.Is(err, &broker.Error{Code: tc.code}) {
					t.Errorf("error %v", err)
				}
				log.refuses = nil
				if s := stats(b, "a"); s.Unsettled != 2 || !c.Outstanding(1) {
					t.Errorf("settled all the same: %+v", s)
				}
				c.Connection().Close()
				if got := contents(t, b); !slices.Equal(got, []string{
					"a: 1 2", "b: ", "c: ", "transient: ",
				}) {
					t.Errorf("queues %q", got)
				}
				b.Close()
			})
		})
	}
}
