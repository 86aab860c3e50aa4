// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// setPolicy sets a user's policy on /.
func (s *server) setPolicy(tb testing.TB, pattern string, definition map[string]any) {
	tb.Helper()
	v, _ := s.broker.VirtualHost("/")
	if _, err := v.SetPolicy(broker.UserPolicy, broker.Policy{
		Name: "p", Pattern: pattern, Definition: definition,
	}); err != nil {
		tb.Fatal(err)
	}
}

// await declares passively until the queue holds so many messages.
func (p *peer) await(queue string, want uint32) {
	p.tb.Helper()
	for deadline := time.Now().Add(patience); ; {
		var ok wire.QueueDeclareOk
		p.call(&wire.QueueDeclare{Queue: queue, Passive: true}, &ok)
		if ok.MessageCount == want {
			return
		}
		if time.Now().After(deadline) {
			p.tb.Fatalf("%d messages in %s, want %d", ok.MessageCount, queue, want)
		}
	}
}

// TestPolicies: what a policy sets acts on the queues of clients that are connected.
func TestPolicies(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	p := s.open(t)
	p.declare("dead")
	p.declare("jobs")
	for range 3 {
		p.publish(toQueue("jobs"), wire.Properties{}, "m")
	}
	p.await("jobs", 3)
	s.setPolicy(t, "^jobs", map[string]any{
		"max-length": 2, "dead-letter-exchange": "", "dead-letter-routing-key": "dead",
	})
	p.await("jobs", 2)
	p.await("dead", 1)
	s.setPolicy(t, "^jobs", map[string]any{"max-length": 2, "overflow": "reject-publish"})
	p.call(&wire.ConfirmSelect{}, &wire.ConfirmSelectOk{})
	p.publish(toQueue("jobs"), wire.Properties{}, "m")
	p.want(1, &wire.BasicNack{})
	s.setPolicy(t, "^jobs", map[string]any{"message-ttl": 20})
	p.await("jobs", 0)
	s.setPolicy(t, "^jobs", map[string]any{"expires": 20})
	q := "jobs"
	v, _ := s.broker.VirtualHost("/")
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, there := v.Queue(q); !there {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the queue is still there")
		}
	}
	p.send(1, &wire.QueueDeclare{Queue: q, Passive: true})
	p.wantChannelClose(wire.NotFound, "no queue 'jobs' in vhost '/'")
}

// TestVirtualHostLimits: 406 for a queue and 530 for a connection too many.
func TestVirtualHostLimits(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	p := s.open(t)
	v, _ := s.broker.VirtualHost("/")
	for _, name := range []string{broker.LimitQueues, broker.LimitConnections} {
		if err := v.SetLimit(name, 1); err != nil {
			t.Fatal(err)
		}
	}
	p.declare("a")
	p.send(1, &wire.QueueDeclare{Queue: "b"})
	p.wantChannelClose(wire.PreconditionFailed,
		"cannot declare queue 'b': queue limit in vhost '/' (1) is reached")
	second := s.connect(t)
	second.write([]byte(wire.ProtocolHeader))
	second.start("guest", "guest")
	second.tuneOk(wire.ConnectionTuneOk{ChannelMax: 10, FrameMax: 4096})
	second.send(0, &wire.ConnectionOpen{VirtualHost: "/"})
	second.wantClose(wire.NotAllowed,
		"access to vhost '/' refused for user 'guest': connection limit (1) is reached")
}
