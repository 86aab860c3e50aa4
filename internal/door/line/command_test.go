// SPDX-License-Identifier: Apache-2.0

package line

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// line.md, Ops: members and ops are found by the names that they print.
func TestNames(t *testing.T) {
	t.Parallel()
	for m := range memberCount {
		if got, ok := memberNamed([]byte(m.String())); !ok || got != m || m.String() == "" {
			t.Errorf("member %d is named %q, which is %d", m, m, got)
		}
	}
	for o := opHello; o < opCount; o++ {
		if got := opNamed([]byte(o.String())); got != o || o.String() == "" {
			t.Errorf("op %d is named %q, which is %d", o, o, got)
		}
		if !o.members().has(memberOp) || !o.members().has(memberID) {
			t.Errorf("op %q has no op or id", o)
		}
	}
}

// values has one value of each type.
func values() map[kind]string {
	return map[kind]string{
		kindNull: `null`, kindBool: `true`, kindNumber: `1`, kindString: `"x"`, kindArray: `[]`,
		kindObject: `{}`,
	}
}

// line.md, Rules: every member with every type that it does not take is a bad request, which leaves the
// connection open.
func TestWrongType(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	c := h.dial()
	n := 0
	for m := range memberCount {
		for k, text := range values() {
			if k&m.kinds() != 0 {
				continue
			}
			n++
			line := fmt.Sprintf(`{"id":%d,"op":"ping","%s":%s}`, n, m, text)
			want := fmt.Sprintf(`{"id":%d,"error":{"code":"bad-request","message":"member '%s' has`+
				` the wrong type"}}`, n, m)
			switch m {
			case memberID:
				line = `{"op":"ping","id":` + text + `}`
				want = `{"error":{"code":"bad-request","message":"an id is...`
			case memberOp:
				line = fmt.Sprintf(`{"id":%d,"op":%s}`, n, text)
			default:
			}
			c.do(line, want)
		}
	}
	if n < 100 {
		t.Errorf("only %d rows", n)
	}
	c.do(`{"id":0,"op":"ping"}`, `{"id":0}`)
}

// line.md, Rules: what is no request of the protocol, with the answer.
func TestBadRequest(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	long := strings.Repeat("x", nameBytesMax+1)
	h := newHub(t, setup{})
	h.queue("q")
	c := h.dial()
	for _, tc := range []struct{ members, message string }{
		{``, `there is no 'op'`},
		{`"op":"frob"`, `unknown op 'frob'`},
		{`"op":"Ping"`, `unknown op 'Ping'`},
		{`"op":"ping","frob":1`, `unknown member 'frob'`},
		{`"op":"ping","op":"ping"`, `member 'op' stands twice`},
		{`"op":"ping","\u006fp":"ping"`, `member 'op' stands twice`},
		{`"op":"ping","id":2`, `member 'id' stands twice`},
		{`"op":"ping","\ud800":1`, `a member's name has half a character`},
		{`"op":"ping","queue":"q"`, `member 'queue' does not go with op 'ping'`},
		{`"op":"send","queue":"q","body":1,"body_b64":""`, `'body' and 'body_b64' exclude each other`},
		{`"op":"send","queue":"q","body":` + deep(depthMax), `it nests deeper than 64 levels`},
		{`"op":"send","queue":"q","body":"\ud800x"`, `member 'body' has half a character`},
		{`"op":"send","queue":"q","body_b64":"x"`, `member 'body_b64' is not base64`},
		{`"op":"send","queue":"q","body_b64":"eA==\n"`, `member 'body_b64' is not base64`},
		{`"op":"send","queue":"` + long + `"`, `member 'queue' is longer than 255 bytes`},
		{`"op":"send","queue":""`, `op 'send' needs member 'queue'`},
		{`"op":"send"`, `'send' needs one of 'queue' and 'service'`},
		{`"op":"send","queue":"q","service":"q"`, `'send' needs one of 'queue' and 'service'`},
		{`"op":"send","queue":"q","method":"m"`, `'method' goes with 'service'`},
		{`"op":"send","queue":"q","key":"k"`, `'key' goes with 'exchange'`},
		{`"op":"send","queue":"q","priority":256`, `'priority' must be a whole number from 0 to 255`},
		{`"op":"send","queue":"q","priority":-1`, `'priority' must be a whole number from 0 to 255`},
		{`"op":"send","queue":"q","priority":1.0`, `'priority' must be a whole number from 0 to 255`},
		{`"op":"send","queue":"q","expires_ms":1e3`, `'expires_ms' must be a whole number from ...`},
		{`"op":"send","queue":"q","headers":{"a":1,"a":2}`, `header 'a' stands twice`},
		{`"op":"send","queue":"q","headers":{"a":{"b":1,"b":2}}`, `header 'b' stands twice`},
		{`"op":"send","queue":"q","headers":{"a":1e999}`, `number 1e999 in headers is out of range`},
		{
			`"op":"send","queue":"q","headers":{"a":` + deep(headerDepthMax) + `}`,
			`headers nest deeper than 32 levels`,
		},
		{`"op":"send","queue":"q","headers":{"` + long + `":1}`, `header '...' is longer than 255 bytes`},
		{`"op":"send","queue":"q","headers":` + manyHeaders(headersMax+1), `more than 100 headers`},
		{`"op":"publish"`, `'publish' needs one of 'topic' and 'exchange'`},
		{`"op":"publish","topic":"t","exchange":"x"`, `'publish' needs one of 'topic' and 'exchange'`},
		{`"op":"publish","topic":"t","key":"k"`, `'key' goes with 'exchange'`},
		{`"op":"call"`, `op 'call' needs member 'service'`},
		{`"op":"call","service":"q","timeout_ms":0`, `'timeout_ms' must be a whole number from 1 to ...`},
		{`"op":"call","service":"q","key":"k"`, `'key' goes with 'exchange'`},
		{`"op":"request"`, `op 'request' needs member 'service'`},
		{`"op":"request","service":"q","timeout_ms":0`, `'timeout_ms' must be ...`},
		{`"op":"result"`, `op 'result' needs member 'request'`},
		{`"op":"result","request":"r","timeout_ms":86400001`, `'timeout_ms' must be ...`},
		{`"op":"gather"`, `'gather' needs one of 'topic' and 'service'`},
		{`"op":"gather","topic":"t","key":"m"`, `'key' goes with 'exchange'`},
		{`"op":"gather","topic":"t","until":{"x":1}`, `unknown member 'x' in 'until'`},
		{`"op":"gather","topic":"t","until":{"n":1,"n":1}`, `'n' stands twice in 'until'`},
		{`"op":"gather","topic":"t","until":{"n":0}`, `'n' must be a whole number from 1 to ...`},
		{`"op":"gather","topic":"t","until":{"n":"1"}`, `'n' in 'until' has the wrong type`},
		{`"op":"gather","topic":"t","until":{"all":1}`, `'all' in 'until' has the wrong type`},
		{`"op":"gather","topic":"t","until":{"quorum":false}`, `'quorum' in 'until' has the wrong type`},
		{`"op":"gather","topic":"t","until":{"sentinel":1}`, `'sentinel' in 'until' has the wrong type`},
		{
			`"op":"gather","topic":"t","until":{"sentinel":true,"sentinel":true}`,
			`'sentinel' stands twice in 'until'`,
		},
		{`"op":"gather","topic":"t","until":{"stall_ms":0}`, `'stall_ms' must be ...`},
		{`"op":"serve"`, `op 'serve' needs member 'service'`},
		{`"op":"serve","service":"q","prefetch":0`, `'prefetch' must be a whole number from 1 to 65535`},
		{`"op":"serve","service":"q","prefetch":65536`, `'prefetch' must be a whole number from 1 to 65535`},
		{`"op":"subscribe"`, `'subscribe' needs one of 'queue' and 'topic'`},
		{`"op":"subscribe","queue":"q","topic":"t"`, `'subscribe' needs one of 'queue' and 'topic'`},
		{`"op":"subscribe","queue":"q","name":"n"`, `'name' goes with 'topic'`},
		{`"op":"subscribe","queue":"q","ack":"maybe"`, `'ack' must be manual or auto`},
		{`"op":"subscribe","queue":"q","ack":""`, `'ack' must be manual or auto`},
		{`"op":"subscribe","topic":"t","name":""`, `op 'subscribe' needs member 'name'`},
		{`"op":"unsubscribe"`, `op 'unsubscribe' needs member 'sub'`},
		{`"op":"unsubscribe","sub":1.5`, `'sub' must be an id`},
		{`"op":"reply"`, `op 'reply' needs member 'delivery'`},
		{`"op":"reply","delivery":"1","key":"k"`, `'key' goes with 'exchange'`},
		{`"op":"reply","delivery":"1","error":{}`, `an error needs a 'code' of up to 255 bytes`},
		{`"op":"reply","delivery":"1","error":{"code":1}`, `'code' in 'error' has the wrong type`},
		{`"op":"reply","delivery":"1","error":{"code":"x","code":"y"}`, `'code' stands twice in 'error'`},
		{`"op":"reply","delivery":"1","error":{"codes":"x"}`, `unknown member 'codes' in 'error'`},
		{`"op":"ack"`, `op 'ack' needs member 'delivery'`},
		{
			`"op":"nack","delivery":"1","requeue":true,"dead_letter":true`,
			`'requeue' and 'dead_letter' exclude each other`,
		},
		{`"op":"nack","delivery":"1","requeue":false,"delay_ms":1`, `'delay_ms' is for what is requeued`},
		{`"op":"nack","delivery":"1","delay_ms":43200001`, `'delay_ms' must be ...`},
		{`"op":"hello"`, `'hello' is the first line, if it comes at all`},
	} {
		line := `{"id":1,` + tc.members + `}`
		if tc.members == "" {
			line = `{"id":1}`
		}
		if line == `{"id":1,"op":"hello"}` {
			c.do(`{"id":0,"op":"ping"}`, `{"id":0}`)
		}
		c.do(line, `{"id":1,"error":{"code":"bad-request","message":"`+tc.message+`"}}`)
	}
	h.ready("q", 0)
	c.do(`{"id":1,"op":"ping"}`, `{"id":1}`)
}

func manyHeaders(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = `"h` + strconv.Itoa(i) + `":1`
	}
	return "{" + strings.Join(list, ",") + "}"
}

// line.md, Rules: nesting at the limit, and headers at theirs, pass.
func TestAtLimit(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	h.queue("q")
	c := h.dial()
	body := strings.Repeat("[", depthMax-1) + strings.Repeat("]", depthMax-1)
	name := strings.Repeat("x", nameBytesMax)
	nested := strings.Repeat("[", headerDepthMax-1) + strings.Repeat("]", headerDepthMax-1)
	c.do(`{"op":"send","id":"`+strings.Repeat("i", idBytesMax-2)+`","queue":"q","body":`+body+
		`,"headers":{"`+name+`":`+nested+`}}`, `{"id":"iii...iii"}`)
	c.do(`{"op":"send","id":1,"queue":"q","headers":`+manyHeaders(headersMax)+`}`, `{"id":1}`)
	c.do(`{"op":"send","id":"`+strings.Repeat("i", idBytesMax-1)+`","queue":"q"}`,
		`{"error":{"code":"bad-request","message":"an id is a string or a whole number of up to 255 bytes"}}`)
	h.ready("q", 2)
	c.do(`{"op":"subscribe","id":2,"queue":"q","ack":"auto"}`, `{"id":2}`)
	c.want(`{"event":"message",...,"headers":{"` + name + `":` + nested + `},"body":` + body + `}`)
	c.want(`{"event":"message",...,"headers":` + manyHeaders(headersMax) + `,"body_b64":""}`)
}

// line.md, Rules: what is no JSON object gets an error without an id, and the end.
func TestNoObject(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	for _, text := range []string{
		`x`, `[]`, `1`, `"op"`, `null`, `{`, `{}}`, `{} {}`, `{"op"}`, `{"op":}`, `{"op":"ping",}`,
		`{,"op":"ping"}`, `{op:"ping"}`, `{'op':'ping'}`, `{"op":"ping"`, `{"a":01}`, `{"a":+1}`,
		`{"a":.5}`, `{"a":1.}`, `{"a":1e}`, `{"a":-}`, `{"a":0x1}`, `{"a":NaN}`, `{"a":tru}`,
		`{"a":True}`, `{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"` + "\t" + `"}`, `{"a":"` + "\xff" + `"}`,
		"\xef\xbb\xbf{}", `{"a":[1,]}`, `{"a":[1 2]}`, `{"a":[}`, `{"a":{]}`, `{"a":{"b"}}`,
		`{"a":[[[]}`, "\x00", "\x16\x03\x01", "GET / HTTP/1.1", `{"id":1,"op":"ping"} x`,
	} {
		c := h.dial()
		c.do(`{"id":0,"op":"ping"}`, `{"id":0}`)
		c.send(`{"op":"ping","id":1}`, text, `{"op":"ping","id":2}`)
		c.want(`{"id":1}`)
		c.want(`{"error":{"code":"bad-request","message":"the line is no JSON object...`)
		c.ends()
	}
}

// line.md, Rules: an id is a string or a whole number, and comes back as it is, in one form.
func TestIDs(t *testing.T) {
	t.Parallel()
	c := newHub(t, setup{}).dial()
	for given, back := range map[string]string{
		`1`: `1`, `-1`: `-1`, `0`: `0`, `123456789012345678901234567890`: `123456789012345678901234567890`,
		`"a"`: `"a"`, `""`: `""`, `"\u0061"`: `"a"`, `"ä\n\"\\"`: `"ä\n\"\\"`, `"\/"`: `"/"`,
		`"\ud83d\ude00"`: `"😀"`,
	} {
		c.do(` { "op" : "ping" , "id" : `+given+" }\r", `{"id":`+back+`}`)
	}
	for _, bad := range []string{`1.0`, `1e3`, `true`, `null`, `[1]`, `"\ud800"`} {
		c.do(`{"op":"ping","id":`+bad+`}`, `{"error":{"code":"bad-request","message":"an id is...`)
	}
}

// line.md, Rules: a request without an id is not answered, an error neither; it is counted.
func TestNoID(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	h.queue("q")
	c := h.dial()
	c.send(`{"op":"send","queue":"q","body":1}`, `{"op":"send","queue":"none"}`, `{"op":"frob"}`,
		`{"frob":1}`, `{"op":"call","service":"q"}`, `{"op":"ack","delivery":"1"}`, ``, "\r")
	c.do(`{"op":"ping","id":1}`, `{"id":1}`)
	h.ready("q", 1)
	if n := h.door.unanswered.Value(); n != 5 {
		t.Errorf("%d errors are counted, want 5", n)
	}
}

// line.md, Rules: ids are unique among those that are open.
func TestIDInUse(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	c := h.dial()
	c.do(`{"op":"serve","id":"s","service":"svc"}`, `{"id":"s"}`)
	c.do(`{"op":"ping","id":"s"}`, `{"id":"s","error":{"code":"bad-request","message":"id \"s\" is in use"}}`)
	c.send(`{"op":"call","id":1,"service":"svc","method":"m"}`)
	event := c.want(`{"event":"message","sub":"s",...,"method":"m",...}`)
	c.do(`{"op":"ping","id":1}`, `{"id":1,"error":{"code":"bad-request","message":"id 1 is in use"}}`)
	c.do(`{"op":"reply","delivery":"`+field(t, event, "delivery")+`","body":2}`,
		`{"id":1,"body":2,"content_type":"application/json"}`)
	c.do(`{"op":"ping","id":1}`, `{"id":1}`)
	c.do(`{"op":"subscribe","id":"7","topic":"t"}`, `{"id":"7"}`)
	c.do(`{"op":"subscribe","id":7,"topic":"t"}`, `{"id":7}`)
	c.do(`{"op":"unsubscribe","id":2,"sub":7}`, `{"id":2}`)
	c.do(`{"op":"unsubscribe","id":2,"sub":"7"}`, `{"id":2}`)
	c.do(`{"op":"unsubscribe","id":2,"sub":"\u0073"}`, `{"id":2}`)
	c.do(`{"op":"ping","id":"s"}`, `{"id":"s"}`)
}

// line.md, Rules: the limit of a line at N-1, N and N+1 bytes, before and after login.
func TestLineLimit(t *testing.T) {
	t.Parallel()
	const body = 9_000
	h := newHub(t, setup{options: func(o *Options) { o.BodyBytes = body }})
	after := h.door.options.lineBytes()
	if want := 12_000 + 64<<10; after != want {
		t.Fatalf("the limit is %d, want %d", after, want)
	}
	pad := func(n int) string {
		const head, tail = `{"op":"ping","id":1`, `}`
		return head + strings.Repeat(" ", n-len(head)-len(tail)) + tail
	}
	for _, eol := range []string{"", "\r"} {
		for n := beforeLoginBytes - 1; n <= beforeLoginBytes+1; n++ {
			c := h.dial()
			c.send(pad(n) + eol)
			if n > beforeLoginBytes {
				c.want(`{"error":{"code":"too-large","message":"the line is longer than 65536 bytes"}}`)
				c.ends()
				continue
			}
			c.want(`{"id":1}`)
		}
		for n := after - 1; n <= after+1; n++ {
			c := h.dial()
			c.do(`{"op":"hello","id":0}`, fmt.Sprintf(`{"id":0,"version":"1","user":"guest","vhost":"/",`+
				`"limits":{"line":%d,"body":%d}}`, after, body))
			c.send(pad(n) + eol)
			if n > after {
				c.want(fmt.Sprintf(`{"error":{"code":"too-large","message":"the line is longer than`+
					` %d bytes"}}`, after))
				c.ends()
				continue
			}
			c.do(`{"op":"ping","id":2}`, `{"id":1}`)
			c.want(`{"id":2}`)
		}
	}
}

// line.md, Rules: a line without an end is too long as soon as it is.
func TestEndlessLine(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	c := h.dial()
	go func() {
		for range 1_000 {
			if _, err := c.net.Write([]byte(strings.Repeat("x", 16<<10))); err != nil {
				return
			}
		}
	}()
	c.want(`{"error":{"code":"too-large","message":"the line is longer than 65536 bytes"}}`)
	c.ends()
	_ = c.net.Close()
}

// line.md: a sender that writes one byte at a time.
func TestOneByteAtATime(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	h.queue("q")
	c := h.dial()
	text := `{"op":"hello","id":1,"user":"guest","password":"guest"}` + "\r\n\n" +
		`{"op":"subscribe","id":2,"queue":"q"}` + "\n" +
		`{"op":"send","id":3,"queue":"q","body":"` + strings.Repeat("ä", 100) + `"}` + "\n"
	for i := range len(text) {
		if _, err := c.net.Write([]byte{text[i]}); err != nil {
			t.Fatal(err)
		}
	}
	c.want(`{"id":1,...}`)
	c.want(`{"id":2}`)
	c.want(`{"event":"message","sub":2,...,"body":"` + strings.Repeat("ä", 100) + `"}`)
	c.want(`{"id":3}`)
}
