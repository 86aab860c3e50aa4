// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
)

// TestDelayedKill: the hub is killed while delayed messages wait and become due, again and again. At
// the end each confirmed one is in its queue, once, and none came before its time.
func TestDelayedKill(t *testing.T) {
	const perCycle, longest = 200, 3 * time.Second
	binary, dir := harness.Build(t), t.TempDir()
	due := make(map[string]time.Time) // of confirmed messages
	maybe := make(map[string]bool)    // published, and nobody knows
	for cycle := range rounds(t, 4) {
		hub := harness.Start(t, binary, harness.Options{Dir: dir})
		ch := channel(t, dial(t, hub))
		declareDelayed(t, ch)
		confirms := make(map[string]*amqp.DeferredConfirmation)
		for i := range perCycle {
			body := fmt.Sprintf("%d.%d", cycle, i)
			delay := rand.N(longest).Truncate(time.Millisecond)
			earliest := time.Now().Add(delay) // the clock of the hub is the same
			confirm, err := ch.PublishWithDeferredConfirm("delayed", "", true, false, amqp.Publishing{
				DeliveryMode: amqp.Persistent, Body: []byte(body),
				Headers: amqp.Table{"x-delay": int64(delay / time.Millisecond)},
			})
			if err != nil {
				t.Fatal(err)
			}
			due[body], confirms[body] = earliest, confirm
		}
		time.Sleep(rand.N(longest / 2))
		hub.Kill()
		for body, confirm := range confirms {
			if !confirm.Acked() {
				maybe[body] = true
				delete(due, body)
			}
		}
	}
	if len(due) == 0 {
		t.Fatal("nothing was confirmed")
	}
	hub := harness.Start(t, binary, harness.Options{Dir: dir})
	ch := channel(t, dial(t, hub))
	deliveries, err := ch.Consume("delayed", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), drainWait)
	defer cancel()
	for wanted := len(due); wanted > 0; {
		select {
		case d := <-deliveries:
			body := string(d.Body)
			at, confirmed := due[body]
			switch {
			case !confirmed && !maybe[body]:
				t.Errorf("%s came twice", body)
			case confirmed && time.Now().Before(at):
				t.Errorf("%s came %v too soon", body, time.Until(at))
			}
			if confirmed {
				wanted--
			}
			delete(due, body)
			delete(maybe, body)
		case <-ctx.Done():
			t.Fatalf("%d of the confirmed messages did not come", wanted)
		}
	}
	hub.Stop(t)
}

func declareDelayed(t *testing.T, ch *amqp.Channel) {
	t.Helper()
	err := ch.ExchangeDeclare("delayed", "x-delayed-message", true, false, false, false,
		amqp.Table{"x-delayed-type": "fanout"})
	if err == nil {
		_, err = ch.QueueDeclare("delayed", true, false, false, false, nil)
	}
	if err == nil {
		err = ch.QueueBind("delayed", "", "delayed", false, nil)
	}
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		t.Fatal(err)
	}
}
