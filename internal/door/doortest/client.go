// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// Account is who a client logs in as.
type Account struct {
	User, VHost string
	// Name is what the client calls itself; a gather names it so.
	Name string
	// Wrong says that the password is to be wrong.
	Wrong bool
}

// Credentials returns the name and password to log in with: a user's password is the name.
func (a Account) Credentials() (user, password string) {
	if a.Wrong {
		return a.User, "wrong"
	}
	return a.User, a.User
}

// Client is one client of a door: a connection, or what a protocol without connections has instead.
// Its methods are for one goroutine at a time. A refusal by the hub is a *[Refusal]; after one the
// client is used no more.
type Client interface {
	// Manage does one operation on queues, exchanges and bindings.
	Manage(op Op) error
	// Publish sends a message and returns when the hub says that it is safe.
	Publish(m *Message) error
	// Consume opens a consumer.
	Consume(s Subscription) (Consumer, error)
	// Reply answers a request that one of the client's consumers got.
	Reply(to *Delivery, m *Message) error
	// Call asks a service and waits for the answer.
	Call(q Question) (*Answer, error)
	// Gather asks all and waits for the end.
	Gather(q Question) (*Gathered, error)
	// Ended waits until the hub has ended the conversation and returns in which words.
	Ended() (form string, err error)
	// Abort ends it without a good-bye, as a client does that is killed. It is repeatable.
	Abort()
}

// Consumer is an open consumer of a client.
type Consumer interface {
	// Next waits for a delivery.
	Next() (*Delivery, error)
	// Settle gives a delivery its outcome: accepted, rejected or released.
	Settle(d *Delivery, o broker.Outcome) error
}

// Message is what a client publishes, or answers with.
type Message struct {
	Exchange, Key string
	Mandatory     bool
	Properties    broker.Properties
	Body          string
}

// Delivery is a message as a client is shown it.
type Delivery struct {
	Properties  broker.Properties
	Body        string
	Redelivered bool
	// Handle is what the client needs to settle it.
	Handle any
}

// Subscription says what to consume: a queue, or a pattern of topics.
type Subscription struct {
	Queue, Topic string
	// Prefetch bounds the unsettled deliveries; 0 is no bound, or the protocol's largest.
	Prefetch int
	// Auto settles each delivery when it is sent.
	Auto bool
}

// Question is a call or a gather.
type Question struct {
	// Service is asked, or for a gather without one everybody subscribed to Topic.
	Service, Topic string
	// Operation is the property type.
	Operation string
	Body      string
	Timeout   time.Duration
	// Replies ends a gather after so many answers; 0 waits for all.
	Replies int
}

// Answer is the answer to a call.
type Answer struct {
	Body string
	// Error is the word of the hub or of the service, when the call failed.
	Error string
}

// Gathered is how a gather ended.
type Gathered struct {
	// Replies are the answers by the names of those who gave them.
	Replies  map[string]string
	Complete bool
	Missing  []string
	// Error is the hub's word, when nobody was asked.
	Error string
}

// Refusal is an operation that the hub refused, or the end of a conversation.
type Refusal struct {
	// Form is the protocol's own form: reply code, header message, or status and code.
	Form string
	Text string
}

// Error returns form and text.
func (r *Refusal) Error() string { return r.Form + ": " + r.Text }

// Op is one operation on the structure of a virtual host. Which fields count depends on Do.
type Op struct {
	Do Ability
	// Queue and Exchange name what it is about; a binding leads from Source to one of them.
	Queue, Exchange, Source, Key string
	// DeadLetters is a new queue's dead letter exchange, Alternate a new exchange's alternate.
	DeadLetters, Alternate string
	// Volatile queues are not durable.
	Volatile bool
}
