// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"slices"
	"strings"
)

// maxMillis is the longest time that an argument may name: ten years.
const maxMillis = 315_360_000_000

type overflowMode uint8

const (
	dropHead overflowMode = iota
	rejectPublish
	rejectPublishDLX
)

// queueKind is a queue's type.
type queueKind uint8

const (
	classicQueue queueKind = iota
	quorumQueue
)

// The arguments and values that are named more than once.
const (
	argQueueType       = "x-queue-type"
	argConsumerTimeout = "x-consumer-timeout"

	typeClassic = "classic"
	typeQuorum  = "quorum"
	typeStream  = "stream"

	atLeastOnce = "at-least-once"
)

// queueArguments are what a queue's arguments mean, alone or together with a policy. Negative
// numbers stand for "not set".
type queueArguments struct {
	kind          queueKind
	messageTTL    int64
	expiresMS     int64
	maxLength     int64
	maxBytes      int64
	overflow      overflowMode
	hasOverflow   bool
	deadLetter    bool
	to            deadLetterTo
	maxPriority   int
	single        bool
	deliveryLimit int64
	// strategy is how dead letters are sent; empty: at most once.
	strategy        string
	consumerTimeout int64
}

// limited reports whether the queue has a length limit.
func (a *queueArguments) limited() bool { return a.maxLength >= 0 || a.maxBytes >= 0 }

//nolint:gochecknoglobals // a table, never written
var overflowModes = map[string]overflowMode{
	"drop-head": dropHead, "reject-publish": rejectPublish, "reject-publish-dlx": rejectPublishDLX,
}

// under returns what the arguments mean together with a policy: of two numbers the least, of other
// values the argument's.
func (a queueArguments) under(definition map[string]any) queueArguments {
	least := func(have int64, key string) int64 {
		n, ok := definition[key].(int64)
		if !ok {
			n = -1
		}
		return leastSet(have, n)
	}
	a.messageTTL = min(least(a.messageTTL, "message-ttl"), maxMillis)
	a.expiresMS = min(least(a.expiresMS, "expires"), maxMillis)
	a.maxLength = least(a.maxLength, "max-length")
	a.maxBytes = least(a.maxBytes, "max-length-bytes")
	a.deliveryLimit = least(a.deliveryLimit, "delivery-limit")
	if a.deliveryLimit < 0 && a.kind == quorumQueue {
		a.deliveryLimit = quorumDeliveryLimit
	}
	a.consumerTimeout = min(least(a.consumerTimeout, "consumer-timeout"), maxMillis)
	if mode, ok := definition["overflow"].(string); ok && !a.hasOverflow {
		a.overflow = overflowModes[mode]
	}
	if a.overflow == rejectPublishDLX && a.kind == quorumQueue {
		a.overflow = dropHead // as RabbitMQ does
	}
	if strategy, ok := definition["dead-letter-strategy"].(string); ok && a.strategy == "" {
		a.strategy = strategy
	}
	if x, ok := definition["dead-letter-exchange"].(string); ok && !a.deadLetter {
		a.deadLetter, a.to.exchange = true, x
	}
	if key, ok := definition["dead-letter-routing-key"].(string); ok && !a.to.hasKey {
		a.to.hasKey, a.to.key = true, key
	}
	return a
}

// leastSet returns the lesser of two numbers that are set.
func leastSet(a, b int64) int64 {
	if a < 0 || b < 0 {
		return max(a, b)
	}
	return min(a, b)
}

// maxDeliveries is a delivery limit that no message reaches.
const maxDeliveries = 1 << 31

// quorumDeliveryLimit is the delivery limit of queues declared with x-queue-type quorum.
const quorumDeliveryLimit = 20

//nolint:gochecknoglobals // tables, never written
var (
	overflowWords        = [...]string{"drop-head", "reject-publish", "reject-publish-dlx"}
	deadLetterStrategies = [...]string{"at-most-once", atLeastOnce}
	leaderLocators       = [...]string{"client-local", "random", "least-leaders", "balanced"}
)

// argumentReader reads arguments until the first bad one.
type argumentReader struct {
	args   Table
	op     string
	entity string
	err    error
}

func (r *argumentReader) fail(name, why string) {
	if r.err == nil {
		r.err = errorf(CodeBadRequest, r.op, r.entity, "invalid arg '%s' for %s: %s",
			name, r.entity, why)
	}
}

// number reads a whole number between lowest and highest; -1 when it is absent.
func (r *argumentReader) number(name string, lowest, highest int64) int64 {
	v, ok := r.args.Get(name)
	if !ok {
		return -1
	}
	n, ok := integerOf(v)
	switch {
	case !ok:
		r.fail(name, fmt.Sprintf("\"expected integer, got %s\"", fieldType(v)))
	case n < 0:
		r.fail(name, fmt.Sprintf("{value_negative,%d}", n))
	case n == 0 && lowest > 0:
		r.fail(name, "{value_zero,0}")
	case n > highest && name == "x-max-priority":
		r.fail(name, fmt.Sprintf("{max_value_exceeded,%d}", n))
	case n > highest:
		r.fail(name, fmt.Sprintf("{value_too_large,%d}", n))
	}
	return n
}

func (r *argumentReader) text(name string) (string, bool) {
	v, ok := r.args.Get(name)
	if !ok {
		return "", false
	}
	s, isText := v.(string)
	if !isText {
		r.fail(name, fmt.Sprintf("{unacceptable_type,%s}", fieldType(v)))
	}
	return s, isText
}

// exchange reads the name of an exchange; of another type it has a text of its own.
func (r *argumentReader) exchange(name string) (string, bool) {
	v, ok := r.args.Get(name)
	if !ok {
		return "", false
	}
	s, isText := v.(string)
	if !isText {
		r.fail2(fmt.Sprintf("invalid type '%s' for arg '%s' in %s", fieldType(v), name, r.entity))
	}
	return s, isText
}

func parseQueueArguments(op string, p QueueParams, entity string) (queueArguments, error) {
	const unbounded = 1<<63 - 1
	r := argumentReader{args: p.Arguments, op: op, entity: entity}
	a := queueArguments{kind: r.queueKind()}
	a.to.exchange, a.deadLetter = r.exchange("x-dead-letter-exchange")
	a.expiresMS = r.number("x-expires", 1, maxMillis)
	a.messageTTL = r.number("x-message-ttl", 0, maxMillis)
	a.to.key, a.to.hasKey = r.text("x-dead-letter-routing-key")
	if a.to.hasKey && !a.deadLetter {
		r.fail("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined")
	}
	a.strategy = r.word("x-dead-letter-strategy", "invalid_dlx_strategy", deadLetterStrategies[:])
	a.maxLength = r.number("x-max-length", 0, unbounded)
	a.maxBytes = r.number("x-max-length-bytes", 0, unbounded)
	r.number("x-max-in-memory-length", 0, unbounded)
	r.number("x-max-in-memory-bytes", 0, unbounded)
	a.maxPriority = int(max(0, r.number("x-max-priority", 0, 255)))
	mode := r.word("x-overflow", "invalid_overflow", overflowWords[:])
	a.overflow, a.hasOverflow = overflowModes[mode], mode != ""
	r.mode()
	a.single = r.flag("x-single-active-consumer")
	a.deliveryLimit = r.deliveryLimit()
	a.consumerTimeout = r.number(argConsumerTimeout, 1, maxMillis)
	r.number("x-quorum-initial-group-size", 1, unbounded)
	r.word("x-queue-leader-locator", "invalid_queue_locator_arg", leaderLocators[:])
	r.otherKinds(a.kind)
	r.properties(a.kind, p)
	return a, r.err
}

// deliveryLimit reads x-delivery-limit; a negative one is no limit, also where the type has one.
func (r *argumentReader) deliveryLimit() int64 {
	const name = "x-delivery-limit"
	v, _ := r.args.Get(name)
	if n, ok := integerOf(v); ok && n < 0 {
		return maxDeliveries
	}
	return r.number(name, 0, maxDeliveries)
}

// word reads one of several words; empty when it is absent.
func (r *argumentReader) word(name, why string, words []string) string {
	word, ok := r.text(name)
	if ok && !slices.Contains(words, word) {
		r.fail(name, why)
	}
	return word
}

func (r *argumentReader) flag(name string) bool {
	v, ok := r.args.Get(name)
	if !ok {
		return false
	}
	on, isBool := v.(bool)
	if !isBool {
		r.fail(name, fmt.Sprintf("{unacceptable_type,%s}", fieldType(v)))
	}
	return on
}

// consumerArguments checks the arguments of a consumer, and returns its x-consumer-timeout.
func consumerArguments(op string, q *Queue, args Table) (timeout int64, err error) {
	r := argumentReader{args: args, op: op, entity: queueEntity(q.vh.name, q.Name)}
	r.flag("x-cancel-on-ha-failover")
	timeout = r.number(argConsumerTimeout, 1, maxMillis)
	for i := range args {
		if name := args[i].Name; strings.HasPrefix(name, "x-stream-") {
			r.fail2(fmt.Sprintf("invalid arg '%s' for %s of queue type %s", name, r.entity,
				q.declared.kind.text()))
		}
	}
	return timeout, r.err
}

func (r *argumentReader) fail2(text string) {
	if r.err == nil {
		r.err = errorf(CodeBadRequest, r.op, r.entity, "%s", text)
	}
}

// stripName takes CR and LF out of a name.
func stripName(name string) string {
	if !strings.ContainsAny(name, "\r\n") {
		return name
	}
	return strings.NewReplacer("\r", "", "\n", "").Replace(name)
}
