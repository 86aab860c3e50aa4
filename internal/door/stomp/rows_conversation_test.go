// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"fmt"
	"strings"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// conversationRows are the rows about what frames do.
func conversationRows() []row {
	const refused = "ERROR, close"
	return []row{
		{"receipt", [3]string{"any frame but CONNECT; the frames before it have been read", "", ""}, receiptRow},
		{"SUBSCRIBE id", [3]string{"optional", "must, unique; else " + refused, ""}, subscribeIDs},
		{"ack modes", [3]string{"auto, client (cumulative in its subscription), client-individual", "", ""}, ackModes},
		{"key of ACK and NACK", [3]string{
			"`message-id`", "`message-id`; `subscription` may be missing, as for RabbitMQ, but must not be another", "`id`",
		}, ackKeys},
		{"headers of MESSAGE", [3]string{
			"`subscription` if there is an id", "`subscription`", "`ack` too, unless auto",
		}, messageHeaders},
		{"UNSUBSCRIBE", [3]string{"id, or destination", "id; must exist", ""}, unsubscribes},
		{"transactions", [3]string{"SEND, ACK, NACK; none outlives the connection", "", ""}, transactions},
		{"heart-beats", [3]string{"`0,0` unless asked for; swapped, raised to the floor; filled by LF", "", ""}, heartBeats},
		{"ERROR", [3]string{"message, content-type, version, receipt-id if asked for; close", "", ""}, errorFrame},
		{"SEND or SUBSCRIBE that fails", [3]string{refused, "", ""}, failures},
		{"size limits", [3]string{"at the limit taken, beyond it " + refused, "", ""}, sizeLimits},
		{"user headers", [3]string{"pass, in their order", "", ""}, userHeaders},
		{"unknown command", [3]string{refused, "", ""}, unknownCommands},
		{"between frames", [3]string{"NUL, LF, CR LF are skipped", "", ""}, noise},
		{"header lines", [3]string{"further colons are the value's; without one " + refused, "", ""}, headerLines},
	}
}

func receiptRow(p *place) {
	c := p.hub.rawDial(p.t)
	c.send(rawConnect(p.version) + "receipt:none\n\n\x00")
	c.connected(p.version) // and no RECEIPT: what comes next is the next
	c.done("SUBSCRIBE\nid:s\nack:client-individual\ndestination:" + p.queue)
	pub := p.login()
	pub.send(p.sent("", "not asked for") + p.sent("", "") + p.sent("receipt:last\n", ""))
	pub.want("RECEIPT\nreceipt-id:last\n\n")
	messages := []string{c.frame(), c.frame(), c.frame()} // all are there
	c.done(p.settle("ACK", messages[0]))
	c.done(p.settle("NACK", messages[1]) + "\nrequeue:false")
	pub.done("BEGIN\ntransaction:t")
	pub.send(p.sent("transaction:t\nreceipt:inside\n", "") + "COMMIT\ntransaction:t\nreceipt:commit\n\n\x00")
	pub.want("RECEIPT\nreceipt-id:inside\n\n")
	pub.want("RECEIPT\nreceipt-id:commit\n\n")
	pub.done("BEGIN\ntransaction:t")
	pub.done("ABORT\ntransaction:t")
	c.frame()
	c.done("UNSUBSCRIBE\nid:s")
	c.done("DISCONNECT")
	c.ended()
}

func subscribeIDs(p *place) {
	c := p.login()
	frame := "SUBSCRIBE\ndestination:" + p.queue + "\nreceipt:r\n\n\x00"
	c.send(frame)
	if p.version > wire.V10 {
		c.refused("Missing header", "\"SUBSCRIBE\" must include the \"id\" header\n")
		c = p.login()
	} else {
		c.want("RECEIPT\nreceipt-id:r\n\n")
		c.send(frame)
		c.refused("Duplicated subscription identifier",
			"A subscription identified by 'Q_"+p.queue+"' already exists.")
		c = p.login()
	}
	c.done("SUBSCRIBE\nid:s\ndestination:" + p.queue)
	c.send("SUBSCRIBE\nid:s\ndestination:" + p.queue + ".other\n\n\x00")
	c.refused("Duplicated subscription identifier", "A subscription identified by 'T_s' already exists.")
}

func ackModes(p *place) {
	for mode, left := range map[string][]string{
		"": nil, "\nack:auto": nil, "\nack:client": {"2"}, "\nack:client-individual": {"0", "2"},
	} {
		c := p.login()
		c.done("SUBSCRIBE\nid:s\ndestination:" + p.queue + mode)
		var messages []string
		for i := range 3 {
			c.send(p.sent("", fmt.Sprint(i)))
			messages = append(messages, c.frame())
		}
		if left != nil {
			c.done(p.settle("ACK", messages[1]))
		}
		c.done("DISCONNECT")
		c.ended()
		p.wantLeft(left...)
	}
	c := p.login()
	c.send("SUBSCRIBE\nid:s\nack:perhaps\ndestination:" + p.queue + "\n\n\x00")
	c.refused("Invalid header", "\"SUBSCRIBE\" must include a valid \"ack\" header\n")
}

func ackKeys(p *place) {
	name := p.by("message-id", "message-id", "id")
	for _, command := range []string{"ACK", "NACK"} {
		c := p.login()
		c.done("SUBSCRIBE\nid:s\nack:client\ndestination:" + p.queue)
		c.send(p.sent("", "x"))
		message := c.frame()
		if command == "ACK" {
			c.done(p.settle(command, message))
		} else { // requeued, and delivered again
			c.send(p.settle(command, message) + "\n\n\x00")
			if f := c.frame(); headerIn(f, "redelivered") != "true" {
				p.t.Errorf("got %q", f)
			}
		}
		c.send(command + "\n" + p.by("id", "id", "message-id") + ":" + headerIn(message, "message-id") +
			"\nsubscription:s\n\n\x00")
		c.refused("Missing header", fmt.Sprintf("%q must include the %q header\n", command, name))
	}
	c := p.login()
	c.send("ACK\n" + name + ":none of ours\n\n\x00")
	c.refused("Invalid header", fmt.Sprintf("\"ACK\" must include a valid %q header\n", name))
	if p.version != wire.V11 {
		return
	}
	for _, command := range []string{"ACK", "NACK"} {
		c = p.login()
		c.done("SUBSCRIBE\nid:s\nack:client\ndestination:" + p.queue)
		message := c.frame() // the one that was not settled
		c.send(command + "\nmessage-id:" + headerIn(message, "message-id") + "\nsubscription:t\n\n\x00")
		c.refused("Invalid header", fmt.Sprintf("%q must include a valid \"subscription\" header\n", command))
	}
	// 1.1 has subscription as a required header; RabbitMQ has never looked at it (rabbit_stomp_processor,
	// ack_action), so clients that leave it out are at work.
	c = p.login()
	c.done("SUBSCRIBE\nid:s\nack:client\ndestination:" + p.queue)
	c.send("NACK\nmessage-id:" + headerIn(c.frame(), "message-id") + "\n\n\x00")
	c.done("ACK\nmessage-id:" + headerIn(c.frame(), "message-id"))
	c.done("UNSUBSCRIBE\nid:s")
	c.done("SUBSCRIBE\nid:s\nack:client\ndestination:" + p.queue)
	c.send(p.sent("", "after it"))
	if f := c.frame(); !strings.HasSuffix(f, "after it\x00") || headerIn(f, "redelivered") != "false" {
		p.t.Errorf("got %q, not what was sent last", f)
	}
}

func messageHeaders(p *place) {
	c := p.subscribed()
	c.send(p.sent("", ""))
	c.want("MESSAGE\nsubscription:s\ndestination:" + p.queue +
		"\nmessage-id:T_s@@{session}@@1\nredelivered:false\n\n")
	c.done("UNSUBSCRIBE\nid:s")
	c.done("SUBSCRIBE\nid:c\nack:client\ndestination:" + p.queue)
	c.send(p.sent("", ""))
	c.want("MESSAGE\nsubscription:c\ndestination:" + p.queue + "\nmessage-id:T_c@@{session}@@2\n" +
		p.by("", "", "ack:T_c@@{session}@@2\n") + "redelivered:false\n\n")
	if p.version > wire.V10 {
		return
	}
	c.done("UNSUBSCRIBE\nid:c")
	c.done("SUBSCRIBE\ndestination:" + p.queue)
	c.send(p.sent("", ""))
	c.want("MESSAGE\ndestination:" + p.queue + "\nmessage-id:Q_" + p.queue +
		"@@{session}@@3\nredelivered:false\n\n")
}

func unsubscribes(p *place) {
	c := p.subscribed()
	if p.version == wire.V10 {
		c.done("SUBSCRIBE\ndestination:" + p.queue)
		c.done("UNSUBSCRIBE\ndestination:" + p.queue)
	}
	c.done("UNSUBSCRIBE\nid:s")
	c.done(strings.TrimSuffix(p.sent("", ""), "\n\x00") + "a:b") // nobody is sent it: the RECEIPT is next
	c.send("UNSUBSCRIBE\nid:s\n\n\x00")
	c.refused("No subscription found", "UNSUBSCRIBE must refer to an existing subscription.\n"+
		"Subscription to \"id='s'\" not found.\n")
	c = p.login()
	c.send("UNSUBSCRIBE\ndestination:" + p.queue + "\n\n\x00")
	c.refused("No subscription found", "UNSUBSCRIBE must refer to an existing subscription.\n"+
		"Subscription to \"destination='"+p.queue+"'\" not found.\n")
	c = p.login()
	c.send("UNSUBSCRIBE\n\n\x00")
	c.refused("Missing destination or id", "UNSUBSCRIBE must include a 'destination' or 'id' header")
}

func transactions(p *place) {
	c := p.login()
	c.done("SUBSCRIBE\nid:s\nack:client-individual\ndestination:" + p.queue + ".in")
	send := strings.Replace(p.sent("", ""), p.queue, p.queue+".in", 1)
	c.send(send + send)
	first, second := c.frame(), c.frame()
	c.done("BEGIN\ntransaction:t")
	c.done("BEGIN\ntransaction:u")
	c.send(p.sent("transaction:t\n", "1") + p.sent("transaction:u\n", "never") +
		p.settle("ACK", first) + "\ntransaction:t\n\n\x00" +
		p.settle("NACK", second) + "\nrequeue:false\ntransaction:t\n\n\x00" + p.sent("transaction:t\n", "2"))
	c.done("ABORT\ntransaction:u")
	p.wantLeft()
	c.done("COMMIT\ntransaction:t")
	c.done("BEGIN\ntransaction:w")
	c.send(p.sent("transaction:w\n", "never"))
	c.done("DISCONNECT")
	c.ended()
	p.wantLeft("1", "2")
	in := *p
	in.queue += ".in"
	in.wantLeft() // both are settled

	c = p.login()
	c.done("BEGIN\ntransaction:t")
	c.done(strings.TrimSuffix(p.sent("", ""), "\n\x00") + "a:b") // outside
	c.send(p.sent("transaction:t\n", "never"))
	c.done("BEGIN\ntransaction:u") // the SEND before it has been read
	_ = c.net.Close()
	p.wantLeft("")

	for _, command := range []string{"BEGIN", "COMMIT", "ABORT"} {
		c = p.login()
		c.send(command + "\n\n\x00")
		c.refused("Missing transaction", fmt.Sprintf("%q must include a 'transaction' header\n", command))
	}
	c = p.login()
	c.send("BEGIN\ntransaction:t\n\n\x00BEGIN\ntransaction:t\n\n\x00")
	c.refused("Bad transaction", "Invalid transaction identifier: \"t\"\n")
}

func heartBeats(p *place) {
	for asked, agreed := range map[string]string{
		"": "0,0", "heart-beat:0,0\n": "0,0", "heart-beat:250,20000\n": "20000,1000",
		"heart-beat:1500,0\n": "0,1500",
	} {
		c := p.hub.rawDial(p.t)
		c.send(rawConnect(p.version) + asked + "\n\x00")
		if f := c.connected(p.version); headerIn(f, "heart-beat") != agreed {
			p.t.Errorf("%q is answered by %q", asked, f)
		}
	}
	h := newHub(p.t, func(o *Options) { o.HeartBeatFloor = 20 * time.Millisecond })
	c := h.rawDial(p.t)
	c.send(rawConnect(p.version) + "heart-beat:0,20\n\n\x00")
	c.connected(p.version)
	for range 4 { // the first ends CONNECTED
		if octet, err := c.in.ReadByte(); err != nil || octet != '\n' {
			p.t.Fatalf("got %q, %v", octet, err)
		}
	}
	c = h.rawDial(p.t)
	c.send(rawConnect(p.version) + "heart-beat:20,0\n\n\x00")
	c.connected(p.version)
	if f := c.frame(); !strings.HasPrefix(f, "ERROR\nmessage:Heart-beat missed\n") {
		p.t.Errorf("got %q", f)
	}
	c.ended()
	c = p.hub.rawDial(p.t)
	c.send(rawConnect(p.version) + "heart-beat:often\n\n\x00")
	c.refused("Bad CONNECT", "Invalid heart-beat header \"often\"\n")
}

func errorFrame(p *place) {
	for receipt, id := range map[string]string{"": "", "receipt:r 1\n": "receipt-id:r 1\n"} {
		c := p.login()
		c.send("FROB\n" + receipt + "\n\x00" + p.sent("", "behind"))
		c.want("ERROR\nmessage:Bad command\ncontent-type:text/plain\nversion:1.0,1.1,1.2\n" + id +
			"content-length:35\n\nCould not interpret command \"FROB\"\n")
		c.ended()
	}
	p.wantLeft() // nothing behind it was handled
}

func failures(p *place) {
	for frame, want := range map[string][2]string{
		"SEND\ndestination:/exchange/none/k\n\n\x00": {
			"not_found", "NOT_FOUND - no exchange 'none' in vhost '/'",
		},
		"SEND\n\n\x00": {"Missing destination", "\"SEND\" must include a 'destination' header\n"},
		"SUBSCRIBE\nid:s\ndestination:/amq/queue/none\n\n\x00": {
			"not_found", "NOT_FOUND - no queue 'none' in vhost '/'",
		},
	} {
		c := p.login()
		c.send(frame + p.sent("", "behind"))
		c.refused(want[0], want[1])
	}
	p.wantLeft()
}

func sizeLimits(p *place) {
	h := newHub(p.t, func(o *Options) { o.Limits.BodyBytes = 1000 })
	headers := strings.Repeat("a:b\n", wire.DefaultHeadersMax-2) // beside destination and receipt
	line := "a:" + strings.Repeat("x", wire.DefaultHeaderLineBytes-2) + "\n"
	for _, limit := range []struct{ at, beyond, message, body string }{
		{
			p.sent("receipt:r\n"+headers, ""), p.sent("receipt:r\na:b\n"+headers, ""),
			"Frame too large", "more than 100 headers\n",
		},
		{
			p.sent("receipt:r\n"+line, ""), p.sent("receipt:r\n"+"x"+line, ""),
			"Frame too large", "header line longer than 102400 bytes\n",
		},
		{
			p.sent("receipt:r\n", strings.Repeat("x", 1000)), p.sent("", strings.Repeat("x", 1001)),
			"Frame too large", "body larger than 1000 bytes\n",
		},
		{
			p.sent("receipt:r\ncontent-length:1000\n", strings.Repeat("x", 1000)),
			p.sent("content-length:1001\n", ""), "Frame too large", "body larger than 1000 bytes\n",
		},
		{
			"", strings.Repeat("C", wire.CommandBytesMax) + "\n\n\x00", "Bad command",
			"Could not interpret command \"" + strings.Repeat("C", wire.CommandBytesMax) + "\"\n",
		},
		{
			"", strings.Repeat("C", wire.CommandBytesMax+1) + "\n\n\x00", "Bad command",
			"command longer than 32 bytes\n",
		},
	} {
		c := h.rawLogin(p.t, p.version)
		if limit.at != "" {
			c.send(limit.at)
			c.want("RECEIPT\nreceipt-id:r\n\n")
		}
		c.send(limit.beyond)
		c.refused(limit.message, limit.body)
	}
}

func userHeaders(p *place) {
	c := p.subscribed()
	const passed = "z:last letter first\na:\nparley:x=y;z\nRECEIPT:not ours\n"
	c.send(p.sent(passed+"content-length:1\nsubscription:ours\nredelivered:true\nack:ours\n", "x"))
	c.carries(passed + "\nx")
}

func unknownCommands(p *place) {
	for _, command := range []string{"FROB", "send", "SEND ", "MESSAGE", "CONNECTED"} {
		c := p.login()
		c.send(command + "\ndestination:" + p.queue + "\n\nx\x00")
		c.refused("Bad command", fmt.Sprintf("Could not interpret command %q\n", command))
	}
	c := p.hub.rawDial(p.t)
	c.send("FROB\n\n\x00")
	c.refused("Bad command", "Could not interpret command \"FROB\"\n")
}

func noise(p *place) {
	c := p.hub.rawDial(p.t)
	c.send("\n\r\n\x00\n" + rawConnect(p.version) + "\n\x00\x00\r\n\n\x00\r\n")
	c.connected(p.version)
	c.done("\n\x00BEGIN\ntransaction:t")
	c.send("\r")
	c.done("\nABORT\ntransaction:t") // a CR LF that is cut is one
}

func headerLines(p *place) {
	c, w := p.login(), p.watch()
	c.send(p.sent("selector:a='x:y'\n", ""))
	w.carries(`selector:a='x\cy'` + "\n\n")
	for _, line := range []string{"no colon", ":no name"} {
		c = p.login()
		c.send(p.sent(line+"\n", ""))
		c.refused("Invalid frame", fmt.Sprintf("malformed header line %q\n", line))
	}
}
