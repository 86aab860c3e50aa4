// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

// TestSecA13Arguments: every argument of a queue with a value that it may not have, at its bounds, in
// RabbitMQ's words.
func TestSecA13Arguments(t *testing.T) {
	t.Parallel()
	quorum := arg("x-queue-type", "quorum")
	dlx := arg("x-dead-letter-exchange", "x")
	testCases := []struct {
		args broker.Table
		why  string // empty: it is taken
	}{
		{broker.Table{arg("x-message-ttl", int32(-1))}, "{value_negative,-1}"},
		{broker.Table{arg("x-message-ttl", int32(0))}, ""},
		{broker.Table{arg("x-message-ttl", int64(315_360_000_000))}, ""},
		{
			broker.Table{arg("x-message-ttl", int64(315_360_000_001))},
			"{value_too_large,315360000001}",
		},
		{
			broker.Table{arg("x-message-ttl", int64(1<<63-1))},
			"{value_too_large,9223372036854775807}",
		},
		{broker.Table{arg("x-message-ttl", "10")}, "\"expected integer, got longstr\""},
		{broker.Table{arg("x-message-ttl", 1.5)}, "\"expected integer, got double\""},
		{broker.Table{arg("x-message-ttl", broker.Array{})}, "\"expected integer, got array\""},
		{broker.Table{arg("x-expires", int32(0))}, "{value_zero,0}"},
		{broker.Table{arg("x-expires", uint8(1))}, ""},
		{broker.Table{arg("x-expires", int64(315_360_000_001))}, "{value_too_large,315360000001}"},
		{broker.Table{arg("x-max-length", int16(-5))}, "{value_negative,-5}"},
		{broker.Table{arg("x-max-length", int64(1<<63-1))}, ""},
		{broker.Table{arg("x-max-length-bytes", true)}, "\"expected integer, got bool\""},
		{broker.Table{arg("x-max-priority", int32(255))}, ""},
		{broker.Table{arg("x-max-priority", int32(256))}, "{max_value_exceeded,256}"},
		{broker.Table{arg("x-max-priority", int64(1<<31))}, "{max_value_exceeded,2147483648}"},
		{broker.Table{arg("x-max-priority", int8(-1))}, "{value_negative,-1}"},
		{broker.Table{arg("x-overflow", "bogus")}, "invalid_overflow"},
		{broker.Table{arg("x-overflow", "")}, "invalid_overflow"},
		{broker.Table{arg("x-overflow", int32(1))}, "{unacceptable_type,signedint}"},
		{broker.Table{arg("x-dead-letter-routing-key", "k")}, "routing_key_but_no_dlx_defined"},
		{
			broker.Table{dlx, arg("x-dead-letter-routing-key", int32(1))},
			"{unacceptable_type,signedint}",
		},
		{broker.Table{dlx, arg("x-dead-letter-strategy", "never")}, "invalid_dlx_strategy"},
		{broker.Table{dlx, arg("x-dead-letter-strategy", "at-most-once")}, ""},
		{broker.Table{arg("x-single-active-consumer", "true")}, "{unacceptable_type,longstr}"},
		{broker.Table{arg("x-queue-mode", "lazy")}, ""},
		{broker.Table{arg("x-queue-mode", "quick")}, "\"unsupported queue mode 'quick'\""},
		{broker.Table{arg("x-queue-version", int32(2))}, ""},
		{broker.Table{arg("x-queue-version", int32(3))}, "\"unsupported queue version '3'\""},
		{broker.Table{arg("x-queue-version", int32(0))}, "\"unsupported queue version '0'\""},
		{broker.Table{arg("x-delivery-limit", int32(0))}, ""},
		{broker.Table{arg("x-delivery-limit", int32(-1))}, ""},
		{broker.Table{arg("x-consumer-timeout", int32(0))}, "{value_zero,0}"},
		{broker.Table{arg("x-consumer-timeout", int32(1))}, ""},
		{broker.Table{arg("x-quorum-initial-group-size", int32(0))}, "{value_zero,0}"},
		{broker.Table{quorum, arg("x-quorum-initial-group-size", int32(5))}, ""},
		{broker.Table{quorum, arg("x-queue-leader-locator", "balanced")}, ""},
		{broker.Table{arg("x-queue-leader-locator", "me")}, "invalid_queue_locator_arg"},
		{broker.Table{arg("x-ha-policy", "all"), arg("x-cancel-on-ha-failover", true)}, ""},
		{broker.Table{arg("x-queue-type", "classic")}, ""},
		{broker.Table{arg("x-queue-type", "bogus")}, "\"unsupported queue type 'bogus'\""},
		{broker.Table{arg("x-queue-type", int32(1))}, "{unacceptable_type,signedint}"},
		{broker.Table{arg("x-queue-type", "stream")}, "\"streams are not supported\""},
		{broker.Table{arg("x-max-age", "1D")}, " of queue type rabbit_classic_queue"},
		{broker.Table{quorum, arg("x-max-age", "1D")}, " of queue type rabbit_quorum_queue"},
		{broker.Table{quorum, arg("x-max-priority", int32(3))}, " of queue type rabbit_quorum_queue"},
		{broker.Table{quorum, arg("x-queue-mode", "lazy")}, " of queue type rabbit_quorum_queue"},
	}
	c := newClient(t, newBroker(t), "c")
	const entity = "queue 'q' in vhost '/'"
	for _, tc := range testCases {
		_, err := c.DeclareQueue(broker.QueueParams{Name: "q", Durable: true, Arguments: tc.args})
		if tc.why == "" {
			if err != nil {
				t.Errorf("%v: %v", tc.args, err)
			}
			if _, err := c.DeleteQueue(broker.DeleteParams{Name: "q"}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want := "invalid arg '" + tc.args[len(tc.args)-1].Name + "' for " + entity
		if tc.why[0] != ' ' {
			want += ": "
		}
		wantText(t, err, broker.CodeBadRequest, want+tc.why)
	}
	bad := map[string]broker.QueueParams{
		"auto-delete":     {Durable: true, AutoDelete: true},
		"exclusive-owner": {Durable: true, Exclusive: true},
		"non-durable":     {},
	}
	for property, p := range bad {
		p.Name, p.Arguments = "q", broker.Table{quorum}
		_, err := c.DeclareQueue(p)
		wantText(t, err, broker.CodeBadRequest, "invalid property '"+property+"' for "+entity)
	}
	_, err := c.DeclareQueue(broker.QueueParams{Durable: true, Arguments: broker.Table{quorum}})
	wantText(t, err, broker.CodeBadRequest,
		"Cannot declare a server-named queue for type rabbit_quorum_queue")
	_, err = c.DeclareQueue(broker.QueueParams{
		Name: "q", Arguments: broker.Table{arg("x-dead-letter-exchange", int32(1))},
	})
	wantText(t, err, broker.CodeBadRequest,
		"invalid type 'signedint' for arg 'x-dead-letter-exchange' in "+entity)
}

// TestRedeclareKinds: the arguments that count when a queue is declared again are those of its type.
func TestRedeclareKinds(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	declare := func(name string, args ...broker.Field) error {
		_, err := c.DeclareQueue(broker.QueueParams{Name: name, Durable: true, Arguments: args})
		return err
	}
	quorum := arg("x-queue-type", "quorum")
	for _, err := range []error{
		declare("classic", arg("x-delivery-limit", int32(5)), arg("x-unknown", "a")),
		declare("classic", arg("x-delivery-limit", int64(5)), arg("x-unknown", "b"),
			arg("x-queue-type", "classic")),
		declare("quorum", quorum), declare("quorum", quorum),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	wantText(t, declare("quorum"), broker.CodeInequivalent,
		"inequivalent arg 'x-queue-type' for queue 'quorum' in vhost '/': "+
			"received none but current is the value 'quorum' of type 'longstr'")
	wantText(t, declare("classic", quorum, arg("x-delivery-limit", int32(5))),
		broker.CodeInequivalent, "inequivalent arg 'x-queue-type' for queue 'classic' in vhost '/': "+
			"received the value 'quorum' of type 'longstr' but current is none")
	wantText(t, declare("classic"), broker.CodeInequivalent,
		"inequivalent arg 'x-delivery-limit' for queue 'classic' in vhost '/': "+
			"received none but current is the value '5' of type 'signedint'")
}
