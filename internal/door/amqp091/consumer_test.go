// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// TestSingleActiveConsumer: one consumer at a time, the next one after a cancel and after the end of a
// connection; basic.get is for classic queues only.
func TestSingleActiveConsumer(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	single := wire.Field{Name: "x-single-active-consumer", Value: true}
	admin := s.open(t)
	admin.declare("q", single)
	var peers []*peer
	for range 3 {
		p := s.open(t)
		p.consume(&wire.BasicConsume{Queue: "q", ConsumerTag: "t"})
		peers = append(peers, p)
	}
	step := func(to *peer, body string) {
		t.Helper()
		admin.publish(toQueue("q"), wire.Properties{}, body)
		d, m := to.deliver()
		if m.body != body {
			t.Fatalf("got %q, want %q", m.body, body)
		}
		to.send(1, &wire.BasicAck{DeliveryTag: d.DeliveryTag})
		to.call(&wire.BasicQos{}, &wire.BasicQosOk{}) // the acknowledgement is settled
	}
	step(peers[0], "first")
	step(peers[0], "first again")
	peers[0].call(&wire.BasicCancel{ConsumerTag: "t"}, &wire.BasicCancelOk{})
	step(peers[1], "second")
	peers[1].nc.Close()
	step(peers[2], "third")
	admin.call(&wire.BasicGet{Queue: "q"}, &wire.BasicGetEmpty{}) // it may be asked

	quorum := wire.Table{single, {Name: "x-queue-type", Value: "quorum"}}
	admin.call(&wire.QueueDeclare{Queue: "sq", Durable: true, Arguments: quorum},
		&wire.QueueDeclareOk{})
	admin.send(1, &wire.BasicGet{Queue: "sq"})
	admin.wantChannelClose(wire.ResourceLocked, "cannot obtain access to locked queue 'sq' in vhost"+
		" '/'. basic.get operations are not supported by quorum queues with single active consumer")
}

// TestFairShares: three equal consumers on three connections get equal parts of a queue, within 10 %.
// They are equal as long as none of them falls behind: the publisher waits for each round.
func TestFairShares(t *testing.T) {
	t.Parallel()
	const messages, consumers, round = 1_200, 3, 60
	for name, prefetch := range map[string]uint16{"unbounded": 0, "prefetch": 50} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, Options{})
			publisher := s.open(t)
			publisher.declare("q")
			var seen atomic.Int64
			var counts [consumers]int // each is its consumer's own
			vhost, _ := s.broker.VirtualHost("/")
			q, _ := vhost.Queue("q")
			var peers []*peer
			var group sync.WaitGroup
			for i := range consumers {
				p := s.open(t)
				p.call(&wire.BasicQos{PrefetchCount: prefetch}, &wire.BasicQosOk{})
				p.consume(&wire.BasicConsume{Queue: "q"})
				peers = append(peers, p)
				group.Go(func() {
					for tag, _, ok := p.tryDeliver(); ok; tag, _, ok = p.tryDeliver() {
						ack := wire.BasicAck{DeliveryTag: tag}
						_, _ = p.nc.Write(ack.AppendFrame(nil, 1)) // the next read sees an error
						counts[i]++
						seen.Add(1)
					}
				})
			}
			for n := int64(1); n <= messages/round; n++ {
				var raw []byte
				for range round {
					raw = appendPublish(raw, toQueue("q"), wire.Properties{}, "m")
				}
				publisher.write(raw)
				for deadline := time.Now().Add(patience); seen.Load() < n*round || q.Stats().Unsettled > 0; {
					if time.Now().After(deadline) {
						t.Fatalf("not settled: %+v", q.Stats())
					}
					runtime.Gosched()
				}
			}
			for _, p := range peers {
				p.nc.Close()
			}
			group.Wait()
			const fair = messages / consumers
			for i, n := range counts {
				if n < fair*9/10 || n > fair*11/10 {
					t.Errorf("consumer %d got %d of %d: %v", i, n, messages, counts)
				}
			}
		})
	}
}

// TestConsumerPriorities: those with the highest priority get everything while they have room, in
// turns among equals; then the next.
func TestConsumerPriorities(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.declare("q")
	p.call(&wire.BasicQos{PrefetchCount: 2}, &wire.BasicQosOk{})
	for tag, priority := range map[string]any{"low": int8(-1), "a": int32(5), "b": int64(5)} {
		p.consume(&wire.BasicConsume{
			Queue: "q", ConsumerTag: tag,
			Arguments: wire.Table{{Name: "x-priority", Value: priority}},
		})
	}
	var order []string
	for range 6 {
		p.publish(toQueue("q"), wire.Properties{}, "m")
		d, _ := p.deliver()
		order = append(order, string(d.ConsumerTag))
	}
	if order[0] == order[1] || order[0] != order[2] || order[1] != order[3] ||
		order[0] == "low" || order[1] == "low" || order[4] != "low" || order[5] != "low" {
		t.Errorf("order %v", order)
	}
}
