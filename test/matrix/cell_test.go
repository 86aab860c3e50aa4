// SPDX-License-Identifier: Apache-2.0

package matrix

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

// A cell is one pair of protocols in one style.
type cell struct {
	t               *testing.T
	ctx             context.Context //nolint:containedctx // the cell's own time limit
	hub             *harness.Hub
	client, service peers.Protocol
	name            string // of the cell's service, queue or topic
	worker          string // the program of the cell's other processes
}

func newCell(
	t *testing.T, hub *harness.Hub, client, service peers.Protocol, name string,
) *cell {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), cellWait)
	t.Cleanup(cancel)
	c := &cell{t: t, ctx: ctx, hub: hub, name: name}
	c.client, c.service = peers.Pair(client, service)
	if c.client.Contract {
		c.must("contract", peers.PutContract(ctx, hub, name))
	}
	return c
}

// dial opens a peer that ends with the cell.
func (c *cell) dial(p peers.Protocol) peers.Peer {
	c.t.Helper()
	peer, err := p.Dial(c.ctx, c.hub)
	if err != nil {
		c.t.Fatalf("%s: %v", p.Name, err)
	}
	c.t.Cleanup(peer.Close)
	return peer
}

// must ends the cell on an error.
func (c *cell) must(what string, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
}

// receive waits for the next value.
func receive[T any](c *cell, what string, ch <-chan T) T {
	c.t.Helper()
	var v T
	select {
	case v = <-ch:
	case <-c.ctx.Done():
		c.t.Fatalf("%s: did not come", what)
	}
	return v
}

// call: the answer; an error and a missed deadline in the client's own form.
func (c *cell) call() {
	server := c.dial(c.service)
	c.must("serve", server.Serve(c.ctx, c.name, func(_ context.Context, r peers.Request) peers.Reply {
		switch r.Body {
		case "fail":
			return peers.Reply{Body: "cannot", Error: "exception"}
		case "be silent":
			return peers.Reply{Silent: true}
		}
		return peers.Reply{Body: "hello " + r.Body}
	}))
	client := c.dial(c.client)
	for _, who := range []string{"anna", "bob"} {
		answer, err := client.Call(c.ctx, c.name, who, cellWait)
		c.must("call", err)
		if answer != "hello "+who {
			c.t.Errorf("%s got %q", who, answer)
		}
	}
	_, err := client.Call(c.ctx, c.name, "fail", cellWait)
	c.checkError(err)
	c.checkDeadline(client)
	if n := client.Strays(); n > 0 {
		c.t.Errorf("%d answers that nobody asked for", n)
	}
}

// checkError holds a service's error against the form of the client's protocol.
func (c *cell) checkError(err error) {
	c.t.Helper()
	f, ok := errors.AsType[*peers.Failure](err)
	if !ok {
		c.t.Fatalf("the service's error arrives as %v", err)
	}
	if c.client.Name == "REST" {
		if f.Status != peers.ErrorStatus || !strings.Contains(f.Body, "cannot") {
			c.t.Errorf("the service's error arrives as %s %q", f.Form, f.Body)
		}
		return
	}
	if f.Form != peers.ServiceError(c.client.Name) || f.Code != "exception" || f.Body != "cannot" {
		c.t.Errorf("the service's error arrives as %s %s %q", f.Form, f.Code, f.Body)
	}
}

// checkDeadline makes a call that nobody answers.
func (c *cell) checkDeadline(client peers.Peer) {
	c.t.Helper()
	const limit = 300 * time.Millisecond
	start := time.Now()
	_, err := client.Call(c.ctx, c.name, "be silent", limit)
	took := time.Since(start)
	// A deadline that the client writes as a time of day is cut to milliseconds.
	if took < limit-2*time.Millisecond || took > cellWait/2 {
		c.t.Errorf("a call of %v ended after %v", limit, took)
	}
	c.mustBeDeadline(err)
}

// mustBeDeadline checks the client's own form of a missed deadline.
func (c *cell) mustBeDeadline(err error) {
	c.t.Helper()
	f, ok := errors.AsType[*peers.Failure](err)
	if !ok {
		c.t.Fatalf("a missed deadline arrives as %v", err)
	}
	form := peers.HubError(c.client.Name, "deadline")
	if c.client.Name == "REST" {
		form = "HTTP 504 application/problem+json"
	}
	if f.Form != form || f.Code != "deadline" {
		c.t.Errorf("a missed deadline arrives as %s %s", f.Form, f.Code)
	}
}

// send: delivered once, and acknowledged: nothing is left when the service goes.
func (c *cell) send() {
	server := c.dial(c.service)
	const room = 8
	got := make(chan peers.Request, room)
	c.must("serve", server.Serve(c.ctx, c.name, func(_ context.Context, r peers.Request) peers.Reply {
		got <- r
		return peers.Reply{Silent: !c.service.Answers}
	}))
	client := c.dial(c.client)
	want := []string{"one", "two", "three"}
	for _, body := range want {
		c.must("send", client.Send(c.ctx, c.name, body))
	}
	for _, body := range want {
		r := receive(c, body, got)
		if r.Body != body || r.Redelivered {
			c.t.Errorf("got %+v, want %s", r, body)
		}
	}
	c.must("acknowledge", harness.Poll(cellWait/2, func() error {
		ready, unsettled, err := c.hub.Counts(c.ctx, c.name)
		if err == nil && ready+unsettled > 0 {
			err = fmt.Errorf("%d messages are ready, %d are not settled", ready, unsettled)
		}
		return err
	}))
	// What is not acknowledged would come back when its consumer goes.
	server.Close()
	c.mustBeEmpty()
	if len(got) > 0 {
		c.t.Errorf("%d more deliveries", len(got))
	}
}

// mustBeEmpty waits until nobody consumes from the cell's queue any more and
// checks that it holds nothing.
func (c *cell) mustBeEmpty() {
	c.t.Helper()
	conn, err := amqp.Dial(c.hub.AMQPURL())
	c.must("dial", err)
	defer conn.Close()
	ch, err := conn.Channel()
	c.must("channel", err)
	err = harness.Poll(cellWait/2, func() error {
		q, err := ch.QueueDeclarePassive(c.name, true, false, false, false, nil)
		if err != nil {
			return err
		}
		if q.Consumers > 0 || q.Messages > 0 {
			return fmt.Errorf("%d messages, %d consumers", q.Messages, q.Consumers)
		}
		return nil
	})
	c.must("after the service went", err)
}

// request: the asker is a process that is killed before the answer is made; another
// process reads it.
func (c *cell) request() {
	server := c.dial(c.service)
	taken, open := make(chan struct{}, 1), make(chan struct{})
	c.must("serve", server.Serve(c.ctx, c.name, func(ctx context.Context, r peers.Request) peers.Reply {
		taken <- struct{}{}
		select {
		case <-open:
		case <-ctx.Done():
		}
		return peers.Reply{Body: "late " + r.Body}
	}))
	asker, ticket := c.process("ask", c.name, "ticket ")
	receive(c, "the request", taken)
	asker.Kill()
	close(open) // only now may the service answer
	if _, answer := c.process("collect", ticket, "answer "); answer != "late question" {
		c.t.Errorf("collected %q", answer)
	}
}

// process runs a client of the cell's protocol in a process of its own and returns what it says.
func (c *cell) process(mode, name, prefix string) (p *harness.Lines, said string) {
	c.t.Helper()
	protocol := c.client.Name
	if c.client.Contract {
		protocol += "/contract"
	}
	cmd := exec.Command(c.worker, append([]string{protocol, name, mode}, c.hub.Addresses()...)...)
	p = harness.RunLines(c.t, mode+" "+c.client.Name, cmd)
	line := p.Line(c.t)
	said, ok := strings.CutPrefix(line, prefix)
	if !ok {
		c.t.Fatalf("%s says %q: %s", mode, line, p.Output())
	}
	return p, said
}

// publish: two subscribers, two copies, no more.
func (c *cell) publish() {
	const room = 8
	copies := []chan string{make(chan string, room), make(chan string, room)}
	for _, ch := range copies {
		subscriber := c.dial(c.service)
		c.must("subscribe", subscriber.Subscribe(c.ctx, c.name, func(body string) { ch <- body }))
	}
	client := c.dial(c.client)
	want := []string{"news", "more news", "last"}
	for _, body := range want {
		c.must("publish", client.Publish(c.ctx, c.name, body))
	}
	for i, ch := range copies {
		var got []string
		for range want {
			got = append(got, receive(c, fmt.Sprintf("copy for subscriber %d", i+1), ch))
		}
		if !slices.Equal(got, want) {
			c.t.Errorf("subscriber %d got %q", i+1, got)
		}
		if len(ch) > 0 {
			c.t.Errorf("subscriber %d got another copy: %q", i+1, <-ch)
		}
	}
}

// gather: one silent service is named missing, and the stop rule ends it before
// the deadline: once by enough answers, once by silence.
func (c *cell) gather() {
	loud := []string{c.name + ".a", c.name + ".b"}
	silent := c.name + ".silent"
	for _, name := range append(slices.Clone(loud), silent) {
		server := c.dial(c.service)
		c.must("join", server.Join(c.ctx, c.name, name,
			func(_ context.Context, r peers.Request) peers.Reply {
				return peers.Reply{Body: name + " heard " + r.Body, Silent: name == silent}
			}))
	}
	client := c.dial(c.client)
	for _, tc := range []struct {
		rule     peers.Rule
		complete bool
	}{
		{peers.Rule{Count: len(loud), Total: cellWait}, true},
		{peers.Rule{All: true, Stall: 300 * time.Millisecond, Total: cellWait}, false},
	} {
		start := time.Now()
		got, err := client.Gather(c.ctx, c.name, "who is there", tc.rule)
		c.must("gather", err)
		if took := time.Since(start); took > cellWait/2 {
			c.t.Errorf("%+v: ended after %v, not by its rule", tc.rule, took)
		}
		if got.Complete != tc.complete || !slices.Equal(got.Missing, []string{silent}) {
			c.t.Errorf("%+v: complete %t, missing %q", tc.rule, got.Complete, got.Missing)
		}
		want := map[string]string{}
		for _, name := range loud {
			want[name] = name + " heard who is there"
		}
		c.checkAnswers(got, want)
	}
}

// checkAnswers holds what was gathered against what was said, and by whom where the client is told.
func (c *cell) checkAnswers(got *peers.Gathered, want map[string]string) {
	c.t.Helper()
	said, told := slices.Sorted(maps.Values(want)), slices.Sorted(maps.Values(got.Answers))
	if !slices.Equal(said, told) {
		c.t.Errorf("answers %q, want %q", got.Answers, want)
	}
	for name, body := range want {
		if !c.client.Anonymous && got.Answers[name] != body {
			c.t.Errorf("%s answered %q", name, got.Answers[name])
		}
	}
}
