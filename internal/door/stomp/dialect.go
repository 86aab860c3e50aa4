// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// Dialect names the broker whose clients a door serves: STOMP leaves to it what destinations mean,
// which headers there are beyond those of the frames, and what NACK does.
type Dialect string

// The dialects.
const (
	RabbitMQ Dialect = "rabbitmq"
	ActiveMQ Dialect = "activemq"
)

// dialect is what a connection does in the manner of one broker. Its methods are the read loop's,
// but for appendMessage and phrase, which any goroutine may call.
type dialect interface {
	// welcome appends the headers of CONNECTED besides version and heart-beat.
	welcome(b []byte, connect *wire.Frame) []byte
	// command says what a word means that is no command of STOMP's; idle is one that does nothing.
	command(word []byte) (command wire.Command, idle bool)
	// scan reads the headers of a SEND into c.message, those that go on to a MESSAGE into c.raw, and
	// the others into in.
	scan(f *wire.Frame, in *sendHeaders) *fault
	// route sets where c.message goes.
	route(f *wire.Frame, in *sendHeaders) *fault
	// answerTo sets the reply address, in the envelope as every protocol answers to it and in c.raw as
	// a STOMP client does.
	answerTo(in *sendHeaders) *fault
	// subscribe handles SUBSCRIBE, its RECEIPT included.
	subscribe(f *wire.Frame) *fault
	// unsubscribe handles UNSUBSCRIBE.
	unsubscribe(f *wire.Frame) *fault
	// settlements appends what an ACK or NACK settles.
	settlements(to []broker.SettleParams, f *wire.Frame) ([]broker.SettleParams, *fault)
	// appendMessage appends a MESSAGE up to the end of its headers.
	appendMessage(b []byte, sub *subscription, d *broker.Delivery) ([]byte, error)
	// phrase returns a fault in the words of the dialect.
	phrase(f *fault) *fault
}

// newDialect returns what a connection of this door speaks.
func (d *Door) newDialect(c *conn) dialect {
	if d.options.Dialect == ActiveMQ {
		return newActiveMQ(c)
	}
	return &rabbitMQ{conn: c}
}
