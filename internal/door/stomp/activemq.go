// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// activeMQ is the dialect of ActiveMQ Classic. A queue or a topic is the same as in the other dialect
// and in the other doors; its name may hold slashes.
type activeMQ struct {
	*conn

	virtualHost *broker.VirtualHost
	last        activeRoute
	idPrefix    string            // of message ids
	idHead      []byte            // their header in the raw form, up to the number
	number      uint64            // of messages sent
	plain       []byte            // the content type of text
	temps       map[string]string // /temp-queue/T and /temp-topic/T to queues and exchanges
	keeper      string            // the queue that holds the connection's temporary topics

	// owned are the temporary destinations by their names in the heart; guarded by mu of conn.
	owned map[string]string
}

// deadQueue is where what a client refuses goes, unless the queue it comes from says otherwise.
const deadQueue = "ActiveMQ.DLQ"

func newActiveMQ(c *conn) *activeMQ { return &activeMQ{conn: c, plain: []byte(textPlain)} }

// welcome implements dialect. It is called once, when the client has logged in.
func (c *activeMQ) welcome(b []byte, connect *wire.Frame) []byte {
	c.virtualHost, _ = c.door.options.Broker.VirtualHost(c.vhost) // the session is in it
	c.idPrefix = "ID:parley-" + c.name[len(sessionPrefix):] + ":"
	c.idHead = wire.AppendEscaped([]byte("amqp-message-id:"), wire.V12, c.idPrefix)
	session := c.clientID
	if session == "" || !wire.Expressible(wire.V10, "session", session) {
		session = c.name
	}
	b = wire.AppendHeader(b, wire.V10, "session", session)
	b = wire.AppendHeader(b, wire.V10, "server", c.door.options.Server)
	request, ok := connect.Get("request-id")
	if !ok {
		request, ok = connect.Get("receipt") // as ActiveMQ answers old clients
	}
	if ok {
		b = wire.AppendHeader(b, wire.V10, "response-id", request)
		b = wire.AppendHeader(b, wire.V10, "receipt-id", request)
	}
	return b
}

// command implements dialect: clients shorten two words, and send KEEPALIVE for a line break.
func (*activeMQ) command(word []byte) (command wire.Command, idle bool) {
	switch {
	case bytes.HasPrefix(word, []byte("SUB")):
		return wire.Subscribe, false
	case bytes.HasPrefix(word, []byte("UNSUB")):
		return wire.Unsubscribe, false
	}
	return wire.Unknown, string(word) == "KEEPALIVE"
}

// activeFault is a fault in ActiveMQ's form: the text is the header message.
func activeFault(format string, args ...any) *fault {
	text := fmt.Sprintf(format, args...)
	return &fault{message: text, body: text + "\n"}
}

// phrase implements dialect. What ActiveMQ has no words for stays as it is.
func (c *activeMQ) phrase(f *fault) *fault {
	out := f
	switch f.kind {
	case faultCommand:
		out = activeFault("Unknown STOMP action: %s", f.about)
	case faultNotConnected:
		out = activeFault("Not connected.")
	case faultConnected:
		out = activeFault("Already connected.")
	case faultVersion:
		out = activeFault("Invalid Protocol version[%s], supported versions are: [1.2, 1.1, 1.0]", f.about)
	case faultLogin:
		out = activeFault("User name [%s] or password is invalid.", f.about)
	case faultHeartBeat:
		out = activeFault("Invalid heart-beat header:%s", f.about)
	case faultNoTransaction:
		out = activeFault("Must specify the transaction you are %s", whatWith(f.about))
	case faultTransaction:
		out = activeFault("Invalid transaction id: %s", f.about)
	case faultOpenTransaction:
		out = activeFault("The transaction was already started: %s", f.about)
	case faultOther:
	}
	return out
}

// whatWith says what a frame does with a transaction; ActiveMQ says the same of ABORT and COMMIT.
func whatWith(command string) string {
	if command == wire.Begin.String() {
		return "beginning"
	}
	return "committing"
}

// appendID appends the header with the id of the next message that the client sends.
func (c *activeMQ) appendID(raw []byte) []byte {
	c.number++
	raw = append(raw, c.idHead...)
	raw = strconv.AppendUint(raw, c.number, 10)
	return append(raw, '\n')
}

// hasQueue says whether a queue is there.
func (c *activeMQ) hasQueue(name string) bool {
	_, ok := c.virtualHost.Queue(name)
	return ok
}

// makeQueue makes a queue unless it is there, whatever it is like.
func (c *activeMQ) makeQueue(name string) *fault {
	if c.hasQueue(name) {
		return nil
	}
	_, err := c.session.DeclareQueue(broker.QueueParams{Name: name, Durable: true})
	if err != nil && !c.hasQueue(name) { // somebody else may have been faster
		return brokerFault(err)
	}
	return nil
}
