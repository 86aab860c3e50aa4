// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-ipc/parley/internal/broker"
)

func (c *client) exchange(name, kind string, args ...broker.Field) {
	c.tb.Helper()
	p := broker.ExchangeParams{Name: name, Type: kind, Arguments: args}
	if _, err := c.DeclareExchange(p); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *client) bind(source, queue, key string, args ...broker.Field) {
	c.tb.Helper()
	p := broker.BindingParams{Source: source, Destination: queue, Key: key, Arguments: args}
	if err := c.Bind(p); err != nil {
		c.tb.Fatal(err)
	}
}

// drain takes everything that is ready in a queue.
func (c *client) drain(queue string) []string {
	c.tb.Helper()
	for {
		ok, err := c.Get(queue, true)
		if err != nil {
			c.tb.Fatal(err)
		}
		if !ok {
			return c.take()
		}
	}
}

func TestTopicBindings(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		binding, key string
		want         bool
	}{
		{"a.b", "a.b", true},
		{"a.b", "a.b.c", false},
		{"a.*", "a.b", true},
		{"a.*", "a", false},
		{"a.*", "a.b.c", false},
		{"#", "", true},
		{"#", "a.b.c", true},
		{"*", "", false},
		{"", "", true},
		{"", "a", false},
		{"a.#", "a", true},
		{"a.#", "a.b.c", true},
		{"#.c", "c", true},
		{"#.c", "a.b.c", true},
		{"#.c", "a.c.b", false},
		{"#.b.#", "a.b.c", true},
		{"#.b.#", "a.c", false},
		{"*.#.*", "a", false},
		{"*.#.*", "a.b", true},
		{"#.#.#", "", true},
		{"#.*.#", "", false},
		{"#.*.#.b", "a.b", true},
		{"#.*.#.b", "b", false},
		{"a..b", "a..b", true},
		{"a.*.b", "a..b", true},
	}
	for _, tc := range testCases {
		t.Run(tc.binding+" "+tc.key, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, newBroker(t), "c")
			c.queue("q")
			c.bind("amq.topic", "q", tc.binding)
			c.publish("amq.topic", tc.key, "m")
			if got := len(c.drain("q")) == 1; got != tc.want {
				t.Fatalf("matched %v, want %v", got, tc.want)
			}
		})
	}
}

// matchNaively is the definition of a topic match, by recursion.
func matchNaively(binding, key []string) bool {
	switch {
	case len(binding) == 0:
		return len(key) == 0
	case binding[0] == "#":
		return matchNaively(binding[1:], key) || len(key) > 0 && matchNaively(binding, key[1:])
	case len(key) == 0:
		return false
	}
	return (binding[0] == "*" || binding[0] == key[0]) && matchNaively(binding[1:], key[1:])
}

func TestTopicTrieAgainstDefinition(t *testing.T) {
	t.Parallel()
	words := func(rt *rapid.T, from []string, label string) []string {
		return rapid.SliceOfN(rapid.SampledFrom(from), 1, 6).Draw(rt, label)
	}
	rapid.Check(t, func(rt *rapid.T) {
		c := newClient(t, newBroker(t), "c")
		bound := map[string][]string{}
		for range rapid.IntRange(1, 8).Draw(rt, "bindings") {
			w := words(rt, []string{"a", "b", "*", "#"}, "binding")
			name := strings.Join(w, ".")
			c.queue(name)
			c.bind("amq.topic", name, name)
			bound[name] = w
		}
		for name := range bound {
			if rapid.Bool().Draw(rt, "unbind") {
				p := broker.BindingParams{Source: "amq.topic", Destination: name, Key: name}
				if err := c.Unbind(p); err != nil {
					rt.Fatal(err)
				}
				delete(bound, name)
			}
		}
		key := words(rt, []string{"a", "b", "c"}, "key")
		c.publish("amq.topic", strings.Join(key, "."), "m")
		for _, q := range c.Connection().VirtualHost().Queues() {
			w, isBound := bound[q.Name]
			want := isBound && matchNaively(w, key)
			if got := q.Stats().Ready == 1; got != want {
				rt.Fatalf("binding %v, key %v: matched %v, want %v", w, key, got, want)
			}
		}
	})
}

// TestTopicManyHashes is security.md A9: the cost is words times nodes.
func TestSecA9TopicManyHashes(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("q")
	c.bind("amq.topic", "q", strings.TrimSuffix(strings.Repeat("#.", 100), ".")+".end")
	c.publish("amq.topic", strings.Repeat(".", 126)+"end", "hit")
	c.publish("amq.topic", strings.Repeat("x.", 126)+"miss", "miss")
	if diff := cmp.Diff([]string{"hit"}, c.drain("q")); diff != "" {
		t.Fatal(diff)
	}
}

// TestTopicUnbind: keys that mean the same are different bindings, and each is taken away alone.
func TestTopicUnbind(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	for _, key := range []string{"#.*", "*.#", "#.*.#"} {
		c.queue(key)
		c.bind("amq.topic", key, key)
	}
	p := broker.BindingParams{Source: "amq.topic", Destination: "*.#", Key: "*.#"}
	if err := c.Unbind(p); err != nil {
		t.Fatal(err)
	}
	c.publish("amq.topic", "a.b", "m")
	want := map[string][]string{"#.*": {"m"}, "*.#": nil, "#.*.#": {"m"}}
	if diff := cmp.Diff(want, c.bodies("#.*", "*.#", "#.*.#")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestFanOutOneCopy: a message that waits in many queues is in memory once.
func TestFanOutOneCopy(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c := newClient(t, b, "c")
	const queues, bodyBytes = 100, 4 << 10
	for i := range queues {
		c.queue(fmt.Sprint(i))
		c.bind("amq.fanout", fmt.Sprint(i), "")
	}
	c.publish("amq.fanout", "", strings.Repeat("x", bodyBytes))
	if held := b.HeldBytes(); held < bodyBytes || held > 3*bodyBytes {
		t.Errorf("%d bytes are held for a body of %d in %d queues", held, bodyBytes, queues)
	}
}

func TestHeadersExchange(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name    string
		args    broker.Table
		headers broker.Table
		want    bool
	}{
		{"all by default", broker.Table{{"a", "1"}, {"b", "2"}}, broker.Table{{"a", "1"}}, false},
		{"all", broker.Table{{"x-match", "all"}, {"a", "1"}}, broker.Table{{"a", "1"}}, true},
		{
			"any",
			broker.Table{{"x-match", "any"}, {"a", "1"}, {"b", "2"}},
			broker.Table{{"b", "2"}},
			true,
		},
		{"any of nothing", broker.Table{{"x-match", "any"}}, broker.Table{{"b", "2"}}, false},
		{"all of nothing", nil, nil, true},
		{"void asks presence", broker.Table{{"a", nil}}, broker.Table{{"a", int32(7)}}, true},
		{"void, absent", broker.Table{{"a", nil}}, nil, false},
		{"widths are equal", broker.Table{{"a", int64(7)}}, broker.Table{{"a", int8(7)}}, true},
		{"whole and fraction", broker.Table{{"a", 7.0}}, broker.Table{{"a", int8(7)}}, true},
		{"another fraction", broker.Table{{"a", 7.5}}, broker.Table{{"a", int8(7)}}, false},
		{"number and text", broker.Table{{"a", 7.0}}, broker.Table{{"a", "7"}}, false},
		{"x- is skipped", broker.Table{{"x-a", "1"}, {"b", "2"}}, broker.Table{{"b", "2"}}, true},
		{
			"x- with all-with-x",
			broker.Table{{"x-match", "all-with-x"}, {"x-a", "1"}},
			nil, false,
		},
		{
			"x- with any-with-x",
			broker.Table{{"x-match", "any-with-x"}, {"x-a", "1"}, {"b", "2"}},
			broker.Table{{"x-a", "1"}},
			true,
		},
		{
			"x- with any",
			broker.Table{{"x-match", "any"}, {"x-a", "1"}, {"b", "2"}},
			broker.Table{{"x-a", "1"}},
			false,
		},
		{
			"any-with-x of others",
			broker.Table{{"x-match", "any-with-x"}, {"x-a", "1"}},
			broker.Table{{"x-a", "2"}},
			false,
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, newBroker(t), "c")
			c.queue("q")
			c.bind("amq.headers", "q", "", tc.args...)
			m := broker.Message{Overlay: tc.headers, Body: []byte("m")}
			m.Exchange = []byte("amq.headers")
			n, err := c.Publish(&m, broker.PublishParams{})
			if err != nil || (n == 1) != tc.want {
				t.Fatalf("routed %d, %v; want match %v", n, err, tc.want)
			}
		})
	}
}

func TestHeadersBadMatch(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("q")
	err := c.Bind(broker.BindingParams{
		Source: "amq.headers", Destination: "q", Arguments: broker.Table{{"x-match", "some"}},
	})
	wantText(t, err, broker.CodeBadRequest, `Invalid x-match field value <<"some">>; `+
		`expected all, any, all-with-x, or any-with-x`)
}

func wantText(t *testing.T, err error, code broker.Code, text string) {
	t.Helper()
	var e *broker.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want %s", err, text)
	}
	if e.Code != code || e.Text != text {
		t.Fatalf("got %v %q\nwant %v %q", e.Code, e.Text, code, text)
	}
}

func TestExchangeToExchangeAndAlternate(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("q")
	c.queue("lost")
	c.exchange("in", "direct", broker.Field{Name: "alternate-exchange", Value: "spare"})
	c.exchange("out", "fanout")
	c.exchange("spare", "fanout")
	for _, to := range []string{"out", "in"} { // a loop through itself is visited once
		p := broker.BindingParams{Source: "in", Destination: to, Key: "k", ToExchange: true}
		if err := c.Bind(p); err != nil {
			t.Fatal(err)
		}
	}
	c.bind("out", "q", "")
	c.bind("in", "q", "k") // both ways to q, one copy
	c.bind("spare", "lost", "")
	c.publish("in", "k", "hit")
	c.publish("in", "other", "astray")
	if diff := cmp.Diff([]string{"hit"}, c.drain("q")); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff([]string{"astray"}, c.drain("lost")); diff != "" {
		t.Fatal(diff)
	}
}

func TestAutoDeleteExchangeGoesWithItsLastBinding(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("q")
	if _, err := c.DeclareExchange(broker.ExchangeParams{
		Name: "x", Type: "fanout", AutoDelete: true,
	}); err != nil {
		t.Fatal(err)
	}
	c.bind("x", "q", "")
	if _, err := c.DeleteQueue(broker.DeleteParams{Name: "q"}); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Connection().VirtualHost().Exchange("x"); ok {
		t.Fatal("the exchange is still there")
	}
}

func TestStructureErrors(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c, other := newClient(t, b, "c"), newClient(t, b, "other")
	c.exchange("x", "direct")
	c.queue("q", broker.Field{Name: "x-message-ttl", Value: int32(10)})
	if _, err := c.DeclareQueue(broker.QueueParams{Name: "mine", Exclusive: true}); err != nil {
		t.Fatal(err)
	}
	queue := func(p broker.QueueParams) error {
		_, err := other.DeclareQueue(p)
		return err
	}
	exchange := func(p broker.ExchangeParams) error {
		_, err := other.DeclareExchange(p)
		return err
	}
	ttl := func(v any) broker.Table { return broker.Table{{"x-message-ttl", v}} }
	testCases := []struct {
		name string
		err  error
		code broker.Code
		text string
	}{
		{
			"passive queue", queue(broker.QueueParams{Name: "no", Passive: true}),
			broker.CodeNotFound, "no queue 'no' in vhost '/'",
		},
		{
			"passive exchange", exchange(broker.ExchangeParams{Name: "no", Passive: true}),
			broker.CodeNotFound, "no exchange 'no' in vhost '/'",
		},
		{
			"type", exchange(broker.ExchangeParams{Name: "x", Type: "fanout"}),
			broker.CodeInequivalent,
			"inequivalent arg 'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'direct'",
		},
		{
			"unknown type", exchange(broker.ExchangeParams{Name: "y", Type: "odd"}),
			broker.CodeInequivalent, "unknown exchange type 'odd'",
		},
		{
			"durable", queue(broker.QueueParams{Name: "q", Durable: true, Arguments: ttl(int32(10))}),
			broker.CodeInequivalent,
			"inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'",
		},
		{
			"argument", queue(broker.QueueParams{Name: "q", Arguments: ttl(int64(20))}),
			broker.CodeInequivalent,
			"inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '20' but current is '10'",
		},
		{
			"argument missing", queue(broker.QueueParams{Name: "q"}),
			broker.CodeInequivalent,
			"inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received none but current is the value '10' of type 'signedint'",
		},
		{
			"bad argument", queue(broker.QueueParams{Name: "z", Arguments: ttl(int32(-1))}),
			broker.CodeBadRequest,
			"invalid arg 'x-message-ttl' for queue 'z' in vhost '/': {value_negative,-1}",
		},
		{
			"reserved", queue(broker.QueueParams{Name: "amq.mine"}),
			broker.CodeForbidden, "queue name 'amq.mine' contains reserved prefix 'amq.*'",
		},
		{
			"exclusive", queue(broker.QueueParams{Name: "mine", Exclusive: true}),
			broker.CodeLocked, "cannot obtain exclusive access to locked queue 'mine' in vhost '/'. " +
				"It could be originally declared on another connection or the exclusive property " +
				"value does not match that of the original declaration.",
		},
		{
			"default exchange", other.DeleteExchange("", false),
			broker.CodeForbidden, "operation not permitted on the default exchange",
		},
		{
			"system exchange", other.DeleteExchange("amq.topic", false), broker.CodeForbidden,
			"deletion of system exchange 'amq.topic' in vhost '/' not allowed",
		},
		{
			"unknown tag", other.Settle(broker.SettleParams{Tag: 82}),
			broker.CodeUnknownTag, "unknown delivery tag 82",
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			wantText(t, tc.err, tc.code, tc.text)
		})
	}
}

func TestExclusiveQueueEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c, other := newClient(t, b, "c"), newClient(t, b, "other")
	if _, err := c.DeclareQueue(broker.QueueParams{Name: "mine", Exclusive: true}); err != nil {
		t.Fatal(err)
	}
	c.Connection().Close()
	if names := queueNames(other); slices.Contains(names, "mine") {
		t.Fatalf("queues left: %v", names)
	}
}

func queueNames(c *client) []string {
	var out []string
	for _, q := range c.Connection().VirtualHost().Queues() {
		out = append(out, q.Name)
	}
	slices.Sort(out)
	return out
}
