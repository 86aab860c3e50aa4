// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// Ability is something that not every protocol can do.
type Ability string

// The abilities. The first ones are operations that [Client.Manage] does.
const (
	DeclareQueue    Ability = "declare a queue"
	InspectQueue    Ability = "inspect a queue"
	PurgeQueue      Ability = "purge a queue"
	DeleteQueue     Ability = "delete a queue"
	GetMessage      Ability = "get a message without a consumer"
	DeclareExchange Ability = "declare an exchange"
	InspectExchange Ability = "inspect an exchange"
	DeleteExchange  Ability = "delete an exchange"
	BindQueue       Ability = "bind a queue"
	BindExchange    Ability = "bind an exchange"
	UnbindQueue     Ability = "unbind a queue"

	// Receive: a client can be a consumer, and so a service.
	Receive Ability = "receive messages"
	// SendToQueue: a client puts a message of its own making into a queue, and hears that it is safe.
	SendToQueue Ability = "send a message to a queue"
	// GatherByName: a client that gathers is told whose answer is which.
	GatherByName Ability = "tell the answers of a gather apart"
	// ChooseVHost and ShowPassword: a client says which virtual host it wants, and proves who it is.
	ChooseVHost  Ability = "choose a virtual host"
	ShowPassword Ability = "show a password"
	// AnyExchange: messages may be published to each exchange that there is.
	AnyExchange Ability = "publish to any exchange"
	// PutBack returns a delivery to its place.
	PutBack Ability = "put a message back"
	// Mandatory messages come back when they reach no queue.
	Mandatory Ability = "be told of an unroutable message"
	// CountConsumers: a client's consumers count against one limit.
	CountConsumers Ability = "share one limit of consumers"
	// LimitBodies: the door takes smaller bodies than the heart.
	LimitBodies Ability = "have a body limit of its own for consumers"
	// HoldPublishers: under an alarm a publisher is held back or refused.
	HoldPublishers Ability = "hold publishers back"
)

// Fault is a refusal that every door has a form for.
type Fault string

// The faults.
const (
	Forbidden       Fault = "forbidden"
	ForbiddenVHost  Fault = "forbidden virtual host"
	UnknownVHost    Fault = "unknown virtual host"
	WrongPassword   Fault = "wrong password"
	NotFound        Fault = "not found"
	Unroutable      Fault = "unroutable"
	HubConnections  Fault = "connections of the hub"
	VHostConnection Fault = "connections of a virtual host"
	UserConnections Fault = "connections of a user"
	TooManyQueues   Fault = "queues"
	TooManyConsumer Fault = "consumers"
	TooLarge        Fault = "too large"
	QueueFull       Fault = "queue full"
	Shutdown        Fault = "shutdown"
)

// Features say how a door differs from the others. What is not said it does.
type Features struct {
	// Forms are the door's words for the faults.
	Forms map[Fault]string
	// Lacks has what the protocol cannot do, and why.
	Lacks map[Ability]string
	// AlarmForm is how a publish is refused under an alarm; empty: the publisher is held.
	AlarmForm string
	// Away is how long a client that vanished keeps what it has not settled, and AwayReason why.
	Away       time.Duration
	AwayReason string
	// NotSent are the properties that a client cannot set, NotShown those that it cannot see.
	NotSent, NotShown map[broker.PropertySet]string
	// Adds are the properties that the door sets itself.
	Adds broker.PropertySet
	// Sends returns how the heart sees a header value that a client sets, or that the client has no
	// such values. Shows returns how a client sees a value of the heart, or that it does not.
	Sends, Shows func(value any) (any, bool)
}

// need skips a test of what the protocol cannot do.
func (f *Features) need(t *testing.T, a Ability) {
	t.Helper()
	if why, lacks := f.Lacks[a]; lacks {
		t.Skipf("cannot %s: %s", a, why)
	}
}

// lacks reports whether the protocol cannot do something.
func (f *Features) lacks(a Ability) bool {
	_, lacks := f.Lacks[a]
	return lacks
}

// form returns the door's form of a fault.
func (f *Features) form(t *testing.T, fault Fault) string {
	t.Helper()
	form := f.Forms[fault]
	if form == "" {
		t.Fatalf("the driver has no form for the fault %q", fault)
	}
	return form
}

// check refuses features without a reason.
func (f *Features) check(t *testing.T) {
	t.Helper()
	for a, why := range f.Lacks {
		if why == "" {
			t.Errorf("no reason why a client cannot %s", a)
		}
	}
	for _, missing := range []map[broker.PropertySet]string{f.NotSent, f.NotShown} {
		for p, why := range missing {
			if why == "" {
				t.Errorf("no reason for the missing property %#x", p)
			}
		}
	}
	if (f.Away > 0) != (f.AwayReason != "") {
		t.Error("Away and its reason go together")
	}
	if f.Sends == nil || f.Shows == nil {
		t.Fatal("Sends and Shows are required")
	}
}

// AsIs is Sends and Shows of a protocol whose field types are the heart's.
func AsIs(value any) (any, bool) { return value, true }
