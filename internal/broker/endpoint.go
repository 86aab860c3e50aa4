// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"io"
	"time"
)

// Endpoint is a service that the hub itself calls: a pool of HTTP or Thrift servers. It stands at
// its service's queue as one consumer; balancing, attempts and ejection live inside it. All methods
// are safe for concurrent use.
type Endpoint interface {
	// Take takes one credit for a message with this operation (its type), if there is one: a free
	// slot of an eligible member, and none while the operation's breaker is open (half-open it gives
	// one at a time). Who took it calls Call or Return, once. It is called under the queue's lock: it
	// neither blocks nor calls the heart. The operation is borrowed.
	Take(operation []byte) bool
	// Return gives back a credit that was not used.
	Return(operation []byte)
	// Stops reports whether the operation's breaker gives no credit now, however many slots there are.
	// Whoever is told so is told through Watch when that changes. The operation is borrowed; it is called
	// as Take is.
	Stops(operation []byte) bool
	// Refusal says why there is no credit and none is to be waited for: CodeNoInstance when no member
	// can be called, CodeBreakerOpen with RetryAfter. Nil: a call may wait for a credit.
	Refusal(operation []byte) *Error
	// Latency returns within what time half of the answers come, and within what time nearly all (95 %); 0
	// while too few have come to know.
	Latency() (half, most time.Duration)
	// Call uses a credit: it sends the message to a member, to another one where that is allowed, and
	// waits for the answer. The slot is free again when it returns, or, where the reply has a Stream,
	// when that is closed. ctx ends when nobody waits any more; the deadline is the call's own. Errors
	// are *Error: CodeNoInstance, CodeBreakerOpen and CodeOverloaded say that no member has seen the
	// message, CodeDeadline, CodeCanceled and CodeBadReply that one may have.
	Call(ctx context.Context, c *EndpointCall) (*Reply, error)
	// Members names those that a gather asks: all that are not draining, in order.
	Members() []string
	// CallMember sends a message to one member, and to no other. It needs no credit.
	CallMember(ctx context.Context, member string, c *EndpointCall) (*Reply, error)
	// Watch sets the function that is called, under no lock, when there may be credit again for
	// another reason than that a Call ended or Return was called: a member came or is healthy again,
	// the breaker lets calls through.
	Watch(credit func())
}

// EndpointCall is one call to an endpoint. It is borrowed until Call returns, and so is what it
// holds.
type EndpointCall struct {
	// Message has the envelope, and unless Head and Body are set all the rest.
	Message *Message
	// Head, when not nil, stands for the message's properties: a caller that runs the call itself
	// need not make raw properties of what it has.
	Head Head
	// Body, when not nil, stands for the message's body. Once a byte of it was read nothing is tried
	// again. Closing it makes a read under way return; that is done when the call ends before the body,
	// and nothing is read of it when Call has returned, or, where the reply has a Stream, when that is
	// closed.
	Body io.ReadCloser
	// Length is the number of bytes in Body; negative: nobody knows.
	Length int64
	// Trailer are the fields behind a Body whose length nobody knows (RFC 9110 §6.5): the names are
	// there before, the values once Body has ended. nil: none.
	Trailer map[string][]string
	// Deadline is when the call ends; zero: never.
	Deadline time.Time
	// Streams says that the caller takes the answer's head and body as they come: Reply.Head and
	// Reply.Stream. Without it Reply.Message has all, up to the limit of a message's body, and the
	// deadline is for the whole of it.
	Streams bool
	// Upgrade is a list of protocols to which the caller asks to switch (RFC 9110 §7.8), of a call
	// that streams and has no body; "": none. Where a member does, the reply's head has the status 101
	// and the one that it took as upgrade, and Reply.Stream is an io.ReadWriteCloser.
	Upgrade string
	// Idempotent says that the call may be made twice, whatever its method says.
	Idempotent bool
	// Redelivered says that a member may have seen the message before, Attempt counts deliveries,
	// from 1.
	Redelivered bool
	Attempt     uint32
	// Answers says that somebody gets the answer; without it only Reply.Outcome counts.
	Answers bool
}

// Head is what a door or an endpoint knows of a call or of an answer besides its body: headers with
// names in lower case, among them http-method, http-path, http-query and http-status (rest.md, Calls).
// It is borrowed as the call or the reply is.
type Head interface {
	// Get returns the first value of a header, "" when there is none.
	Get(name string) string
	// Each yields the headers that go on, in their order and without those four, until yield says
	// stop. A name may come more than once. Names may have upper-case letters here.
	Each(yield func(name, value string) bool)
}

// Trailer is a stream with fields behind it (RFC 9110 §6.5).
type Trailer interface {
	// Trailer returns the fields by name, once the stream has ended well; nil: none.
	Trailer() map[string][]string
}

// Reply is the answer of an endpoint.
type Reply struct {
	// Message is the answer to a call that does not stream; its body is whole.
	Message *Message
	// Head and Stream are the answer to a call that does. Who gets the reply closes the stream; the
	// head is good until then. Where the stream is a Trailer too, it may have fields behind it.
	Head   Head
	Stream io.ReadCloser
	// Length is the number of bytes in Stream; negative: nobody knows.
	Length int64
	// Failure is the error that the answer is, in one word, "" for none: it is a header to askers whose
	// protocol has no status.
	Failure string
	// Outcome is what becomes of a message that nobody waits for: Accepted, Rejected where another
	// attempt would not help, Released where it may, after RetryAfter if that is set.
	Outcome    Outcome
	RetryAfter time.Duration
}
