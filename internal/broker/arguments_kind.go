// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"slices"
)

// The arguments of queues, by the type that has them. Those that are of no type are ignored, as are
// here: mirrors, leaders and members, of which one machine has none.
//
//nolint:gochecknoglobals // tables, never written
var (
	commonArguments = [...]string{
		argQueueType, "x-expires", "x-message-ttl", "x-dead-letter-exchange",
		"x-dead-letter-routing-key", "x-dead-letter-strategy", "x-max-length", "x-max-length-bytes",
		"x-max-in-memory-length", "x-max-in-memory-bytes", "x-overflow", "x-single-active-consumer",
		"x-delivery-limit", argConsumerTimeout, "x-quorum-initial-group-size",
		"x-queue-leader-locator",
	}
	classicArguments = [...]string{"x-max-priority", "x-queue-mode", "x-queue-version"}
	streamArguments  = [...]string{
		"x-max-age", "x-stream-max-segment-size-bytes", "x-stream-filter-size-bytes",
		"x-initial-cluster-size",
	}
)

// streamConsumerArguments are what only a consumer of a stream may ask for.
//
//nolint:gochecknoglobals // a table, never written
var streamConsumerArguments = [...]string{
	"x-stream-offset", "x-stream-filter", "x-stream-match-unfiltered",
}

// checkConsumerArguments refuses arguments of another queue type's consumers; the queue's lock is held.
func (q *Queue) checkConsumerArguments(op string, args Table) error {
	for _, name := range streamConsumerArguments {
		if _, ok := args.Get(name); ok {
			entity := queueEntity(q.vh.name, q.Name)
			return errorf(CodeBadRequest, op, entity, "invalid arg '%s' for %s of queue type %s",
				name, entity, q.args.kind.text())
		}
	}
	return nil
}

// text returns the type's name in error texts.
func (k queueKind) text() string {
	if k == quorumQueue {
		return "rabbit_quorum_queue"
	}
	return "rabbit_classic_queue"
}

// others lists the arguments that only other types have.
func (k queueKind) others() []string {
	if k == quorumQueue {
		return slices.Concat(classicArguments[:], streamArguments[:])
	}
	return streamArguments[:]
}

// known lists the arguments that are compared when a queue is redeclared.
func (k queueKind) known() []string {
	if k == quorumQueue {
		return commonArguments[:]
	}
	return slices.Concat(commonArguments[:], classicArguments[:])
}

// queueKind reads x-queue-type.
func (r *argumentReader) queueKind() queueKind {
	kind, ok := r.text(argQueueType)
	switch {
	case !ok, kind == typeClassic:
	case kind == typeQuorum:
		return quorumQueue
	case kind == typeStream:
		r.fail(argQueueType, "\"streams are not supported\"")
	default:
		r.fail(argQueueType, fmt.Sprintf("\"unsupported queue type '%s'\"", kind))
	}
	return classicQueue
}

// mode checks x-queue-mode and x-queue-version, which change nothing.
func (r *argumentReader) mode() {
	if mode, ok := r.text("x-queue-mode"); ok && mode != "default" && mode != "lazy" {
		r.fail("x-queue-mode", fmt.Sprintf("\"unsupported queue mode '%s'\"", mode))
	}
	if n := r.number("x-queue-version", 0, 1<<63-1); n == 0 || n > 2 {
		r.fail("x-queue-version", fmt.Sprintf("\"unsupported queue version '%d'\"", n))
	}
}

// otherKinds refuses the arguments of other types, in the order in which they came.
func (r *argumentReader) otherKinds(kind queueKind) {
	others := kind.others()
	for i := range r.args {
		if name := r.args[i].Name; slices.Contains(others, name) {
			r.fail2(fmt.Sprintf("invalid arg '%s' for %s of queue type %s", name, r.entity,
				kind.text()))
		}
	}
}

// properties refuses what a queue of its type cannot be.
func (r *argumentReader) properties(kind queueKind, p QueueParams) {
	if kind != quorumQueue {
		return
	}
	for _, bad := range [...]struct {
		is   bool
		name string
	}{
		{p.AutoDelete, "auto-delete"}, {p.Exclusive, "exclusive-owner"}, {!p.Durable, "non-durable"},
	} {
		if bad.is {
			r.fail2(fmt.Sprintf("invalid property '%s' for %s", bad.name, r.entity))
		}
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
	if name == argQueueType && (!hasR && current == typeClassic || !hasC && received == typeClassic) {
		return nil
	}
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
