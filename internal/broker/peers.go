// SPDX-License-Identifier: Apache-2.0

package broker

// Peers reaches the queues of other hubs in a cluster. On one machine it is nil. Nothing here
// waits: each answer comes through a completion, and publish, deliver and settle have none.
type Peers interface {
	// Owner returns the hub that owns a queue, and whether that is this one.
	Owner(vhost, queue string) (hub string, local bool)
	// Consume opens a remote consumer with some credit; deliveries reach the sink.
	Consume(p ConsumerParams, sink Sink, done func(error))
	// Credit grants further credit to a remote consumer.
	Credit(consumerTag string, n int)
	// Settle sends an outcome to the owner.
	Settle(queue string, tag uint64, outcome Outcome)
	// Get takes one message.
	Get(vhost, queue string, done func(*Message, error))
	// Purge empties a queue and tells how many messages went.
	Purge(vhost, queue string, done func(int, error))
	// Counts tells a queue's ready messages and consumers.
	Counts(vhost, queue string, done func(ready, consumers int, err error))
	// Forward publishes a reply whose token names another hub.
	Forward(hub string, m *Message)
}
