// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// What the attributes of a CloudEvent are called: on other doors (AMQP binding §3.1.3.1, the colon is
// what older senders write), and here, where a colon would need an escape that 1.0 does not have
// (rest.md, CloudEvents).
const (
	attributePrefix = "cloudEvents_"
	attributeColon  = "cloudEvents:"
	attributeSTOMP  = "ce-"
)

// attributesIn calls the attributes of an event as other doors do, if p is one.
func attributesIn(p *broker.Properties) {
	if _, isEvent := p.Headers.Get(attributeSTOMP + "specversion"); !isEvent {
		return
	}
	for i := range p.Headers {
		if name, ok := strings.CutPrefix(p.Headers[i].Name, attributeSTOMP); ok {
			p.Headers[i].Name = attributePrefix + name
		}
	}
}

// attributeOut returns what an attribute is called here, and false for any other header.
func attributeOut(name string) (string, bool) {
	attribute, ok := strings.CutPrefix(name, attributePrefix)
	if !ok {
		attribute, ok = strings.CutPrefix(name, attributeColon)
	}
	return attributeSTOMP + attribute, ok
}

// attributeTime writes the time of an event that came as one, in seconds since 1970.
func attributeTime(t broker.Timestamp) string {
	return time.Unix(int64(t), 0).UTC().Format(time.RFC3339)
}
