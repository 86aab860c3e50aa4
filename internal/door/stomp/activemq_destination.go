// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

const (
	// tempsMax bounds the temporary destinations of a connection.
	tempsMax = 1_000
	// compositeMax bounds the destinations in a list.
	compositeMax = 100
)

// activeKind is the first part of a destination.
type activeKind uint8

const (
	activeQueue           activeKind = iota + 1
	activeTopic                      // the topic exchange
	activeTempQueue                  // of this connection, made when it is named first
	activeTempTopic                  // likewise
	activeRemoteTempQueue            // of another, by its name in the heart
	activeRemoteTempTopic            //
)

// Prefixes that the other dialect does not have.
const (
	prefixTempTopic       = "/temp-topic/"
	prefixRemoteTempQueue = "/remote-temp-queue/"
	prefixRemoteTempTopic = "/remote-temp-topic/"
)

// tempTopicNames begins the names of the exchanges of temporary topics.
const tempTopicNames = "temp-topic-"

// activeDestination is a parsed destination, borrowed from the header.
type activeDestination struct {
	kind activeKind
	text []byte // the whole
	name []byte
}

// parseActive reads one destination.
func parseActive(text []byte) (activeDestination, *fault) {
	d, ok := readActive(text)
	if !ok {
		return d, illegalDestination(d.text)
	}
	return d, nil
}

// readActive reads one destination, if it is one. A name without a prefix is a queue's.
func readActive(text []byte) (d activeDestination, ok bool) {
	text = bytes.TrimSpace(text) // clients pad
	d.text = text
	for _, p := range [...]struct {
		prefix string
		kind   activeKind
	}{
		{prefixQueue, activeQueue},
		{prefixTopic, activeTopic},
		{prefixTemp, activeTempQueue},
		{prefixTempTopic, activeTempTopic},
		{prefixRemoteTempQueue, activeRemoteTempQueue},
		{prefixRemoteTempTopic, activeRemoteTempTopic},
	} {
		if name, ok := bytes.CutPrefix(text, []byte(p.prefix)); ok {
			d.kind, d.name = p.kind, name
			break
		}
	}
	if d.kind == 0 && len(text) > 0 && text[0] != '/' {
		d.kind, d.name = activeQueue, text
	}
	return d, len(d.name) > 0 && len(d.name) <= nameBytesMax && utf8.Valid(d.name)
}

// illegalDestination is a destination that names nothing.
func illegalDestination(text []byte) *fault {
	return activeFault("Illegal destination name: [%s] -- ActiveMQ STOMP destinations must begin with "+
		"one of: /queue/ /topic/ /temp-queue/ /temp-topic/", shown(text))
}

// parseList reads a list of destinations.
func parseList(text []byte) ([]activeDestination, *fault) {
	if n := bytes.Count(text, []byte{','}); n >= compositeMax {
		return nil, activeFault("Too many destinations in one (limit %d)", compositeMax)
	}
	var out []activeDestination
	for part := range bytes.SplitSeq(text, []byte{','}) {
		d, err := parseActive(part)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// temp returns the queue or the exchange behind a temporary destination. It goes with the connection.
func (c *activeMQ) temp(d activeDestination) (string, *fault) {
	if name, ok := c.temps[string(d.text)]; ok {
		return name, nil
	}
	if len(c.temps) >= tempsMax {
		return "", activeFault("Too many temporary destinations (limit %d)", tempsMax)
	}
	create := c.tempQueue
	if d.kind == activeTempTopic {
		create = c.tempTopic
	}
	name, err := create()
	if err != nil {
		return "", brokerFault(err)
	}
	if c.temps == nil {
		c.temps = map[string]string{}
	}
	c.temps[string(d.text)] = name
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owned == nil {
		c.owned = map[string]string{}
	}
	c.owned[name] = string(d.text)
	return name, nil
}

func (c *activeMQ) tempQueue() (string, error) {
	info, err := c.session.DeclareQueue(broker.QueueParams{Exclusive: true})
	return info.Name, err
}

// tempTopic makes the exchange of a temporary topic. It goes with its last binding; the keeper's lasts
// as long as the connection and takes no messages.
func (c *activeMQ) tempTopic() (string, error) {
	if c.keeper == "" {
		info, err := c.session.DeclareQueue(broker.QueueParams{Exclusive: true})
		if err != nil {
			return "", err
		}
		c.keeper = info.Name
	}
	name := tempTopicNames + newName()
	_, err := c.session.DeclareExchange(broker.ExchangeParams{
		Name: name, Type: "direct", AutoDelete: true,
	})
	if err != nil {
		return "", err
	}
	return name, c.session.Bind(broker.BindingParams{
		Source: name, Destination: c.keeper, Key: "keep",
	})
}

// own returns the client's name for one of its temporary destinations. Any goroutine may call it.
func (c *activeMQ) own(name string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, ok := c.owned[name]
	return text, ok
}

// pattern returns the topic exchange's pattern for that of a subscription: * is the same in both, and
// > at the end is the rest.
func pattern(name []byte) string {
	words := strings.Split(string(name), ".")
	for i, word := range words {
		if word == ">" {
			words[i] = "#"
		}
	}
	return strings.Join(words, ".")
}

// isPattern says whether a name stands for several in ActiveMQ.
func isPattern(name []byte) bool {
	for word := range bytes.SplitSeq(name, []byte{'.'}) {
		if string(word) == "*" || string(word) == ">" {
			return true
		}
	}
	return false
}

// patternOfQueues is a destination that would be several queues. One of that name is what nobody means.
func patternOfQueues(text []byte) *fault {
	return activeFault("Patterns of queues are not supported: [%s]", shown(text))
}

// appendPath appends a header whose value is a prefix and a name; head is all before the name. A name
// from another protocol may hold what this version cannot write.
func appendPath[T ~string | ~[]byte](b []byte, v wire.Version, head string, name T) []byte {
	b = append(b, head...)
	if wire.Expressible(v, "destination", name) {
		b = wire.AppendEscaped(b, v, name)
	} else {
		b = appendName(b, v, name)
	}
	return append(b, '\n')
}

// appendAnswerTo appends a reply address, which is written as in the other dialect or is an address of
// other protocols: a queue's name.
func (c *activeMQ) appendAnswerTo(b []byte, text []byte) []byte {
	const header = "reply-to"
	kind, rest := splitKind(text)
	exchange, name, ok := splitNames(kind, rest)
	exchange, name = decodeSlash(exchange), decodeSlash(name)
	switch {
	case kind == 0:
		name = text
	case !ok:
		return wire.AppendHeader(b, c.version, header, text)
	case kind == kindTopic:
		return appendPath(b, c.version, header+":"+prefixTopic, name)
	case kind == kindExchange && bytes.HasPrefix(exchange, []byte(tempTopicNames)):
		if own, mine := c.own(string(exchange)); mine {
			return wire.AppendHeader(b, c.version, header, own)
		}
		return appendPath(b, c.version, header+":"+prefixRemoteTempTopic, exchange)
	case kind == kindExchange:
		return wire.AppendHeader(b, c.version, header, text)
	}
	if own, mine := c.own(string(name)); mine {
		return wire.AppendHeader(b, c.version, header, own)
	}
	if bytes.HasPrefix(name, []byte("amq.")) { // made up by the hub: nothing to declare
		return appendPath(b, c.version, header+":"+prefixRemoteTempQueue, name)
	}
	return appendPath(b, c.version, header+":"+prefixQueue, name)
}
