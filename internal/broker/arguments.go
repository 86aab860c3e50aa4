// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
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
}

// limited reports whether the queue has a length limit.
func (a *queueArguments) limited() bool { return a.maxLength >= 0 || a.maxBytes >= 0 }

// knownArguments are compared when a queue is redeclared; others are ignored.
//
//nolint:gochecknoglobals // a table, never written
var knownArguments = [...]string{
	"x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes", "x-overflow",
	"x-dead-letter-exchange", "x-dead-letter-routing-key", "x-max-priority",
	"x-single-active-consumer", "x-delivery-limit",
}

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
	if mode, ok := definition["overflow"].(string); ok && !a.hasOverflow {
		a.overflow = overflowModes[mode]
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

// quorumDeliveryLimit is the delivery limit of queues declared with x-queue-type quorum.
const quorumDeliveryLimit = 20

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
	a := queueArguments{
		messageTTL: r.number("x-message-ttl", 0, maxMillis),
		expiresMS:  r.number("x-expires", 1, maxMillis),
		maxLength:  r.number("x-max-length", 0, unbounded),
		maxBytes:   r.number("x-max-length-bytes", 0, unbounded),
	}
	a.maxPriority = int(max(0, r.number("x-max-priority", 0, 255)))
	a.deliveryLimit = r.number("x-delivery-limit", 0, 1<<31)
	a.to.exchange, a.deadLetter = r.exchange("x-dead-letter-exchange")
	a.to.key, a.to.hasKey = r.text("x-dead-letter-routing-key")
	if a.to.hasKey && !a.deadLetter {
		r.fail("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined")
	}
	if mode, ok := r.text("x-overflow"); ok {
		if a.overflow, a.hasOverflow = overflowModes[mode]; !a.hasOverflow {
			r.fail("x-overflow", "invalid_overflow")
		}
	}
	if v, ok := p.Arguments.Get("x-single-active-consumer"); ok {
		on, isBool := v.(bool)
		if !isBool {
			r.fail("x-single-active-consumer",
				fmt.Sprintf("{unacceptable_type,%s}", fieldType(v)))
		}
		a.single = on
	}
	r.queueType(p, &a)
	return a, r.err
}

func (r *argumentReader) queueType(p QueueParams, a *queueArguments) {
	switch kind, _ := r.text("x-queue-type"); kind {
	case "", "classic":
	case "quorum":
		if !p.Durable {
			r.fail2("invalid property 'non-durable' for " + r.entity)
		}
		a.kind = quorumQueue
	default:
		r.fail2(fmt.Sprintf("invalid arg 'x-queue-type' for %s: \"unsupported queue type '%s'\"",
			r.entity, kind))
	}
}

func (r *argumentReader) fail2(text string) {
	if r.err == nil {
		r.err = errorf(CodeBadRequest, r.op, r.entity, "%s", text)
	}
}

// redeclaration compares what a client declares with what is there.
type redeclaration struct {
	op, entity        string
	received, current Table
}

// argument compares one argument.
func (r *redeclaration) argument(name string) error {
	received, hasR := r.received.Get(name)
	current, hasC := r.current.Get(name)
	if hasR == hasC && (!hasR || equalValues(received, current)) {
		return nil
	}
	describe := func(v any, ok, alone bool) string {
		switch {
		case !ok:
			return "none"
		case alone:
			return fmt.Sprintf("'%v'", v)
		}
		return fmt.Sprintf("the value '%v' of type '%s'", v, fieldType(v))
	}
	same := hasR && hasC && typeClass(received) == typeClass(current)
	return errorf(CodeInequivalent, r.op, r.entity,
		"inequivalent arg '%s' for %s: received %s but current is %s",
		name, r.entity, describe(received, hasR, same), describe(current, hasC, same))
}

func typeClass(v any) string {
	if _, ok := integerOf(v); ok {
		return "integer"
	}
	return fieldType(v)
}

// stripName takes CR and LF out of a name.
func stripName(name string) string {
	if !strings.ContainsAny(name, "\r\n") {
		return name
	}
	return strings.NewReplacer("\r", "", "\n", "").Replace(name)
}
