// SPDX-License-Identifier: Apache-2.0

package line

// member is a member of a request.
type member uint8

const (
	memberOp member = iota
	memberID
	memberHeaders
	memberBody
	memberBodyB64
	memberContentType
	memberTimeout

	memberKey
	memberPriority
	memberExpires
	memberCorrelationID
	memberReplyTo

	memberUser
	memberPassword
	memberVHost
	memberName
	memberService
	memberMethod
	memberQueue
	memberTopic
	memberExchange
	memberPersistent
	memberMandatory
	memberRequest
	memberUntil
	memberPrefetch
	memberAck
	memberSub
	memberDelivery
	memberError
	memberRequeue
	memberDelay
	memberDeadLetter
	memberCount
)

// memberSet is a set of members.
type memberSet uint64

func set(list ...member) (s memberSet) {
	for _, m := range list {
		s |= 1 << m
	}
	return s
}

func (s memberSet) has(m member) bool { return s&(1<<m) != 0 }

// String returns the member's name.
func (m member) String() string {
	return [memberCount]string{
		memberOp: "op", memberID: "id", memberHeaders: "headers", memberBody: "body",
		memberBodyB64: "body_b64", memberContentType: "content_type", memberTimeout: "timeout_ms",
		memberKey: "key", memberPriority: "priority", memberExpires: "expires_ms",
		memberCorrelationID: "correlation_id", memberReplyTo: "reply_to", memberUser: "user",
		memberPassword: "password", memberVHost: "vhost", memberName: "name",
		memberService: "service", memberMethod: "method", memberQueue: "queue",
		memberTopic: "topic", memberExchange: "exchange", memberPersistent: "persistent",
		memberMandatory: "mandatory", memberRequest: "request", memberUntil: "until",
		memberPrefetch: "prefetch", memberAck: "ack", memberSub: "sub",
		memberDelivery: "delivery", memberError: "error", memberRequeue: "requeue",
		memberDelay: "delay_ms", memberDeadLetter: "dead_letter",
	}[m]
}

// memberNamed returns the member with a name, and whether there is one.
func memberNamed(name []byte) (m member, ok bool) {
	switch string(name) {
	case "op":
		m = memberOp
	case "id":
		m = memberID
	case "headers":
		m = memberHeaders
	case "body":
		m = memberBody
	case "body_b64":
		m = memberBodyB64
	case "content_type":
		m = memberContentType
	case "timeout_ms":
		m = memberTimeout
	case "key":
		m = memberKey
	case "priority":
		m = memberPriority
	case "expires_ms":
		m = memberExpires
	case "correlation_id":
		m = memberCorrelationID
	case "reply_to":
		m = memberReplyTo
	case "user":
		m = memberUser
	case "password":
		m = memberPassword
	case "vhost":
		m = memberVHost
	case "name":
		m = memberName
	case "service":
		m = memberService
	case "method":
		m = memberMethod
	case "queue":
		m = memberQueue
	case "topic":
		m = memberTopic
	case "exchange":
		m = memberExchange
	case "persistent":
		m = memberPersistent
	case "mandatory":
		m = memberMandatory
	case "request":
		m = memberRequest
	case "until":
		m = memberUntil
	case "prefetch":
		m = memberPrefetch
	case "ack":
		m = memberAck
	case "sub":
		m = memberSub
	case "delivery":
		m = memberDelivery
	case "error":
		m = memberError
	case "requeue":
		m = memberRequeue
	case "delay_ms":
		m = memberDelay
	case "dead_letter":
		m = memberDeadLetter
	default:
		return 0, false
	}
	return m, true
}

// kinds returns the types of values that a member takes.
func (m member) kinds() kind {
	switch m {
	case memberBody:
		return kindAny
	case memberID, memberSub:
		return kindString | kindNumber
	case memberHeaders, memberUntil, memberError:
		return kindObject
	case memberTimeout, memberPriority, memberExpires, memberPrefetch, memberDelay:
		return kindNumber
	case memberPersistent, memberMandatory, memberRequeue, memberDeadLetter:
		return kindBool
	default:
		return kindString
	}
}

// op is what a request asks for.
type op uint8

const (
	opNone op = iota
	opHello
	opPing
	opCall
	opSend
	opPublish
	opRequest
	opResult
	opGather
	opServe
	opSubscribe
	opUnsubscribe
	opReply
	opAck
	opNack
	opCount
)

// String returns the op's name.
func (o op) String() string {
	return [opCount]string{
		opNone: "", opHello: "hello", opPing: "ping", opCall: "call", opSend: "send",
		opPublish: "publish", opRequest: "request", opResult: "result", opGather: "gather",
		opServe: "serve", opSubscribe: "subscribe", opUnsubscribe: "unsubscribe",
		opReply: "reply", opAck: "ack", opNack: "nack",
	}[o]
}

// opNamed returns the op with a name, opNone when there is none.
func opNamed(name []byte) op {
	switch string(name) {
	case "hello":
		return opHello
	case "ping":
		return opPing
	case "call":
		return opCall
	case "send":
		return opSend
	case "publish":
		return opPublish
	case "request":
		return opRequest
	case "result":
		return opResult
	case "gather":
		return opGather
	case "serve":
		return opServe
	case "subscribe":
		return opSubscribe
	case "unsubscribe":
		return opUnsubscribe
	case "reply":
		return opReply
	case "ack":
		return opAck
	case "nack":
		return opNack
	}
	return opNone
}

// Members of every op, and of those that send a message.
const (
	common memberSet = 1<<memberOp | 1<<memberID | 1<<memberHeaders | 1<<memberBody |
		1<<memberBodyB64 | 1<<memberContentType | 1<<memberTimeout
	sending = common | 1<<memberKey | 1<<memberPriority | 1<<memberExpires |
		1<<memberCorrelationID | 1<<memberReplyTo
)

// members returns the members that go with an op.
func (o op) members() memberSet {
	switch o {
	case opHello:
		return common | set(memberUser, memberPassword, memberVHost, memberName)
	case opCall, opRequest:
		return sending | set(memberService, memberMethod)
	case opSend:
		return sending | set(memberQueue, memberService, memberMethod, memberPersistent)
	case opPublish:
		return sending |
			set(memberTopic, memberExchange, memberMethod, memberPersistent, memberMandatory)
	case opResult:
		return common | set(memberRequest)
	case opGather:
		return sending | set(memberService, memberMethod, memberTopic, memberUntil)
	case opServe:
		return common | set(memberService, memberPrefetch)
	case opSubscribe:
		return common | set(memberQueue, memberTopic, memberName, memberPrefetch, memberAck)
	case opUnsubscribe:
		return common | set(memberSub)
	case opReply:
		return sending | set(memberDelivery, memberError)
	case opAck:
		return common | set(memberDelivery)
	case opNack:
		return common | set(memberDelivery, memberRequeue, memberDelay, memberDeadLetter)
	default:
		return common
	}
}

// needsID reports whether an op makes no sense without an answer.
func (o op) needsID() bool {
	switch o {
	case opCall, opRequest, opResult, opGather, opServe, opSubscribe:
		return true
	default:
		return false
	}
}
