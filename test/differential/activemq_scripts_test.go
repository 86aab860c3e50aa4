// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"slices"
	"strings"

	"github.com/go-stomp/stomp/v3/frame"
)

// activeScripts are the scripts of ActiveMQ's dialect. They run one after the other: the queue of dead
// letters is the same for all.
func activeScripts() []stompScript {
	return []stompScript{
		{"connect", scriptActiveConnect},
		{"errors", scriptActiveErrors},
		{"send", scriptActiveSend},
		{"topics", scriptActiveTopics},
		{"composite", scriptActiveComposite},
		{"ack", scriptActiveAck},
		{"nack", scriptActiveNack},
		{"transactions", scriptActiveTransactions},
		{"temp", scriptActiveTemp},
		{"browser", scriptActiveBrowser},
		{"prefetch", scriptActivePrefetch},
		{"exclusive", scriptActiveExclusive},
		{"durable", scriptActiveDurable},
	}
}

func scriptActiveConnect(r *stompRun) {
	for _, v := range []string{"1.0", "1.1", "1.2", "1.0,1.1,1.2", "9"} {
		p := r.raw()
		p.text(frame.CONNECT, "", "accept-version", v, "host", "localhost", "login", "guest",
			"passcode", "guest", "request-id", "7", "heart-beat", "5000,9000")
		p.note(v)
	}
	p := r.raw()
	p.text(frame.CONNECT, "", "login", "guest", "passcode", "guest", "receipt", "8")
	p.note("receipt")
	p.text(frame.DISCONNECT, "", "receipt", "bye")
	p.note("disconnect")
	p = r.raw()
	p.text(frame.CONNECT, "", "login", "guest", "passcode", "guest", "heart-beat", "x")
	p.note("heart-beat")
	p = r.raw()
	p.text(frame.SEND, "x", "destination", "/queue/active.connect")
	p.note("not connected")
}

func scriptActiveErrors(r *stompRun) {
	const q = "/queue/active.errors"
	for _, c := range []struct {
		step, version, command string
		headers                []string
	}{
		{"connect twice", "1.2", "CONNECT", nil},
		{"unknown command", "1.2", "FETCH", nil},
		{"keepalive", "1.2", "KEEPALIVE", nil},
		{"no destination", "1.2", "SEND", nil},
		{"no such kind", "1.2", "SUBSCRIBE", []string{"id", "1", "destination", "/foo/bar"}},
		{"no name", "1.2", "SEND", []string{"destination", "/queue/"}},
		{"subscribe without id", "1.2", "SUBSCRIBE", []string{"destination", q}},
		{"subscribe to nothing", "1.1", "SUBSCRIBE", []string{"id", "1"}},
		{"unsubscribe without id", "1.2", "UNSUBSCRIBE", []string{"destination", q}},
		{"unsubscribe from nothing", "1.0", "UNSUBSCRIBE", nil},
		{"unsubscribe unknown", "1.2", "UNSUBSCRIBE", []string{"id", "1"}},
		{"begin", "1.2", "BEGIN", nil},
		{"commit", "1.2", "COMMIT", nil},
		{"abort", "1.2", "ABORT", nil},
		{"commit unknown", "1.2", "COMMIT", []string{"transaction", "x"}},
		{"abort unknown", "1.2", "ABORT", []string{"transaction", "x"}},
		{"send in unknown", "1.2", "SEND", []string{"destination", q, "transaction", "x"}},
		{"ack without id", "1.2", "ACK", nil},
		{"nack without id", "1.2", "NACK", nil},
		{"unknown ack", "1.2", "ACK", []string{"id", "1"}},
		{"ack without message-id", "1.1", "ACK", []string{"subscription", "1"}},
		{"nack without message-id", "1.1", "NACK", []string{"subscription", "1"}},
		{"ack without subscription", "1.1", "ACK", []string{"message-id", "1"}},
		{"nack without subscription", "1.1", "NACK", []string{"message-id", "1"}},
		{"unknown ack 1.1", "1.1", "ACK", []string{"message-id", "1", "subscription", "1"}},
		{"unknown ack 1.0", "1.0", "ACK", []string{"message-id", "1"}},
		{"nack 1.0", "1.0", "NACK", []string{"message-id", "1"}},
		{"durable queue", "1.2", "SUBSCRIBE", []string{"id", "1", "destination", q, "activemq.subscriptionName", "n"}},
		{"durable without client-id", "1.2", "SUBSCRIBE", []string{
			"id", "1", "destination", "/topic/active.errors", "activemq.subscriptionName", "n", "receipt", "r",
		}},
		{"browser 1.0", "1.0", "SUBSCRIBE", []string{"id", "1", "destination", q, "browser", "true"}},
		{"browser of a topic", "1.2", "SUBSCRIBE", []string{"id", "1", "destination", "/topic/t", "browser", "true"}},
		{"selector", "1.2", "SUBSCRIBE", []string{"id", "1", "destination", q, "selector", "a >"}},
		{"expires", "1.2", "SEND", []string{"destination", q, "expires", "x"}},
		{"type", "1.2", "SEND", []string{"destination", q, "amq-msg-type", "map"}},
	} {
		p := r.version(c.version)
		p.text(c.command, "", c.headers...)
		p.text(frame.BEGIN, "", "transaction", "taken", "receipt", "taken") // where one of the two is content
		p.note(c.step)
	}
	p := r.peer()
	p.text(frame.BEGIN, "", "transaction", "x")
	p.text(frame.BEGIN, "", "transaction", "x")
	p.note("begin twice")
}

func scriptActiveSend(r *stompRun) {
	for _, v := range []string{"1.0", "1.1", "1.2"} {
		p, q := r.version(v), "/queue/active.send."+v
		p.text(frame.SUBSCRIBE, "", "id", "1", "destination", q, "receipt", "s")
		p.note("subscribed")
		p.text(frame.SEND, "text", "destination", q)
		p.note("text")
		p.text(frame.SEND, "", "destination", q, "content-type", "text/css")
		p.note("empty")
		p.send(frame.SEND, "bytes", "destination", q)
		p.note("bytes")
		p.text(frame.SEND, "all", "destination", q, "correlation-id", "c", "reply-to", "/queue/a/b",
			"expires", "99999999999999", "priority", "7", "type", "ty", "persistent", "true",
			"JMSXGroupID", "g", "JMSXGroupSeq", "3", "own", "x", "message-id", "forged", "redelivered", "true",
			"subscription", "forged", "JMSXUserID", "forged", "timestamp", "12345")
		p.note("all headers")
		p.text(frame.SEND, "high", "destination", q, "priority", "99")
		p.note("priority")
		p.text(frame.SEND, "late", "destination", q, "expires", "1000")
		p.silence("expired")
	}
	const q = "/queue/active.send"
	p := r.peer()
	p.text(frame.SUBSCRIBE, "", "id", "1", "destination", q)
	p.send(frame.SEND, "typed", "destination", q, "amq-msg-type", "text")
	p.note("text by type")
	p.text(frame.SEND, "typed", "destination", q, "amq-msg-type", "bytes")
	p.note("bytes by type")
	p.text(frame.SEND, "slashes", "destination", "/queue/active/send")
	p.text(frame.SUBSCRIBE, "", "id", "2", "destination", "/queue/active/send")
	p.note("slashes")
	p.text(frame.SEND, "bare", "destination", "active.bare")
	p.text(frame.SUBSCRIBE, "", "id", "3", "destination", "/queue/active.bare")
	p.note("bare")
	p.text(frame.SUBSCRIBE, "", "id", "4", "destination", "/queue/active.numbers", "selector", "n > 5")
	p.text(frame.SEND, "4", "destination", "/queue/active.numbers", "n", "4")
	p.text(frame.SEND, "10", "destination", "/queue/active.numbers", "n", "10")
	p.note("selector")
	p = r.version("1.0")
	p.text("SUB", "", "destination", "/queue/active.short")
	p.text(frame.SEND, "short", "destination", "/queue/active.short")
	p.note("SUB")
	p.text("UNSUB", "", "destination", "/queue/active.short", "receipt", "u")
	p.note("UNSUB")
}

func scriptActiveTopics(r *stompRun) {
	p, other := r.peer(), r.peer()
	for _, pattern := range []string{"a.*", "a.>", ">", "a.b", "a/x.*"} {
		p.receipt(frame.SUBSCRIBE, "id", pattern, "destination", "/topic/active."+pattern)
	}
	for _, topic := range []string{"a", "a.b", "a.b.c", "a/x.y"} {
		p.text(frame.SEND, topic, "destination", "/topic/active."+topic)
		var to []string
		for f := p.soon(); f != nil; f = p.soon() {
			to = append(to, f.Header.Get("destination")+" by "+f.Header.Get("subscription"))
		}
		slices.Sort(to)
		r.add(topic, "%s", strings.Join(to, ", "))
	}
	q := r.peer()
	q.receipt(frame.SUBSCRIBE, "id", "1", "destination", "/topic/active.local", "activemq.noLocal", "true",
		"activemq.retroactive", "true", "activemq.dispatchAsync", "false")
	q.text(frame.SEND, "mine", "destination", "/topic/active.local")
	q.silence("no local")
	other.text(frame.SEND, "theirs", "destination", "/topic/active.local")
	q.note("not local")
	q.receipt(frame.SUBSCRIBE, "id", "v", "destination", "/queue/Consumer.A.VirtualTopic.active")
	q.text(frame.SEND, "virtual", "destination", "/topic/VirtualTopic.active")
	q.note("virtual topic")
}

func scriptActiveComposite(r *stompRun) {
	p := r.peer()
	p.receipt(frame.SUBSCRIBE, "id", "1", "destination", "/queue/active.c1")
	p.text(frame.SEND, "all", "destination", "/queue/active.c1,/queue/active.c2")
	p.note("first")
	p.text(frame.SUBSCRIBE, "", "id", "2", "destination", "/queue/active.c2")
	p.note("second")
	p.text(frame.SUBSCRIBE, "", "id", "both", "destination", "/queue/active.d1,/queue/active.d2")
	p.text(frame.SEND, "one", "destination", "/queue/active.d1")
	p.note("list of two")
	p.text(frame.SEND, "two", "destination", "/queue/active.d2")
	p.note("list of two")
}

func scriptActiveAck(r *stompRun) {
	for _, v := range []string{"1.0", "1.1", "1.2"} {
		for _, mode := range []string{"client", "client-individual"} {
			q := "/queue/active.ack." + v + mode
			p := r.version(v)
			p.loadText(q, "0", "1", "2", "3")
			p.text(frame.SUBSCRIBE, "", "id", "1", "destination", q, "ack", mode)
			var got []*frame.Frame
			for range 4 {
				got = append(got, p.note(v+" "+mode))
			}
			p.receipt(frame.ACK, ackHeaders(v, got[2])...)
			p.receipt(frame.UNSUBSCRIBE, "id", "1")
			p.text(frame.SUBSCRIBE, "", "id", "2", "destination", q, "ack", "auto")
			p.note(v + " " + mode + " came back")
			if mode == "client-individual" {
				p.note(v + " " + mode + " came back")
				p.note(v + " " + mode + " came back")
			}
			p.silence(v + " " + mode + " the rest")
			if v == "1.2" {
				p.text(frame.ACK, "", append(ackHeaders(v, got[3]), "receipt", "late")...)
				p.note(mode + " late")
			}
		}
	}
}

// ackHeaders name a message in an ACK.
func ackHeaders(v string, f *frame.Frame) []string {
	switch v {
	case "1.0":
		return []string{"message-id", f.Header.Get("message-id")}
	case "1.1":
		return []string{
			"message-id", f.Header.Get("message-id"), "subscription", f.Header.Get("subscription"),
		}
	}
	return []string{"id", f.Header.Get("ack")}
}

func scriptActiveNack(r *stompRun) {
	const topic = "/topic/active.nack"
	for _, v := range []string{"1.1", "1.2"} {
		p, q := r.version(v), "/queue/active.nack."+v
		p.receipt(frame.SUBSCRIBE, "id", "1", "ack", "client", "destination", q)
		p.receipt(frame.SUBSCRIBE, "id", "dead", "ack", "client-individual", "destination",
			"/queue/ActiveMQ.DLQ")
		p.text(frame.SEND, "bad", "destination", q, "persistent", "true", "own", "1", "correlation-id", "c",
			"expires", "99999999999999")
		p.text(frame.NACK, "", ackHeaders(v, p.note("message"))...)
		f := p.note("dead letter")
		p.text(frame.NACK, "", ackHeaders(v, f)...) // from there nowhere
		p.silence("dead letter of a dead letter")
		if v == "1.1" {
			p.receipt(frame.DISCONNECT)
			continue
		}
		p.text(frame.SEND, "transient", "destination", q, "own", "2")
		p.text(frame.NACK, "", ackHeaders(v, p.note("transient"))...)
		p.late("transient dead letter")
		p.receipt(frame.SUBSCRIBE, "id", "t", "ack", "client", "destination", topic)
		p.text(frame.SEND, "topic", "destination", topic, "persistent", "true", "own", "3")
		p.text(frame.NACK, "", ackHeaders(v, p.note("topic"))...)
		p.late("dead letter of a topic")
	}
}

func scriptActiveTransactions(r *stompRun) {
	const q = "/queue/active.tx"
	p := r.peer()
	p.receipt(frame.SUBSCRIBE, "id", "1", "ack", "client-individual", "destination", q)
	p.text(frame.BEGIN, "", "transaction", "a")
	p.text(frame.SEND, "1", "destination", q, "transaction", "a")
	p.silence("before commit")
	p.text(frame.COMMIT, "", "transaction", "a")
	f := p.note("after commit")
	p.text(frame.BEGIN, "", "transaction", "b")
	p.text(frame.SEND, "2", "destination", q, "transaction", "b")
	p.text(frame.ACK, "", "id", f.Header.Get("ack"), "transaction", "b")
	p.text(frame.ABORT, "", "transaction", "b")
	p.silence("after abort")
	p.receipt(frame.UNSUBSCRIBE, "id", "1")
	p.text(frame.SUBSCRIBE, "", "id", "2", "destination", q)
	p.note("what was not acknowledged")
	p.silence("no more")
}

func scriptActiveTemp(r *stompRun) {
	asker, service := r.peer(), r.peer()
	service.receipt(frame.SUBSCRIBE, "id", "s", "destination", "/queue/active.service")
	gone := map[string]string{}
	for _, kind := range []string{"queue", "topic"} {
		name := "/temp-" + kind + "/mine"
		asker.receipt(frame.SUBSCRIBE, "id", kind, "destination", name)
		asker.text(frame.SEND, "question", "destination", "/queue/active.service", "reply-to", name,
			"correlation-id", "7")
		to := service.next().Header.Get("reply-to")
		r.add(kind+" as others see it", "%s", lastPart(to))
		service.text(frame.SEND, "answer", "destination", to, "correlation-id", "7")
		asker.note(kind + " answer")
		asker.text(frame.SEND, "own", "destination", name)
		asker.note(kind + " own")
		gone[kind] = to
	}
	asker.receipt(frame.SUBSCRIBE, "id", "self", "destination", "/queue/active.self")
	asker.text(frame.SEND, "x", "destination", "/queue/active.self", "reply-to", "/temp-queue/mine")
	asker.note("own reply-to")
	asker.receipt(frame.DISCONNECT)
	for _, kind := range []string{"queue", "topic"} {
		p := r.peer()
		p.text(frame.SEND, "late", "destination", gone[kind], "receipt", "r")
		f := p.next()
		text := frameText(f)
		if f != nil && f.Command == frame.ERROR {
			text = "ERROR"
		}
		r.add("to a "+kind+" that is gone", "%s", text)
	}
}

func scriptActiveBrowser(r *stompRun) {
	const q = "/queue/active.browser"
	for _, v := range []string{"1.1", "1.2"} {
		q := q + v
		p := r.version(v)
		browse := func(id string, n int, more ...string) {
			p.text(frame.SUBSCRIBE, "", append(more, "id", id, "browser", "true", "destination", q)...)
			for range n + 1 {
				p.note(v + " " + id)
			}
		}
		browse("empty", 0)
		p.loadText(q, "0", "1", "2")
		p.text(frame.SEND, "3", "destination", q, "n", "7", "receipt", "r")
		p.next()
		browse("all", 4)
		browse("again", 4, "ack", "client")
		browse("selected", 1, "selector", "n > 6")
		p.silence(v + " over")
		p.receipt(frame.UNSUBSCRIBE, "id", "all")
		p.text(frame.SUBSCRIBE, "", "id", "taken", "destination", q)
		for range 4 {
			p.note(v + " taken")
		}
	}
}

func scriptActivePrefetch(r *stompRun) {
	const q = "/queue/active.prefetch"
	p := r.peer()
	p.loadText(q, "1", "2", "3")
	p.text(frame.SUBSCRIBE, "", "id", "2", "ack", "client", "destination", q, "activemq.prefetchSize", "2")
	p.note("two")
	f := p.note("two")
	p.silence("no third")
	p.text(frame.ACK, "", "id", f.Header.Get("ack"))
	p.note("third")
	p.receipt(frame.DISCONNECT)
	p = r.peer()
	p.loadText(q+".none", "1")
	p.text(frame.SUBSCRIBE, "", "id", "1", "ack", "client", "destination", q+".none",
		"activemq.prefetchSize", "0")
	p.late("none")
}

func scriptActiveExclusive(r *stompRun) {
	const q = "/queue/active.exclusive"
	a, b := r.peer(), r.peer()
	b.receipt(frame.SUBSCRIBE, "id", "plain", "destination", q)
	a.receipt(frame.SUBSCRIBE, "id", "1", "destination", q, "activemq.exclusive", "true")
	for _, body := range []string{"1", "2", "3"} {
		a.text(frame.SEND, body, "destination", q)
		a.note("exclusive")
	}
	b.silence("others")
	a.receipt(frame.DISCONNECT)
	c := r.peer()
	c.text(frame.SEND, "4", "destination", q)
	b.note("when it has gone")
}

func scriptActiveDurable(r *stompRun) {
	const topic, header, name = "/topic/active.durable", "activemq.subscriptionName", "n"
	connect := func() *peer {
		p := r.raw()
		p.text(frame.CONNECT, "", "accept-version", "1.2", "login", "guest", "passcode", "guest",
			"client-id", "active.client")
		return p
	}
	p, sender := connect(), r.peer()
	p.note("connected")
	p.receipt(frame.SUBSCRIBE, "id", "1", "destination", topic, header, name)
	sender.loadText(topic, "one")
	p.note("first")
	f := connect().next()
	text := frameText(f)
	if f != nil && f.Command == frame.ERROR {
		text = "ERROR"
	}
	r.add("same client", "%s", text)
	p.text(frame.SUBSCRIBE, "", "id", "2", "destination", topic, header, name)
	p.note("open twice")
	_ = p.conn.Close()
	// The end of a connection is not told: until the subscription is free it is in use.
	for range 50 {
		p = connect()
		if f := p.next(); f == nil || f.Command != frame.CONNECTED {
			continue
		}
		p.text(frame.SUBSCRIBE, "", "id", "1", "destination", topic, header, name, "receipt", "r")
		if f := p.next(); f != nil && f.Command == frame.RECEIPT {
			break
		}
	}
	p.receipt(frame.UNSUBSCRIBE, "id", "1")
	sender.loadText(topic, "two")
	p.text(frame.SUBSCRIBE, "", "id", "1", "destination", topic, header, name)
	p.note("while away")
	p.receipt(frame.UNSUBSCRIBE, "id", "1")
	p.text(frame.UNSUBSCRIBE, "", "id", "1", header, name, "receipt", "r")
	p.note("ended")
	p.text(frame.UNSUBSCRIBE, "", "id", "1", header, name)
	p.note("ended twice")
}
