// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"fmt"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
)

const (
	connections = 1_000
	// idleBytes is what a connection with a channel may take in the hub.
	idleBytes = 40 << 10
	// workers is how many connections are opened at a time.
	workers = 16
	wait    = 60 * time.Second
)

// peer is one connection of the test's own, with its channel.
type peer struct {
	conn *amqp.Connection
	ch   *amqp.Channel
}

// each calls do for every number below connections, some at a time, and fails with its errors.
func each(t *testing.T, do func(i int) error) {
	t.Helper()
	var tasks sync.WaitGroup
	for w := range workers {
		tasks.Go(func() {
			for i := w; i < connections; i += workers {
				if err := do(i); err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
			}
		})
	}
	tasks.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// A thousand idle connections take little memory; then each has a queue with one consumer, and every
// consumer gets the one message that is sent to its queue.
func TestIdleConnectionsAndTheirQueues(t *testing.T) {
	t.Parallel()
	harness.NeedDescriptors(t, 2*connections)
	hub := harness.Start(t, harness.Build(t), harness.Options{})
	config := amqp.Config{Heartbeat: 0, Locale: "en_US"}
	first, err := amqp.DialConfig(hub.AMQPURL(), config) // the first login works out a hash
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	before, err := harness.RSS(hub.Pid())
	if err != nil {
		t.Fatal(err)
	}
	peers := make([]peer, connections)
	t.Cleanup(func() {
		for _, p := range peers {
			if p.conn != nil {
				_ = p.conn.Close() // the hub ends anyway
			}
		}
	})
	each(t, func(i int) (err error) {
		if peers[i].conn, err = amqp.DialConfig(hub.AMQPURL(), config); err != nil {
			return err
		}
		peers[i].ch, err = peers[i].conn.Channel()
		return err
	})
	// What is allocated in passing goes back when the collector has run.
	err = harness.Poll(wait, func() error {
		now, err := harness.RSS(hub.Pid())
		if err == nil && now-before > connections*idleBytes {
			err = fmt.Errorf("%d bytes for a connection", (now-before)/connections)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}

	inbox := make([]<-chan amqp.Delivery, connections)
	queue := func(i int) string { return fmt.Sprintf("scale-%d", i) }
	each(t, func(i int) (err error) {
		if _, err = peers[i].ch.QueueDeclare(queue(i), false, false, true, false, nil); err != nil {
			return err
		}
		inbox[i], err = peers[i].ch.Consume(queue(i), "", true, false, false, false, nil)
		return err
	})
	ch, err := first.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for i := range connections {
		msg := amqp.Publishing{Body: []byte(queue(i))}
		if err := ch.PublishWithContext(t.Context(), "", queue(i), false, false, msg); err != nil {
			t.Fatal(err)
		}
	}
	bound := time.After(wait)
	for i, in := range inbox {
		select {
		case m := <-in:
			if string(m.Body) != queue(i) {
				t.Fatalf("%s gets %q", queue(i), m.Body)
			}
		case <-bound:
			t.Fatalf("%s gets nothing", queue(i))
		}
	}
	for i, in := range inbox {
		select {
		case m := <-in:
			t.Errorf("%s gets %q, too", queue(i), m.Body)
		default:
		}
	}
}
