// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// restricted allows what begins with mine, and to publish to the default exchange.
type restricted struct{}

func (restricted) Allowed(_, _ string, a auth.Action, resource, _ string) bool {
	return strings.HasPrefix(resource, "mine") || (a == auth.Write && resource == "amq.default")
}

func (restricted) MayOpen(_, vhost string) bool { return vhost == "/" }
func (restricted) Version() uint64              { return 1 }

// TestSecA10SidePaths: 403 on every way around a permission, and reply addresses of others.
func TestSecA10SidePaths(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{
		Clock: clock{}, Log: log, Formats: []broker.Format{Format{}}, Access: restricted{},
	})
	log.Bind(b)
	t.Cleanup(b.Close)
	refused := func(action, kind, name string) string {
		return action + " access to " + kind + " '" + name + "' in vhost '/' refused for user 'guest'"
	}
	dlx := func(name string) wire.Table {
		return wire.Table{{Name: "x-dead-letter-exchange", Value: name}}
	}
	testCases := []struct {
		name string
		m    wire.Method
		text string
	}{
		{"declare", &wire.QueueDeclare{Queue: "q"}, refused("configure", "queue", "q")},
		{
			"passive exchange", &wire.ExchangeDeclare{Exchange: "amq.topic", Passive: true},
			refused("write", "exchange", "amq.topic"),
		},
		{
			"bind source", &wire.QueueBind{Queue: "mine", Exchange: "amq.topic"},
			refused("read", "exchange", "amq.topic"),
		},
		{
			"bind destination", &wire.QueueBind{Queue: "q", Exchange: "mine"},
			refused("write", "queue", "q"),
		},
		{
			"e2e destination", &wire.ExchangeBind{Destination: "amq.fanout", Source: "mine"},
			refused("write", "exchange", "amq.fanout"),
		},
		{
			"dead letters", &wire.QueueDeclare{Queue: "mine", Arguments: dlx("amq.fanout")},
			refused("write", "exchange", "amq.fanout"),
		},
		{
			"alternate exchange", &wire.ExchangeDeclare{
				Exchange: "mine.x", Type: "direct",
				Arguments: wire.Table{{Name: "alternate-exchange", Value: "amq.fanout"}},
			},
			refused("write", "exchange", "amq.fanout"),
		},
		{"consume", &wire.BasicConsume{Queue: "q"}, refused("read", "queue", "q")},
		{"get", &wire.BasicGet{Queue: "q"}, refused("read", "queue", "q")},
		{"purge", &wire.QueuePurge{Queue: "q"}, refused("read", "queue", "q")},
		{"delete", &wire.QueueDelete{Queue: "q"}, refused("configure", "queue", "q")},
	}
	s := newServer(t, Options{Broker: b})
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := s.open(t)
			p.send(1, tc.m)
			p.wantChannelClose(wire.AccessRefused, tc.text)
		})
	}
	t.Run("publish", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		p.publish(&wire.BasicPublish{Exchange: []byte("amq.topic")}, wire.Properties{}, "m")
		p.wantChannelClose(wire.AccessRefused, refused("write", "exchange", "amq.topic"))
	})
	t.Run("virtual host", func(t *testing.T) {
		t.Parallel()
		if _, err := b.AddVirtualHost("other"); err != nil {
			t.Fatal(err)
		}
		p := s.connect(t)
		p.write([]byte(wire.ProtocolHeader))
		p.start("guest", "guest")
		p.tuneOk(wire.ConnectionTuneOk{ChannelMax: 10, FrameMax: 4096})
		p.send(0, &wire.ConnectionOpen{VirtualHost: "other"})
		p.wantClose(wire.NotAllowed, "access to vhost 'other' refused for user 'guest'")
	})
	t.Run("forged reply address", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		p.call(&wire.ConfirmSelect{}, &wire.ConfirmSelectOk{})
		p.publish(toQueue(broker.DirectReplyTo+".hub.AAAAAAAAAAAAAAAAAAAAAA"), wire.Properties{}, "m")
		p.want(1, &wire.BasicAck{}) // as if it had been answered: nothing is learnt
	})
}
