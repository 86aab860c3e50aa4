// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"slices"
	"sync"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// settlements implements dialect. NACK gives a message up for dead, whatever the ack mode.
func (c *activeMQ) settlements(
	to []broker.SettleParams, f *wire.Frame,
) ([]broker.SettleParams, *fault) {
	if f.Command == wire.Nack && c.version == wire.V10 {
		return to, activeFault("NACK received but connection is in v1.0 mode.")
	}
	sub, tag, err := c.acknowledged(f)
	switch {
	case err != nil:
		return to, err
	case sub != nil && sub.browser && f.Command == wire.Nack:
		return to, activeFault("Cannot Nack a message on a Queue Browser Subscription.")
	case sub == nil, sub.browser:
		return to, nil // it went back with its subscription, or was only shown
	case f.Command == wire.Nack:
		if err := c.makeQueue(deadQueue); err != nil {
			return to, err
		}
		if err := c.session.RejectTo(deadQueue); err != nil {
			return to, brokerFault(err)
		}
		return append(to, broker.SettleParams{Tag: tag, Outcome: broker.Rejected}), nil
	case sub.mode != ackClient:
		return append(to, broker.SettleParams{Tag: tag}), nil
	}
	for _, part := range sub.parts {
		to = append(to, broker.SettleParams{Tag: tag, Multiple: true, Of: part.consumer})
	}
	return to, nil
}

// acknowledged returns the delivery that an ACK or NACK is about. An ACK may have been on its way when
// the subscription ended: it has none, which is no fault.
func (c *activeMQ) acknowledged(f *wire.Frame) (*subscription, uint64, *fault) {
	command := f.Command.String()
	if c.version >= wire.V12 {
		id, ok := f.Get("id")
		switch {
		case !ok && f.Command == wire.Nack:
			return nil, 0, activeFault("NACK received without an ack header to acknowledge!")
		case !ok:
			return nil, 0, activeFault("ACK received without a ack id for acknowledge!")
		}
		m, ok := splitID(id)
		sub := c.subscriptions[string(m.token)]
		switch {
		case !ok || string(m.session) != c.name, sub == nil && f.Command == wire.Nack,
			sub != nil && !sub.browser && !c.session.Outstanding(m.tag):
			return nil, 0, unexpected(command, id)
		}
		return sub, m.tag, nil
	}
	id, ok := f.Get("message-id")
	if !ok {
		return nil, 0, activeFault("%s received without a message-id to acknowledge!", command)
	}
	of, ok := f.Get("subscription")
	if !ok && c.version >= wire.V11 {
		return nil, 0, activeFault("%s received without a subscription id for acknowledge!", command)
	}
	for _, sub := range c.candidates(of) {
		if sub.browser {
			return sub, 0, nil
		}
		cumulative := f.Command == wire.Ack && sub.mode == ackClient
		if tag, found := sub.given.take(string(id), cumulative); found && c.session.Outstanding(tag) {
			return sub, tag, nil
		}
	}
	return nil, 0, unexpected(command, id)
}

// candidates returns the subscriptions that an ACK may be about: before STOMP 1.1 it need not say.
func (c *activeMQ) candidates(id []byte) (out []*subscription) {
	if sub := c.subscriptions["T_"+string(id)]; sub != nil {
		return []*subscription{sub}
	}
	if len(id) > 0 {
		return nil
	}
	for _, sub := range c.subscriptions {
		if !sub.browser {
			out = append(out, sub)
		}
	}
	return out
}

// unexpected is an ACK or NACK of what the client does not have.
func unexpected(command string, id []byte) *fault {
	return activeFault("Unexpected %s received for message-id [%s]", command, shown(id))
}

// givenIDs finds deliveries by the ids of their messages, as ACK names them before STOMP 1.2. It holds
// what a subscription has not settled, in the order of delivery.
type givenIDs struct {
	mu   sync.Mutex // a leaf
	tags map[string]uint64
	list []givenID // of a cumulative subscription
}

type givenID struct {
	id  string
	tag uint64
}

// add notes a delivery. It reports false for an id that is there already.
func (g *givenIDs) add(id string, tag uint64, inOrder bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, twice := g.tags[id]; twice {
		return false
	}
	if g.tags == nil {
		g.tags = make(map[string]uint64)
	}
	g.tags[id] = tag
	if inOrder {
		g.list = append(g.list, givenID{id, tag})
	}
	return true
}

// take forgets a delivery, and those before it if they are settled with it.
func (g *givenIDs) take(id string, cumulative bool) (tag uint64, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if tag, ok = g.tags[id]; !ok {
		return 0, false
	}
	delete(g.tags, id)
	if !cumulative {
		g.squeeze()
		return tag, true
	}
	n := 0
	for n < len(g.list) && g.list[n].tag <= tag {
		if at := g.list[n]; g.tags[at.id] == at.tag { // the id may have come again since
			delete(g.tags, at.id)
		}
		n++
	}
	g.list = slices.Delete(g.list, 0, n)
	return tag, true
}

// givenSqueeze is how many settled deliveries the list may hold in any case.
const givenSqueeze = 64

// squeeze takes what was settled out of order from the list when it is most of it.
func (g *givenIDs) squeeze() {
	if len(g.list) > 2*len(g.tags)+givenSqueeze {
		g.list = slices.DeleteFunc(g.list, func(at givenID) bool { return g.tags[at.id] != at.tag })
	}
}
