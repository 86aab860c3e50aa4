// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
)

type definition = map[string]any

// policy sets a user's policy for all names that hold a pattern.
func (c *client) policy(name, pattern string, d definition) {
	c.tb.Helper()
	_, err := c.vhost().SetPolicy(broker.UserPolicy, broker.Policy{
		Name: name, Pattern: pattern, Definition: d,
	})
	if err != nil {
		c.tb.Fatal(err)
	}
}

func (c *client) noPolicy(name string) {
	c.tb.Helper()
	if err := c.vhost().DeletePolicy(broker.UserPolicy, name); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *client) vhost() *broker.VirtualHost { return c.Connection().VirtualHost() }

// TestPolicyTTL: a time to live comes, changes and goes while messages wait.
func TestPolicyTTL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newBroker(t), "c")
		c.queue("q")
		c.publish("", "q", "first")
		after := func(d time.Duration, want ...string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			q, _ := c.vhost().Queue("q")
			if q.Stats().Ready != len(want) {
				t.Fatalf("%d wait after %v, not %v", q.Stats().Ready, d, want)
			}
		}
		c.policy("p", "q", definition{"message-ttl": 1_000})
		after(900*time.Millisecond, "first")
		c.publish("", "q", "second")
		after(200*time.Millisecond, "second")
		c.policy("p", "q", definition{"message-ttl": 5_000}) // counted from its publish
		after(4_700*time.Millisecond, "second")
		after(200 * time.Millisecond)
		c.publish("", "q", "third")
		c.noPolicy("p")
		after(time.Hour, "third")
		c.policy("p", "q", definition{"message-ttl": 0})
		after(2 * time.Millisecond)
	})
}

// TestPolicyTTLUnsettled: what is with a consumer when the policy comes has its time when it is back.
func TestPolicyTTLUnsettled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newBroker(t), "c")
		c.queue("q")
		c.publish("", "q", "m")
		c.consume("q", "t", 1)
		c.policy("p", "q", definition{"message-ttl": 1_000})
		c.Session.Cancel("t")
		c.settle(c.all()[0].tag, broker.Released)
		time.Sleep(1_010 * time.Millisecond)
		synctest.Wait()
		if got := c.drain("q"); len(got) != 0 {
			t.Fatalf("still there: %v", got)
		}
	})
}

// TestPolicyLength: a shorter queue drops from its head at once, and dead-letters as the policy says.
func TestPolicyLength(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("dead")
	c.queue("q", arg("x-max-length", int32(4)))
	for _, body := range []string{"1", "2", "3", "4", "5"} {
		c.publish("", "q", body)
	}
	c.policy("p", "^q$", definition{
		"max-length": 2, "dead-letter-exchange": "", "dead-letter-routing-key": "dead",
	})
	if diff := cmp.Diff([]string{"2", "3"}, c.drain("dead")); diff != "" {
		t.Error(diff)
	}
	c.policy("p", "^q$", definition{"max-length": 100, "overflow": "reject-publish"})
	c.EnableConfirms()
	for _, body := range []string{"6", "7", "8"} {
		c.publish("", "q", body) // the argument bounds the policy
	}
	if len(c.nacked) != 1 {
		t.Errorf("nacked %v", c.nacked)
	}
	c.noPolicy("p")
	c.publish("", "q", "9") // drop-head again
	if diff := cmp.Diff([]string{"5", "6", "7", "9"}, c.drain("q")); diff != "" {
		t.Error(diff)
	}
}

// TestPolicyExpires: queues expire when nobody uses them, from the policy on and while it stands.
func TestPolicyExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newBroker(t), "c")
		c.queue("a")
		c.queue("b", arg("x-expires", int32(3_000)))
		step := func(d time.Duration, want int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if n := len(queueNames(c)); n != want {
				t.Fatalf("%d queues, not %d", n, want)
			}
		}
		step(2_900*time.Millisecond, 2)
		c.policy("p", "", definition{"expires": 10_000}) // b's argument is less
		step(200*time.Millisecond, 1)
		c.policy("p", "", definition{"expires": 1_000})
		step(900*time.Millisecond, 1)
		c.noPolicy("p")
		step(time.Hour, 1)
		c.policy("p", "", definition{"expires": 1_000})
		step(990*time.Millisecond, 1)
		step(20*time.Millisecond, 0)
	})
}

// TestPolicyDeliveryLimit: the limit counts deliveries from before it too.
func TestPolicyDeliveryLimit(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("q")
	c.consume("q", "t", 1)
	c.publish("", "q", "m")
	for range 3 {
		c.settle(c.all()[0].tag, broker.Released)
	}
	c.policy("p", "q", definition{"delivery-limit": 3})
	c.settle(c.all()[0].tag, broker.Released)
	if got := c.all(); len(got) != 0 {
		t.Fatalf("delivered again: %+v", got)
	}
}

// TestPolicyAlternateExchange: it catches what an exchange cannot route, unless an argument does.
func TestPolicyAlternateExchange(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.exchange("other", "fanout")
	c.exchange("mine", "fanout")
	c.exchange("x", "direct")
	if _, err := c.DeclareExchange(broker.ExchangeParams{
		Name: "own", Type: "direct", Arguments: broker.Table{arg("alternate-exchange", "mine")},
	}); err != nil {
		t.Fatal(err)
	}
	c.queue("caught")
	c.queue("kept")
	c.bind("other", "caught", "")
	c.bind("mine", "kept", "")
	c.policy("p", ".*", definition{"alternate-exchange": "other"})
	for _, x := range []string{"x", "own", "", "amq.direct"} {
		c.publish(x, "nowhere", "to "+x)
	}
	if diff := cmp.Diff([]string{"to x", "to amq.direct"}, c.drain("caught")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"to own"}, c.drain("kept")); diff != "" {
		t.Error(diff)
	}
	c.noPolicy("p")
	c.publish("x", "nowhere", "lost")
	if got := c.drain("caught"); len(got) != 0 {
		t.Errorf("the policy is gone: %v", got)
	}
}
