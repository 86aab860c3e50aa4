// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

// dial opens a peer that ends with the test.
func dial(ctx context.Context, t *testing.T, p peers.Protocol, hub *harness.Hub) peers.Peer {
	t.Helper()
	peer, err := p.Dial(ctx, hub)
	if err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	t.Cleanup(peer.Close)
	return peer
}

// TestHubKilledAfterConfirm kills the hub after it confirmed messages: a hub on the
// same data has them all, in order, and none that was settled.
func TestHubKilledAfterConfirm(t *testing.T) {
	t.Parallel()
	const count, settled = 50, 10
	binary := harness.Build(t)
	hub := harness.Start(t, binary, harness.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), testWait)
	defer cancel()
	queue := func(p peers.Protocol) string { return "kept-" + strings.ToLower(p.Name) }
	for _, p := range peers.Protocols() {
		// The first messages are settled by a service, which then goes.
		done := make(chan string, settled)
		server := dial(ctx, t, p, hub)
		err := server.Serve(ctx, queue(p), func(_ context.Context, r peers.Request) peers.Reply {
			done <- r.Body
			return peers.Reply{Silent: true}
		})
		if err != nil {
			t.Fatalf("serve %s: %v", queue(p), err)
		}
		sender := dial(ctx, t, p, hub)
		send := func(from, to int) {
			for i := from; i < to; i++ {
				if err := sender.Send(ctx, queue(p), fmt.Sprint(i)); err != nil {
					t.Fatalf("send to %s: %v", queue(p), err)
				}
			}
		}
		send(0, settled)
		for range settled {
			receive(ctx, t, done)
		}
		// The last acknowledgement is behind what its handler said.
		mustSettle(t, hub, queue(p))
		server.Close()
		send(settled, count)
	}
	hub.Kill()
	again := harness.Start(t, binary, harness.Options{Dir: hub.Dir})
	for _, p := range peers.Protocols() {
		got := make(chan string, count)
		err := dial(ctx, t, p, again).Serve(ctx, queue(p),
			func(_ context.Context, r peers.Request) peers.Reply {
				got <- r.Body
				return peers.Reply{Silent: true}
			})
		if err != nil {
			t.Fatal(err)
		}
		for i := settled; i < count; i++ {
			if body := receive(ctx, t, got); body != fmt.Sprint(i) {
				t.Fatalf("%s: message %d is %q", p.Name, i, body)
			}
		}
	}
}

// receive waits for the next value.
func receive(ctx context.Context, t *testing.T, ch <-chan string) string {
	t.Helper()
	select {
	case s := <-ch:
		return s
	case <-ctx.Done():
		t.Fatal("nothing came any more")
		return ""
	}
}

// mustSettle waits until nothing is in a queue, or out at its consumers.
func mustSettle(t *testing.T, hub *harness.Hub, queue string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	err := harness.Poll(testWait/2, func() error {
		res, err := client.Get(hub.URL("/v1/queues/" + queue))
		if err != nil {
			return err
		}
		defer res.Body.Close()
		var state struct {
			Ready     *int `json:"message_count"`
			Unsettled *int `json:"unsettled_count"`
		}
		switch err := json.NewDecoder(res.Body).Decode(&state); {
		case err != nil:
			return err
		case state.Ready == nil || state.Unsettled == nil:
			return errors.New("no counts")
		case *state.Ready+*state.Unsettled > 0:
			return fmt.Errorf("%d ready, %d unsettled", *state.Ready, *state.Unsettled)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", queue, err)
	}
}

// mustHold waits until a queue holds a message.
func mustHold(t *testing.T, hub *harness.Hub, queue string) {
	t.Helper()
	conn, err := amqp.Dial(hub.AMQPURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	err = harness.Poll(testWait/2, func() error {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err == nil && q.Messages == 0 {
			err = errors.New("empty")
		}
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", queue, err)
	}
}

// TestRequestOverRestarts asks through one hub, kills it before anybody serves,
// lets the answer be made on a second one, kills that too, and reads the answer
// from a third: asker, service and reader never meet.
func TestRequestOverRestarts(t *testing.T) {
	t.Parallel()
	binary := harness.Build(t)
	ctx, cancel := context.WithTimeout(t.Context(), testWait)
	defer cancel()
	first := harness.Start(t, binary, harness.Options{})
	tickets := map[string]string{}
	name := func(client, service peers.Protocol) string {
		return strings.ToLower("later-" + client.Name + "-" + service.Name)
	}
	for _, client := range peers.Protocols() {
		if client.Name == "REST" || client.Name == "LINE" {
			continue // the hub keeps their answers itself: TestKeptAnswerOverRestarts
		}
		for _, service := range peers.Protocols() {
			declarer := dial(ctx, t, peers.Protocols()[0], first)
			err := declarer.Serve(ctx, name(client, service),
				func(context.Context, peers.Request) peers.Reply { return peers.Reply{Silent: true} })
			declarer.Close()
			if err != nil {
				t.Fatal(err)
			}
			asker := dial(ctx, t, client, first)
			ticket, err := asker.Ask(ctx, name(client, service), "question")
			if err != nil {
				t.Fatalf("%s asks: %v", client.Name, err)
			}
			asker.Close()
			tickets[name(client, service)] = ticket
		}
	}
	first.Kill()

	second := harness.Start(t, binary, harness.Options{Dir: first.Dir})
	for _, client := range peers.Protocols() {
		for _, service := range peers.Protocols() {
			if tickets[name(client, service)] == "" {
				continue
			}
			server := dial(ctx, t, service, second)
			err := server.Serve(ctx, name(client, service),
				func(_ context.Context, r peers.Request) peers.Reply {
					return peers.Reply{Body: "late " + r.Body, Keep: true}
				})
			if err != nil {
				t.Fatal(err)
			}
			mustHold(t, second, name(client, service)+".answers")
			server.Close()
		}
	}
	// The answers are not confirmed to their services; a stop writes them.
	second.Stop(t)

	third := harness.Start(t, binary, harness.Options{Dir: first.Dir})
	for _, client := range peers.Protocols() {
		for _, service := range peers.Protocols() {
			ticket := tickets[name(client, service)]
			if ticket == "" {
				continue
			}
			answer, err := dial(ctx, t, client, third).Collect(ctx, ticket)
			if err != nil || answer != "late question" {
				t.Errorf("%s: %q, %v", name(client, service), answer, err)
			}
		}
	}
}
