// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"io"
)

// Endpoint is a service that the hub itself calls: a pool of HTTP or Thrift servers. It stands at
// its service's queue as one consumer; balancing, attempts and ejection live inside it.
type Endpoint interface {
	// Call sends a message and waits for the answer. The context carries the deadline. The message
	// is borrowed until Call returns; the reply is the caller's.
	Call(ctx context.Context, m *Message) (*Reply, error)
	// Credit returns the free slots of the eligible members; 0 while the breaker is open.
	Credit() int
}

// Reply is the answer of an endpoint. Exactly one of Message.Body and Stream holds the body; who
// gets the reply closes the stream.
type Reply struct {
	Message *Message
	Stream  io.ReadCloser
}
