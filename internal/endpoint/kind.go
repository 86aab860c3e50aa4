// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"net"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// Kind speaks to the members of one protocol. The pool picks, repeats, waits and judges; a kind
// turns a message into bytes for one member and its answer into a reply. All methods are safe for
// concurrent use.
type Kind interface {
	// Prepare reads what is to be sent, once for all attempts. c is borrowed until the last attempt
	// has returned. An error is the caller's mistake, an *broker.Error, and counts for no member.
	Prepare(c *broker.EndpointCall) (Call, error)
	// Check asks one member whether it is well. ctx has the check's timeout.
	Check(ctx context.Context, t Target, h Health) error
	// Forget closes what is idle between the hub and a member that is gone or drained.
	Forget(t Target)
	// Close ends what the kind has open. No call is under way then.
	Close() error
}

// Call is a message that was read, to be sent to a member, and to another one where that is
// allowed. Try may be called concurrently when the call is idempotent (hedging).
type Call interface {
	// Traits say how often it may be tried.
	Traits() Traits
	// Try makes one attempt and waits for its answer. The reply is nil unless the outcome is an
	// answer ([Class.Answered]). When ctx ends first it returns at once, with ClassCanceled; the pool
	// knows why it ended. Where the reply has a stream, closing that frees what the attempt holds.
	Try(ctx context.Context, a Attempt) (*broker.Reply, Outcome)
}

// releaser is a Call that wants to hear that its last attempt has returned: its memory may serve
// another one.
type releaser interface{ Release() }

// release tells a call that it is over.
func release(c Call) {
	if r, ok := c.(releaser); ok {
		r.Release()
	}
}

// Traits are what the rules of attempts need to know of a call.
type Traits struct {
	// Idempotent says that a member may see it twice: RFC 9110 §9.2.2, a contract that says so, or an
	// idempotency key.
	Idempotent bool
	// Attempt is the number that a hub before this one sent along, from 1; a hub that gets more than 1
	// does not repeat the call. 0 is none.
	Attempt int
	// Once says that its body is a stream, of which nothing can be sent again.
	Once bool
	// Timed says that Try itself ends at Attempt.Until, with ClassTimeout. Without it the pool ends
	// the context then, which costs a timer and a context for each attempt.
	Timed bool
}

// Attempt is one try of a call.
type Attempt struct {
	Target Target
	// Number counts the tries of the call, from 1. Members get it (Parley-Attempt).
	Number int
	// Deadline is when the call ends, for the member to know; zero: never.
	Deadline time.Time
	// Until is when this attempt has to have the head of its answer, the deadline or earlier; zero:
	// never.
	Until time.Time
}

// Target is where a member is.
type Target struct {
	// Member is its name in the pool.
	Member string
	// URL is what the instance was registered with.
	URL string
	// Address is what to dial: host:port, an IP address already, or unix:PATH.
	Address string
}

// CheckTCP is the check of a kind that has none of its own: a connection.
func CheckTCP(ctx context.Context, t Target) error {
	network, address := t.Network()
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Network returns the arguments of a dial.
func (t Target) Network() (network, address string) {
	if path, ok := unixPath(t.Address); ok {
		return "unix", path
	}
	return "tcp", t.Address
}
