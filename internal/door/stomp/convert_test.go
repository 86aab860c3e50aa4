// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// other is a Format that is not this door's: it carries Properties as they are.
type other struct{ p broker.Properties }

func (other) ID() broker.FormatID { return broker.FormatAMQP091 }

func (o other) Decode(_ []byte, p *broker.Properties) error {
	*p = o.p
	return nil
}

func (other) Append(dst []byte, _ *broker.Properties) ([]byte, error) { return dst, nil }

// headersOf parses header lines in a version's escapes.
func headersOf(t *testing.T, v wire.Version, lines []byte) map[string]string {
	t.Helper()
	frame := append(append([]byte("MESSAGE\n"), lines...), "\n\x00"...)
	r := wire.NewReader(bytes.NewReader(frame), wire.Limits{})
	r.SetVersion(v)
	if _, err := r.Fill(); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if !r.Next() {
		t.Fatalf("%q: %v", lines, r.Err())
	}
	out := map[string]string{}
	for _, h := range r.Frame().Headers {
		out[string(h.Name)] = string(h.Value)
	}
	return out
}

// TestPropertiesToHeaders: what a MESSAGE shows of a message from another protocol.
func TestPropertiesToHeaders(t *testing.T) {
	t.Parallel()
	p := broker.Properties{
		Set:         0xffff,
		ContentType: "a/b", ContentEncoding: "gzip", DeliveryMode: 2, Priority: 3, CorrelationID: "c:1",
		ReplyTo: "amq.gen-1", Expiration: "1000", MessageID: "m", Timestamp: 7, Type: "SayHello",
		UserID: "guest", AppID: "app", ClusterID: "never",
		Headers: broker.Table{
			{Name: "text", Value: "line\nbreak"},
			{Name: "int", Value: int32(-5)},
			{Name: "long", Value: int64(1 << 40)},
			{Name: "byte", Value: uint8(9)},
			{Name: "bool", Value: true},
			{Name: "float", Value: 1.5},
			{Name: "none", Value: nil},
			{Name: "table", Value: broker.Table{{Name: "x", Value: "y"}}},
			{Name: "array", Value: broker.Array{"x"}},
			{Name: "time", Value: broker.Timestamp(5)},
			{Name: "bytes", Value: []byte{1}},
			{Name: "subscription", Value: "forged"},
			{Name: "ack", Value: "forged"},
			{Name: "content-length", Value: "99"},
			{Name: "reply-to", Value: "forged"},
			{Name: "", Value: "no name"},
		},
	}
	d := &broker.Delivery{Message: &broker.Message{Format: other{p: p}}}
	lines, err := appendMessageHeaders(nil, wire.V12, d)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"content-type": "a/b", "content-encoding": "gzip", "persistent": "true", "priority": "3",
		"correlation-id": "c:1", "reply-to": "/reply-queue/amq.gen-1", "expiration": "1000",
		"amqp-message-id": "m", "timestamp": "7", "type": "SayHello", "user-id": "guest",
		"app-id": "app", "text": "line\nbreak", "int": "-5", "long": "1099511627776", "byte": "9",
		"bool": "true",
	}
	if diff := cmp.Diff(want, headersOf(t, wire.V12, lines)); diff != "" {
		t.Errorf("1.2 (-want +got):\n%s", diff)
	}
	if lines, err = appendMessageHeaders(nil, wire.V10, d); err != nil {
		t.Fatal(err)
	}
	delete(want, "text") // S4: 1.0 cannot express it
	if diff := cmp.Diff(want, headersOf(t, wire.V10, lines)); diff != "" {
		t.Errorf("1.0 (-want +got):\n%s", diff)
	}
}

// TestFormatRoundTrip: headers become properties and back.
func TestFormatRoundTrip(t *testing.T) {
	t.Parallel()
	want := broker.Properties{
		Set: broker.HasContentType | broker.HasContentEncoding | broker.HasHeaders |
			broker.HasDeliveryMode | broker.HasPriority | broker.HasCorrelationID |
			broker.HasReplyTo | broker.HasExpiration | broker.HasMessageID | broker.HasTimestamp |
			broker.HasType | broker.HasUserID | broker.HasAppID,
		ContentType: "a/b", ContentEncoding: "gzip", DeliveryMode: 2, Priority: 3, CorrelationID: "c:1",
		ReplyTo: "answers", Expiration: "1000", MessageID: "m", Timestamp: 7, Type: "t\r\n",
		UserID: "guest", AppID: "app",
		Headers: broker.Table{{Name: "a:b\\c", Value: "\r\n:\\"}, {Name: "x", Value: ""}},
	}
	raw, err := Format{}.Append([]byte("before"), &want)
	if err != nil {
		t.Fatal(err)
	}
	raw = raw[len("before"):]
	if raw[0] != flagEscaped|flagCR {
		t.Errorf("flags %b", raw[0])
	}
	var got broker.Properties
	if err := (Format{}).Decode(raw, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
	if err := (Format{}).Decode([]byte("\x00no end of line"), &got); err == nil {
		t.Error("a line without end was read")
	}
	if err := (Format{}).Decode([]byte("\x00no colon\n"), &got); err == nil {
		t.Error("a line without colon was read")
	}
	if err := (Format{}).Decode(nil, &got); err != nil {
		t.Error(err)
	}
}

// TestReplyAddress: reply-to on the way in and out.
func TestReplyAddress(t *testing.T) {
	t.Parallel()
	testCases := []struct{ in, address, shown string }{
		{"/queue/answers", "answers", "/queue/answers"},
		{"/amq/queue/answers", "answers", "/amq/queue/answers"},
		{"/reply-queue/a/b", "a/b", "/reply-queue/a/b"},
		{"/queue/a%2Fb", "a/b", "/queue/a%2Fb"},
		{"answers", "answers", "/reply-queue/answers"},
		{"/topic/x", "/topic/x", "/topic/x"},
		{"/exchange/x/k", "/exchange/x/k", "/exchange/x/k"},
	}
	h := newHub(t, nil)
	for _, tc := range testCases {
		t.Run(tc.in, func(t *testing.T) {
			t.Parallel()
			c := h.login(t, wire.V12)
			queue := "/queue/reply." + newName()
			c.do("SUBSCRIBE\nid:1\ndestination:"+queue, "")
			c.do("SEND\ndestination:"+queue+"\nreply-to:"+tc.in, "")
			if f := c.want("MESSAGE"); f.headers["reply-to"] != tc.shown {
				t.Errorf("a STOMP client sees %q, want %q", f.headers["reply-to"], tc.shown)
			}
			raw := []byte("\x00reply-to:" + tc.shown + "\n")
			var p broker.Properties
			if err := (Format{}).Decode(raw, &p); err != nil || p.ReplyTo != tc.address {
				t.Errorf("another protocol sees %q, want %q (%v)", p.ReplyTo, tc.address, err)
			}
		})
	}
}

// serve answers every message of a queue: the body with "re: " before it.
func (c *client) serve(queue string) {
	c.do("SUBSCRIBE\nid:serve\ndestination:"+queue, "")
}

// answerNext answers one message.
func (c *client) answerNext() got {
	c.tb.Helper()
	f := c.want("MESSAGE")
	c.do("SEND\ndestination:"+wireValue(f.headers["reply-to"])+"\ncorrelation-id:"+
		wireValue(f.headers["correlation-id"]), "re: "+f.body)
	return f
}

// TestTempQueueReply: request and response over /temp-queue, without any header of
// parley's: nobody but the service answers.
func TestTempQueueReply(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	for _, v := range versions() {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			queue := "/queue/echo." + v.String()
			service := h.login(t, v)
			service.serve(queue)
			c := h.login(t, v)
			for _, id := range []string{"1", "2"} {
				c.do("SEND\ndestination:"+queue+"\nreply-to:/temp-queue/mine\ncorrelation-id:"+id, id)
				f := service.answerNext()
				if !strings.HasPrefix(f.headers["reply-to"], "/reply-queue/amq.gen-") {
					t.Errorf("reply-to %q", f.headers["reply-to"])
				}
				f = c.want("MESSAGE")
				if f.headers["subscription"] != "/temp-queue/mine" ||
					f.headers["correlation-id"] != id || f.body != "re: "+id {
					t.Errorf("answer %v %q", f.headers, f.body)
				}
			}
		})
	}
}

// TestDirectReply: the pseudo-queue of direct replies works as a destination too.
func TestDirectReply(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	service := h.login(t, wire.V12)
	service.serve("/queue/direct")
	c := h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:r\ndestination:/reply-queue/amq.rabbitmq.reply-to", "")
	c.do("SEND\ndestination:/queue/direct\nreply-to:amq.rabbitmq.reply-to\ncorrelation-id:7", "x")
	service.answerNext()
	if f := c.want("MESSAGE"); f.headers["subscription"] != "r" || f.body != "re: x" {
		t.Errorf("answer %v %q", f.headers, f.body)
	}
	c = h.login(t, wire.V12)
	c.send("SEND\ndestination:/queue/direct\nreply-to:amq.rabbitmq.reply-to\n\n\x00")
	c.wantError("precondition_failed", "fast reply consumer does not exist")
}

// TestCall: with parley-deadline or parley-timeout the hub answers for a service that
// is not there, not attached or late; without them it does not.
func TestCall(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	call := func(service, header string) {
		c.do("SEND\ndestination:/amq/queue/"+service+"\nreply-to:/temp-queue/t\ncorrelation-id:"+
			service+"\n"+header, "q")
	}
	wantFailure := func(code, correlation string) {
		t.Helper()
		f := c.want("MESSAGE")
		if f.headers["parley-error"] != code || f.headers["correlation-id"] != correlation ||
			f.headers["parley-error-message"] == "" || f.body != "" {
			t.Errorf("answer %v %q, want %s for %s", f.headers, f.body, code, correlation)
		}
	}
	call("absent", "parley-timeout:60000")
	wantFailure("no-service", "absent")
	c.do("SEND\ndestination:/queue/empty", "makes the queue")
	call("empty", "parley-deadline:2999-01-02T15\\c04\\c05.000Z")
	wantFailure("no-instance", "empty")
	service := h.login(t, wire.V12)
	service.serve("/queue/slow")
	call("slow", "parley-timeout:500")
	f := service.want("MESSAGE")
	left, err := strconv.Atoi(f.headers["expiration"])
	if f.body != "q" || f.headers["reply-to"] == "" || err != nil || left > 5_000 {
		t.Errorf("call %v %q", f.headers, f.body)
	}
	at, err := time.Parse(time.RFC3339, f.headers["parley-deadline"])
	if err != nil || time.Until(at) > 5*time.Second || f.headers["parley-timeout"] != "" {
		t.Errorf("call %v", f.headers)
	}
	wantFailure("deadline", "slow")
	call("slow", "parley-timeout:60000\nparley-deadline:2999-01-02T15\\c04\\c05.000Z")
	service.answerNext()
	if f := c.want("MESSAGE"); f.body != "re: q" || f.headers["correlation-id"] != "slow" {
		t.Errorf("answer %v %q", f.headers, f.body)
	}
	call("absent", "x:y")
	c.wantNothing()
}

// TestGather: answers come as they arrive and are named, and a last empty MESSAGE says
// how it ended and who is missing.
func TestGather(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	services := []*client{h.login(t, wire.V10), h.login(t, wire.V11), h.login(t, wire.V12)}
	for _, s := range services {
		s.do("SUBSCRIBE\nid:g\ndestination:/topic/gather", "")
	}
	c := h.login(t, wire.V12)
	ask := func(terms string) {
		c.do("SEND\ndestination:/topic/gather\nreply-to:/temp-queue/t\ncorrelation-id:g1\n"+terms, "?")
	}
	end := func(want string, missing int) {
		t.Helper()
		f := c.want("MESSAGE")
		var names []string
		if list := f.headers["parley-missing"]; list != "" {
			names = strings.Split(list, ",")
		}
		if f.headers["parley-gather-end"] != want || len(names) != missing || f.body != "" ||
			f.headers["correlation-id"] != "g1" {
			t.Errorf("end %v %q, want %s with %d missing", f.headers, f.body, want, missing)
		}
	}
	answered := func() {
		t.Helper()
		f := c.want("MESSAGE")
		if f.body != "re: ?" || f.headers["parley-from"] == "" || f.headers["correlation-id"] != "g1" {
			t.Errorf("answer %v %q", f.headers, f.body)
		}
	}
	ask("parley-gather:all\nexpiration:60000")
	for _, s := range services {
		s.answerNext()
		answered()
	}
	end("complete", 0)
	ask("parley-gather:quorum")
	services[0].answerNext()
	services[2].answerNext()
	answered()
	answered()
	end("complete", 1)
	services[1].want("MESSAGE")
	ask("parley-gather:quorum,sentinel\nparley-gather-stall:60000")
	services[2].answerNext()
	answered()
	f := services[0].want("MESSAGE")
	services[0].do("SEND\ndestination:"+wireValue(f.headers["reply-to"]), "")
	end("complete", 1)
	services[1].answerNext() // late
	ask("parley-gather:all\nparley-gather-stall:50")
	services[1].answerNext()
	answered()
	end("incomplete", 2)
	c.wantNothing()
}
