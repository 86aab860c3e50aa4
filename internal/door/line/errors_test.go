// SPDX-License-Identifier: Apache-2.0

package line

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// api is a service that the hub calls: it answers each message with the reply of its operation.
type api struct {
	replies map[string]*broker.Reply
	refusal *broker.Error
}

func (a *api) Take([]byte) bool                    { return a.refusal == nil }
func (a *api) Return([]byte)                       {}
func (a *api) Latency() (half, most time.Duration) { return 0, 0 }
func (a *api) Stops([]byte) bool                   { return false }
func (a *api) Refusal([]byte) *broker.Error        { return a.refusal }
func (a *api) Members() []string                   { return []string{"one"} }
func (a *api) Watch(func())                        {}
func (a *api) reply(operation []byte) (*broker.Reply, error) {
	r := a.replies[string(operation)]
	if r == nil {
		return nil, &broker.Error{Code: broker.CodeNoInstance, Text: "nobody"}
	}
	copied := *r
	copied.Message = r.Message.Clone()
	return &copied, nil
}

func (a *api) Call(_ context.Context, c *broker.EndpointCall) (*broker.Reply, error) {
	return a.reply(c.Message.Type)
}

func (a *api) CallMember(_ context.Context, _ string, c *broker.EndpointCall) (*broker.Reply, error) {
	return a.reply(c.Message.Type)
}

// httpReply is what an HTTP service answers.
func httpReply(t *testing.T, status int64, failure, body string) *broker.Reply {
	t.Helper()
	raw, err := broker.HubFormat{}.Append(nil, &broker.Properties{
		Set:         broker.HasContentType | broker.HasHeaders,
		ContentType: "application/json",
		Headers:     broker.Table{{Name: headerStatus, Value: status}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &broker.Reply{
		Failure: failure,
		Message: &broker.Message{Format: broker.HubFormat{}, Props: raw, Body: []byte(body)},
	}
}

// A service that the hub calls over HTTP answers as any other; its error is one here, where there is
// no status, and an open breaker is said at once.
func TestEndpoint(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	h.queue("api")
	service := &api{replies: map[string]*broker.Reply{
		"Get":  httpReply(t, 200, "", `{"a":1}`),
		"Lose": httpReply(t, 404, codeException, `{"why":"gone"}`),
	}}
	a, err := h.broker.Attach(broker.EndpointParams{VHost: "/", Service: "api", Endpoint: service})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(context.Background()) }) // nothing is under way
	c := h.dial()
	c.do(`{"op":"call","id":1,"service":"api","method":"Get"}`,
		`{"id":1,"body":{"a":1},"content_type":"application/json","headers":{"http-status":200}}`)
	c.do(`{"op":"call","id":1,"service":"api","method":"Lose"}`, `{"id":1,"error":{"code":"exception",`+
		`"message":"the service answered with status 404","data":{"why":"gone"}}}`)
	c.do(`{"op":"call","id":1,"service":"api","method":"None"}`, `{"id":1,"error":{"code":"no-instance",...`)
	c.do(`{"op":"gather","id":1,"service":"api","method":"Get"}`,
		`{"event":"answer","id":1,"from":"one","body":{"a":1},...`)
	c.want(`{"event":"gather_end","id":1,"complete":true,"missing":[]}`)
	service.refusal = &broker.Error{
		Code: broker.CodeBreakerOpen, Text: "the breaker is open", RetryAfter: 7 * time.Second,
	}
	c.do(`{"op":"call","id":1,"service":"api","method":"Get"}`, `{"id":1,"error":{"code":"breaker-open",`+
		`"message":"the breaker is open","retry_after_ms":7000}}`)
}

// line.md, Errors: every code of the heart has its word here, and the words are those of rest.md, Problems.
func TestCodes(t *testing.T) {
	t.Parallel()
	for code := broker.CodeInternal; ; code++ {
		word := code.String()
		if code != broker.CodeInternal && word == codeInternal {
			break // past the last one
		}
		f := faultOf(&broker.Error{Code: code, Text: "why"})
		want := word
		if code == broker.CodeUnknownTag {
			want = codeNotFound
		}
		if f.code != want {
			t.Errorf("code %d is %s, want %s", code, f.code, want)
		}
		if !isCode(word) && word != codeCanceled { // which nobody answers with
			t.Errorf("%s is no code", word)
		}
	}
	f := faultOf(errors.New("secret of the hub"))
	text := string(appendFault(nil, f))
	if f.code != codeInternal || strings.Contains(text, "secret") || !strings.Contains(text, `"trace_id":"`) {
		t.Errorf("a fault of the hub is shown as %s", text)
	}
	conflict := newHub(t, setup{})
	if _, err := conflict.session(deaf{}).DeclareQueue(broker.QueueParams{Name: "volatile"}); err != nil {
		t.Fatal(err)
	}
	c := conflict.dial()
	c.do(`{"op":"subscribe","id":1,"topic":"t","name":"volatile"}`, `{"id":1,"error":{"code":"conflict",...`)
	c.do(`{"op":"subscribe","id":1,"topic":"t","name":"amq.reserved"}`, `{"id":1,"error":{"code":"...`)
	c.do(`{"op":"ping","id":1}`, `{"id":1}`)
}

// Properties that cannot be read end in bad-reply for who asked, and in the dead letters for who
// subscribed; both connections live.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	h := newHub(t, setup{})
	h.queue("dead")
	h.queue("q", broker.Field{Name: "x-dead-letter-exchange", Value: ""},
		broker.Field{Name: "x-dead-letter-routing-key", Value: "dead"})
	c := h.dial()
	c.do(`{"op":"subscribe","id":"s","queue":"q","prefetch":1}`, `{"id":"s"}`)
	broken := func(key string) {
		t.Helper()
		m := &broker.Message{Format: Format{}, Props: []byte{0, 9}, Body: []byte("x")}
		m.Key = []byte(key)
		if _, err := h.session(deaf{}).Publish(m, broker.PublishParams{}); err != nil {
			t.Fatal(err)
		}
	}
	broken("q")
	h.ready("dead", 1)
	c.do(`{"op":"serve","id":"v","service":"svc"}`, `{"id":"v"}`)
	c.send(`{"op":"call","id":1,"service":"svc"}`)
	event := c.want(`{"event":"message","sub":"v",...`)
	broken(field(t, event, "reply_to"))
	c.want(`{"id":1,"error":{"code":"bad-reply","message":"the properties of the answer cannot be read"}}`)
	c.do(`{"op":"send","queue":"q","body":1}`, `{"event":"message","sub":"s",...,"body":1}`)
}

// line.md, Ops, result: past its retention an answer is result-gone.
func TestResultGone(t *testing.T) {
	t.Parallel()
	bubble(t, func(c *piped) {
		c.say(`{"op":"serve","id":"s","service":"svc"}` + "\n")
		c.hears(`{"id":"s"}`, 0)
		c.say(`{"op":"request","id":1,"service":"svc"}` + "\n")
		got := []string{c.line(), c.line()} // the answer and the request's event, in any order
		all := strings.Join(got, "")
		c.say(`{"op":"reply","id":2,"delivery":"` + field(c.t, all, "delivery") + `","body":1}` + "\n")
		c.hears(`{"id":2}`, 0)
		ask := `{"op":"result","id":3,"request":"` + field(c.t, all, "request") + `"}` + "\n"
		c.say(ask)
		c.hears(`{"id":3,"state":"done","body":1,"content_type":"application/json"}`, 0)
		time.Sleep(time.Hour)
		synctest.Wait()
		c.say(ask)
		c.hears(`{"id":3,"error":{"code":"result-gone",...`, 0)
	})
}

// The door says all that is wrong with its options at once.
func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := New(Options{
		BodyBytes: bodyBytesHard + 1, LoginTimeout: time.Hour, OpenMax: -1, UDPRate: -1, WaitsMax: -1,
		SubscriptionsMax: -1, OutputBytes: -1,
	})
	for _, name := range []string{
		"Broker and Auth", "BodyBytes", "LoginTimeout", "OpenMax", "UDPRate", "WaitsMax",
		"SubscriptionsMax", "OutputBytes",
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not among the faults: %v", name, err)
		}
	}
	if _, err := New(Options{Broker: newHub(t, setup{}).broker, Auth: users{}}); err != nil {
		t.Error(err)
	}
}
