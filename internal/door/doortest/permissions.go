// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"fmt"
	"slices"
	"testing"
)

func permissionScenarios() []scenario {
	return []scenario{
		{"logins refused", loginsRefused},
		{"permissions", permissions},
		{"permitted", permitted},
	}
}

// enter connects and consumes, so that a protocol without connections has to show itself too. Who cannot
// consume calls.
func (h *hub) enter(who Account) (Client, error) {
	h.tb.Helper()
	c, err := h.door.Connect(h.tb, who)
	if err != nil {
		return nil, err
	}
	if h.features.lacks(Receive) {
		_, err = c.Call(question1("q"))
		return c, err
	}
	_, err = c.Consume(Subscription{Queue: "q"})
	return c, err
}

// loginsRefused: who may not come in is told so in the door's own words, and leaves nothing behind.
func loginsRefused(t *testing.T, d Driver) {
	h := newHub(t, &d, hubOptions{})
	h.queue("q")
	for _, tc := range []struct {
		name  string
		who   Account
		fault Fault
		need  Ability
	}{
		{"wrong password", Account{User: guest, VHost: root, Wrong: true}, WrongPassword, ShowPassword},
		{"stranger", Account{User: stranger, VHost: root}, ForbiddenVHost, ""},
		{"another's virtual host", Account{User: limited, VHost: other}, ForbiddenVHost, ChooseVHost},
		{"unknown virtual host", Account{User: guest, VHost: "/none"}, UnknownVHost, ChooseVHost},
	} {
		if h.features.lacks(tc.need) {
			continue
		}
		_, err := h.enter(tc.who)
		h.refused(t, tc.name, err, tc.fault)
	}
	if n := len(h.broker.Connections()); n != 0 {
		t.Errorf("%d connections are left of who was refused", n)
	}
}

// attempt is something that a user may not do.
type attempt struct {
	name string
	user string
	need Ability
	do   func(c Client) error
}

// manage is an attempt to change or see the structure.
func manage(name string, op Op) attempt {
	return attempt{name, limited, op.Do, func(c Client) error { return c.Manage(op) }}
}

// attempts are every way to something that the limited user may not touch, and the ways of nobody.
func attempts() []attempt {
	const theirs, theirX, mineX = "theirs", "theirs.x", mine + ".x"
	consume := func(s Subscription) func(Client) error {
		return func(c Client) error { _, err := c.Consume(s); return err }
	}
	publish := func(m *Message) func(Client) error {
		return func(c Client) error { return c.Publish(m) }
	}
	call := func(c Client) error { _, err := c.Call(question1(mine)); return err }
	gather := func(q Question) func(Client) error {
		return func(c Client) error { _, err := c.Gather(q); return err }
	}
	return []attempt{
		manage("declare", Op{Do: DeclareQueue, Queue: "theirs.new"}),
		manage("look", Op{Do: InspectQueue, Queue: theirs}),
		manage("purge", Op{Do: PurgeQueue, Queue: theirs}),
		manage("delete", Op{Do: DeleteQueue, Queue: theirs}),
		manage("get", Op{Do: GetMessage, Queue: theirs}),
		manage("declare exchange", Op{Do: DeclareExchange, Exchange: "theirs.y"}),
		manage("look at exchange", Op{Do: InspectExchange, Exchange: theirX}),
		manage("delete exchange", Op{Do: DeleteExchange, Exchange: theirX}),
		manage("bind from", Op{Do: BindQueue, Source: theirX, Queue: mine}),
		manage("bind to", Op{Do: BindQueue, Source: mineX, Queue: theirs}),
		manage("unbind", Op{Do: UnbindQueue, Source: theirX, Queue: theirs, Key: "k"}),
		manage("bind exchange from", Op{Do: BindExchange, Source: theirX, Exchange: mineX}),
		manage("bind exchange to", Op{Do: BindExchange, Source: mineX, Exchange: theirX}),
		manage("dead letters", Op{Do: DeclareQueue, Queue: mine + ".new", DeadLetters: theirX}),
		manage("alternate", Op{Do: DeclareExchange, Exchange: mine + ".new", Alternate: theirX}),
		{"publish", limited, AnyExchange, publish(&Message{Exchange: theirX, Key: "k"})},
		{"publish on a topic", limited, SendToQueue, publish(&Message{Exchange: topics, Key: "k"})},
		{"consume", limited, Receive, consume(Subscription{Queue: theirs})},
		{"subscribe", limited, Receive, consume(Subscription{Topic: "k"})},
		{"gather on a topic", limited, GatherByName, gather(Question{Topic: "k", Timeout: timeout})},
		{"send as nobody", nobody, SendToQueue, publish(text(mine, "m"))},
		{"consume as nobody", nobody, Receive, consume(Subscription{Queue: mine})},
		{"call as nobody", nobody, "", call},
		{"gather as nobody", nobody, "", gather(question1(mine))},
	}
}

func question1(service string) Question {
	return Question{Service: service, Operation: "Ask", Timeout: timeout}
}

// permissions: every way is closed, with the door's own words, and nothing has changed.
func permissions(t *testing.T, d Driver) {
	h := newHub(t, &d, hubOptions{})
	for _, queue := range []string{mine, "theirs"} {
		h.queue(queue)
	}
	h.exchange(mine + ".x")
	h.exchange("theirs.x")
	h.bind("theirs.x", "theirs", "k")
	h.bind(topics, "theirs", "k")
	send(t, h.plain("owner"), "theirs", "secret")
	consume(t, h.plain("worker"), Subscription{Queue: mine})
	before := h.structure()
	for _, a := range attempts() {
		t.Run(a.name, func(t *testing.T) { // one after the other: each is followed by a look
			h.features.need(t, a.need)
			c := connectTo(t, h.door, Account{User: a.user, VHost: root, Name: a.name})
			h.refused(t, a.name, a.do(c), Forbidden)
			if after := h.structure(); !slices.Equal(before, after) {
				t.Errorf("it changed\n%v to\n%v", before, after)
			}
		})
	}
}

// structure lists queues with what they hold, exchanges and bindings.
func (h *hub) structure() []string {
	v, _ := h.broker.VirtualHost(root)
	queues, exchanges, bound := v.Queues(), v.Exchanges(), v.Bindings()
	out := make([]string, 0, len(queues)+len(exchanges)+len(bound))
	for _, q := range queues {
		s := q.Stats()
		out = append(out, fmt.Sprintf("queue %s %d %d", q.Name, s.Ready, s.Unsettled))
	}
	for _, x := range exchanges {
		out = append(out, "exchange "+x.Name)
	}
	for _, b := range bound {
		out = append(out, fmt.Sprintf("binding %s %s %s", b.Source, b.Destination, b.Key))
	}
	slices.Sort(out)
	return out
}

// permitted: what the limited user may do works, so that the refusals are for the right reason.
func permitted(t *testing.T, d Driver) {
	d.Features.need(t, SendToQueue)
	h := newHub(t, &d, hubOptions{})
	h.queue(mine)
	c := connectTo(t, h.door, Account{User: limited, VHost: root, Name: "limited"})
	send(t, c, mine, "m")
	take(t, consume(t, c, Subscription{Queue: mine, Auto: true}), "m")
	h.features.need(t, DeclareQueue)
	if err := c.Manage(Op{Do: DeclareQueue, Queue: mine + ".new"}); err != nil {
		t.Error(err)
	}
}
