// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"io"
	"strings"

	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// frameRows are the rows about octets.
func frameRows() []row {
	const refused = "ERROR, close"
	return []row{
		{"end of line", [3]string{"LF; CR LF if the command ends so", "LF, CR LF", ""}, lineEnds},
		{"escapes", [3]string{"none", "`\\n \\c \\\\`, others " + refused, "`\\r` too"}, escapes},
		{"where escapes apply", [3]string{"nowhere", "names, values; not CONNECT, CONNECTED", ""}, escaped},
		{"space around values", [3]string{"dropped before", "kept", ""}, blanks},
		{"header octets", [3]string{"UTF-8 passes", "", ""}, octets},
		{"repeated header", [3]string{"first counts", "", ""}, repeated},
		{"version", [3]string{"none named", "highest in common, else " + refused, ""}, negotiated},
		{"command STOMP", [3]string{"as CONNECT", "", ""}, stompCommand},
		{"CONNECTED", [3]string{"version, session, server, heart-beat", "", ""}, connectedFrame},
		{"body", [3]string{"on any frame", "on SEND; else " + refused, ""}, bodies},
		{"content-length", [3]string{"counts when given, else up to the NUL", "", ""}, lengths},
		{"content-type", [3]string{"passed", "", ""}, contentTypes},
	}
}

func lineEnds(p *place) {
	c, w := p.login(), p.watch()
	lf := p.sent("a:b\n", "x") + "\n"
	crlf := strings.ReplaceAll(lf, "\n", "\r\n")
	c.send(crlf + lf + crlf)
	for range 3 {
		w.carries("a:b\n\nx")
	}
	c.send(p.sent("a:b\r\n", "y"))
	w.carries(p.by(`a:b\r`, "a:b", "a:b") + "\n\ny")
	if p.version > wire.V10 {
		c.send("BEGIN\ntransaction:t\r\nreceipt:r\r\n\r\n\x00")
		c.want("RECEIPT\nreceipt-id:r\n\n")
	}
}

func escapes(p *place) {
	c, w := p.login(), p.watch()
	c.send(p.sent(`a:x\ny\cz\\`+"\n", ""))
	w.carries(p.by(`a:x\\ny\\cz\\\\`, `a:x\ny\cz\\`, `a:x\ny\cz\\`) + "\n\n")
	for _, undefined := range []string{`\r`, `\t`, `\`} {
		c = p.login()
		c.send(p.sent("a:b"+undefined+"\n", ""))
		switch {
		case p.version == wire.V10:
			w.carries(`a:b\` + undefined + "\n\n")
		case p.version == wire.V12 && undefined == `\r`:
			w.carries(`a:b\r` + "\n\n")
		default:
			shown := strings.ReplaceAll(undefined, `\`, `\\`)
			c.refused("Invalid frame", `undefined escape sequence "`+shown+`" in a header`+"\n")
		}
	}
}

func escaped(p *place) {
	c := p.hub.rawDial(p.t)
	c.send(rawConnect(p.version) + "client-id:no\\tescape\\\n\n\x00")
	c.connected(p.version)
	id, queue := `n\ca\\m\ne`, p.queue+p.by(`.\x`, `.\\x`, `.\\x`)
	c.send("SUBSCRIBE\nid:" + id + "\nreceipt:" + id + "\ndestination:" + queue + "\n\n\x00")
	c.want("RECEIPT\nreceipt-id:" + id + "\n\n")
	c.send("SEND\ndestination:" + queue + "\n" + `na\cme:v\n` + "\n\n\x00")
	c.want("MESSAGE\nsubscription:" + id + "\ndestination:" + queue + "\nmessage-id:T_" + id +
		"@@{session}@@1\nredelivered:false\n" + `na\cme:v\n` + "\n\n")

	h := newHub(p.t, func(o *Options) { o.Server = `a\b:c/1` })
	c = h.rawDial(p.t)
	c.send(rawConnect(p.version) + "\n\x00")
	if f := c.connected(p.version); headerIn(f, "server") != `a\b:c/1` {
		p.t.Errorf("CONNECTED is escaped: %q", f)
	}
}

func blanks(p *place) {
	c, w := p.login(), p.watch()
	c.send(p.sent("a:  b \n", ""))
	w.carries(p.by("a:b ", "a:  b ", "a:  b ") + "\n\n")
	padded := strings.ReplaceAll(rawConnect(p.version), "login:guest", "login: guest")
	c = p.hub.rawDial(p.t)
	c.send(padded + "\n\x00")
	if p.version == wire.V10 {
		c.connected(p.version)
		return
	}
	c.refused("Bad CONNECT", "Access refused for user ' guest'\n")
}

func octets(p *place) {
	c := p.subscribed()
	c.send(p.sent("größe:\x01\x7fü\n", "\xff"))
	c.carries("größe:\x01\x7fü\n\n\xff")
}

func repeated(p *place) {
	c := p.subscribed()
	c.send("SEND\ndestination:" + p.queue + "\ndestination:/x/y\na:1\na:2\nreceipt:first\n" +
		"receipt:second\na:3\n\n\x00")
	var carried bool
	for range 2 { // in either order
		switch f := c.frame(); {
		case f == "RECEIPT\nreceipt-id:first\n\n\x00":
		case strings.HasSuffix(f, "\nredelivered:false\na:1\n\n\x00"):
			carried = true
		default:
			p.t.Errorf("got %q", f)
		}
	}
	if !carried {
		p.t.Error("no MESSAGE")
	}
}

func negotiated(p *place) {
	c := p.hub.rawDial(p.t)
	const login = "\nlogin:guest\npasscode:guest\n\n\x00"
	switch p.version {
	case wire.V10:
		c.send("CONNECT" + login)
	default:
		c.send("CONNECT\naccept-version:3.0, 1.0," + p.version.String() + login)
	}
	c.connected(p.version)
	c = p.hub.rawDial(p.t)
	c.send("CONNECT\naccept-version:" + p.by("0.9", "2.0,3.0", "1.3") + login)
	f := c.frame()
	if !strings.HasPrefix(f, "ERROR\nmessage:Version mismatch\ncontent-type:text/plain\n"+
		"version:1.0,1.1,1.2\n") || !strings.HasSuffix(f, "Supported versions are 1.0,1.1,1.2\n\x00") {
		p.t.Errorf("got %q", f)
	}
	c.ended()
}

func stompCommand(p *place) {
	c := p.hub.rawDial(p.t)
	c.send(strings.Replace(rawConnect(p.version), "CONNECT", "STOMP", 1) + "\n\x00")
	c.connected(p.version)
	c.done("BEGIN\ntransaction:t")
}

func connectedFrame(p *place) {
	c := p.hub.rawDial(p.t)
	c.send(rawConnect(p.version) + "\n\x00DISCONNECT\n\n\x00")
	all, err := io.ReadAll(c.in)
	if err != nil {
		p.t.Fatal(err)
	}
	text := string(all)
	session := headerIn(text, "session")
	want := "CONNECTED\nversion:" + p.version.String() + "\nsession:" + session +
		"\nserver:parley\nheart-beat:0,0\n\n\x00\n"
	if text != want || len(session) <= len("session-") {
		p.t.Errorf("got %q, want %q and nothing more", text, want)
	}
}

func bodies(p *place) {
	c := p.login()
	c.send("BEGIN\ntransaction:t\nreceipt:r\n\n\r\n\n\x00") // people type line ends
	c.want("RECEIPT\nreceipt-id:r\n\n")
	c.send("ABORT\ntransaction:t\nreceipt:r\n\nbody\x00")
	if p.version == wire.V10 {
		c.want("RECEIPT\nreceipt-id:r\n\n")
		return
	}
	c.refused("Invalid frame", "\"ABORT\" must not have a body\n")
}

func lengths(p *place) {
	c := p.subscribed()
	c.send(p.sent("content-length:5\n", "a\x00\n\x00b") + p.sent("", "c") + p.sent("content-length:0\n", ""))
	const head = "MESSAGE\nsubscription:s\ndestination:"
	c.want(head + p.queue + "\nmessage-id:T_s@@{session}@@1\nredelivered:false\ncontent-length:5\n\n" +
		"a\x00\n\x00b")
	c.want(head + p.queue + "\nmessage-id:T_s@@{session}@@2\nredelivered:false\ncontent-length:1\n\nc")
	c.want(head + p.queue + "\nmessage-id:T_s@@{session}@@3\nredelivered:false\n\n")
	c.send("BEGIN\ntransaction:t\ncontent-length:0\nreceipt:r\n\n\x00")
	c.want("RECEIPT\nreceipt-id:r\n\n")
	c.send(p.sent("content-length:1\n", "no NUL"))
	c.refused("Invalid frame", "body of content-length octets is not followed by NUL\n")
}

func contentTypes(p *place) {
	c := p.subscribed()
	for _, kind := range []string{
		"", "content-type:text/plain;charset=utf-8\n", "content-type:no type at all\n",
	} {
		c.send(p.sent(kind, "x"))
		c.carries(kind + "\nx")
	}
}
