// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strconv"
	"strings"
	"time"
)

// ExchangeParams declare an exchange.
type ExchangeParams struct {
	Name string
	// Type is one of ExchangeTypes.
	Type       string
	Durable    bool
	AutoDelete bool
	Internal   bool
	// Passive only asks whether it exists; everything else is ignored then.
	Passive   bool
	Arguments Table
}

// QueueParams declare a queue.
type QueueParams struct {
	// Name may be empty: the hub then makes one up.
	Name       string
	Durable    bool
	Exclusive  bool
	AutoDelete bool
	// Passive only asks whether it exists; everything else is ignored then.
	Passive   bool
	Arguments Table
}

// QueueInfo is the answer to a declaration.
type QueueInfo struct {
	Name      string
	Messages  int
	Consumers int
	// Created says that the queue did not exist before.
	Created bool
}

// DeleteParams delete a queue.
type DeleteParams struct {
	Name     string
	IfUnused bool
	IfEmpty  bool
}

// BindingParams name a binding from an exchange to a queue or to another exchange.
type BindingParams struct {
	Source      string
	Destination string
	Key         string
	Arguments   Table
	// ToExchange says that Destination is an exchange.
	ToExchange bool
}

// ConsumerParams open a consumer.
type ConsumerParams struct {
	Queue string
	// Tag may be empty: the hub then makes one up.
	Tag string
	// AutoAck says that a delivery is settled when it is sent.
	AutoAck   bool
	Exclusive bool
	// Sole consumers take all messages of their queue, one of them at a time: that with the highest
	// priority, then the one that came first. Whoever else is there waits until it has gone.
	Sole bool
	// Priority: consumers with a higher one are served first.
	Priority int32
	// Prefetch bounds the unsettled deliveries of this consumer; 0 is no bound. When it is -1 the
	// session's value counts (AMQP basic.qos).
	Prefetch int
	// Limited says that the consumer starts without credit and gets what Consumer.AddCredit
	// grants (leases, AMQP 1.0 links).
	Limited bool
	// Linger keeps the service attended for this long after the consumer is cancelled, for
	// clients that poll.
	Linger time.Duration
	// Filter, when not nil, says which messages the consumer takes; others stay for other consumers.
	// It is called under the queue's lock, for each message once as a rule, and must neither block
	// nor call the heart.
	Filter func(*Message) bool
	// FilterDrops says that the queue is for this consumer alone: what Filter refuses is dropped.
	FilterDrops bool
	// Attempts bounds how often a message may be delivered to this consumer in vain before it is
	// dead-lettered, the last time included; 0 leaves that to the queue.
	Attempts  uint32
	Arguments Table
	// Data is the door's own value, found again as Consumer.Data.
	Data any
}

// PublishParams say how to publish.
type PublishParams struct {
	// Mandatory messages that reach no queue are returned.
	Mandatory bool
	// Delay is how long the message waits before it is routed, through whatever exchange; a begun
	// millisecond counts. A mandatory one has to have a queue now, too. A Commit knows no delay.
	Delay time.Duration
	// Call makes the message a call: the hub answers for the service when it cannot.
	Call *CallTerms
	// Gather makes the message a gather with a stop rule.
	Gather *GatherTerms
}

// CallTerms are what the headers parley-timeout and parley-deadline ask for.
type CallTerms struct {
	// Timeout is relative; 0 means that Deadline counts.
	Timeout time.Duration
	// Deadline is by the wall clock; zero means that Timeout counts. Of the two the earlier counts.
	Deadline time.Time
}

// GatherTerms are the stop rule of a gather. It ends at the first rule that is met.
type GatherTerms struct {
	// All waits for everyone who was asked.
	All bool
	// Replies waits for that many answers; 0 is no such rule.
	Replies int
	// Quorum waits for more than half of those who were asked.
	Quorum bool
	// Sentinel ends it at an answer with an empty body that is no error. That one is not handed on.
	Sentinel bool
	// Stall ends it after that much silence following an answer; 0 is no such rule.
	Stall time.Duration
	// Total bounds it; 0 is the hub's default (15 s).
	Total time.Duration
}

// GatherRule reads a stop rule in words with commas between them: all, quorum, a number of answers,
// sentinel. Alone a sentinel goes with all.
func GatherRule(words string) (terms GatherTerms, ok bool) {
	for word := range strings.SplitSeq(words, ",") {
		n, err := strconv.ParseUint(word, 10, 31)
		switch {
		case word == "all":
			terms.All = true
		case word == "quorum":
			terms.Quorum = true
		case word == "sentinel":
			terms.Sentinel = true
		case err != nil || n == 0:
			return terms, false
		case terms.Replies == 0 || int(n) < terms.Replies:
			terms.Replies = int(n)
		}
	}
	terms.All = terms.All || !terms.Quorum && terms.Replies == 0
	return terms, true
}

// Outcome is what a consumer makes of a delivery.
type Outcome uint8

const (
	// Accepted removes the message from the queue.
	Accepted Outcome = iota
	// Rejected removes it from the queue and dead-letters it.
	Rejected
	// Released puts it back in its place, flagged as redelivered.
	Released
	// Modified puts it back as Released does, and counts as a failed attempt.
	Modified
	// Undelivered puts it back as if it had never left: the door could not hand it to the client.
	Undelivered
)

// SettleParams settle one delivery or several.
type SettleParams struct {
	// Tag of the delivery; 0 with Multiple means all that are outstanding.
	Tag uint64
	// Multiple settles every outstanding delivery up to Tag.
	Multiple bool
	// Of, when not nil, confines Multiple to the deliveries of one consumer.
	Of      *Consumer
	Outcome Outcome
}
