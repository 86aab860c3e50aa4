// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"errors"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// TestExceptions sends one method each and wants its exception with exact code and text
// (amqp-0-9-1.md). Where the code closes the channel only, the connection goes on.
func TestExceptions(t *testing.T) {
	t.Parallel()
	ttl := func(v any) wire.Table { return wire.Table{{Name: "x-message-ttl", Value: v}} }
	testCases := []struct {
		name  string
		setup []wire.Method
		m     wire.Method
		code  wire.ReplyCode
		text  string
	}{
		{"§3 channel.flow", nil, &wire.ChannelFlow{Active: false}, wire.NotImplemented, "active=false"},
		{
			"§3 passive exchange", nil, &wire.ExchangeDeclare{Exchange: "x", Passive: true},
			wire.NotFound, "no exchange 'x' in vhost '/'",
		},
		{
			"§3 default exchange", nil, &wire.ExchangeDeclare{Type: "direct"}, wire.AccessRefused,
			"operation not permitted on the default exchange",
		},
		{
			"§3 passive default exchange", nil, &wire.ExchangeDeclare{Passive: true},
			wire.AccessRefused, "operation not permitted on the default exchange",
		},
		{
			"§3 delete default exchange", nil, &wire.ExchangeDelete{}, wire.AccessRefused,
			"operation not permitted on the default exchange",
		},
		{
			"§3 reserved exchange name", nil, &wire.ExchangeDeclare{Exchange: "amq.x", Type: "direct"},
			wire.AccessRefused, "exchange name 'amq.x' contains reserved prefix 'amq.*'",
		},
		{
			"§3 unknown exchange type", nil, &wire.ExchangeDeclare{Exchange: "x", Type: "y"},
			wire.PreconditionFailed, "unknown exchange type 'y'",
		},
		{
			"§6.3 inequivalent exchange", nil,
			&wire.ExchangeDeclare{Exchange: "amq.topic", Type: "direct", Durable: true},
			wire.PreconditionFailed, "inequivalent arg 'type' for exchange 'amq.topic' in vhost '/':" +
				" received 'direct' but current is 'topic'",
		},
		{
			"§3 delete system exchange", nil, &wire.ExchangeDelete{Exchange: "amq.fanout"},
			wire.AccessRefused, "deletion of system exchange 'amq.fanout' in vhost '/' not allowed",
		},
		{
			"§3 if-unused exchange",
			[]wire.Method{
				&wire.ExchangeDeclare{Exchange: "x", Type: "fanout"},
				&wire.ExchangeBind{Source: "x", Destination: "amq.topic"},
			},
			&wire.ExchangeDelete{Exchange: "x", IfUnused: true},
			wire.PreconditionFailed, "exchange 'x' in vhost '/' in use",
		},
		{
			"§3 bind to an absent exchange", nil,
			&wire.ExchangeBind{Source: "amq.topic", Destination: "x"}, wire.NotFound,
			"no exchange 'x' in vhost '/'",
		},
		{
			"§4 no queue yet", nil, &wire.QueueBind{Exchange: "amq.topic"}, wire.NotFound,
			"no previously declared queue",
		},
		{
			"§4 passive without a name", nil, &wire.QueueDeclare{Passive: true}, wire.NotFound,
			"no previously declared queue",
		},
		{
			"§4 passive", nil, &wire.QueueDeclare{Queue: "q", Passive: true}, wire.NotFound,
			"no queue 'q' in vhost '/'",
		},
		{
			"§3 reserved queue name", nil, &wire.QueueDeclare{Queue: "amq.q"}, wire.AccessRefused,
			"queue name 'amq.q' contains reserved prefix 'amq.*'",
		},
		{
			"§6.3 inequivalent queue",
			[]wire.Method{&wire.QueueDeclare{Queue: "q"}},
			&wire.QueueDeclare{Queue: "q", Durable: true}, wire.PreconditionFailed,
			"inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is" +
				" 'false'",
		},
		{
			"§6.3 inequivalent argument",
			[]wire.Method{&wire.QueueDeclare{Queue: "q"}},
			&wire.QueueDeclare{Queue: "q", Arguments: ttl(int32(10))}, wire.PreconditionFailed,
			"inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received the value '10' of" +
				" type 'signedint' but current is none",
		},
		{
			"A13 negative argument", nil, &wire.QueueDeclare{Queue: "q", Arguments: ttl(int32(-1))},
			wire.PreconditionFailed,
			"invalid arg 'x-message-ttl' for queue 'q' in vhost '/': {value_negative,-1}",
		},
		{
			"A13 argument type", nil, &wire.QueueDeclare{Queue: "q", Arguments: ttl("10")},
			wire.PreconditionFailed, "invalid arg 'x-message-ttl' for queue 'q' in vhost '/':" +
				" \"expected integer, got longstr\"",
		},
		{"§4 purge", nil, &wire.QueuePurge{Queue: "q"}, wire.NotFound, "no queue 'q' in vhost '/'"},
		{
			"§4 if-empty",
			[]wire.Method{&wire.QueueDeclare{Queue: "q"}, toQueue("q")},
			&wire.QueueDelete{Queue: "q", IfEmpty: true}, wire.PreconditionFailed,
			"queue 'q' in vhost '/' not empty",
		},
		{
			"§4 if-unused",
			[]wire.Method{
				&wire.QueueDeclare{Queue: "q"}, &wire.BasicConsume{Queue: "q"},
			},
			&wire.QueueDelete{Queue: "q", IfUnused: true}, wire.PreconditionFailed,
			"queue 'q' in vhost '/' in use",
		},
		{
			"§5 qos", nil, &wire.BasicQos{PrefetchSize: 7}, wire.NotImplemented,
			"prefetch_size!=0 (7)",
		},
		{
			"§5 consume", nil, &wire.BasicConsume{Queue: "q"}, wire.NotFound,
			"no queue 'q' in vhost '/'",
		},
		{
			"§5 priority",
			[]wire.Method{&wire.QueueDeclare{Queue: "q"}},
			&wire.BasicConsume{Queue: "q", Arguments: wire.Table{
				{Name: "x-priority", Value: "high"},
			}},
			wire.PreconditionFailed, "invalid arg 'x-priority' for queue 'q' in vhost '/':" +
				` "expected integer, got longstr"`,
		},
		{
			"§5 exclusive consumer",
			[]wire.Method{
				&wire.QueueDeclare{Queue: "q"}, &wire.BasicConsume{Queue: "q"},
			},
			&wire.BasicConsume{Queue: "q", Exclusive: true}, wire.AccessRefused,
			"queue 'q' in vhost '/' in exclusive use",
		},
		{
			"§5 tag reuse",
			[]wire.Method{
				&wire.QueueDeclare{Queue: "q"}, &wire.BasicConsume{Queue: "q", ConsumerTag: "t"},
			},
			&wire.BasicConsume{Queue: "q", ConsumerTag: "t"}, wire.NotAllowed,
			"attempt to reuse consumer tag 't'",
		},
		{"§5 get", nil, &wire.BasicGet{Queue: "q"}, wire.NotFound, "no queue 'q' in vhost '/'"},
		{
			"§5 ack", nil, &wire.BasicAck{DeliveryTag: 82}, wire.PreconditionFailed,
			"unknown delivery tag 82",
		},
		{
			"§5 nack", nil, &wire.BasicNack{DeliveryTag: 3, Multiple: true}, wire.PreconditionFailed,
			"unknown delivery tag 3",
		},
		{"§5 reject", nil, &wire.BasicReject{}, wire.PreconditionFailed, "unknown delivery tag 0"},
		{"§5 recover", nil, &wire.BasicRecover{}, wire.NotImplemented, "requeue=false"},
		{"§5 recover-async", nil, &wire.BasicRecoverAsync{}, wire.NotImplemented, "requeue=false"},
		{
			"§5 immediate", nil, &wire.BasicPublish{Immediate: true}, wire.NotImplemented,
			"immediate=true",
		},
		{"§5 commit", nil, &wire.TxCommit{}, wire.PreconditionFailed, "channel is not transactional"},
		{
			"§5 rollback", nil, &wire.TxRollback{}, wire.PreconditionFailed,
			"channel is not transactional",
		},
		{
			"§5 confirm to tx",
			[]wire.Method{&wire.ConfirmSelect{}},
			&wire.TxSelect{},
			wire.PreconditionFailed, "cannot switch from confirm to tx mode",
		},
		{
			"§5 tx to confirm",
			[]wire.Method{&wire.TxSelect{}},
			&wire.ConfirmSelect{},
			wire.PreconditionFailed, "cannot switch from tx to confirm mode",
		},
		{
			"§7 reply consumer that acknowledges", nil,
			&wire.BasicConsume{Queue: broker.DirectReplyTo}, wire.PreconditionFailed,
			"reply consumer cannot acknowledge",
		},
		{
			"§7 second reply consumer",
			[]wire.Method{
				&wire.BasicConsume{Queue: broker.DirectReplyTo, NoAck: true},
			},
			&wire.BasicConsume{Queue: broker.DirectReplyTo, NoAck: true}, wire.PreconditionFailed,
			"reply consumer already set",
		},
		{
			"§7 bind", nil,
			&wire.QueueBind{Queue: broker.DirectReplyTo + ".x", Exchange: "amq.topic"},
			wire.AccessRefused, "cannot bind or unbind to a volatile (direct reply-to) queue",
		},
		{
			"§7 forged reply address", nil, &wire.QueueDeclare{Queue: broker.DirectReplyTo + ".h.x"},
			wire.NotFound, "no queue 'amq.rabbitmq.reply-to.h.x' in vhost '/'",
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := newServer(t, Options{}).open(t)
			for _, m := range tc.setup {
				if publish, ok := m.(*wire.BasicPublish); ok {
					p.publish(publish, wire.Properties{}, "x")
					continue
				}
				p.send(1, m)
				p.answer()
			}
			p.send(1, tc.m)
			if tc.code.Hard() {
				p.wantClose(tc.code, tc.text)
				return
			}
			p.wantChannelClose(tc.code, tc.text)
			p.openChannel(1)
		})
	}
}

// answer reads one method, whichever it is.
func (p *peer) answer() {
	p.tb.Helper()
	if f := p.next(); f.Type != wire.FrameMethod {
		p.tb.Fatalf("got frame type %d", f.Type)
	}
}

// TestPublishExceptions are the exceptions that a whole content brings.
func TestPublishExceptions(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name       string
		m          wire.BasicPublish
		properties wire.Properties
		size       int
		code       wire.ReplyCode
		text       string
	}{
		{
			"§5 missing exchange",
			wire.BasicPublish{Exchange: []byte("x")},
			wire.Properties{},
			1,
			wire.NotFound, "no exchange 'x' in vhost '/'",
		},
		{
			"§3 internal exchange",
			wire.BasicPublish{Exchange: []byte("amq.rabbitmq.trace")},
			wire.Properties{},
			1, wire.AccessRefused,
			"cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'",
		},
		{"§5 size N", *toQueue("q"), wire.Properties{}, 1000, 0, ""},
		{
			"§5 size N+1", *toQueue("q"),
			wire.Properties{},
			1001, wire.PreconditionFailed,
			"message size 1001 is larger than configured max size 1000",
		},
		{
			"A11 user id", *toQueue("q"),
			wire.Properties{UserID: "a"},
			1, wire.PreconditionFailed,
			"user_id property set to 'a' but authenticated user was 'guest'",
		},
		{"A11 own user id", *toQueue("q"), wire.Properties{UserID: "guest"}, 1, 0, ""},
		{
			"§4 expiration", *toQueue("q"),
			wire.Properties{Expiration: "x"},
			1,
			wire.PreconditionFailed, "invalid expiration 'x': no_integer",
		},
		{
			"§4 expiration with a unit", *toQueue("q"),
			wire.Properties{Expiration: "5ms"},
			1,
			wire.PreconditionFailed, `invalid expiration '5ms': {leftover_string,"ms"}`,
		},
		{
			"§4 expiration of ten years", *toQueue("q"),
			wire.Properties{Expiration: "315360000000"},
			1,
			0, "",
		},
		{
			"§4 expiration above", *toQueue("q"),
			wire.Properties{Expiration: "315360000001"},
			1,
			wire.PreconditionFailed,
			"invalid expiration '315360000001': {value_too_large,315360000001}",
		},
		{
			"§3 CC", *toQueue("q"),
			wire.Properties{
				Headers: wire.Table{{Name: "CC", Value: "q"}},
			},
			1, wire.PreconditionFailed,
			`invalid message: {unacceptable_type_in_header,"CC",longstr}`,
		},
		{
			"§7 no reply consumer", *toQueue("q"),
			wire.Properties{ReplyTo: broker.DirectReplyTo},
			1,
			wire.PreconditionFailed, "fast reply consumer does not exist",
		},
		{
			"§7 timeout", *toQueue("q"),
			wire.Properties{
				Headers: wire.Table{{Name: "parley-timeout", Value: "soon"}},
			},
			1, wire.PreconditionFailed,
			"invalid header 'parley-timeout': expected milliseconds above 0",
		},
		{"§7 deadline", *toQueue("q"), wire.Properties{
			Headers: wire.Table{{Name: "parley-deadline", Value: "soon"}},
		}, 1, wire.PreconditionFailed, "invalid header 'parley-deadline': expected RFC 3339"},
		{
			"§7 gather", *toQueue("q"),
			wire.Properties{
				Headers: wire.Table{{Name: "parley-gather", Value: int32(0)}},
			},
			1, wire.PreconditionFailed,
			"invalid header 'parley-gather': expected all, quorum, sentinel or a number",
		},
	}
	s := newServer(t, Options{Broker: newBroker(t, broker.Limits{MessageBytes: 1000})})
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := s.open(t)
			p.publish(&tc.m, tc.properties, strings.Repeat("x", tc.size))
			if tc.code == 0 {
				p.send(1, &wire.ChannelClose{ReplyCode: 200})
				p.want(1, &wire.ChannelCloseOk{})
				return
			}
			p.wantChannelClose(tc.code, tc.text)
			p.openChannel(1)
		})
	}
}

// TestReplyText: the text is cut where the field ends.
func TestReplyText(t *testing.T) {
	t.Parallel()
	if got := replyText(wire.NotFound, strings.Repeat("x", 300)); len(got) != 255 ||
		!strings.HasPrefix(got, "NOT_FOUND - xxx") || !strings.HasSuffix(got, "x...") {
		t.Errorf("got %d octets: %q", len(got), got)
	}
	if got := replyText(wire.InternalError, ""); got != "INTERNAL_ERROR" {
		t.Errorf("got %q", got)
	}
}

// TestReplyCodes: every code of the heart has the reply code of amqp-0-9-1.md.
func TestReplyCodes(t *testing.T) {
	t.Parallel()
	session, connection := broker.ScopeSession, broker.ScopeConnection
	testCases := []struct {
		code  broker.Code
		scope broker.Scope
		want  wire.ReplyCode
		hard  bool
	}{
		{broker.CodeInternal, session, wire.InternalError, true},
		{broker.CodeBadRequest, session, wire.PreconditionFailed, false},
		{broker.CodeNotFound, session, wire.NotFound, false},
		{broker.CodeNotFound, connection, wire.NotAllowed, true},
		{broker.CodeForbidden, session, wire.AccessRefused, false},
		{broker.CodeForbidden, connection, wire.NotAllowed, true},
		{broker.CodeExclusiveUse, session, wire.AccessRefused, false},
		{broker.CodeLocked, session, wire.ResourceLocked, false},
		{broker.CodeInequivalent, session, wire.PreconditionFailed, false},
		{broker.CodeInUse, session, wire.PreconditionFailed, false},
		{broker.CodeUnknownTag, session, wire.PreconditionFailed, false},
		{broker.CodeNotAllowed, session, wire.NotAllowed, true},
		{broker.CodeLimit, session, wire.PreconditionFailed, false},
		{broker.CodeLimit, connection, wire.NotAllowed, true},
		{broker.CodeTooLarge, session, wire.PreconditionFailed, false},
		{broker.CodeNotImplemented, session, wire.NotImplemented, true},
		{broker.CodeDraining, connection, wire.ConnectionForced, true},
		{broker.CodeQuota, session, wire.ResourceError, true},
	}
	for _, tc := range testCases {
		f := toFault(&broker.Error{Code: tc.code, Scope: tc.scope, Text: "t"}, wire.IDTxSelect)
		if f.code != tc.want || f.closesConnection() != tc.hard || f.method != wire.IDTxSelect {
			t.Errorf("%v in scope %d: got %v, closes the connection: %t", tc.code, tc.scope, f.code,
				f.closesConnection())
		}
	}
	if f := toFault(errors.New("secret path"), 0); f.code != wire.InternalError ||
		strings.Contains(f.Error(), "secret") {
		t.Errorf("a foreign error says %q", f.Error())
	}
}
