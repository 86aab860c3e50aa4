// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// TestGoneClient: who publishes and goes, with more unread than the hub may keep for it, has published
// all that had arrived: it is not read while it does not read, and the reset must not lose it.
func TestGoneClient(t *testing.T) {
	t.Parallel()
	const (
		limit    = 64 << 10
		large    = 16 // messages of 1 MiB: more than the kernel keeps
		messages = 200
	)
	s := newServer(t, Options{OutputLimitBytes: limit})
	other := s.open(t)
	other.declare("big")
	other.call(&wire.QueueDeclare{Queue: "kept", Durable: true}, &wire.QueueDeclareOk{})
	body := strings.Repeat("x", 1<<20)
	for range large {
		other.publish(toQueue("big"), wire.Properties{}, body)
	}
	other.call(&wire.QueueDeclare{Queue: "big", Passive: true}, &wire.QueueDeclareOk{}) // they are there
	known := s.known(nil)

	p := s.open(t)
	p.call(&wire.ConfirmSelect{}, &wire.ConfirmSelectOk{})
	for range large {
		p.send(1, &wire.BasicGet{Queue: "big", NoAck: true})
	}
	var c *conn
	for held := false; !held; runtime.Gosched() {
		if c == nil {
			c = s.known(known)[0]
		}
		held = c.out.Buffered() > 2*limit
	}
	var raw []byte
	for range messages {
		raw = appendPublish(raw, toQueue("kept"), wire.Properties{DeliveryMode: 2}, "m")
	}
	p.write(raw)
	if err := p.nc.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); len(s.known(known)) > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the connection has not ended")
		}
	}
	var ok wire.QueueDeclareOk
	other.send(1, &wire.QueueDeclare{Queue: "kept", Passive: true})
	other.want(1, &ok)
	if ok.MessageCount != messages {
		t.Errorf("%d messages are in the queue, want %d", ok.MessageCount, messages)
	}
}

// known returns the connections that are not in but.
func (s *server) known(but []*conn) []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var conns []*conn
	for c := range s.conns {
		if !slices.Contains(but, c) {
			conns = append(conns, c)
		}
	}
	return conns
}
