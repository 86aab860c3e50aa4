// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"strconv"
	"sync"
	"testing"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// TestCompeting: publishers with confirms, consumers with little prefetch and little output, and
// consumers that die with deliveries in hand, all on one queue at once. Every message is settled by
// somebody who lives, and in the end nothing is left.
func TestCompeting(t *testing.T) {
	t.Parallel()
	const publishers, each, consumers, dying = 3, 1000, 3, 20
	s := newServer(t, Options{OutputLimitBytes: 4000})
	s.open(t).declare("q")
	var mu sync.Mutex
	seen := make(map[string]int)
	all := make(chan struct{})
	var group sync.WaitGroup
	for n := range publishers {
		p := s.open(t)
		p.call(&wire.ConfirmSelect{}, &wire.ConfirmSelectOk{})
		group.Go(func() { publishConfirmed(p, n*each, each) })
	}
	for range consumers {
		p := s.open(t)
		p.call(&wire.BasicQos{PrefetchCount: 7}, &wire.BasicQosOk{})
		p.consume(&wire.BasicConsume{Queue: "q"})
		group.Go(func() {
			go func() {
				<-all
				p.nc.Close()
			}()
			for {
				d, body, ok := p.tryDeliver()
				if !ok {
					return
				}
				mu.Lock()
				seen[body]++
				if len(seen) == publishers*each && seen[body] == 1 {
					close(all)
				}
				mu.Unlock()
				ack := wire.BasicAck{DeliveryTag: d}
				if _, err := p.nc.Write(ack.AppendFrame(nil, 1)); err != nil {
					return
				}
			}
		})
	}
	for range dying {
		p := s.open(t)
		p.consume(&wire.BasicConsume{Queue: "q"})
		p.nc.Close()
	}
	group.Wait()
	if len(seen) != publishers*each {
		t.Errorf("%d messages of %d arrived", len(seen), publishers*each)
	}
}

// publishConfirmed publishes bodies first, first+1, … and waits for the confirm of the last.
func publishConfirmed(p *peer, first, count int) {
	go func() {
		for n := range count {
			raw := appendPublish(nil, toQueue("q"), wire.Properties{}, strconv.Itoa(first+n))
			if _, err := p.nc.Write(raw); err != nil {
				return // the reader below says what happened
			}
		}
	}()
	for told := 0; told < count; {
		f, err := p.in.Next()
		if err != nil {
			p.tb.Errorf("after %d confirms: %v", told, err)
			return
		}
		_, args, _ := f.SplitMethod()
		var ack wire.BasicAck
		if err := ack.Decode(args); err != nil {
			p.tb.Errorf("after %d confirms: %v", told, err)
			return
		}
		told = int(ack.DeliveryTag)
	}
}

// tryDeliver reads one delivery, or reports that the connection has ended.
func (p *peer) tryDeliver() (tag uint64, body string, ok bool) {
	var d wire.BasicDeliver
	var h wire.ContentHeader
	f, err := p.in.Next()
	if err != nil {
		return 0, "", false
	}
	_, args, err := f.SplitMethod()
	if err != nil || d.Decode(args) != nil {
		p.tb.Errorf("got frame type %d, want a delivery", f.Type)
		return 0, "", false
	}
	tag = d.DeliveryTag
	if f, err = p.in.Next(); err != nil || h.Decode(f.Payload) != nil {
		return 0, "", false
	}
	if h.BodySize == 0 {
		return tag, "", true
	}
	if f, err = p.in.Next(); err != nil {
		return 0, "", false
	}
	return tag, string(f.Payload), true
}
