// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"regexp"
	"slices"
	"strings"
)

// A difference is a way in which parley may answer other than the oracle. Steps
// are matched by the start of "script: step". Either parley holds the whole
// observation, or the patterns say what is taken out of each side's observation
// before they are compared.
type difference struct {
	steps  string
	parley string // what parley's client sees at this step
	// only is text that only one side has: it is removed from both.
	only *regexp.Regexp
	why  string
}

// allowed is the one table of differences.
func allowed() []difference {
	list := slices.Concat(wholeSteps(), detailSteps(), rawSteps(), handshakeSteps())
	for _, d := range []struct{ steps, only, why string }{
		{
			"", ` x-last-death-(exchange|queue|reason):"[^"]*"`,
			"RabbitMQ 3.13 and later say how a message died last",
		},
		{
			"permissions", ` (configure|write|read)`,
			"RabbitMQ 3.13 names the permission that is missing",
		},
		{
			"topic permissions", ` (write|read)`,
			"RabbitMQ 3.13 names the permission that is missing",
		},
		{
			"dead letter copies: forged x-death", ` x-first-death-(exchange|queue|reason):"[^"]*"`,
			"RabbitMQ 3.13: what is no list of deaths is none, so this death is the first",
		},
		{
			"quorum: over the limit", ` x-delivery-count:int64 0`,
			"RabbitMQ 4.3: the count is told once there is one",
		},
		{
			"stomp errors", ` receipt-id:\S+`,
			"STOMP 1.2, ERROR: the server should name the frame in question by its receipt",
		},
		{
			"stomp transactions", ` transaction:\S+`,
			"transaction is the sender's conversation with the hub, not part of the message",
		},
		{
			"stomp queue: receipt travels", ` receipt:\S+`,
			"receipt is the sender's conversation with the hub, not part of the message",
		},
		{
			"amqp to stomp: transient", ` persistent:1`,
			"persistent is true when the delivery mode is 2; RabbitMQ leaks the mode's number",
		},
		{
			"amqp to stomp: narrow and bool", ` (bool|int8|int16|uint8):\S+`,
			"every integer and boolean has a text; RabbitMQ drops all but two widths",
		},
		{
			"amqp to stomp: STOMP's own names",
			` (destination:/queue/|message-id:|subscription:)evil`,
			"a message must not forge the headers by which a client acknowledges it",
		},
	} {
		list = append(list, difference{steps: d.steps, only: regexp.MustCompile(d.only), why: d.why})
	}
	return list
}

// wholeSteps lists the steps at which the observations have little in common.
func wholeSteps() []difference {
	return []difference{
		{
			steps:  "exchange declare: unknown type",
			parley: "channel closed: 406 PRECONDITION_FAILED - unknown exchange type 'strange'",
			why:    "RabbitMQ 3.13: a mistake in an argument does not end the whole connection",
		},
		{
			steps: "reply-to errors: bind",
			parley: "channel closed: 403 ACCESS_REFUSED - cannot bind or unbind to a volatile " +
				"(direct reply-to) queue",
			why: "RabbitMQ 4.2: a reply address is a queue, and volatile ones cannot be bound",
		},
		{
			steps:  "reply-to: mandatory",
			parley: "true no return",
			why:    "RabbitMQ 4.2: an answer to a reply address counts as routed",
		},
		{
			steps:  "reply-to: asker gone",
			parley: "true no return",
			why:    "RabbitMQ 4.2: it counts as routed even when the asker is gone",
		},
		{
			steps: "reply-to: answer 2",
			parley: `"answer 2" from "" key "amq.rabbitmq.reply-to.TOKEN" tag 2 ` +
				`correlation-id=2 type=t headers={k:"v"}`,
			why: "AMQP 0-9-1 §1.8.3.13: delivery tags are unique on a channel; RabbitMQ repeats 1",
		},
		{
			steps:  "reply-to: mandatory answer",
			parley: `"mandatory" from "" key "amq.rabbitmq.reply-to.TOKEN" tag 3`,
			why:    "as the second answer",
		},
		{
			steps:  "stomp error close: after the error",
			parley: "closed",
			why:    "STOMP 1.2, ERROR: the server must close the connection after it",
		},
		{
			steps:  "stomp error close: after no version",
			parley: "closed",
			why:    "STOMP 1.2, protocol negotiation: the server must close the connection",
		},
		{
			steps: "stomp connect: no login",
			parley: "ERROR content-length:36 content-type:text/plain message:Bad CONNECT " +
				`version:1.0,1.1,1.2 body="Missing login or passcode header(s)\n"`,
			why: "RabbitMQ logs nameless clients in as guest; parley only when it is configured to",
		},
		{
			steps: "stomp queue: odd priority",
			parley: "MESSAGE content-length:12 destination:/queue/sq.odd " +
				`message-id:T_s1@@SESSION@@1 redelivered:false subscription:s1 body="odd priority"`,
			why: "RabbitMQ crashes on a priority that is no number; parley ignores it",
		},
		{
			steps: "stomp errors: id like a temp queue",
			parley: "ERROR content-length:47 content-type:text/plain message:Invalid id " +
				`version:1.0,1.1,1.2 body="SUBSCRIBE 'id' may not start with /temp-queue/\n"`,
			why: "RabbitMQ crashes on it",
		},
		{
			steps: "stomp errors: foreign user-id",
			parley: "ERROR content-length:70 content-type:text/plain message:access_refused " +
				`version:1.0,1.1,1.2 body="user_id property set to 'somebody' but authenticated ` +
				`user was 'guest'\n"`,
			why: "a refusal has one name in the STOMP door; RabbitMQ's is that of AMQP's code",
		},
		{
			steps: "stomp ack: twice",
			parley: "ERROR content-length:23 content-type:text/plain message:Message not found " +
				`version:1.0,1.1,1.2 body="unknown delivery tag 1\n"`,
			why: "RabbitMQ has this text too, but its channel's error comes first in 3.10",
		},
		{
			steps: "stomp arguments: other durable",
			parley: "ERROR content-length:121 content-type:text/plain message:precondition_failed " +
				`version:1.0,1.1,1.2 body="PRECONDITION_FAILED - inequivalent arg 'durable' for ` +
				`queue 'sar.ttl' in vhost '/': received 'false' but current is 'true'"`,
			why: "RabbitMQ declares such a queue as exclusive and speaks of that",
		},
		{
			steps:  "stomp headers: reply-to a/b",
			parley: "MESSAGE /reply-queue/a/b",
			why:    "RabbitMQ crashes on it; to parley it is a queue's name, which may hold slashes",
		},
		{
			steps:  "amqp answers stomp: reply-to /queue/aan.prefixed",
			parley: "true aan.prefixed",
			why:    "an AMQP service that answers to the text /queue/N would lose the answer",
		},
	}
}

// detailSteps lists the steps about what parley does otherwise on purpose.
func detailSteps() []difference {
	refused := func(what string) string {
		return "channel closed: 403 ACCESS_REFUSED - " + what
	}
	return []difference{
		{
			steps:  "permissions: passive foreign queue",
			parley: refused("write access to queue 'pm.q' in vhost '/' refused for user 'limited'"),
			why:    "RabbitMQ 4.3: to look at a queue takes a permission on it",
		},
		{
			steps:  "permissions: passive foreign exchange",
			parley: refused("write access to exchange 'pm.x' in vhost '/' refused for user 'limited'"),
			why:    "RabbitMQ 4.3: to look at an exchange takes a permission on it",
		},
		{
			steps: "topic permissions: a key in CC is not looked at",
			parley: refused("write access to topic 't.other.cc' in exchange 'amq.topic' in vhost '/'" +
				" refused for user 'topical'"),
			why: "a permission that a header goes around is none",
		},
		{
			steps: "prefetch both: second", parley: "silence",
			why: "each basic.qos sets one of two limits; in RabbitMQ the limit of each consumer lifts" +
				" the shared one that was set before it",
		},
		{
			steps:  "queue details: delivery-limit on a classic queue",
			parley: "qn.2 messages 0 consumers 0",
			why:    "parley counts deliveries in every queue, so each may have a limit; LavinMQ's may too",
		},
		{
			steps:  "queue details: strategy on a classic queue",
			parley: "qn.4 messages 0 consumers 0",
			why:    "parley's dead letters move in one step, whatever the queue's type",
		},
		{
			steps: "queue details: leader locator", parley: "qn.5 messages 0 consumers 0",
			why: "it says nothing on one machine, for no type",
		},
		{
			steps:  "queue details: initial group size on a classic queue",
			parley: "qn.6 messages 0 consumers 0",
			why:    "it says nothing on one machine, for no type",
		},
		{
			steps: "queue details: transient stream",
			parley: "channel closed: 406 PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue " +
				"'qn.14' in vhost '/': \"streams are not supported\"",
			why: "parley has no streams",
		},
		{
			steps: "default queue type: quorum", parley: "1",
			why: "RabbitMQ 3.11: a virtual host may say of what type its queues are",
		},
		{
			steps: "default queue type: classic", parley: "1",
			why: "RabbitMQ 3.11: a virtual host may say of what type its queues are",
		},
		{
			steps:  "quorum: first try",
			parley: `"poison" from "" key "qu.q" tag 1 mode=2`,
			why:    "RabbitMQ 4.3: the count is told once there is one",
		},
		{
			steps:  "route headers x: 5 {t:{a:int32 1} x-match:\"all\"}",
			parley: "{t:{a:int64 1}},{t:{a:int32 1}}",
			why:    "numbers of any width are equal inside a table as they are outside",
		},
	}
}

// handshakeSteps lists the steps before the login at which RabbitMQ ends a connection without a
// word; a client's author is told.
func handshakeSteps() []difference {
	const why = "RabbitMQ writes to its log only and ends the connection"
	list := make([]difference, 0, 6)
	for _, d := range []struct{ step, parley string }{
		{
			"start-ok of 9000 octets",
			"501 FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,9024,8184} (of 0.0)",
		},
		{
			"method on a channel",
			"505 UNEXPECTED_FRAME - type 1, all octets = <<0,20,0,10,0>> (of 0.0)",
		},
		{
			"header frame",
			"505 UNEXPECTED_FRAME - type 2, all octets = <<0,60,0,0,0,0,0,0,0,0,0,0,0,0>> (of 0.0)",
		},
		{
			"tune-ok first",
			"503 COMMAND_INVALID - unexpected method in handshake: connection.tune-ok (of 10.31)",
		},
		{
			"open first",
			"503 COMMAND_INVALID - unexpected method in handshake: connection.open (of 10.40)",
		},
		{
			"channel.open on 0",
			"503 COMMAND_INVALID - unexpected method in handshake: channel.open (of 20.10)",
		},
	} {
		list = append(list, difference{
			steps: "raw handshake: " + d.step, parley: "channel 0 closed: " + d.parley, why: why,
		})
	}
	return list
}

// rawSteps lists the steps at which RabbitMQ 3.10 ends a connection, or goes on,
// without a word.
func rawSteps() []difference {
	list := []difference{{
		steps:  "raw fields: f no number",
		parley: `" \x00\x00\x00\x00\a\x01kf\x7f\xc0\x00\x00", as sent: true`,
		why:    "the value is the clients' business; RabbitMQ's channel crashes on it",
	}, {
		steps:  "raw fields: d no number",
		parley: `" \x00\x00\x00\x00\v\x01kd\x7f\xf8\x00\x00\x00\x00\x00\x00", as sent: true`,
		why:    "the value is the clients' business; RabbitMQ's channel crashes on it",
	}, {
		steps: "raw content: more than announced",
		parley: "channel 0 closed: 501 FRAME_ERROR - content body frame exceeds remaining " +
			"content size (of 60.40)",
		why: "RabbitMQ 4.0 and later have this text; 3.10 takes the longer body",
	}}
	for _, d := range []struct{ step, parley string }{
		{"no frame limit", "frame_max = 0 is higher than the maximum allowed value (131072)"},
		{"frame too small", "frame_max = 4095 is lower than the minimum allowed value (4096)"},
		{"frame too large", "frame_max = 131073 is higher than the maximum allowed value (131072)"},
		{
			"no channel limit",
			"channel_max = 0 (no limit) is higher than the maximum allowed value (2047)",
		},
		{"too many channels", "channel_max = 5000 is higher than the maximum allowed value (2047)"},
	} {
		list = append(list, difference{
			steps:  "raw tune: " + d.step,
			parley: "channel 0 closed: 530 NOT_ALLOWED - negotiated " + d.parley + " (of 10.30)",
			why:    "RabbitMQ writes this text to its log only and ends the connection",
		})
	}
	for _, d := range []struct{ step, parley, why string }{
		{
			"raw login: unknown mechanism",
			"503 COMMAND_INVALID - unknown authentication mechanism 'STRANGE' (of 10.11)",
			"RabbitMQ writes this text to its log only and ends the connection",
		},
		{
			"raw login: mechanism not offered",
			"503 COMMAND_INVALID - invalid authentication mechanism 'EXTERNAL' (of 10.11)",
			"RabbitMQ writes this text to its log only and ends the connection",
		},
		{
			"raw connection: body of 2^63 octets",
			"501 FRAME_ERROR - content body size 9223372036854775808 exceeds maximum allowed size " +
				"536870912 (of 60.40)",
			"RabbitMQ 4.2 has a hard limit; 3.10 waits for the octets",
		},
		{
			"raw connection: body above the hard limit",
			"501 FRAME_ERROR - content body size 536870913 exceeds maximum allowed size 536870912 " +
				"(of 60.40)",
			"RabbitMQ 4.2 has a hard limit; 3.10 waits for the octets",
		},
		{
			"raw fields: unknown type",
			"502 SYNTAX_ERROR - field table: malformed field (of 60.40)",
			"AMQP 0-9-1 §1.2, syntax-error; RabbitMQ's channel crashes",
		},
		{
			"raw fields: cut short",
			"502 SYNTAX_ERROR - field table: malformed field (of 60.40)",
			"AMQP 0-9-1 §1.2, syntax-error; RabbitMQ's channel crashes",
		},
		{
			"raw methods: unknown class",
			"503 COMMAND_INVALID - unknown method (99, 10) (of 99.10)",
			"AMQP 0-9-1 §1.2, command-invalid; RabbitMQ's reader crashes",
		},
		{
			"raw methods: unknown method",
			"503 COMMAND_INVALID - unknown method (50, 99) (of 50.99)",
			"AMQP 0-9-1 §1.2, command-invalid; RabbitMQ's reader crashes",
		},
		{
			"raw methods: arguments cut off",
			"502 SYNTAX_ERROR - queue.declare: arguments cut short (of 50.10)",
			"AMQP 0-9-1 §1.2, syntax-error: illegal values for one or more fields; RabbitMQ takes " +
				"the frame's code 501 and prints the octets",
		},
		{
			"raw methods: short string too long",
			"502 SYNTAX_ERROR - queue.purge: arguments cut short (of 50.30)",
			"as for arguments cut off",
		},
	} {
		list = append(list, difference{
			steps: d.step, parley: "channel 0 closed: " + d.parley, why: d.why,
		})
	}
	return list
}

// judgement compares two observations by the table. It returns the entries used,
// and whether what is left is equal.
func judgement(key, oracle, hub string) (used []int, equal bool) {
	for i, d := range allowed() {
		if !strings.HasPrefix(key, d.steps) {
			continue
		}
		if d.only == nil {
			if key == d.steps {
				// The whole observation: it must differ, and as the table says.
				return []int{i}, hub == d.parley && hub != oracle
			}
			continue
		}
		a, b := d.only.ReplaceAllString(oracle, ""), d.only.ReplaceAllString(hub, "")
		if (a != oracle) != (b != hub) {
			used = append(used, i)
			oracle, hub = a, b
		}
	}
	return used, oracle == hub
}
