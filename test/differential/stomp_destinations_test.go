// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"strings"
)

func scriptStompTopic(r *stompRun) {
	one, two := r.peer(), r.peer()
	one.send("SUBSCRIBE", "", "destination", "/topic/sto.*.news", "id", "1", "receipt", "r")
	one.note("one")
	two.send("SUBSCRIBE", "", "destination", "/topic/sto.#", "id", "2", "receipt", "r")
	two.note("two")
	p := r.peer()
	p.send("SEND", "both", "destination", "/topic/sto.big.news")
	one.note("one gets both")
	two.note("two gets both")
	p.send("SEND", "second only", "destination", "/topic/sto.x")
	two.note("second only")
	one.silence("one gets no more")
	p.send("SEND", "exchange form", "destination", "/exchange/amq.topic/sto.y")
	two.note("exchange form")
	one.send("UNSUBSCRIBE", "", "id", "1", "receipt", "u")
	one.note("unsubscribed")
	p.send("SEND", "late", "destination", "/topic/sto.big.news")
	two.note("two gets late")
	one.silence("one is gone")
	p.send("SEND", "encoded", "destination", "/topic/sto%2Fslash")
	r.add("synced", "%t", p.sync())
}

func scriptStompExchange(r *stompRun) {
	one, two := r.peer(), r.peer()
	one.send("SUBSCRIBE", "", "destination", "/exchange/amq.fanout", "id", "1", "receipt", "r")
	one.note("one")
	two.send("SUBSCRIBE", "", "destination", "/exchange/amq.fanout/ignored", "id", "2", "receipt", "r")
	two.note("two")
	p := r.peer()
	p.send("SEND", "all", "destination", "/exchange/amq.fanout")
	one.note("one gets all")
	two.note("two gets all")
	p.send("SEND", "keyed", "destination", "/exchange/amq.fanout/some.key")
	one.note("keyed")
	direct := r.peer()
	direct.send("SUBSCRIBE", "", "destination", "/exchange/amq.direct/sx.k", "id", "d", "receipt", "r")
	direct.note("direct")
	p.send("SEND", "direct", "destination", "/exchange/amq.direct/sx.k")
	direct.note("direct gets it")
	p.send("SEND", "other", "destination", "/exchange/amq.direct/sx.other")
	direct.silence("other key")
	direct.send("SEND", "same connection", "destination", "/exchange/amq.direct/sx.k")
	direct.note("same connection")
}

func scriptAmqQueue(r *stompRun) {
	c := &amqpRun{t: r.t, addr: r.b.AMQP}
	defer c.end()
	ch := c.channel()
	if _, err := ch.QueueDeclare("saq.q", false, false, false, false, nil); err != nil {
		ch.note("declare", err)
	}
	p := r.peer()
	p.load("/amq/queue/saq.q", "to existing")
	p.send("SUBSCRIBE", "", "destination", "/amq/queue/saq.q", "id", "1")
	p.note("existing")
	p.send("SEND", "to nobody", "destination", "/amq/queue/saq.none", "receipt", "s")
	p.note("absent queue")
	cancel := r.peer()
	cancel.send("SUBSCRIBE", "", "destination", "/amq/queue/saq.q", "id", "gone", "receipt", "r")
	cancel.note("subscribed")
	_, err := ch.QueueDelete("saq.q", false, false, false)
	r.add("delete", "%v", err)
	cancel.note("server cancels")
}

func scriptTempQueue(r *stompRun) {
	service, asker := r.peer(), r.peer()
	service.send("SUBSCRIBE", "", "destination", "/queue/stq.service", "id", "s", "receipt", "r")
	service.note("service")
	asker.send("SEND", "ask", "destination", "/queue/stq.service", "reply-to", "/temp-queue/mine",
		"correlation-id", "c1")
	f := service.next()
	if f == nil {
		r.add("request", "nothing")
		return
	}
	replyTo := f.Header.Get("reply-to")
	kind, _, _ := strings.Cut(strings.TrimPrefix(replyTo, "/"), "/")
	r.add("request", "%s %s %q", kind, f.Header.Get("correlation-id"), f.Body)
	service.send("SEND", "answer", "destination", replyTo, "correlation-id", "c1")
	g := asker.next()
	if g == nil {
		r.add("answer", "nothing")
		return
	}
	r.add("answer", "%s %s %q", g.Header.Get("subscription"), g.Header.Get("correlation-id"), g.Body)
	r.add("its destination", "%t", strings.HasPrefix(g.Header.Get("destination"), "/queue/"))
	r.add("no ack", "%q", g.Header.Get("ack"))
	asker.send("SEND", "again", "destination", "/queue/stq.service", "reply-to", "/temp-queue/mine")
	f = service.next()
	r.add("same queue", "%t", f != nil && f.Header.Get("reply-to") == replyTo)
	asker.send("SEND", "other", "destination", "/queue/stq.service", "reply-to", "/temp-queue/other")
	f = service.next()
	r.add("other queue", "%t", f != nil && f.Header.Get("reply-to") != replyTo)
	asker.send("DISCONNECT", "", "receipt", "bye")
	asker.note("bye")
	service.send("SEND", "too late", "destination", replyTo, "receipt", "late")
	service.note("too late")
}

func scriptReplyQueue(r *stompRun) {
	p := r.peer()
	p.load("/queue/srq.q", "by queue")
	p.send("SUBSCRIBE", "", "destination", "/reply-queue/srq.q", "id", "1", "receipt", "r")
	for range 2 {
		f := p.next()
		if f != nil && f.Command == "MESSAGE" {
			r.add("consume", "%s %s %q", f.Header.Get("destination"), f.Header.Get("subscription"), f.Body)
		}
	}
	p.send("SEND", "by reply queue", "destination", "/reply-queue/srq.q")
	f := p.next()
	if f == nil {
		r.add("send", "nothing")
		return
	}
	r.add("send", "%s %q", f.Header.Get("destination"), f.Body)
}

func scriptDurable(r *stompRun) {
	p := r.peer()
	sub := []string{
		"destination", "/topic/sd.t", "id", "keep", "durable", "true", "auto-delete", "false",
	}
	p.send("SUBSCRIBE", "", append(sub, "receipt", "r")...)
	p.note("subscribed")
	p.send("DISCONNECT", "", "receipt", "bye")
	p.note("bye")
	sender := r.peer()
	sender.load("/topic/sd.t", "while away")
	again := r.peer()
	again.send("SUBSCRIBE", "", sub...)
	again.note("while away")
	again.send("UNSUBSCRIBE", "", "id", "keep", "durable", "true", "destination", "/topic/sd.t",
		"receipt", "u")
	again.note("deleted")
	sender.load("/topic/sd.t", "nobody keeps this")
	third := r.peer()
	third.send("SUBSCRIBE", "", append(sub, "receipt", "r")...)
	third.note("new")
	third.silence("nothing kept")
	third.send("UNSUBSCRIBE", "", "id", "keep", "durable", "true", "receipt", "u")
	third.note("deleted again")
	third.send("UNSUBSCRIBE", "", "destination", "/topic/sd.t", "durable", "true")
	third.note("no id")
}

func scriptUnsubscribe(r *stompRun) {
	p := r.peer()
	p.send("SUBSCRIBE", "", "destination", "/queue/su.q", "id", "1", "ack", "client-individual")
	r.peer().load("/queue/su.q", "held")
	f := p.next()
	if f == nil {
		r.add("held", "nothing")
		return
	}
	r.add("held", "%q", f.Body)
	p.send("UNSUBSCRIBE", "", "id", "1", "receipt", "u")
	p.note("unsubscribed")
	p.send("SEND", "later", "destination", "/queue/su.q", "receipt", "s")
	p.note("sent")
	p.silence("none for us")
	p.send("SUBSCRIBE", "", "destination", "/queue/su.q", "id", "1")
	f = p.next()
	if f == nil {
		r.add("id is free again", "nothing")
		return
	}
	r.add("id is free again", "%q", f.Body)
}

func scriptStompHeaders(r *stompRun) {
	p := r.peer()
	p.send("SUBSCRIBE", "", "destination", "/queue/sh.q", "id", "1")
	p.bytes("SEND\ndestination:/queue/sh.q\nempty:\nspace: a b \nupper:A\nUPPER:b\n" +
		"unicode:ä€😀\nreply-to:/queue/sh.answers\n\nx\x00")
	p.note("values")
	for _, to := range []string{
		"/queue/a", "/topic/a.b", "/exchange/x/k", "/amq/queue/q", "/reply-queue/r", "bare", "a/b",
	} {
		p.send("SEND", "", "destination", "/queue/sh.q", "reply-to", to)
		f := p.next()
		if f == nil {
			r.add("reply-to "+to, "nothing")
			continue
		}
		r.add("reply-to "+to, "%s %s", f.Command, f.Header.Get("reply-to"))
	}
	var many []string
	for i := range 80 {
		many = append(many, fmt.Sprintf("h%d:v%d\n", i, i))
	}
	p.bytes("SEND\ndestination:/queue/sh.q\n" + strings.Join(many, "") + "\n\x00")
	f := p.next()
	if f == nil {
		r.add("many headers", "nothing")
		return
	}
	r.add("many headers", "%s %s", f.Header.Get("h0"), f.Header.Get("h79"))
}

func scriptEscapes(r *stompRun) {
	for _, v := range []string{"1.1", "1.2"} {
		p := r.version(v)
		p.send("SUBSCRIBE", "", "destination", "/queue/sesc."+v, "id", "1")
		p.bytes("SEND\ndestination:/queue/sesc." + v + "\nk\\cey:a\\nb\\\\c\\cd\n\nx\x00")
		p.note(v)
		p.bytes("SEND\ndestination:/queue/sesc." + v + "\nselector:a='x:y'\n\nx\x00")
		p.note(v + " bare colon")
	}
	p := r.version("1.2")
	p.send("SUBSCRIBE", "", "destination", "/queue/sesc.cr", "id", "1")
	p.bytes("SEND\r\ndestination:/queue/sesc.cr\r\nk:a\\rb\r\n\r\nx\x00\r\n")
	p.note("carriage return")
}

func scriptStompNames(r *stompRun) {
	p := r.peer()
	for _, name := range []string{
		"sna.plain", "sna%2Fslash", "sna.%25", "sna.ä", "sna space", "sna.%41", "sna:colon",
	} {
		p.send("SUBSCRIBE", "", "destination", "/queue/"+name, "id", name, "receipt", "r")
		p.note("subscribe " + name)
		p.send("SEND", "x", "destination", "/queue/"+name)
		p.note(name)
		p.send("UNSUBSCRIBE", "", "id", name)
	}
}

func scriptStompArguments(r *stompRun) {
	p := r.peer()
	p.send("SUBSCRIBE", "", "destination", "/queue/sar.dead", "id", "dead", "receipt", "r")
	p.note("dead letters")
	p.send("SEND", "expires", "destination", "/queue/sar.ttl", "x-message-ttl", "20",
		"x-dead-letter-exchange", "", "x-dead-letter-routing-key", "sar.dead")
	f := p.next()
	if f == nil {
		r.add("expired", "nothing")
		return
	}
	r.add("expired", "%q %s", f.Body, f.Header.Get("destination"))
	other := r.peer()
	other.send("SEND", "x", "destination", "/queue/sar.ttl", "x-message-ttl", "30")
	other.note("other argument")
	other = r.peer()
	other.send("SUBSCRIBE", "", "destination", "/queue/sar.ttl", "id", "1", "durable", "false")
	other.note("other durable")
	limit := r.peer()
	limit.send("SEND", "1", "destination", "/queue/sar.len", "x-max-length", "1")
	limit.send("SEND", "2", "destination", "/queue/sar.len", "x-max-length", "1")
	r.add("sent", "%t", limit.sync())
	limit.send("SUBSCRIBE", "", "destination", "/amq/queue/sar.len", "id", "l")
	limit.note("newest stays")
	limit.silence("oldest is gone")
	private := r.peer()
	private.send("SUBSCRIBE", "", "destination", "/topic/sar.named", "id", "n",
		"x-queue-name", "sar.named-queue", "receipt", "n")
	private.note("named")
	private.send("SEND", "by name", "destination", "/amq/queue/sar.named-queue")
	private.note("by name")
}

func scriptStompFair(r *stompRun) {
	one, two := r.peer(), r.peer()
	one.send("SUBSCRIBE", "", "destination", "/queue/sf.q", "id", "1", "receipt", "r")
	one.note("one")
	two.send("SUBSCRIBE", "", "destination", "/queue/sf.q", "id", "2", "receipt", "r")
	two.note("two")
	p := r.peer()
	p.load("/queue/sf.q", "a", "b", "c", "d")
	for _, side := range []*peer{one, two} {
		count := 0
		for range 2 {
			if side.next() != nil {
				count++
			}
		}
		r.add("share", "%d", count)
		side.silence("no more")
	}
}

// scriptStompDeclared: a connection declares a queue once, whichever frame comes first.
func scriptStompDeclared(r *stompRun) {
	p := r.peer()
	p.send("SUBSCRIBE", "", "destination", "/queue/sde.a", "id", "1", "receipt", "r",
		"x-message-ttl", "60000")
	p.note("subscribed")
	p.send("SEND", "without arguments", "destination", "/queue/sde.a")
	p.note("sent")
	p.send("UNSUBSCRIBE", "", "id", "1", "receipt", "u")
	p.note("unsubscribed")
	p.send("SUBSCRIBE", "", "destination", "/queue/sde.a", "id", "2", "receipt", "r")
	p.note("subscribed without arguments")
	p.send("SEND", "first", "destination", "/queue/sde.b")
	p.send("SUBSCRIBE", "", "destination", "/queue/sde.b", "id", "3", "receipt", "r",
		"x-message-ttl", "60000")
	p.note("subscribed with arguments")
	p.note("first")
	other := r.peer()
	other.send("SEND", "another connection", "destination", "/queue/sde.a")
	other.note("another connection")
}
