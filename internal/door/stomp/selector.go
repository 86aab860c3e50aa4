// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"errors"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/selector"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// filterHeader sets the filter of a subscription with the header selector. What its own queue holds
// and the selector refuses is dropped; of a shared queue it stays for others.
func filterHeader(f *wire.Frame, d *destination, p *broker.ConsumerParams) *fault {
	text, ok := f.Get("selector")
	if !ok {
		return nil
	}
	s, err := parseSelector("", string(text))
	if err != nil {
		return err
	}
	p.Filter = func(m *broker.Message) bool {
		properties, err := m.Properties()
		return err == nil && s.Match(func(name string) (any, bool) {
			return selected(&properties, name)
		})
	}
	p.FilterDrops = d.kind == kindTopic || d.kind == kindExchange
	return nil
}

// parseSelector reads a selector, behind what the dialect puts before it.
func parseSelector(before, text string) (*selector.Selector, *fault) {
	s, err := selector.Parse(before + text)
	if err == nil {
		return s, nil
	}
	what, at := err.Error(), 0
	if e, ok := errors.AsType[*selector.Error](err); ok {
		what, at = e.Text, e.At
	}
	return nil, newFault("Invalid selector", "%s, at byte %d of %s\n", shown([]byte(what)), at,
		shown([]byte(text)))
}

// selected returns what a selector's name stands for: a header, or a property by the name that JMS
// 1.1 §3.4 gives it.
func selected(p *broker.Properties, name string) (any, bool) {
	has := func(bit broker.PropertySet, value any) (any, bool) { return value, p.Set&bit != 0 }
	switch name {
	case "JMSCorrelationID":
		return has(broker.HasCorrelationID, p.CorrelationID)
	case "JMSMessageID":
		return has(broker.HasMessageID, p.MessageID)
	case "JMSType":
		return has(broker.HasType, p.Type)
	case "JMSReplyTo":
		return has(broker.HasReplyTo, p.ReplyTo)
	case "JMSTimestamp":
		return has(broker.HasTimestamp, p.Timestamp)
	case "JMSPriority":
		if p.Set&broker.HasPriority == 0 {
			return defaultPriority, true
		}
		return p.Priority, true
	case "JMSDeliveryMode":
		if p.Set&broker.HasDeliveryMode != 0 && p.DeliveryMode == 2 {
			return "PERSISTENT", true
		}
		return "NON_PERSISTENT", true
	}
	return p.Headers.Get(name)
}

// defaultPriority is what JMS takes a message without one for (JMS 1.1 §3.4.10).
const defaultPriority = 4
