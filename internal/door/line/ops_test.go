// SPDX-License-Identifier: Apache-2.0

package line

import (
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

// hello has a hello of a user.
func hello(user, rest string) string {
	return fmt.Sprintf(`{"op":"hello","id":"h","user":%q,"password":%q%s}`, user, user, rest)
}

// line.md, Ops, hello: who it is, where, and under which name.
func TestHello(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	c := h.dial()
	c.do(hello("ada", `,"vhost":"/","name":"c-1"`), `{"id":"h","version":"1","user":"ada","vhost":"/",`+
		`"limits":{"line":22435158,"body":16777216}}`)
	list := h.broker.Connections()
	if len(list) != 1 || list[0].User != "ada" || list[0].ClientName != "c-1" || list[0].Door != Name {
		t.Errorf("the hub has %+v", list)
	}
	c.do(`{"op":"hello","id":1}`, `{"id":1,"error":{"code":"bad-request",...`)
	c.do(`{"op":"ping","id":1}`, `{"id":1}`)
	for line, code := range map[string]string{
		`{"op":"hello","id":"h","user":"ada","password":"x"}`:         codeUnauthenticated,
		`{"op":"hello","id":"h","user":"","password":"x"}`:            codeUnauthenticated,
		`{"op":"hello","id":"h","user":"ada"}`:                        codeUnauthenticated,
		`{"op":"hello","id":"h","vhost":"none"}`:                      codeForbidden,
		`{"op":"hello","id":"h","vhost":""}`:                          codeForbidden,
		`{"op":"hello","id":"h","vhost":"` + long(300) + `"}`:         codeBadRequest,
		`{"op":"hello","id":"h","name":"` + long(300) + `"}`:          codeBadRequest,
		`{"op":"hello","id":"h","user":"\ud800","password":"\ud800"}`: codeBadRequest,
	} {
		c := h.dial()
		c.send(line, `{"op":"ping","id":1}`)
		c.want(`{"id":"h","error":{"code":"` + code + `",...`)
		c.ends()
	}
	c = h.dial()
	c.send(`{"op":"hello","user":"ada","password":"x"}`)
	c.want(`{"error":{"code":"unauthenticated","message":"user and password were refused"}}`)
	c.ends()
	c = h.dial() // without an id it is not answered
	c.send(`{"op":"hello","user":"ada","password":"ada"}`)
	c.do(`{"op":"ping","id":1}`, `{"id":1}`)
}

func long(n int) string { return strings.Repeat("x", n) }

// line.md, Rules: a client that shows and says nothing is the guest, on loopback alone; a listener's user
// is everybody.
func TestWhoWithoutHello(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	h.dial().do(`{"op":"ping","id":1}`, `{"id":1}`)
	if list := h.broker.Connections(); len(list) != 1 || list[0].User != "guest" || list[0].VHost != "/" {
		t.Errorf("the hub has %+v", list)
	}
	fixed := newHub(t, setup{options: func(o *Options) { o.User = "robot" }})
	c := fixed.dial()
	c.do(hello("robot", `,"vhost":"/"`), `{"id":"h","version":"1","user":"robot",...`)
	c = fixed.dial()
	c.do(`{"op":"ping","id":1}`, `{"id":1}`)
	for _, known := range fixed.broker.Connections() {
		if known.User != "robot" {
			t.Errorf("somebody is %s", known.User)
		}
	}
	c = fixed.dial()
	c.do(hello("ada", ""), `{"id":"h","error":{"code":"unauthenticated",...`)
	c.ends()
	nobody := newHub(t, setup{options: func(o *Options) { o.Guest = "stranger" }})
	c = nobody.dial()
	c.do(`{"op":"ping","id":1}`, `{"id":1,"error":{"code":"unauthenticated",...`)
	c.ends()
}

// line.md, Ops: a body is any JSON value, or base64, and comes out as what its type says.
func TestBodies(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	h.queue("q")
	c := h.dial()
	c.do(`{"op":"subscribe","id":"s","queue":"q","ack":"auto"}`, `{"id":"s"}`)
	big := strings.Repeat("x", 100_000)
	for _, tc := range []struct{ sent, shown string }{
		{`"body":"hi"`, `"content_type":"text/plain","body":"hi"`},
		{`"body":""`, `"content_type":"text/plain","body":""`},
		{`"body":"\u00e4\n\"\\\/\u0001"`, `"content_type":"text/plain","body":"ä\n\"\\/\u0001"`},
		{`"body":1.10`, `"content_type":"application/json","body":1.10`},
		{
			`"body":123456789012345678901234567890e-1000`,
			`"content_type":"application/json","body":123456789012345678901234567890e-1000`,
		},
		{`"body":null`, `"content_type":"application/json","body":null`},
		{`"body": { "a" : [ 1 , 2 ] } `, `"content_type":"application/json","body":{ "a" : [ 1 , 2 ] }`},
		{`"body":{"a":1,"a":2}`, `"content_type":"application/json","body":{"a":1,"a":2}`},
		{`"body":"` + big + `"`, `"content_type":"text/plain","body":"` + big + `"`},
		{
			`"body":"{\"a\":\n1}","content_type":"application/json"`,
			`"content_type":"application/json","body":{"a": 1}`,
		},
		{
			`"body":"{\"a\"","content_type":"application/json"`,
			`"content_type":"application/json","body_b64":"eyJhIg=="`,
		},
		{
			`"body":{"a":1},"content_type":"application/vnd.x+json; v=1"`,
			`"content_type":"application/vnd.x+json; v=1","body":{"a":1}`,
		},
		{
			`"body":{"a":1},"content_type":"text/html"`,
			`"content_type":"text/html","body":"{\"a\":1}"`,
		},
		{`"body":"x","content_type":"image/png"`, `"content_type":"image/png","body_b64":"eA=="`},
		{`"body_b64":"/w=="`, `"content_type":"application/octet-stream","body_b64":"/w=="`},
		{`"body_b64":"\/w=="`, `"content_type":"application/octet-stream","body_b64":"/w=="`},
		{`"body_b64":"aGk=","content_type":"text/plain"`, `"content_type":"text/plain","body":"hi"`},
		{`"body_b64":"/w==","content_type":"text/plain"`, `"content_type":"text/plain","body_b64":"/w=="`},
		{`"body_b64":""`, `"content_type":"application/octet-stream","body_b64":""`},
		{`"content_type":"text/plain"`, `"content_type":"text/plain","body":""`},
		{`"timeout_ms":1`, `"body_b64":""`},
	} {
		c.do(`{"op":"send","id":1,"queue":"q",`+tc.sent+`}`,
			`{"event":"message","sub":"s","queue":"q","delivery":"...","exchange":"","key":"q",`+
				`"redelivered":false,"attempt":1,`+tc.shown+`}`)
		c.want(`{"id":1}`)
	}
}

// line.md, Ops: what is sent beside the body is shown.
func TestMembersShown(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	h.queue("q")
	c := h.dial()
	c.do(`{"op":"subscribe","id":-7,"queue":"q","ack":"auto"}`, `{"id":-7}`)
	headers := `{"s":"ä","n":1.50,"big":12345678901234567890,"b":true,"z":null,"a":[1,{"x":[]}],"o":{}}`
	c.do(`{"op":"send","service":"q","method":"Do","headers":`+headers+`,"priority":3,`+
		`"expires_ms":60000,"correlation_id":"c","reply_to":"back","persistent":false}`,
		`{"event":"message","sub":-7,"queue":"q","delivery":"1","exchange":"","key":"q",`+
			`"redelivered":false,"attempt":1,"reply_to":"back","expires_ms":60000,"method":"Do",`+
			`"correlation_id":"c","priority":3,"headers":`+headers+`,"body_b64":""}`)
	c.do(`{"op":"send","queue":"q","headers":{}}`,
		`{"event":"message","sub":-7,...,"redelivered":false,"attempt":1,"body_b64":""}`)
}

// line.md, Ops, call and serve: the answer, an error of the service's, and who is not there.
func TestCall(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	c, s := h.dial(), h.dial()
	c.do(`{"op":"call","id":1,"service":"svc","method":"Add"}`,
		`{"id":1,"error":{"code":"no-service","message":"no service 'svc' in vhost '/'"}}`)
	h.queue("svc")
	c.do(`{"op":"call","id":1,"service":"svc"}`, `{"id":1,"error":{"code":"no-instance","message":"`+
		`nobody is attached to service 'svc'","retry_after_ms":1000}}`)
	s.do(`{"op":"serve","id":"s","service":"svc"}`, `{"id":"s"}`)
	answer := func(reply, shown string) {
		t.Helper()
		c.send(`{"op":"call","id":1,"service":"svc","method":"Add","body":[1,2],"timeout_ms":60000}`)
		event := s.want(`{"event":"message","sub":"s","queue":"svc","delivery":"...","exchange":"",` +
			`"key":"svc","redelivered":false,"attempt":1,"reply_to":"amq.rabbitmq.reply-to.test...",` +
			`"method":"Add","content_type":"application/json","correlation_id":"line-...",` +
			`"timeout_ms":...,"body":[1,2]}`)
		s.do(`{"op":"reply","id":2,"delivery":"`+field(t, event, "delivery")+`"`+reply+`}`, `{"id":2}`)
		c.want(shown)
	}
	answer(`,"body":3`, `{"id":1,"body":3,"content_type":"application/json"}`)
	answer(``, `{"id":1,"body_b64":""}`)
	answer(`,"body":"three","headers":{"a":1}`,
		`{"id":1,"body":"three","content_type":"text/plain","headers":{"a":1}}`)
	answer(`,"body_b64":"/w=="`, `{"id":1,"body_b64":"/w==","content_type":"application/octet-stream"}`)
	answer(`,"error":{"code":"TooBig","message":"no"},"body":{"limit":9}`,
		`{"id":1,"error":{"code":"exception","message":"no","exception":"TooBig","data":{"limit":9}}}`)
	answer(`,"error":{"code":"TooBig"},"body_b64":"/w=="`,
		`{"id":1,"error":{"code":"exception","message":"","exception":"TooBig","data":"/w=="}}`)
	answer(`,"error":{"code":"no-method","message":"there is no Add"},"headers":{"x":"y"}`,
		`{"id":1,"error":{"code":"no-method","message":"there is no Add"}}`)
	answer(`,"error":{"code":"exception","message":"cannot"}`,
		`{"id":1,"error":{"code":"exception","message":"cannot"}}`)
	c.do(`{"op":"call","id":1,"service":"svc","timeout_ms":20}`,
		`{"id":1,"error":{"code":"deadline","message":"no answer from 'svc' before the deadline"}}`)
	late := field(t, s.next(), "delivery")
	s.do(`{"op":"reply","id":2,"delivery":"`+late+`","body":1}`, `{"id":2}`)
	s.do(`{"op":"reply","id":2,"delivery":"`+late+`","body":1}`,
		`{"id":2,"error":{"code":"not-found","message":"no delivery '`+late+`', or it is settled"}}`)
	c.do(`{"op":"ping","id":1}`, `{"id":1}`) // and no second answer before
}

// line.md, Ops, reply: where no answer is wanted it only acknowledges; an error cannot stand twice.
func TestReplyUnwanted(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	c := h.dial()
	c.do(`{"op":"serve","id":"s","service":"svc","prefetch":10}`, `{"id":"s"}`)
	c.send(`{"op":"send","service":"svc","method":"Do"}`)
	event := c.want(`{"event":"message","sub":"s",...`)
	d := field(t, event, "delivery")
	c.do(`{"op":"reply","id":1,"delivery":"`+d+`","error":{"code":"x"},"headers":{"parley-error":"y"}}`,
		`{"id":1,"error":{"code":"bad-request","message":"header 'parley-error' stands for member 'error'"}}`)
	c.do(`{"op":"reply","id":1,"delivery":"`+d+`","body":1}`, `{"id":1}`)
	h.unsettled("svc", 0)
	c.do(`{"op":"ack","id":1,"delivery":"`+d+`"}`, `{"id":1,"error":{"code":"not-found",...`)
	for _, none := range []string{"0", "01", "x", "99", "-1", "18446744073709551616"} {
		c.do(`{"op":"ack","id":1,"delivery":"`+none+`"}`, `{"id":1,"error":{"code":"not-found",...`)
	}
}

// unsettled checks that a queue has so many deliveries out, and nothing ready.
func (h *hub) unsettled(name string, n int) {
	h.tb.Helper()
	v, _ := h.broker.VirtualHost("/")
	q, ok := v.Queue(name)
	if !ok {
		h.tb.Fatalf("no queue %s", name)
	}
	if got := q.Stats(); got.Unsettled != n || got.Ready != 0 {
		h.tb.Errorf("queue %s has %d ready and %d unsettled, want %d", name, got.Ready, got.Unsettled, n)
	}
}

// line.md, Ops, reply: an answer to a queue is there when it is answered, with the question's id.
func TestReplyToQueue(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	h.queue("answers")
	c := h.dial()
	c.do(`{"op":"serve","id":"s","service":"svc"}`, `{"id":"s"}`)
	c.send(`{"op":"send","service":"svc","reply_to":"answers","correlation_id":"c-1"}`)
	event := c.want(`{"event":"message","sub":"s",...,"reply_to":"answers",...`)
	c.do(`{"op":"reply","id":1,"delivery":"`+field(t, event, "delivery")+`","body":"yes"}`, `{"id":1}`)
	h.ready("answers", 1)
	h.unsettled("svc", 0)
	c.do(`{"op":"subscribe","id":2,"queue":"answers"}`, `{"id":2}`)
	c.want(`{"event":"message","sub":2,"queue":"answers",...,"correlation_id":"c-1","body":"yes"}`)
}

// A connection can ask with a reply-to of its own, as AMQP clients do.
func TestDirectReply(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	c := h.dial()
	ask := `{"op":"send","id":1,"service":"svc","reply_to":"amq.rabbitmq.reply-to","correlation_id":"c"}`
	c.do(`{"op":"serve","id":"s","service":"svc"}`, `{"id":"s"}`)
	c.do(ask, `{"id":1,"error":{"code":"bad-request","message":"fast reply consumer does not exist"}}`)
	c.do(`{"op":"subscribe","id":"r","queue":"amq.rabbitmq.reply-to"}`,
		`{"id":"r","error":{"code":"bad-request","message":"reply consumer cannot acknowledge"}}`)
	c.do(`{"op":"subscribe","id":"r","queue":"amq.rabbitmq.reply-to","ack":"auto"}`, `{"id":"r"}`)
	event := c.do(ask, `{"event":"message","sub":"s",...`)
	c.want(`{"id":1}`)
	c.send(`{"op":"reply","delivery":"` + field(t, event, "delivery") + `","body":"yes"}`)
	c.want(`{"event":"message","sub":"r","queue":"amq.rabbitmq.reply-to",...,"correlation_id":"c","body":"yes"}`)
}

// line.md, Ops, send and publish: the codes of what goes nowhere.
func TestSendRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	h.queue("full", broker.Field{Name: "x-max-length", Value: int64(1)},
		broker.Field{Name: "x-overflow", Value: "reject-publish"})
	c := h.dial()
	c.do(`{"op":"send","id":1,"queue":"none"}`,
		`{"id":1,"error":{"code":"not-found","message":"no queue 'none' in vhost '/'"}}`)
	c.do(`{"op":"send","id":1,"service":"none"}`,
		`{"id":1,"error":{"code":"no-service","message":"no service 'none' in vhost '/'"}}`)
	c.do(`{"op":"publish","id":1,"exchange":"none","key":"k"}`,
		`{"id":1,"error":{"code":"not-found",...`)
	c.do(`{"op":"publish","id":1,"topic":"t"}`, `{"id":1,"routed":0}`)
	c.do(`{"op":"publish","id":1,"topic":"t","mandatory":true}`,
		`{"id":1,"error":{"code":"unroutable","message":"the message reached no queue"}}`)
	c.do(`{"op":"publish","id":1,"exchange":"","key":"full","mandatory":true}`, `{"id":1,"routed":1}`)
	c.do(`{"op":"send","id":1,"queue":"full"}`,
		`{"id":1,"error":{"code":"queue-full","message":"a queue is full...","retry_after_ms":1000}}`)
	parent := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	c.do(`{"op":"send","id":1,"queue":"none","headers":{"traceparent":"`+parent+`"}}`,
		`{"id":1,"error":{"code":"not-found",...,"trace_id":"0af7651916cd43dd8448eb211c80319c"}}`)
	limited := h.dial()
	limited.do(hello("limited", ""), `{"id":"h",...`)
	for _, line := range []string{
		`{"op":"publish","id":1,"topic":"t"}`, `{"op":"subscribe","id":1,"queue":"full"}`,
		`{"op":"subscribe","id":1,"topic":"t"}`, `{"op":"serve","id":1,"service":"theirs"}`,
		`{"op":"gather","id":1,"topic":"t"}`,
	} {
		limited.do(line, `{"id":1,"error":{"code":"forbidden",...`)
	}
	limited.do(`{"op":"serve","id":1,"service":"mine"}`, `{"id":1}`)
	if v, _ := h.broker.VirtualHost("/"); len(v.Queues()) != 2 {
		t.Errorf("%d queues are there, want full and mine", len(v.Queues()))
	}
}

// line.md, Errors: what a body may have, a message, a table of the hub.
func TestLimits(t *testing.T) {
	t.Parallel()
	const body = 1_000
	h := newHub(t, setup{
		limits:  broker.Limits{MessageBytes: 500, CallsWaiting: 1},
		options: func(o *Options) { o.BodyBytes, o.SubscriptionsMax, o.OpenMax, o.WaitsMax = body, 2, 4, 1 },
	})
	h.queue("q")
	c := h.dial()
	sized := func(n int) string { return `{"op":"send","id":1,"queue":"q","body":"` + long(n) + `"}` }
	c.do(sized(500), `{"id":1}`)
	c.do(sized(501), `{"id":1,"error":{"code":"too-large","message":"message size 501 is larger than...`)
	c.do(sized(1001), `{"id":1,"error":{"code":"too-large","message":"the body has 1001 bytes, more than 1000"}}`)
	encoded := base64.StdEncoding.EncodeToString([]byte(long(1001)))
	c.do(`{"op":"send","id":1,"queue":"q","body_b64":"`+encoded+`"}`, `{"id":1,"error":{"code":"too-large",...`)
	c.do(`{"op":"subscribe","id":"a","queue":"q","prefetch":1}`, `{"id":"a"}`)
	c.want(`{"event":"message","sub":"a",...`)
	c.do(`{"op":"serve","id":"b","service":"q","prefetch":1}`, `{"id":"b"}`)
	c.do(`{"op":"serve","id":"c","service":"q"}`,
		`{"id":"c","error":{"code":"quota","message":"2 subscriptions are open","retry_after_ms":1000}}`)
	c.do(`{"op":"subscribe","id":"c","topic":"t"}`, `{"id":"c","error":{"code":"quota",...`)
	c.send(`{"op":"call","id":1,"service":"q"}`)
	c.want(`{"event":"message","sub":"b",...`)
	c.send(`{"op":"call","id":2,"service":"q"}`)
	c.do(`{"op":"call","id":3,"service":"q"}`,
		`{"id":3,"error":{"code":"quota","message":"4 requests have no answer yet","retry_after_ms":1000}}`)
	other := h.dial()
	other.do(`{"op":"call","id":3,"service":"q"}`,
		`{"id":3,"error":{"code":"overloaded","message":"1 calls wait...","retry_after_ms":1000}}`)
	r := field(t, other.do(`{"op":"request","id":3,"service":"q"}`, `{"id":3,"request":"..."}`), "request")
	other.send(`{"op":"result","id":4,"request":"` + r + `","timeout_ms":60000}`)
	other.do(`{"op":"result","id":5,"request":"`+r+`","timeout_ms":60000}`,
		`{"id":5,"error":{"code":"quota","message":"1 results are waited for","retry_after_ms":1000}}`)
	other.do(`{"op":"result","id":5,"request":"`+r+`","timeout_ms":0}`, `{"id":5,"state":"queued"}`)
}

// A client that does not read gets no answers beyond a bound, and is told so: its calls are overloaded, and
// who has answered its gather is missing.
func TestUnreadAnswers(t *testing.T) {
	t.Parallel()
	const asked, size = 8, 1 << 20
	h := newHub(t, setup{options: func(o *Options) { o.OutputBytes = 1 << 10 }})
	h.queue("svc")
	c, s := h.dial(), h.dial()
	if nc, ok := c.net.(*net.TCPConn); !ok || nc.SetReadBuffer(256<<10) != nil {
		t.Fatal("the system's buffers might take it all")
	}
	s.do(`{"op":"serve","id":"svc","service":"svc","prefetch":`+strconv.Itoa(asked)+`}`, `{"id":"svc"}`)
	for i := range asked {
		id := strconv.Itoa(i)
		s.do(`{"op":"subscribe","id":`+id+`,"topic":"t"}`, `{"id":`+id+`}`)
	}
	answer := func() {
		t.Helper()
		deliveries := make([]string, asked)
		for i := range deliveries {
			deliveries[i] = field(t, s.want(`{"event":"message",...`), "delivery")
		}
		for _, d := range deliveries {
			s.do(`{"op":"reply","id":"r","delivery":"`+d+`","body":"`+long(size)+`"}`, `{"id":"r"}`)
		}
	}
	c.send(`{"op":"gather","id":1,"topic":"t","timeout_ms":60000}`)
	answer()
	got := 0
	for line := c.next(); ; line = c.next() {
		if strings.HasPrefix(line, `{"event":"answer","id":1,`) {
			got++
			continue
		}
		missing := strings.Count(line, `"amq.gen-`)
		if !matches(`{"event":"gather_end","id":1,"complete":false,"missing":[...]}`, line) ||
			got == 0 || missing == 0 || got+missing != asked {
			t.Errorf("%d answers, then %s", got, line)
		}
		break
	}
	for i := range asked {
		c.send(`{"op":"call","id":` + strconv.Itoa(i) + `,"service":"svc","timeout_ms":60000}`)
	}
	answer()
	got = 0
	for range asked {
		switch line := c.next(); {
		case matches(`{"id":...,"body":"...`, line):
			got++
		case !matches(`{"id":...,"error":{"code":"overloaded","message":"the client does not read",...`, line):
			t.Errorf("got %.100s", line)
		}
	}
	if got == 0 || got == asked {
		t.Errorf("%d answers of %d", got, asked)
	}
}

// line.md, Ops, publish and subscribe: topics, with a queue that goes and with one that stays.
func TestTopics(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	a, b, from := h.dial(), h.dial(), h.dial()
	a.do(`{"op":"subscribe","id":"a","topic":"price.*","ack":"auto"}`, `{"id":"a"}`)
	b.do(`{"op":"subscribe","id":"b","topic":"price.#","name":"prices","prefetch":1}`, `{"id":"b"}`)
	from.do(`{"op":"publish","id":1,"topic":"price.tea","method":"Set","body":7}`, `{"id":1,"routed":2}`)
	a.want(`{"event":"message","sub":"a","queue":"amq.gen-...","delivery":"1","exchange":"amq.topic",` +
		`"key":"price.tea",...,"method":"Set",...,"body":7}`)
	d := field(t, b.want(`{"event":"message","sub":"b","queue":"prices",...,"body":7}`), "delivery")
	from.do(`{"op":"publish","id":1,"topic":"price","persistent":false}`, `{"id":1,"routed":1}`)
	b.do(`{"op":"nack","id":1,"delivery":"`+d+`"}`, `{"event":"message",...,"redelivered":true,"attempt":2,...`)
	b.want(`{"id":1}`)
	b.do(`{"op":"unsubscribe","id":1,"sub":"b"}`, `{"id":1}`)
	h.ready("prices", 2)
	a.do(`{"op":"unsubscribe","id":1,"sub":"a"}`, `{"id":1}`)
	a.do(`{"op":"unsubscribe","id":1,"sub":"a"}`,
		`{"id":1,"error":{"code":"not-found","message":"no subscription \"a\""}}`)
	from.do(`{"op":"publish","id":1,"topic":"price.tea","body":8}`, `{"id":1,"routed":1}`)
	b.do(`{"op":"subscribe","id":"b","queue":"prices","ack":"auto"}`, `{"id":"b"}`)
	b.want(`{"event":"message",...,"redelivered":true,...,"body":7}`)
	b.want(`{"event":"message",...,"key":"price","redelivered":false,...`)
	b.want(`{"event":"message",...,"redelivered":false,"attempt":1,...,"body":8}`)
	b.do(`{"op":"subscribe","id":"c","queue":"none"}`, `{"id":"c","error":{"code":"not-found",...`)
}

// line.md, Ops, nack: at once and in place, after a while, to the dead letters.
func TestNack(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	h.queue("dead")
	h.queue("q", broker.Field{Name: "x-dead-letter-exchange", Value: ""},
		broker.Field{Name: "x-dead-letter-routing-key", Value: "dead"})
	c := h.dial()
	c.do(`{"op":"subscribe","id":"s","queue":"q","prefetch":1}`, `{"id":"s"}`)
	c.send(`{"op":"send","queue":"q","body":1}`, `{"op":"send","queue":"q","body":2}`)
	d := field(t, c.want(`{"event":"message",...,"attempt":1,...,"body":1}`), "delivery")
	c.send(`{"op":"nack","delivery":"` + d + `","requeue":true}`)
	d = field(t, c.want(`{"event":"message",...,"redelivered":true,"attempt":2,...,"body":1}`), "delivery")
	c.do(`{"op":"nack","id":1,"delivery":"`+d+`","delay_ms":10}`, `{"id":1}`)
	c.do(`{"op":"ack","id":2,"delivery":"`+d+`"}`, `{"id":2,"error":{"code":"not-found",...`)
	d = field(t, c.want(`{"event":"message",...,"redelivered":true,"attempt":3,...,"body":1}`), "delivery")
	c.do(`{"op":"nack","id":1,"delivery":"`+d+`","dead_letter":true}`, `{"event":"message",...,"body":2}`)
	c.want(`{"id":1}`)
	h.ready("dead", 1)
	d = field(t, `"delivery":"4"`, "delivery")
	c.do(`{"op":"nack","id":1,"delivery":"`+d+`","requeue":false}`, `{"id":1}`)
	h.ready("dead", 2)
	c.send(`{"op":"send","queue":"q","body":3}`)
	d = field(t, c.want(`{"event":"message",...,"body":3}`), "delivery")
	c.do(`{"op":"nack","id":1,"delivery":"`+d+`","delay_ms":60000}`, `{"id":1}`)
	c.do(`{"op":"unsubscribe","id":1,"sub":"s"}`, `{"id":1}`)
	h.ready("q", 1) // what was to go back later goes back with its subscription
}

// line.md, Ops, request and result: the answer is kept, and read as often as asked.
func TestRequest(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	c, s := h.dial(), h.dial()
	c.do(`{"op":"request","id":1,"service":"svc"}`, `{"id":1,"error":{"code":"no-service",...`)
	h.queue("svc")
	ask := func() string {
		t.Helper()
		return field(t, c.do(`{"op":"request","id":1,"service":"svc","method":"Do","body":1}`,
			`{"id":1,"request":"..."}`), "request")
	}
	state := func(r, shown string) {
		t.Helper()
		c.do(`{"op":"result","id":2,"request":"`+r+`"}`, `{"id":2,`+shown+`}`)
	}
	r := ask()
	state(r, `"state":"queued"`)
	c.do(`{"op":"result","id":2,"request":"`+r+`","timeout_ms":1}`, `{"id":2,"state":"queued"}`)
	s.do(`{"op":"serve","id":"s","service":"svc"}`, `{"id":"s"}`)
	d := field(t, s.want(`{"event":"message",...,"method":"Do",...,"body":1}`), "delivery")
	state(r, `"state":"running"`)
	c.send(`{"op":"result","id":3,"request":"` + r + `","timeout_ms":60000}`)
	c.do(`{"op":"ping","id":4}`, `{"id":4}`)
	s.do(`{"op":"reply","id":1,"delivery":"`+d+`","body":{"x":1},"headers":{"a":"b"}}`, `{"id":1}`)
	answer := `"state":"done","body":{"x":1},"content_type":"application/json","headers":{"a":"b"}`
	c.want(`{"id":3,` + answer + `}`)
	state(r, answer)
	state(r, answer)
	r = ask()
	d = field(t, s.want(`{"event":"message",...`), "delivery")
	s.do(`{"op":"reply","id":1,"delivery":"`+d+`","error":{"code":"no-method","message":"no Do"}}`, `{"id":1}`)
	state(r, `"state":"failed","error":{"code":"no-method","message":"no Do"}`)
	c.do(`{"op":"result","id":2,"request":"none"}`, `{"id":2,"error":{"code":"not-found",...`)
	r = field(t, c.do(`{"op":"request","id":1,"service":"svc","timeout_ms":1}`, `{"id":1,...`), "request")
	c.do(`{"op":"result","id":2,"request":"`+r+`","timeout_ms":60000}`, `{"id":2,"state":"expired"}`)
	found, err := h.session(deaf{}).FindRequest(ask())
	if err != nil {
		t.Fatal(err)
	}
	if err := found.Cancel(); err != nil {
		t.Fatal(err)
	}
	state(found.ID, `"state":"canceled"`)
}

// line.md, Ops, gather: who answered, who is missing, by which rule it ended.
func TestGather(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	c := h.dial()
	c.do(`{"op":"gather","id":1,"service":"quote"}`, `{"id":1,"error":{"code":"no-service",...`)
	c.do(`{"op":"gather","id":1,"topic":"quote","method":"Price"}`,
		`{"id":1,"error":{"code":"no-instance",...`)
	var all []*client
	for _, name := range []string{"quote-1", "quote-2", "quote-3"} {
		s := h.dial()
		s.do(hello(name, `,"name":"`+name+`"`), `{"id":"h",...`)
		s.do(`{"op":"serve","id":"s","service":"quote","prefetch":9}`, `{"id":"s"}`)
		all = append(all, s)
	}
	answer := func(i int, reply string) {
		t.Helper()
		event := all[i].want(`{"event":"message","sub":"s",...,"reply_to":"amq.rabbitmq.reply-to.test...` +
			`","method":"Price",...,"timeout_ms":...,"body":{"sku":7}}`)
		all[i].do(`{"op":"reply","id":1,"delivery":"`+field(t, event, "delivery")+`",`+reply+`}`, `{"id":1}`)
	}
	ask := func(until string) {
		t.Helper()
		c.send(`{"op":"gather","id":3,"service":"quote","method":"Price","body":{"sku":7}` + until + `}`)
	}
	ask(`,"until":{"quorum":2},"timeout_ms":60000`)
	answer(0, `"body":19`)
	c.want(`{"event":"answer","id":3,"from":"quote-1","body":19,"content_type":"application/json"}`)
	answer(2, `"body":21`)
	c.want(`{"event":"answer","id":3,"from":"quote-3","body":21,"content_type":"application/json"}`)
	c.want(`{"event":"gather_end","id":3,"complete":true,"missing":["quote-2"]}`)
	answer(1, `"body":"late"`)
	ask(`,"until":{"quorum":true,"n":3}`)
	answer(0, `"error":{"code":"NoSuchSKU"}`)
	c.want(`{"event":"answer","id":3,"from":"quote-1","error":{"code":"exception","message":"",` +
		`"exception":"NoSuchSKU"}}`)
	answer(1, `"body":1`)
	c.want(`{"event":"answer",...`)
	c.want(`{"event":"gather_end","id":3,"complete":true,"missing":["quote-3"]}`)
	answer(2, `"body":"late"`)
	ask(``)
	for i := range all {
		answer(i, `"body":1`)
		c.want(`{"event":"answer","id":3,"from":"quote-...","body":1,...`)
	}
	c.want(`{"event":"gather_end","id":3,"complete":true,"missing":[]}`)
	ask(`,"until":{"all":true,"stall_ms":20}`)
	answer(0, `"body":1`)
	c.want(`{"event":"answer",...`)
	c.want(`{"event":"gather_end","id":3,"complete":false,"missing":["quote-2","quote-3"]}`)
	answer(1, `"body":1`)
	answer(2, `"body":1`)
	ask(`,"until":{"sentinel":true}`)
	answer(0, `"body":1`)
	c.want(`{"event":"answer",...`)
	answer(1, `"error":{"code":"NoSuchSKU"}`) // has no body either
	c.want(`{"event":"answer",...,"from":"quote-2","error":...`)
	answer(2, `"body":""`)
	c.want(`{"event":"gather_end","id":3,"complete":true,"missing":[]}`)
	ask(`,"until":{"sentinel":true,"n":2}`)
	answer(1, `"body_b64":""`)
	c.want(`{"event":"gather_end","id":3,"complete":true,"missing":["quote-1","quote-3"]}`)
	answer(0, `"body":"late"`)
	answer(2, `"body":"late"`)
	ask(`,"until":{"sentinel":false}`)
	for i := range all {
		answer(i, `"body":""`)
		c.want(`{"event":"answer",...`)
	}
	c.want(`{"event":"gather_end","id":3,"complete":true,"missing":[]}`)
	ask(`,"timeout_ms":20`)
	c.want(`{"event":"gather_end","id":3,"complete":false,"missing":["quote-1","quote-2","quote-3"]}`)
}

// line.md, Ops: {event:"cancel"} when a queue goes, and nothing after it.
func TestCancelEvent(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	h.queue("q")
	c := h.dial()
	c.do(`{"op":"subscribe","id":"s","queue":"q"}`, `{"id":"s"}`)
	if _, err := h.session(deaf{}).DeleteQueue(broker.DeleteParams{Name: "q"}); err != nil {
		t.Fatal(err)
	}
	c.want(`{"event":"cancel","sub":"s","error":{"code":"not-found","message":"queue 'q' is gone"}}`)
	c.do(`{"op":"unsubscribe","id":1,"sub":"s"}`, `{"id":1,"error":{"code":"not-found",...`)
	h.queue("q")
	c.do(`{"op":"subscribe","id":"s","queue":"q"}`, `{"id":"s"}`)
}

// line.md, Ops: {event:"closing"} when the hub stops, and when an administrator ends the connection.
func TestClosing(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	c, other := h.dial(), h.dial()
	c.do(`{"op":"ping","id":1}`, `{"id":1}`)
	h.broker.Connections()[0].ForceClose("closed by ada")
	c.want(`{"event":"closing","error":{"code":"canceled","message":"closed by ada"}}`)
	c.ends()
	other.do(`{"op":"ping","id":1}`, `{"id":1}`)
	h.stop()
	other.want(`{"event":"closing","error":{"code":"draining","message":"the hub stops","retry_after_ms":1000}}`)
	other.ends()
}

// line.md: one connection that serves and calls with prefetch 1, 64 at a time, never deadlocks.
func TestServesAndCalls(t *testing.T) {
	t.Parallel()
	const atOnce, rounds = 64, 20
	h := newHub(t, setup{})
	c := h.dial()
	c.do(`{"op":"serve","id":"s","service":"svc","prefetch":1}`, `{"id":"s"}`)
	var writing sync.Mutex
	write := func(line string) {
		writing.Lock()
		defer writing.Unlock()
		c.send(line)
	}
	next, answered := 0, 0
	call := func() {
		write(fmt.Sprintf(`{"op":"call","id":%d,"service":"svc","body":%d}`, next, next))
		next++
	}
	for range atOnce {
		call()
	}
	for answered < atOnce*rounds {
		line := c.next()
		if !strings.HasPrefix(line, `{"event":`) {
			answered++
			if next < atOnce*rounds {
				call()
			}
			var id, body int
			if _, err := fmt.Sscanf(line, `{"id":%d,"body":%d,`, &id, &body); err != nil || body != 2*id {
				t.Fatalf("answer %s", line)
			}
			continue
		}
		var n int
		_, rest, _ := strings.Cut(line, `"body":`)
		if _, err := fmt.Sscanf(rest, "%d}", &n); err != nil {
			t.Fatal(line)
		}
		write(fmt.Sprintf(`{"op":"reply","delivery":"%s","body":%d}`, field(t, line, "delivery"), 2*n))
	}
	h.unsettled("svc", 0)
}

// line.md, Rules: after a half-close what was asked is answered, subscriptions end, and then the
// connection.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	s := h.dial()
	s.do(`{"op":"serve","id":"s","service":"svc","prefetch":9}`, `{"id":"s"}`)
	h.queue("q")
	c := h.dial()
	c.do(`{"op":"subscribe","id":"q","queue":"q"}`, `{"id":"q"}`)
	c.send(`{"op":"send","queue":"q","body":1}`)
	c.want(`{"event":"message","sub":"q",...`)
	c.send(`{"op":"call","id":1,"service":"svc"}`, `{"op":"gather","id":2,"service":"svc","timeout_ms":60000}`)
	r := field(t, c.do(`{"op":"request","id":3,"service":"svc"}`, `{"id":3,"request":"..."}`), "request")
	c.send(`{"op":"result","id":4,"request":"` + r + `","timeout_ms":60000}`)
	if _, err := c.net.Write([]byte(`{"op":"ping","id":5}`)); err != nil { // without an end of line
		t.Fatal(err)
	}
	c.halfClose()
	c.want(`{"id":5}`)
	h.ready("q", 1)
	for range 3 {
		event := s.want(`{"event":"message",...`)
		s.send(`{"op":"reply","delivery":"` + field(t, event, "delivery") + `","body":"yes"}`)
	}
	got := map[string]bool{}
	for range 4 {
		got[c.next()] = true
	}
	for _, want := range []string{
		`{"id":1,"body":"yes","content_type":"text/plain"}`,
		`{"event":"answer","id":2,"from":"s","body":"yes","content_type":"text/plain"}`,
		`{"event":"gather_end","id":2,"complete":true,"missing":[]}`,
		`{"id":4,"state":"done","body":"yes","content_type":"text/plain"}`,
	} {
		if !got[want] {
			t.Errorf("no %s in %v", want, got)
		}
	}
	c.ends()
	empty := h.dial()
	empty.halfClose()
	empty.ends()
	whole := h.dial()
	if _, err := whole.net.Write([]byte(`{"op":"ping","id":1`)); err != nil {
		t.Fatal(err)
	}
	whole.halfClose()
	whole.want(`{"error":{"code":"bad-request","message":"the line is no JSON object"}}`)
	whole.ends()
}
