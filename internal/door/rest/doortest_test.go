// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/door/doortest"
)

// TestDoor plays the scenarios that every door must pass.
func TestDoor(t *testing.T) {
	t.Parallel()
	doortest.Run(t, doortest.Driver{Features: suiteFeatures(), Format: Format{}, Serve: suiteServe})
}

func suiteFeatures() doortest.Features {
	const quota = "429 quota"
	return doortest.Features{
		Forms: map[doortest.Fault]string{
			doortest.Forbidden:       "403 forbidden",
			doortest.ForbiddenVHost:  "403 forbidden",
			doortest.UnknownVHost:    "404 not-found",
			doortest.WrongPassword:   "401 unauthenticated",
			doortest.NotFound:        "404 not-found",
			doortest.Unroutable:      "404 unroutable",
			doortest.HubConnections:  quota,
			doortest.VHostConnection: quota,
			doortest.UserConnections: quota,
			doortest.TooManyQueues:   quota,
			doortest.TooLarge:        "413 too-large",
			doortest.QueueFull:       "429 queue-full",
			doortest.Shutdown:        streamEnd,
		},
		Lacks: map[doortest.Ability]string{
			doortest.CountConsumers: "each stream and each lease is a session of its own",
			doortest.LimitBodies:    "an answer may be of any size: the limit is for requests",
		},
		AlarmForm:  "503 alarm",
		Away:       leaseDefault,
		AwayReason: "a stream that breaks comes back, and its leases last so long",
		NotSent: map[broker.PropertySet]string{
			broker.HasTimestamp: "no header stands for it",
			broker.HasUserID:    "the user is who sends the request",
			broker.HasClusterID: "no header stands for it",
		},
		NotShown: map[broker.PropertySet]string{
			broker.HasDeliveryMode: "how a message was kept is not shown",
			broker.HasClusterID:    "no member stands for it",
		},
		Adds: broker.HasDeliveryMode | broker.HasMessageID,
		Sends: func(value any) (any, bool) {
			text, ok := value.(string)
			return text, ok && fieldValue(text)
		},
		Shows: suiteShows,
	}
}

// suiteShows is what JSON makes of a header's value.
func suiteShows(value any) (any, bool) {
	switch v := value.(type) {
	case []byte:
		return string(v), true
	case float32:
		return float64(v), true
	case broker.Decimal:
		return 3.14, true // the sample's value
	case broker.Timestamp:
		return time.Unix(int64(v), 0).UTC().Format(time.RFC3339), true
	}
	if n, ok := (broker.Table{{Name: "n", Value: value}}).Integer("n"); ok {
		return n, true
	}
	return value, true
}

// streamEnd is how a stream ends when the hub stops: with a time to come back, and then the end.
const streamEnd = "retry, end of stream"

// suiteDoor is the door on a listener.
type suiteDoor struct {
	addr    string
	stop    context.CancelFunc
	serving sync.WaitGroup
}

func suiteServe(tb testing.TB, s doortest.Setup) doortest.Door {
	tb.Helper()
	d, err := New(Options{
		Broker: s.Broker, Rules: Rules{BodyBytes: s.BodyBytes},
		Authenticate: func(_ context.Context, c auth.Credentials) (auth.User, error) {
			return auth.User{Name: c.Name}, s.Login(c.Name, c.Password.Reveal())
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	out := &suiteDoor{addr: ln.Addr().String(), stop: stop}
	out.serving.Go(func() {
		if err := d.Serve(ctx, ln); err != nil {
			tb.Errorf("serve: %v", err)
		}
	})
	tb.Cleanup(out.Shutdown)
	return out
}

func (d *suiteDoor) Shutdown() {
	d.stop()
	d.serving.Wait()
}

func (d *suiteDoor) Connect(tb testing.TB, who doortest.Account) (doortest.Client, error) {
	tb.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &suiteClient{
		base: "http://" + d.addr + "/v1", who: who, context: ctx, stop: stop,
		http:  &http.Client{Transport: &http.Transport{}},
		ended: doortest.NewMailbox[struct{}](),
	}
	if who.VHost != "/" {
		c.base += "/vhosts/" + url.PathEscape(who.VHost)
	}
	tb.Cleanup(c.Abort)
	return c, nil
}

// suiteClient sends requests and reads streams of events.
type suiteClient struct {
	base    string
	who     doortest.Account
	context context.Context //nolint:containedctx // a client's life, which Abort ends
	stop    context.CancelFunc
	http    *http.Client
	reading sync.WaitGroup
	ended   *doortest.Mailbox[struct{}]
}

// request is try for this client; the caller closes the body.
func (c *suiteClient) request(
	method, path, body string, header http.Header,
) (*http.Response, error) {
	r, err := http.NewRequestWithContext(c.context, method, c.base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if header != nil {
		r.Header = header
	}
	r.SetBasicAuth(c.who.Credentials())
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode < http.StatusMultipleChoices {
		return answer, nil
	}
	defer answer.Body.Close()
	var p problemBody
	if err := json.NewDecoder(answer.Body).Decode(&p); err != nil {
		return nil, fmt.Errorf("status %d: %w", answer.StatusCode, err)
	}
	if p.Exception != "" {
		p.Code = p.Exception
	}
	return nil, &problemAnswer{code: p.Code, refusal: &doortest.Refusal{
		Form: strconv.Itoa(answer.StatusCode) + " " + p.Code, Text: p.Detail,
	}}
}

// problemAnswer is a problem: the refusal of an operation, or how a call ended.
type problemAnswer struct {
	code    string
	refusal *doortest.Refusal
}

func (p *problemAnswer) Error() string { return p.refusal.Error() }
func (p *problemAnswer) Unwrap() error { return p.refusal }

// do sends a request and returns the answer's body.
func (c *suiteClient) do(method, path, body string, header http.Header) (string, error) {
	r, err := c.request(method, path, body, header)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	return string(data), err
}

func (c *suiteClient) Ended() (string, error) {
	why, ended := c.ended.Wait()
	if r, ok := errors.AsType[*doortest.Refusal](why); ok && ended {
		return r.Form, nil
	}
	return "", why
}

func (c *suiteClient) Abort() {
	c.stop()
	c.reading.Wait()
	c.http.CloseIdleConnections()
}

// object writes JSON; what it is given can be written.
func object(members map[string]any) string {
	data, _ := json.Marshal(members)
	return string(data)
}

func (c *suiteClient) Manage(op doortest.Op) error {
	queue, exchange := "/queues/"+url.PathEscape(op.Queue), "/exchanges/"+url.PathEscape(op.Exchange)
	var method, path, body string
	switch op.Do {
	case doortest.DeclareQueue:
		arguments := map[string]any{}
		if op.DeadLetters != "" {
			arguments["x-dead-letter-exchange"] = op.DeadLetters
		}
		method, path = http.MethodPut, queue
		body = object(map[string]any{"durable": !op.Volatile, "arguments": arguments})
	case doortest.InspectQueue:
		method, path = http.MethodGet, queue
	case doortest.PurgeQueue:
		method, path = http.MethodDelete, queue+"/messages"
	case doortest.DeleteQueue:
		method, path = http.MethodDelete, queue
	case doortest.GetMessage:
		method, path = http.MethodPost, queue+"/leases"
	case doortest.DeclareExchange:
		arguments := map[string]any{}
		if op.Alternate != "" {
			arguments["alternate-exchange"] = op.Alternate
		}
		method, path = http.MethodPut, exchange
		body = object(map[string]any{"type": "direct", "arguments": arguments})
	case doortest.InspectExchange:
		method, path = http.MethodGet, exchange
	case doortest.DeleteExchange:
		method, path = http.MethodDelete, exchange
	case doortest.BindQueue:
		method, path = http.MethodPost, "/bindings"
		body = object(map[string]any{
			"source": op.Source, "destination_queue": op.Queue, "binding_key": op.Key,
		})
	case doortest.BindExchange:
		method, path = http.MethodPost, "/bindings"
		body = object(map[string]any{
			"source": op.Source, "destination_exchange": op.Exchange, "binding_key": op.Key,
		})
	case doortest.UnbindQueue:
		method, path = http.MethodDelete, "/bindings?"+url.Values{
			"src": {op.Source}, "dstq": {op.Queue}, "key": {op.Key},
		}.Encode()
	default:
		return fmt.Errorf("no such operation: %s", op.Do)
	}
	_, err := c.do(method, path, body, nil)
	return err
}

// headersOf shows a message's properties as headers.
func headersOf(p *broker.Properties) http.Header {
	h := http.Header{}
	for _, text := range []struct {
		bit         broker.PropertySet
		name, value string
	}{
		{broker.HasContentType, "Content-Type", p.ContentType},
		{broker.HasContentEncoding, "Content-Encoding", p.ContentEncoding},
		{broker.HasCorrelationID, "Parley-Correlation-Id", p.CorrelationID},
		{broker.HasReplyTo, "Parley-Reply-To", p.ReplyTo},
		{broker.HasType, "Parley-Type", p.Type},
		{broker.HasMessageID, "Parley-Message-Id", p.MessageID},
		{broker.HasAppID, "Parley-App-Id", p.AppID},
		{broker.HasExpiration, "Parley-Expires-Ms", p.Expiration},
		{broker.HasPriority, "Parley-Priority", strconv.Itoa(int(p.Priority))},
	} {
		if p.Set&text.bit != 0 {
			h.Set(text.name, text.value)
		}
	}
	for _, f := range p.Headers {
		text, _ := f.Value.(string)
		h.Set("Parley-Header-"+f.Name, text)
	}
	return h
}

func (c *suiteClient) Publish(m *doortest.Message) error {
	exchange := m.Exchange
	if exchange == "" {
		exchange = "amq.default"
	}
	query := url.Values{"key": {m.Key}}
	if m.Mandatory {
		query.Set("mandatory", "1")
	}
	_, err := c.do(http.MethodPost, "/exchanges/"+url.PathEscape(exchange)+"/messages?"+query.Encode(),
		m.Body, headersOf(&m.Properties))
	return err
}

func (c *suiteClient) Consume(s doortest.Subscription) (doortest.Consumer, error) {
	query := url.Values{"envelope": {"1"}, "ack": {"manual"}}
	query.Set("prefetch", strconv.Itoa(prefetchMax))
	if s.Prefetch > 0 {
		query.Set("prefetch", strconv.Itoa(s.Prefetch))
	}
	if s.Auto {
		query.Set("ack", "auto")
	}
	path := "/queues/" + url.PathEscape(s.Queue) + "/stream?"
	if s.Topic != "" {
		path = "/topics/" + url.PathEscape(s.Topic) + "/stream?"
	}
	header := http.Header{"Parley-Instance": {c.who.Name}}
	r, err := c.request(http.MethodGet, path+query.Encode(), "", header)
	if err != nil {
		return nil, err
	}
	k := &suiteConsumer{client: c, box: doortest.NewMailbox[*doortest.Delivery]()}
	started := make(chan struct{})
	c.reading.Go(func() { k.read(r.Body, started) })
	<-started // the head of the stream is there
	return k, nil
}

type suiteConsumer struct {
	client *suiteClient
	box    *doortest.Mailbox[*doortest.Delivery]
}

// read reads events until the stream ends.
func (k *suiteConsumer) read(body io.ReadCloser, started chan<- struct{}) {
	defer body.Close()
	close(started)
	why := &doortest.Refusal{Form: "end of stream"}
	lines := bufio.NewReader(body)
	var name, data string
	retries := 0
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "event":
			name = value
		case "data":
			data = value
		case "retry":
			retries++
		case "":
			if name == "envelope" {
				k.put(data)
			}
			name, data = "", ""
		}
	}
	if retries > 1 { // the first stands at the head of every stream
		why.Form = streamEnd
	}
	k.box.End(why)
	k.client.ended.End(why)
}

// put takes the message of an event.
func (k *suiteConsumer) put(data string) {
	var m messageBody
	decoder := json.NewDecoder(strings.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&m); err != nil {
		k.box.End(err)
		return
	}
	d := &doortest.Delivery{Redelivered: m.Redelivered, Handle: m.Lease}
	switch {
	case m.Body != nil:
		d.Body = *m.Body
	case m.BodyB64 != nil:
		body, err := base64.StdEncoding.DecodeString(*m.BodyB64)
		if err != nil {
			k.box.End(err)
		}
		d.Body = string(body)
	}
	p := &d.Properties
	for _, text := range []struct {
		bit   broker.PropertySet
		field *string
		value string
	}{
		{broker.HasContentType, &p.ContentType, m.ContentType},
		{broker.HasContentEncoding, &p.ContentEncoding, m.ContentEncoding},
		{broker.HasCorrelationID, &p.CorrelationID, m.CorrelationID},
		{broker.HasReplyTo, &p.ReplyTo, m.ReplyTo},
		{broker.HasExpiration, &p.Expiration, m.ExpiresMS},
		{broker.HasMessageID, &p.MessageID, m.MessageID},
		{broker.HasType, &p.Type, m.Type},
		{broker.HasUserID, &p.UserID, m.UserID},
		{broker.HasAppID, &p.AppID, m.AppID},
	} {
		if text.value != "" {
			*text.field, p.Set = text.value, p.Set|text.bit
		}
	}
	if m.Priority != 0 {
		p.Priority, p.Set = m.Priority, p.Set|broker.HasPriority
	}
	if m.Timestamp != 0 {
		p.Timestamp, p.Set = m.Timestamp, p.Set|broker.HasTimestamp
	}
	if p.Headers, _ = suiteValue(m.Headers).(broker.Table); len(p.Headers) > 0 {
		p.Set |= broker.HasHeaders
	}
	k.box.Put(d)
}

// suiteValue reads a value of JSON.
func suiteValue(value any) any {
	switch v := value.(type) {
	case map[string]any:
		var out broker.Table
		for name, inner := range v {
			out = append(out, broker.Field{Name: name, Value: suiteValue(inner)})
		}
		return out
	case []any:
		out := make(broker.Array, len(v))
		for i := range v {
			out[i] = suiteValue(v[i])
		}
		return out
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	}
	return value
}

func (k *suiteConsumer) Next() (*doortest.Delivery, error) { return k.box.Take() }

func (k *suiteConsumer) Settle(d *doortest.Delivery, o broker.Outcome) error {
	id, _ := d.Handle.(string)
	method, body := http.MethodDelete, ""
	if o != broker.Accepted {
		method = http.MethodPatch
		body = object(map[string]any{"nack": map[string]any{"requeue": o == broker.Released}})
	}
	_, err := k.client.do(method, "/leases/"+id, body, nil)
	return err
}

func (c *suiteClient) Reply(to *doortest.Delivery, m *doortest.Message) error {
	id, _ := to.Handle.(string)
	_, err := c.do(http.MethodPost, "/leases/"+id+"/reply", m.Body, headersOf(&m.Properties))
	return err
}

// ended returns the word of a call that the hub or the service ended, or the refusal.
func endedWith(err error) (word string, refused error) {
	p, ok := errors.AsType[*problemAnswer](err)
	switch {
	case !ok, strings.HasPrefix(p.refusal.Form, "403"):
		return "", err
	default:
		return p.code, nil
	}
}

func (c *suiteClient) Call(q doortest.Question) (*doortest.Answer, error) {
	header := http.Header{
		"Parley-Timeout-Ms": {strconv.FormatInt(q.Timeout.Milliseconds(), 10)},
	}
	body, err := c.do(http.MethodPost, "/services/"+q.Service+"/"+q.Operation, q.Body, header)
	if err != nil {
		word, err := endedWith(err)
		return &doortest.Answer{Error: word}, err
	}
	return &doortest.Answer{Body: body}, nil
}

func (c *suiteClient) Gather(q doortest.Question) (*doortest.Gathered, error) {
	want := map[string]any{
		"body": q.Body, "timeout_ms": q.Timeout.Milliseconds(), "all": q.Replies == 0,
	}
	if q.Replies > 0 {
		want["max"] = q.Replies
	}
	path := "/services/" + q.Service + "/" + q.Operation + "/gather"
	if q.Topic != "" {
		path = "/topics/" + url.PathEscape(q.Topic) + "/gather"
	}
	data, err := c.do(http.MethodPost, path, object(want), nil)
	if err != nil {
		word, err := endedWith(err)
		return &doortest.Gathered{Error: word}, err
	}
	var got gatherBody
	if err := json.Unmarshal([]byte(data), &got); err != nil {
		return nil, err
	}
	out := &doortest.Gathered{
		Replies: map[string]string{}, Complete: got.Complete, Missing: got.Missing,
	}
	for _, r := range got.Replies {
		var text string
		if err := json.Unmarshal(r.Body, &text); err != nil {
			return nil, err
		}
		out.Replies[r.Instance] = text
	}
	return out, nil
}
