// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// TestPolicyChoice: one policy of each kind acts, by what it applies to, its pattern, its priority
// and its name; the operator's bounds the user's.
func TestPolicyChoice(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	set := func(kind broker.PolicyKind, p broker.Policy) {
		t.Helper()
		if created, err := c.vhost().SetPolicy(kind, p); err != nil || !created {
			t.Fatal(created, err)
		}
	}
	set(broker.UserPolicy, broker.Policy{
		Name: "b", Pattern: "jobs", Priority: 5,
		Definition: definition{"max-length": 10, "message-ttl": 500, "queue-mode": "lazy"},
	})
	set(broker.UserPolicy, broker.Policy{
		Name: "c", Pattern: ".", Priority: 5, Definition: definition{"max-length": 1},
	})
	set(broker.UserPolicy, broker.Policy{
		Name: "a", Pattern: ".", Priority: 4, Definition: definition{"max-length": 2},
	})
	set(broker.UserPolicy, broker.Policy{
		Name: "q", Pattern: ".", ApplyTo: "quorum_queues", Priority: 9,
		Definition: definition{"delivery-limit": 3},
	})
	set(broker.UserPolicy, broker.Policy{
		Name: "x", Pattern: "ex", ApplyTo: "exchanges", Priority: 9,
		Definition: definition{"alternate-exchange": "other"},
	})
	set(broker.OperatorPolicy, broker.Policy{
		Name: "op", Pattern: "^jobs", ApplyTo: "queues",
		Definition: definition{"message-ttl": 900, "max-length": 7, "expires": 60_000},
	})
	c.exchange("ex", "direct")
	c.queue("jobs.ex")
	c.queue("other")
	if _, err := c.DeclareQueue(broker.QueueParams{
		Name: "quorum jobs", Durable: true, Arguments: broker.Table{arg("x-queue-type", "quorum")},
	}); err != nil {
		t.Fatal(err)
	}
	of := func(name string) broker.EffectivePolicy {
		q, ok := c.vhost().Queue(name)
		if !ok {
			t.Fatal(name)
		}
		return q.EffectivePolicy()
	}
	testCases := map[string]broker.EffectivePolicy{
		"jobs.ex": {User: "b", Operator: "op", Definition: definition{
			"max-length": int64(7), "message-ttl": int64(500), "queue-mode": "lazy",
			"expires": int64(60_000),
		}},
		"other":       {User: "c", Definition: definition{"max-length": int64(1)}},
		"quorum jobs": {User: "q", Definition: definition{"delivery-limit": int64(3)}},
	}
	for name, want := range testCases {
		if diff := cmp.Diff(want, of(name)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	x, _ := c.vhost().Exchange("ex")
	want := broker.EffectivePolicy{
		User: "x", Definition: definition{"alternate-exchange": "other"},
	}
	if diff := cmp.Diff(want, x.EffectivePolicy()); diff != "" {
		t.Error(diff)
	}
	var names []string
	for _, p := range c.vhost().Policies(broker.UserPolicy) {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "q x b c a" {
		t.Errorf("policies %s", got)
	}
	c.noPolicy("c")
	if got := of("other").User; got != "a" {
		t.Errorf("next is %q", got)
	}
	if got := slices.Collect(components(c.vhost(), "")); !slices.Equal(got,
		[]string{"operator_policy/op"}) {
		t.Errorf("parameters %q", got)
	}
}

// TestPolicyErrors: RabbitMQ's words.
func TestPolicyErrors(t *testing.T) {
	t.Parallel()
	ok := definition{"max-length": 1}
	user, operator := broker.UserPolicy, broker.OperatorPolicy
	testCases := []struct {
		kind broker.PolicyKind
		p    broker.Policy
		want string
	}{
		{
			user,
			broker.Policy{Pattern: "(", Definition: ok},
			"pattern should be regular expression but is invalid: ",
		},
		{
			user,
			broker.Policy{Pattern: strings.Repeat("a", 1025), Definition: ok},
			"pattern should be at most 1024 bytes",
		},
		{
			user,
			broker.Policy{ApplyTo: "bogus", Definition: ok},
			"apply-to 'bogus' unrecognised; should be one of: 'queues', 'classic_queues', " +
				"'quorum_queues', 'streams', 'exchanges', or 'all' (default)\n",
		},
		{user, broker.Policy{}, "no policy provided\n"},
		{
			user,
			broker.Policy{Definition: definition{"max-length": -1}},
			"-1 is not a valid maximum length\n",
		},
		{
			user,
			broker.Policy{Definition: definition{"max-length-bytes": "x"}},
			"<<\"x\">> is not a valid maximum length in bytes\n",
		},
		{
			user,
			broker.Policy{Definition: definition{"message-ttl": 0.5}},
			"0.5 is not a valid message TTL\n",
		},
		{
			user,
			broker.Policy{Definition: definition{"expires": 0}},
			"0 is not a valid queue expiry\n",
		},
		{
			user,
			broker.Policy{Definition: definition{"delivery-limit": true}},
			"true is not a valid delivery limit\n",
		},
		{
			user,
			broker.Policy{Definition: definition{"overflow": "x"}},
			"<<\"x\">> is not a valid overflow value\n",
		},
		{
			user,
			broker.Policy{Definition: definition{"queue-mode": "x"}},
			"<<\"x\">> is not a valid queue-mode value\n",
		},
		{
			user,
			broker.Policy{Definition: definition{"alternate-exchange": 1}},
			"1 is not a valid alternate exchange name\n",
		},
		{
			user,
			broker.Policy{Definition: definition{"dead-letter-exchange": []any{"x", 1}}},
			"[<<\"x\">>,1] is not a valid dead letter exchange name\n",
		},
		{
			user,
			broker.Policy{Definition: definition{"dead-letter-routing-key": definition{"a": 1}}},
			"#{<<\"a\">> => 1} is not a valid dead letter routing key\n",
		},
		{
			user,
			broker.Policy{Definition: definition{"max-length": 1, "bogus": 2}},
			"[{<<\"bogus\">>,2}] are not recognised policy settings\n",
		},
		{
			operator,
			broker.Policy{Definition: definition{"dead-letter-exchange": "x"}},
			"[{<<\"dead-letter-exchange\">>,<<\"x\">>}] are not recognised policy settings\n",
		},
	}
	v := newClient(t, newBroker(t), "c").vhost()
	for _, tc := range testCases {
		tc.p.Name = "p"
		_, err := v.SetPolicy(tc.kind, tc.p)
		e, ok := errors.AsType[*broker.Error](err)
		if !ok || e.Code != broker.CodeBadRequest ||
			!strings.HasPrefix(e.Text, "Validation failed\n\n"+tc.want) {
			t.Errorf("%+v: %v", tc.p, err)
		}
	}
	absent := &broker.Error{Code: broker.CodeNotFound}
	if err := v.DeletePolicy(user, "p"); !errors.Is(err, absent) {
		t.Errorf("deleting what is not there: %v", err)
	}
	if _, err := v.SetParameter(broker.Parameter{
		Component: "policy", Name: "p", Value: []byte(`{}`),
	}); err == nil {
		t.Error("a policy was set as a parameter")
	}
}

// TestRecoverPolicies: policies and parameters stand after a restart, and act; those of a virtual
// host go with it.
func TestRecoverPolicies(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true})
	first := restarted(t, log)
	c := newClient(t, first, "c")
	if _, err := c.DeclareQueue(broker.QueueParams{Name: "q", Durable: true}); err != nil {
		t.Fatal(err)
	}
	c.policy("gone", "q", definition{"max-length": 1})
	c.policy("p", "q", definition{"max-length": 5})
	c.policy("p", "q", definition{"max-length": 2})
	c.noPolicy("gone")
	for _, p := range []broker.Parameter{
		{Component: "shovel", Name: "s", Value: []byte(`{"src":1}`)},
		{Component: "shovel", Name: "gone", Value: []byte(`1`)},
		{
			Component: "operator_policy", Name: "op",
			Value: []byte(`{"pattern":"","priority":1,"definition":{"max-length-bytes":9}}`),
		},
	} {
		if created, err := c.vhost().SetParameter(p); err != nil || !created {
			t.Fatal(created, err)
		}
	}
	v, err := first.AddVirtualHost("v")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = v.SetPolicy(broker.UserPolicy, broker.Policy{
		Name: "x", Definition: definition{"expires": 1},
	}); err != nil {
		t.Fatal(err)
	}
	_, set := first.SetGlobalParameter("cluster_name", []byte(`"rabbit"`))
	if err := errors.Join(
		set, c.vhost().DeleteParameter("shovel", "gone"), first.DeleteVirtualHost("v"),
	); err != nil {
		t.Fatal(err)
	}
	first.Close()

	second := restarted(t, log)
	d := newClient(t, second, "d")
	q, _ := d.vhost().Queue("q")
	want := broker.EffectivePolicy{User: "p", Operator: "op", Definition: definition{
		"max-length": int64(2), "max-length-bytes": int64(9),
	}}
	if diff := cmp.Diff(want, q.EffectivePolicy()); diff != "" {
		t.Error(diff)
	}
	for _, body := range []string{"a", "b", "c"} {
		put(t, d, "", "q", body)
	}
	if diff := cmp.Diff([]string{"b", "c"}, d.drain("q")); diff != "" {
		t.Error(diff)
	}
	if got := slices.Collect(components(d.vhost(), "")); !slices.Equal(got,
		[]string{"operator_policy/op", "shovel/s"}) {
		t.Errorf("parameters %q", got)
	}
	globals := second.GlobalParameters()
	if len(globals) != 1 || string(globals[0].Value) != `"rabbit"` {
		t.Errorf("global parameters %+v", globals)
	}
	again, err := second.AddVirtualHost("v")
	if err != nil || len(again.Policies(broker.UserPolicy)) != 0 {
		t.Errorf("a new virtual host has the old one's policies: %v", err)
	}
	if err := second.DeleteGlobalParameter("cluster_name"); err != nil {
		t.Error(err)
	}
	second.Close()
}

// components yields component and name of the parameters.
func components(v *broker.VirtualHost, component string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, p := range v.Parameters(component) {
			if !yield(p.Component + "/" + p.Name) {
				return
			}
		}
	}
}
