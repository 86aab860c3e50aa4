// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func itoa(n int) string     { return strconv.Itoa(n) }
func quote(s string) string { return strconv.Quote(s) }

// stompScripts is the list of scripts.
func stompScripts() []stompScript {
	return []stompScript{
		{"stomp connect", scriptConnect},
		{"stomp errors", scriptErrors},
		{"stomp error close", scriptErrorClose},
		{"stomp queue", scriptStompQueue},
		{"stomp ack", scriptStompAck},
		{"stomp nack", scriptStompNack},
		{"stomp old versions", scriptOldVersions},
		{"stomp topic", scriptStompTopic},
		{"stomp exchange", scriptStompExchange},
		{"stomp amq queue", scriptAmqQueue},
		{"stomp temp queue", scriptTempQueue},
		{"stomp reply queue", scriptReplyQueue},
		{"stomp durable", scriptDurable},
		{"stomp receipts", scriptReceipts},
		{"stomp transactions", scriptTransactions},
		{"stomp prefetch", scriptStompPrefetch},
		{"stomp unsubscribe", scriptUnsubscribe},
		{"stomp headers", scriptStompHeaders},
		{"stomp escapes", scriptEscapes},
		{"stomp names", scriptStompNames},
		{"stomp arguments", scriptStompArguments},
		{"stomp declared", scriptStompDeclared},
		{"stomp fair", scriptStompFair},
		{"stomp to amqp", scriptToAMQP},
		{"amqp to stomp", scriptFromAMQP},
		{"stomp answers amqp", scriptStompAnswers},
		{"amqp answers stomp", scriptAMQPAnswers},
	}
}

func scriptConnect(r *stompRun) {
	login := []string{"login", "guest", "passcode", "guest"}
	for _, tc := range []struct {
		step, command string
		headers       []string
	}{
		{"1.2", "CONNECT", append([]string{"accept-version", "1.2", "host", "/"}, login...)},
		{"1.1", "CONNECT", append([]string{"accept-version", "1.1", "host", "/"}, login...)},
		{"1.0", "CONNECT", append([]string{"accept-version", "1.0", "host", "/"}, login...)},
		{"all", "CONNECT", append([]string{"accept-version", "1.0,1.1,1.2", "host", "/"}, login...)},
		{"none", "CONNECT", append([]string{"host", "/"}, login...)},
		{"no host", "CONNECT", append([]string{"accept-version", "1.2"}, login...)},
		{"STOMP", "STOMP", append([]string{"accept-version", "1.2", "host", "/"}, login...)},
		{"with unknown", "CONNECT", append([]string{"accept-version", "1.1,2.7", "host", "/"}, login...)},
		{"no common version", "CONNECT", append([]string{"accept-version", "2.7", "host", "/"}, login...)},
		{"heart-beat off", "CONNECT", append([]string{
			"accept-version", "1.2", "host", "/", "heart-beat", "0,0",
		}, login...)},
		{"heart-beat", "CONNECT", append([]string{
			"accept-version", "1.2", "host", "/", "heart-beat", "5000,6000",
		}, login...)},
		{"wrong passcode", "CONNECT", []string{
			"accept-version", "1.2", "host", "/", "login", "guest", "passcode", "no",
		}},
		{"unknown user", "CONNECT", []string{
			"accept-version", "1.2", "host", "/", "login", "gust", "passcode", "no",
		}},
		{"no login", "CONNECT", []string{"accept-version", "1.2", "host", "/"}},
		{"unknown vhost", "CONNECT", append([]string{
			"accept-version", "1.2", "host", "/nowhere",
		}, login...)},
		{"no CONNECT", "SEND", []string{"destination", "/queue/sc.none"}},
	} {
		p := r.raw()
		p.send(tc.command, "", tc.headers...)
		p.note(tc.step)
	}
	p := r.raw()
	p.bytes("CONNECT\r\naccept-version:1.2\r\nhost:/\r\nlogin:guest\r\npasscode:guest\r\n\r\n\x00\r\n")
	p.note("CRLF")
	p.send("DISCONNECT", "", "receipt", "bye")
	p.note("bye")
	p.silence("closed")
}

func scriptErrors(r *stompRun) {
	// Each on a connection of its own: an ERROR may end it.
	for _, tc := range []struct {
		step, command string
		headers       []string
	}{
		{"unknown command", "WRONGCOMMAND", nil},
		{"SEND without destination", "SEND", nil},
		{"SUBSCRIBE without destination", "SUBSCRIBE", []string{"id", "1"}},
		{"bad queue", "SEND", []string{"destination", "/queue/se/b"}},
		{"bad topic", "SEND", []string{"destination", "/topic/a/b"}},
		{"bad exchange", "SEND", []string{"destination", "/exchange/a/b/c"}},
		{"bad amq queue", "SEND", []string{"destination", "/amq/queue/a/b"}},
		{"empty queue", "SEND", []string{"destination", "/queue/"}},
		{"unknown destination", "SEND", []string{"destination", "/x/y"}},
		{"absent exchange", "SEND", []string{"destination", "/exchange/se.none/k", "receipt", "r"}},
		{"absent exchange to subscribe", "SUBSCRIBE", []string{
			"destination", "/exchange/se.none/k", "id", "1",
		}},
		{"absent amq queue", "SUBSCRIBE", []string{"destination", "/amq/queue/se.none", "id", "1"}},
		{"temp queue to subscribe", "SUBSCRIBE", []string{"destination", "/temp-queue/x", "id", "1"}},
		{"id like a temp queue", "SUBSCRIBE", []string{
			"destination", "/queue/se.t", "id", "/temp-queue/x",
		}},
		{"durable without id", "SUBSCRIBE", []string{
			"destination", "/topic/se.d", "durable", "true",
		}},
		{"message-id on SEND", "SEND", []string{"destination", "/queue/se.m", "message-id", "1"}},
		{"ACK without id", "ACK", nil},
		{"ACK with a bad id", "ACK", []string{"id", "strange"}},
		{"ACK of an unknown", "ACK", []string{"id", "T_1@@session@@7"}},
		{"NACK without id", "NACK", nil},
		{"UNSUBSCRIBE without anything", "UNSUBSCRIBE", nil},
		{"UNSUBSCRIBE unknown", "UNSUBSCRIBE", []string{"id", "never"}},
		{"UNSUBSCRIBE temp queue", "UNSUBSCRIBE", []string{"id", "/temp-queue/x"}},
		{"BEGIN without transaction", "BEGIN", nil},
		{"COMMIT unknown", "COMMIT", []string{"transaction", "never"}},
		{"ABORT unknown", "ABORT", []string{"transaction", "never"}},
		{"SEND in an unknown", "SEND", []string{"destination", "/queue/se.q", "transaction", "never"}},
		{"with a receipt", "ACK", []string{"receipt", "mine"}},
		{"foreign user-id", "SEND", []string{"destination", "/queue/se.u", "user-id", "somebody"}},
		{"reserved exchange", "SEND", []string{"destination", "/exchange/amq.none/k"}},
		{"internal exchange", "SEND", []string{"destination", "/exchange/amq.rabbitmq.trace/k"}},
		{"bad expiration", "SEND", []string{"destination", "/queue/se.e", "expiration", "soon"}},
	} {
		p := r.peer()
		p.send(tc.command, "", tc.headers...)
		p.note(tc.step)
	}
	p := r.peer()
	p.send("SUBSCRIBE", "", "destination", "/queue/se.twice", "id", "1")
	p.send("SUBSCRIBE", "", "destination", "/queue/se.twice", "id", "1")
	p.note("same id twice")
	old := r.version("1.1")
	old.send("ACK", "")
	old.note("1.1 ACK without id")
	old = r.version("1.1")
	old.send("ACK", "", "message-id", "T_1@@s@@9", "subscription", "1")
	old.note("1.1 ACK of an unknown")
}

func scriptErrorClose(r *stompRun) {
	p := r.peer()
	p.send("ACK", "")
	p.note("error")
	p.silence("after the error")
	p = r.raw()
	p.send("CONNECT", "", "accept-version", "2.7", "host", "/")
	p.note("no version")
	p.silence("after no version")
}

func scriptStompQueue(r *stompRun) {
	p := r.peer()
	p.load("/queue/sq.a", "waits")
	p.send("SUBSCRIBE", "", "destination", "/queue/sq.a", "id", "s1")
	p.note("waits")
	p.send("SEND", "live", "destination", "/queue/sq.a", "content-type", "text/plain",
		"own", "header", "priority", "4", "correlation-id", "c", "type", "t", "app-id", "app",
		"expiration", "60000", "timestamp", "1700000000", "content-encoding", "gzip",
		"amqp-message-id", "m", "user-id", "guest", "persistent", "true")
	p.note("all headers")
	p.send("SEND", "", "destination", "/queue/sq.a")
	p.note("empty")
	p.send("SEND", "a\x00b", "destination", "/queue/sq.a")
	p.note("NUL inside")
	p.bytes("SEND\ndestination:/queue/sq.a\n\nno length\x00\n\n\n")
	p.note("no content-length")
	p.bytes("SEND\ndestination:/queue/sq.a\ntwice:first\ntwice:second\n\n\x00")
	p.note("repeated header")
	p.send("SEND", "bare", "destination", "sq.a")
	p.note("bare name")
	p.send("SEND", "asks", "destination", "/queue/sq.a", "receipt", "s")
	texts := []string{frameText(p.next()), frameText(p.next())}
	slices.Sort(texts)
	r.add("receipt travels", "%s", strings.Join(texts, " | "))
	p.send("UNSUBSCRIBE", "", "id", "s1", "receipt", "3")
	p.note("unsubscribed")
	other := r.peer()
	p.send("SEND", "to another", "destination", "/queue/sq.a")
	other.send("SUBSCRIBE", "", "destination", "/queue/sq.a", "id", "o", "ack", "auto")
	other.note("other connection")
	odd := r.peer()
	odd.send("SUBSCRIBE", "", "destination", "/queue/sq.odd", "id", "s1")
	odd.send("SEND", "odd priority", "destination", "/queue/sq.odd", "priority", "high")
	odd.note("odd priority")
	two := r.peer()
	two.send("SUBSCRIBE", "", "destination", "/queue/sq.b", "id", "x")
	two.send("SUBSCRIBE", "", "destination", "/queue/sq.c", "id", "y")
	two.send("SEND", "b", "destination", "/queue/sq.b")
	two.note("x")
	two.send("SEND", "c", "destination", "/queue/sq.c")
	two.note("y")
}

// load sends bodies to destination and waits until they lie there.
func (p *peer) load(destination string, bodies ...string) {
	for _, b := range bodies {
		p.send("SEND", b, "destination", destination)
	}
	if !p.sync() {
		p.r.add("load "+destination, "no receipt")
	}
}

func scriptStompAck(r *stompRun) {
	p := r.peer()
	p.load("/queue/sa.client", "1", "2", "3", "4")
	p.send("SUBSCRIBE", "", "destination", "/queue/sa.client", "id", "c", "ack", "client")
	var acks []string
	for i := range 4 {
		f := p.note(fmt.Sprintf("client %d", i+1))
		acks = append(acks, f.Header.Get("ack"))
	}
	// Cumulative: the third stands for the first two.
	p.send("ACK", "", "id", acks[2], "receipt", "acked")
	p.note("cumulative")
	p.send("DISCONNECT", "", "receipt", "bye")
	p.note("bye")
	again := r.peer()
	again.send("SUBSCRIBE", "", "destination", "/queue/sa.client", "id", "c", "ack", "client-individual")
	f := again.note("what was not acked")
	again.silence("and no more")
	again.send("ACK", "", "id", f.Header.Get("ack"), "receipt", "a")
	again.note("ack")
	again.send("ACK", "", "id", f.Header.Get("ack"))
	again.note("twice")

	one := r.peer()
	one.load("/queue/sa.one", "1", "2", "3")
	one.send("SUBSCRIBE", "", "destination", "/queue/sa.one", "id", "i", "ack", "client-individual")
	acks = acks[:0]
	for range 3 {
		if f := one.next(); f != nil {
			acks = append(acks, f.Header.Get("ack"))
		}
	}
	one.send("ACK", "", "id", acks[1], "receipt", "only the second")
	one.note("individual")
	one.send("DISCONNECT", "", "receipt", "bye")
	one.note("individual bye")
	rest := r.peer()
	rest.send("SUBSCRIBE", "", "destination", "/queue/sa.one", "id", "r")
	rest.note("first is back")
	rest.note("third is back")
	rest.silence("second is gone")
}

func scriptStompNack(r *stompRun) {
	p := r.peer()
	p.load("/queue/sn.q", "1")
	p.send("SUBSCRIBE", "", "destination", "/queue/sn.q", "id", "n", "ack", "client-individual")
	f := p.note("first")
	p.send("NACK", "", "id", f.Header.Get("ack"))
	f = p.note("requeued by default")
	p.send("NACK", "", "id", f.Header.Get("ack"), "requeue", "true")
	f = p.note("requeued")
	p.send("NACK", "", "id", f.Header.Get("ack"), "requeue", "false", "receipt", "gone")
	p.note("gone")
	p.silence("dropped")
	dead := r.peer()
	dead.send("SUBSCRIBE", "", "destination", "/queue/sn.dead", "id", "d", "receipt", "d")
	dead.note("dead letters")
	dead.send("SUBSCRIBE", "", "destination", "/queue/sn.dlx", "id", "q", "ack", "client-individual",
		"x-dead-letter-exchange", "", "x-dead-letter-routing-key", "sn.dead", "receipt", "q")
	dead.note("poisoned queue")
	other := r.peer()
	other.send("SEND", "poison", "destination", "/amq/queue/sn.dlx")
	f = dead.note("poison")
	dead.send("NACK", "", "id", f.Header.Get("ack"), "requeue", "false")
	f = dead.next()
	if f == nil {
		r.add("dead letter", "nothing")
		return
	}
	r.add("dead letter", "%s %s %q", f.Header.Get("destination"), f.Header.Get("subscription"), f.Body)
	r.add("first death", "%s %s", f.Header.Get("x-first-death-reason"),
		f.Header.Get("x-first-death-queue"))
}

func scriptOldVersions(r *stompRun) {
	p := r.version("1.0")
	p.load("/queue/so.q", "1", "2")
	p.send("SUBSCRIBE", "", "destination", "/queue/so.q", "ack", "client")
	f := p.note("1.0 without id")
	p.note("1.0 second")
	p.send("ACK", "", "message-id", f.Header.Get("message-id"), "receipt", "a")
	p.note("1.0 ack")
	p.send("UNSUBSCRIBE", "", "destination", "/queue/so.q", "receipt", "u")
	p.note("1.0 unsubscribe by destination")
	p.send("DISCONNECT", "")
	p.silence("1.0 closed")
	p = r.version("1.1")
	p.send("SUBSCRIBE", "", "destination", "/queue/so.q", "id", "s", "ack", "client-individual")
	f = p.note("1.1 what is left")
	p.send("NACK", "", "message-id", f.Header.Get("message-id"), "subscription", "s")
	f = p.note("1.1 nack")
	p.send("ACK", "", "message-id", f.Header.Get("message-id"), "subscription", "s", "receipt", "a")
	p.note("1.1 ack")
	p.silence("1.1 no more")
}

func scriptReceipts(r *stompRun) {
	p := r.peer()
	for _, tc := range []struct {
		command string
		headers []string
	}{
		{"SEND", []string{"destination", "/queue/sr.q"}},
		{"SEND", []string{"destination", "/topic/sr.nobody"}},
		{"SEND", []string{"destination", "/exchange/amq.direct/sr.nobody"}},
		{"SEND", []string{"destination", "/queue/sr.q", "persistent", "true"}},
		{"BEGIN", []string{"transaction", "t"}},
		{"ABORT", []string{"transaction", "t"}},
		{"SUBSCRIBE", []string{"destination", "/queue/sr.none", "id", "1"}},
		{"UNSUBSCRIBE", []string{"id", "1"}},
		{"DISCONNECT", nil},
	} {
		p.send(tc.command, "", append(tc.headers, "receipt", "r "+tc.command)...)
		p.note(tc.command + " " + strings.Join(tc.headers, " "))
	}
	// In a transaction the receipt of a SEND comes with the COMMIT.
	p = r.peer()
	p.send("BEGIN", "", "transaction", "t")
	p.send("SEND", "", "destination", "/queue/sr.q", "transaction", "t", "receipt", "send")
	p.silence("nothing before the commit")
	p.send("COMMIT", "", "transaction", "t", "receipt", "commit")
	texts := []string{frameText(p.next()), frameText(p.next())}
	slices.Sort(texts)
	r.add("both after the commit", "%s", strings.Join(texts, " | "))
}

func scriptTransactions(r *stompRun) {
	p := r.peer()
	watcher := r.peer()
	watcher.send("SUBSCRIBE", "", "destination", "/queue/st.q", "id", "w", "receipt", "w")
	watcher.note("watch")
	p.send("BEGIN", "", "transaction", "one")
	p.send("SEND", "in one", "destination", "/queue/st.q", "transaction", "one")
	p.send("SEND", "outside", "destination", "/queue/st.q")
	watcher.note("outside comes first")
	watcher.silence("nothing before the commit")
	p.send("SEND", "also in one", "destination", "/queue/st.q", "transaction", "one")
	p.send("COMMIT", "", "transaction", "one", "receipt", "c")
	p.note("commit")
	watcher.note("in one")
	watcher.note("also in one")
	p.send("BEGIN", "", "transaction", "two")
	p.send("SEND", "never", "destination", "/queue/st.q", "transaction", "two")
	p.send("ABORT", "", "transaction", "two", "receipt", "a")
	p.note("abort")
	watcher.silence("aborted")
	p.send("BEGIN", "", "transaction", "two", "receipt", "b")
	p.note("name is free again")
	p.send("SEND", "lost with the connection", "destination", "/queue/st.q", "transaction", "two")
	p.send("DISCONNECT", "", "receipt", "bye")
	p.note("bye")
	watcher.silence("gone with the connection")

	acker := r.peer()
	acker.load("/queue/st.acks", "1")
	acker.send("SUBSCRIBE", "", "destination", "/queue/st.acks", "id", "k", "ack", "client-individual")
	f := acker.note("to ack")
	acker.send("BEGIN", "", "transaction", "k")
	acker.send("ACK", "", "id", f.Header.Get("ack"), "transaction", "k")
	acker.send("ABORT", "", "transaction", "k", "receipt", "k")
	acker.note("ack aborted")
	acker.send("DISCONNECT", "", "receipt", "bye")
	acker.note("acker bye")
	again := r.peer()
	again.send("SUBSCRIBE", "", "destination", "/queue/st.acks", "id", "k", "ack", "client-individual")
	f = again.note("is back")
	again.send("BEGIN", "", "transaction", "k")
	again.send("ACK", "", "id", f.Header.Get("ack"), "transaction", "k")
	again.send("COMMIT", "", "transaction", "k", "receipt", "k")
	again.note("ack committed")
}

func scriptStompPrefetch(r *stompRun) {
	p := r.peer()
	p.load("/queue/sp.q", "1", "2", "3")
	p.send("SUBSCRIBE", "", "destination", "/queue/sp.q", "id", "p", "ack", "client-individual",
		"prefetch-count", "1")
	f := p.note("one")
	p.silence("limit")
	p.send("ACK", "", "id", f.Header.Get("ack"))
	p.note("two")
	p.silence("limit again")
}
