// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
)

func args(fields ...any) (out broker.Table) {
	for i := 0; i < len(fields); i += 2 {
		name, _ := fields[i].(string)
		out = append(out, broker.Field{Name: name, Value: fields[i+1]})
	}
	return out
}

// withHeaders publishes a message with headers, and returns how many queues took it.
func (c *client) withHeaders(exchange, key, body string, headers broker.Table) int {
	c.tb.Helper()
	m := broker.Message{Body: []byte(body), Overlay: headers}
	m.Exchange, m.Key = []byte(exchange), []byte(key)
	n, err := c.Publish(&m, broker.PublishParams{})
	if err != nil {
		c.tb.Fatal(err)
	}
	return n
}

func (c *client) bindExchange(source, destination, key string) {
	c.tb.Helper()
	p := broker.BindingParams{
		Source: source, Destination: destination, Key: key, ToExchange: true,
	}
	if err := c.Bind(p); err != nil {
		c.tb.Fatal(err)
	}
}

// bodies returns what each of the queues holds, and empties them.
func (c *client) bodies(queues ...string) map[string][]string {
	out := make(map[string][]string)
	for _, q := range queues {
		out[q] = c.drain(q)
	}
	return out
}

// TestExchangeTypeErrors: what a declaration or a binding of these types refuses, in RabbitMQ's words
// where it has some; numbers have bounds (security.md A13).
func TestExchangeTypeErrors(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		kind      string
		args      broker.Table
		key, text string // of the binding, if the declaration is fine
	}{
		{"x-consistent-hash", nil, "one", `The binding key must be an integer: <<"one">>`},
		{"x-consistent-hash", nil, "", `The binding key must be an integer: <<>>`},
		{"x-consistent-hash", nil, "1.5", `The binding key must be an integer: <<"1.5">>`},
		{"x-consistent-hash", nil, "0", "The binding key must be greater than 0"},
		{"x-consistent-hash", nil, "-1", "The binding key must be greater than 0"},
		{"x-consistent-hash", nil, "-99999999999999999999", "The binding key must be greater than 0"},
		{"x-consistent-hash", nil, "2147483648", "The binding key must not be greater than 1000000"},
		{
			"x-consistent-hash", nil, "99999999999999999999",
			"The binding key must not be greater than 1000000",
		},
		{"x-consistent-hash", nil, "1000000", ""},
		{
			"x-consistent-hash", args("hash-header", "h", "hash-property", "message_id"), "1",
			"hash-header and hash-property are mutually exclusive",
		},
		{
			"x-consistent-hash", args("hash-property", "app_id"), "1", "Unsupported property: app_id",
		},
		{
			"x-consistent-hash", args("hash-header", int32(1)), "1",
			"invalid type 'signedint' for arg 'hash-header' in exchange 'x' in vhost '/'",
		},
		{"x-local-random", nil, "k", "Non empty binding 'k' key not permitted"},
		{"x-random", nil, "k", ""},
		{"x-modulus-hash", nil, "k", ""},
		{
			"x-recent-history", args("x-recent-history-length", int32(0)), "",
			"Invalid argument 0, 'x-recent-history-length' must be a positive integer",
		},
		{
			"x-recent-history", args("x-recent-history-length", "five"), "",
			`Invalid argument <<"five">>, 'x-recent-history-length' must be a positive integer`,
		},
		{
			"x-recent-history", args("x-recent-history-length", int64(1)<<31), "",
			"Invalid argument 2147483648, 'x-recent-history-length' must not be greater than 10000",
		},
		{
			"x-recent-history", args("x-recent-history-length", broker.Array{}), "",
			"Invalid argument [], 'x-recent-history-length' must be a positive integer",
		},
	}
	for _, tc := range testCases {
		t.Run(fmt.Sprint(tc.kind, " ", tc.args, " ", tc.key), func(t *testing.T) {
			t.Parallel()
			c := newClient(t, newBroker(t), "c")
			c.queue("q")
			_, err := c.DeclareExchange(broker.ExchangeParams{
				Name: "x", Type: tc.kind, Arguments: tc.args,
			})
			if err == nil {
				err = c.Bind(broker.BindingParams{Source: "x", Destination: "q", Key: tc.key})
			}
			if tc.text != "" {
				wantText(t, err, broker.CodeBadRequest, tc.text)
			} else if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestRandomExchanges: each message goes to one queue, and every queue gets its share.
func TestRandomExchanges(t *testing.T) {
	t.Parallel()
	const messages = 3_000
	for _, kind := range []string{"x-random", "x-local-random"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, newBroker(t), "c")
			c.exchange("x", kind)
			if n := c.withHeaders("x", "", "lost", nil); n != 0 {
				t.Errorf("an exchange without bindings routed to %d queues", n)
			}
			for _, q := range []string{"a", "b", "c"} {
				c.queue(q)
				c.bind("x", q, "")
			}
			for range messages {
				if n := c.withHeaders("x", "any key", "m", nil); n != 1 {
					t.Fatalf("one message went to %d queues", n)
				}
			}
			for q, got := range c.bodies("a", "b", "c") {
				if n := len(got); n < messages/3-200 || n > messages/3+200 {
					t.Errorf("queue %s got %d of %d", q, n, messages)
				}
			}
			if _, err := c.DeleteQueue(broker.DeleteParams{Name: "a"}); err != nil {
				t.Fatal(err)
			}
			for range 100 {
				if n := c.withHeaders("x", "any key", "m", nil); n != 1 {
					t.Fatalf("after a queue went, one message went to %d queues", n)
				}
			}
		})
	}
}

// TestLocalRandomRefuses what RabbitMQ's type refuses: exchanges, and queues of other types.
func TestLocalRandomRefuses(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.exchange("x", "x-local-random")
	err := c.Bind(broker.BindingParams{Source: "x", Destination: "amq.fanout", ToExchange: true})
	wantText(t, err, broker.CodeBadRequest, "Destination not found")
	if _, err := c.DeclareQueue(broker.QueueParams{
		Name: "quorum", Durable: true, Arguments: args("x-queue-type", "quorum"),
	}); err != nil {
		t.Fatal(err)
	}
	err = c.Bind(broker.BindingParams{Source: "x", Destination: "quorum"})
	wantText(t, err, broker.CodeBadRequest,
		"Queue type rabbit_quorum_queue not valid for this exchange type")
}

// spread publishes each key once, and returns which queue each went to.
func (c *client) spread(t *testing.T, exchange string, keys int, queues ...string) map[string]string {
	t.Helper()
	for i := range keys {
		key := fmt.Sprint("key-", i)
		if n := c.withHeaders(exchange, key, key, nil); n != 1 {
			t.Fatalf("%s went to %d queues", key, n)
		}
	}
	where := make(map[string]string)
	for q, bodies := range c.bodies(queues...) {
		for _, body := range bodies {
			where[body] = q
		}
	}
	return where
}

func counted(where map[string]string) map[string]int {
	out := make(map[string]int)
	for _, q := range where {
		out[q]++
	}
	return out
}

func TestModulusHashExchange(t *testing.T) {
	t.Parallel()
	const keys = 3_000
	spread := func() map[string]string {
		c := newClient(t, newBroker(t), "c")
		c.exchange("x", "x-modulus-hash")
		for _, q := range []string{"c", "a", "b"} {
			c.queue(q)
			c.bind("x", q, "whatever")
		}
		first := c.spread(t, "x", keys, "a", "b", "c")
		if diff := cmp.Diff(first, c.spread(t, "x", keys, "a", "b", "c")); diff != "" {
			t.Errorf("the same keys went elsewhere:\n%s", diff)
		}
		return first
	}
	first := spread()
	for q, n := range counted(first) {
		if n < keys/3-200 || n > keys/3+200 {
			t.Errorf("queue %s got %d of %d", q, n, keys)
		}
	}
	if diff := cmp.Diff(first, spread()); diff != "" {
		t.Errorf("in another process the same keys went elsewhere:\n%s", diff)
	}
}

// TestConsistentHashExchange: messages are spread by weight, and only what must move does when a
// queue comes or goes.
func TestConsistentHashExchange(t *testing.T) {
	t.Parallel()
	const keys = 8_000
	c := newClient(t, newBroker(t), "c")
	c.exchange("x", "x-consistent-hash")
	for q, weight := range map[string]string{"a": "1", "b": "1", "c": "2"} {
		c.queue(q)
		c.bind("x", q, weight)
	}
	first := c.spread(t, "x", keys, "a", "b", "c")
	n := counted(first)
	for q, want := range map[string]int{"a": keys / 4, "b": keys / 4, "c": keys / 2} {
		if n[q] < want-want/10 || n[q] > want+want/10 {
			t.Errorf("queue %s got %d, want about %d", q, n[q], want)
		}
	}
	c.queue("d")
	c.bind("x", "d", "1")
	second := c.spread(t, "x", keys, "a", "b", "c", "d")
	for key, q := range second {
		if q != "d" && q != first[key] {
			t.Fatalf("%s moved from %s to %s, though only d is new", key, first[key], q)
		}
	}
	if n := counted(second)["d"]; n < keys/5-keys/50 || n > keys/5+keys/50 {
		t.Errorf("the new queue took %d of %d", n, keys)
	}
	if _, err := c.DeleteQueue(broker.DeleteParams{Name: "b"}); err != nil {
		t.Fatal(err)
	}
	third := c.spread(t, "x", keys, "a", "c", "d")
	for key, q := range third {
		if second[key] != "b" && q != second[key] {
			t.Fatalf("%s moved from %s to %s, though only b is gone", key, second[key], q)
		}
	}
}

// TestConsistentHashHeader: the hash of a header is not cached by the routing key.
func TestConsistentHashHeader(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.exchange("x", "x-consistent-hash", broker.Field{Name: "hash-header", Value: "customer"})
	queues := []string{"a", "b", "c"}
	for _, q := range queues {
		c.queue(q)
		c.bind("x", q, "10")
	}
	for round := range 2 {
		for i := range 300 {
			body := fmt.Sprint(i)
			c.withHeaders("x", "same", body, args("customer", int32(i)))
			c.withHeaders("x", fmt.Sprint(round), body, args("customer", int32(i)))
		}
	}
	for q, got := range c.bodies(queues...) {
		if len(got) < 4*50 || len(got) > 4*150 {
			t.Errorf("queue %s got %d of 1200", q, len(got))
		}
		times := make(map[string]int)
		for _, body := range got {
			times[body]++
		}
		for body, n := range times {
			if n != 4 {
				t.Fatalf("queue %s got %d of 4 messages of customer %s", q, n, body)
			}
		}
	}
	for range 20 { // without the header all go to one queue
		c.withHeaders("x", fmt.Sprint("k", len(queues)), "bare", nil)
	}
	c.bodies(queues...)
}

// TestOneQueueWithCarbonCopies: a message with several keys still goes to one queue.
func TestOneQueueWithCarbonCopies(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"x-random", "x-modulus-hash", "x-consistent-hash"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, newBroker(t), "c")
			c.exchange("x", kind)
			for _, q := range []string{"a", "b", "c"} {
				c.queue(q)
				c.bind("x", q, "1")
			}
			m := broker.Message{}
			m.Exchange, m.Key = []byte("x"), []byte("k")
			for i := range 20 {
				m.CC = append(m.CC, fmt.Append(nil, i))
			}
			if n, err := c.Publish(&m, broker.PublishParams{}); n != 1 || err != nil {
				t.Fatalf("routed to %d queues, %v", n, err)
			}
		})
	}
}

// TestOneQueueChains: exchanges that pick one destination, behind others, before others, and as
// alternate exchanges: the pick is made anew for each message, and is never cached with the route of
// an exchange before it.
func TestOneQueueChains(t *testing.T) {
	t.Parallel()
	const messages = 600
	queues := []string{"a", "b", "c"}
	for _, kind := range []string{"x-random", "x-modulus-hash", "x-consistent-hash"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, newBroker(t), "c")
			c.exchange("pick", kind)
			c.exchange("in", "fanout")
			c.exchange("empty", kind, broker.Field{Name: "alternate-exchange", Value: "middle"})
			c.exchange("middle", "direct", broker.Field{Name: "alternate-exchange", Value: "pick"})
			for _, q := range queues {
				c.queue(q)
				c.exchange("to "+q, "fanout")
				c.bindExchange("pick", "to "+q, "1")
				c.bind("to "+q, q, "")
			}
			c.bindExchange("in", "pick", "")
			for _, first := range []string{"in", "empty", "pick"} {
				for i := range messages {
					key := fmt.Sprint(i)
					if kind == "x-random" {
						key = "same"
					}
					if n := c.withHeaders(first, key, "m", nil); n != 1 {
						t.Fatalf("from %s one message went to %d queues", first, n)
					}
				}
				for q, got := range c.bodies(queues...) {
					if n := len(got); n < messages/3-100 || n > messages/3+100 {
						t.Errorf("from %s queue %s got %d of %d", first, q, n, messages)
					}
				}
			}
		})
	}
}

// TestRecentHistory: a queue that is bound gets the last messages, oldest first, and then what is new.
func TestRecentHistory(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.exchange("x", "x-recent-history", broker.Field{
		Name: "x-recent-history-length", Value: int32(3),
	})
	c.exchange("default", "x-recent-history")
	for i := range 30 {
		c.publish("default", "k", fmt.Sprint(i))
	}
	for _, body := range []string{"1", "2", "3", "4"} {
		c.publish("x", "k", body)
	}
	c.withHeaders("x", "k", "secret", args("x-recent-history-no-store", true))
	for _, q := range []string{"q", "through", "20"} {
		c.queue(q)
	}
	c.bind("x", "q", "other key")
	c.bind("x", "q", "other key") // again: nothing changes
	c.publish("x", "k", "5")
	c.bind("amq.fanout", "through", "")
	c.bindExchange("x", "amq.fanout", "")
	last := &broker.Message{Body: []byte("6")}
	last.Exchange = []byte("x")
	if _, err := c.Commit(broker.Commit{Publishes: []broker.CommitPublish{{Message: last}}}); err != nil {
		t.Fatal(err)
	}
	c.queue("after")
	c.bind("x", "after", "")
	c.bind("default", "20", "")
	want := map[string][]string{
		"q": {"2", "3", "4", "5", "6"}, "through": {"5", "4", "3", "6"}, "after": {"4", "5", "6"},
	}
	if diff := cmp.Diff(want, c.bodies("q", "through", "after")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := c.drain("20"); len(got) != 20 || got[0] != "10" {
		t.Errorf("the default is the last 20; got %v", got)
	}
}

// TestRecentHistoryMemory: what a history keeps is counted, bounded, and let go with its exchange.
func TestRecentHistoryMemory(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c := newClient(t, b, "c")
	c.exchange("x", "x-recent-history", broker.Field{
		Name: "x-recent-history-length", Value: int32(10_000),
	})
	body := strings.Repeat("x", 1<<20)
	for range 100 {
		c.publish("x", "", body)
	}
	if held := b.HeldBytes(); held < 60<<20 || held > 65<<20 {
		t.Errorf("the history holds %d bytes", held)
	}
	if err := c.DeleteExchange("x", false); err != nil {
		t.Fatal(err)
	}
	if held := b.HeldBytes(); held != 0 {
		t.Errorf("the history of a deleted exchange holds %d bytes", held)
	}
}

// TestCachedRoutesChange: routes that are cached follow every change of what they lead through.
func TestCachedRoutesChange(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.exchange("in", "direct", broker.Field{Name: "alternate-exchange", Value: "spare"})
	c.exchange("out", "fanout")
	routed := func(exchange string) int {
		t.Helper()
		n := c.withHeaders(exchange, "k", "m", nil)
		if again := c.withHeaders(exchange, "k", "m", nil); again != n {
			t.Errorf("the same message went to %d and to %d queues", n, again)
		}
		return n
	}
	var got []int
	step := func(change func()) {
		change()
		got = append(got, routed("in"), routed(""))
	}
	step(func() {})
	step(func() { c.queue("k") })
	step(func() { c.exchange("spare", "fanout") })
	step(func() { c.bind("spare", "k", "") })
	step(func() { c.bindExchange("in", "out", "k") })
	step(func() { c.bind("out", "k", "") })
	step(func() { _, _ = c.DeleteQueue(broker.DeleteParams{Name: "k"}) })
	step(func() { c.queue("k") })
	step(func() { c.bind("out", "k", "") })
	step(func() { _ = c.DeleteExchange("out", false) })
	step(func() { c.bind("spare", "k", "") })
	step(func() { _ = c.DeleteExchange("spare", false) })
	step(func() { _ = c.DeleteExchange("in", false); c.exchange("in", "fanout") })
	step(func() { c.bind("in", "k", "") })
	want := []int{0, 0, 0, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 0, 1, 1, 1}
	if !slices.Equal(got, want) {
		t.Errorf("routed %v\nwant   %v", got, want)
	}
}
