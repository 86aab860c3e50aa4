// SPDX-License-Identifier: Apache-2.0

package line

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/door/doortest"
)

// TestDoor plays the scenarios that every door must pass.
func TestDoor(t *testing.T) {
	t.Parallel()
	doortest.Run(t, doortest.Driver{Features: suiteFeatures(), Format: Format{}, Serve: suiteServe})
}

func suiteFeatures() doortest.Features {
	const noManagement = "no op does this: queues come with serve and subscribe"
	const noMember = "no member of a request stands for it"
	return doortest.Features{
		Forms: map[doortest.Fault]string{
			doortest.Forbidden:       codeForbidden,
			doortest.ForbiddenVHost:  codeForbidden,
			doortest.UnknownVHost:    codeForbidden,
			doortest.WrongPassword:   codeUnauthenticated,
			doortest.NotFound:        codeNotFound,
			doortest.Unroutable:      codeUnroutable,
			doortest.HubConnections:  codeQuota,
			doortest.VHostConnection: codeQuota,
			doortest.UserConnections: codeQuota,
			doortest.TooManyQueues:   codeQuota,
			doortest.TooManyConsumer: codeQuota,
			doortest.TooLarge:        codeTooLarge,
			doortest.QueueFull:       codeQueueFull,
			doortest.Shutdown:        codeDraining,
		},
		Lacks: map[doortest.Ability]string{
			doortest.DeclareQueue:    noManagement,
			doortest.InspectQueue:    noManagement,
			doortest.PurgeQueue:      noManagement,
			doortest.DeleteQueue:     noManagement,
			doortest.GetMessage:      noManagement,
			doortest.DeclareExchange: noManagement,
			doortest.InspectExchange: noManagement,
			doortest.DeleteExchange:  noManagement,
			doortest.BindQueue:       noManagement,
			doortest.UnbindQueue:     noManagement,
			doortest.BindExchange:    noManagement,
		},
		NotSent: map[broker.PropertySet]string{
			broker.HasContentEncoding: noMember,
			broker.HasMessageID:       noMember,
			broker.HasTimestamp:       noMember,
			broker.HasUserID:          "the user is who has logged in",
			broker.HasAppID:           noMember,
			broker.HasClusterID:       noMember,
		},
		NotShown: map[broker.PropertySet]string{
			broker.HasDeliveryMode: "how a message is kept is not shown",
		},
		Adds:  broker.HasDeliveryMode | broker.HasContentType,
		Sends: suiteSends,
		Shows: suiteShows,
	}
}

// suiteSends is what the heart makes of a header's value in JSON.
func suiteSends(value any) (any, bool) {
	switch v := value.(type) {
	case []byte, broker.Decimal, broker.Timestamp:
		return nil, false
	case float32:
		return float64(v), true
	}
	if n, ok := (broker.Table{{Name: "n", Value: value}}).Integer("n"); ok {
		return n, true
	}
	return value, true
}

// suiteShows is what JSON makes of a header's value.
func suiteShows(value any) (any, bool) {
	switch v := value.(type) {
	case []byte:
		return string(v), true
	case broker.Decimal:
		return 3.14, true // the sample's value
	case broker.Timestamp:
		return time.Unix(int64(v), 0).UTC().Format(time.RFC3339), true
	}
	return suiteSends(value)
}

// suiteLogin is an Authenticator of the suite's.
type suiteLogin func(user, password string) error

func (l suiteLogin) Login(user, password string, _ net.Addr) error { return l(user, password) }
func (l suiteLogin) Admit(string, net.Addr) error                  { return nil }

// suiteDoor is the door on a listener.
type suiteDoor struct {
	ln      net.Listener
	stop    context.CancelFunc
	serving sync.WaitGroup
}

func suiteServe(tb testing.TB, s doortest.Setup) doortest.Door {
	tb.Helper()
	d, err := New(Options{Broker: s.Broker, Auth: suiteLogin(s.Login), BodyBytes: s.BodyBytes})
	if err != nil {
		tb.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	out := &suiteDoor{ln: ln, stop: stop}
	out.serving.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			out.serving.Go(func() { d.Serve(ctx, nc, func() {}) })
		}
	})
	tb.Cleanup(out.Shutdown)
	return out
}

func (d *suiteDoor) Shutdown() {
	d.ln.Close()
	d.stop()
	d.serving.Wait()
}

func (d *suiteDoor) Connect(tb testing.TB, who doortest.Account) (doortest.Client, error) {
	tb.Helper()
	nc, err := net.Dial("tcp", d.ln.Addr().String())
	if err != nil {
		return nil, err
	}
	c := &suiteClient{
		nc: nc, boxes: make(map[string]*doortest.Mailbox[*suiteLine]),
		ended: doortest.NewMailbox[struct{}](),
	}
	tb.Cleanup(c.Abort)
	c.reading.Go(c.read)
	user, password := who.Credentials()
	_, err = c.do(map[string]any{
		"op": "hello", "user": user, "password": password, "vhost": who.VHost, "name": who.Name,
	})
	return c, err
}

// suiteLine is a line that the hub sends.
type suiteLine struct {
	Event           string          `json:"event"`
	ID              json.RawMessage `json:"id"`
	Sub             string          `json:"sub"`
	Delivery        string          `json:"delivery"`
	Method          *string         `json:"method"`
	Redelivered     bool            `json:"redelivered"`
	Headers         map[string]any  `json:"headers"`
	Body            json.RawMessage `json:"body"`
	BodyB64         string          `json:"body_b64"`
	ContentType     *string         `json:"content_type"`
	ContentEncoding *string         `json:"content_encoding"`
	CorrelationID   *string         `json:"correlation_id"`
	ReplyTo         *string         `json:"reply_to"`
	MessageID       *string         `json:"message_id"`
	UserID          *string         `json:"user_id"`
	AppID           *string         `json:"app_id"`
	ClusterID       *string         `json:"cluster_id"`
	Expires         json.Number     `json:"expires_ms"`
	Priority        *uint8          `json:"priority"`
	Timestamp       *uint64         `json:"timestamp"`
	From            string          `json:"from"`
	Complete        bool            `json:"complete"`
	Missing         []string        `json:"missing"`
	Error           *suiteError     `json:"error"`
}

type suiteError struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Exception string `json:"exception"`
}

// word is the hub's code, or the service's own.
func (e *suiteError) word() string {
	if e.Exception != "" {
		return e.Exception
	}
	return e.Code
}

// suiteClient speaks lines. Each line goes to the mailbox of its id or subscription.
type suiteClient struct {
	nc      net.Conn
	reading sync.WaitGroup
	ended   *doortest.Mailbox[struct{}]
	number  int

	mu    sync.Mutex
	boxes map[string]*doortest.Mailbox[*suiteLine]
	why   error // the end of the conversation
}

// read passes on what comes until the conversation ends.
func (c *suiteClient) read() {
	r := bufio.NewReader(c.nc)
	for {
		raw, err := r.ReadBytes('\n')
		if err != nil {
			c.end(err)
			return
		}
		var l suiteLine
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if err := dec.Decode(&l); err != nil {
			c.end(fmt.Errorf("%q: %w", raw, err))
			return
		}
		switch {
		case l.Event == "closing", l.ID == nil && l.Error != nil && l.Event == "":
			c.end(&doortest.Refusal{Form: l.Error.Code, Text: l.Error.Message})
		case l.Sub != "":
			c.box("sub " + l.Sub).Put(&l)
		default:
			c.box(string(l.ID)).Put(&l)
		}
	}
}

func (c *suiteClient) box(id string) *doortest.Mailbox[*suiteLine] {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.boxes[id]
	if b == nil {
		b = doortest.NewMailbox[*suiteLine]()
		c.boxes[id] = b
		if c.why != nil {
			b.End(c.why)
		}
	}
	return b
}

// end tells everybody who waits why nothing more comes; the first reason counts.
func (c *suiteClient) end(why error) {
	c.ended.End(why)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == nil {
		c.why = why
	}
	for _, b := range c.boxes {
		b.End(c.why)
	}
}

// ask sends a request and returns where its answers come.
func (c *suiteClient) ask(request map[string]any) (*doortest.Mailbox[*suiteLine], error) {
	if request["id"] == nil {
		c.number++
		request["id"] = c.number
	}
	raw, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	id, err := json.Marshal(request["id"])
	if err != nil {
		return nil, err
	}
	box := c.box(string(id))
	if _, err := c.nc.Write(append(raw, '\n')); err != nil {
		return nil, errors.Join(err, c.why)
	}
	return box, nil
}

// do sends a request and waits for its answer.
func (c *suiteClient) do(request map[string]any) (*suiteLine, error) {
	box, err := c.ask(request)
	if err != nil {
		return nil, err
	}
	l, err := box.Take()
	if err == nil && l.Error != nil {
		err = &doortest.Refusal{Form: l.Error.Code, Text: l.Error.Message}
	}
	return l, err
}

func (c *suiteClient) Ended() (string, error) {
	why, ended := c.ended.Wait()
	if r, ok := errors.AsType[*doortest.Refusal](why); ok && ended {
		c.nc.Close()
		return r.Form, nil
	}
	return "", why
}

func (c *suiteClient) Abort() {
	c.nc.Close()
	c.reading.Wait()
}

func (c *suiteClient) Manage(op doortest.Op) error {
	return fmt.Errorf("no such operation: %s", op.Do)
}

// message puts a message's properties and body into a request.
func message(request map[string]any, m *doortest.Message) map[string]any {
	p := &m.Properties
	request["body_b64"] = base64.StdEncoding.EncodeToString([]byte(m.Body))
	for _, f := range []struct {
		bit   broker.PropertySet
		name  string
		value any
	}{
		{broker.HasContentType, "content_type", p.ContentType},
		{broker.HasCorrelationID, "correlation_id", p.CorrelationID},
		{broker.HasReplyTo, "reply_to", p.ReplyTo},
		{broker.HasExpiration, "expires_ms", json.Number(p.Expiration)},
		{broker.HasDeliveryMode, "persistent", p.DeliveryMode == 2},
		{broker.HasPriority, "priority", p.Priority},
	} {
		if p.Set&f.bit != 0 {
			request[f.name] = f.value
		}
	}
	if len(p.Headers) > 0 {
		request["headers"] = plainValue(p.Headers)
	}
	return request
}

// plainValue is a header's value as encoding/json writes it.
func plainValue(v any) any {
	switch v := v.(type) {
	case broker.Table:
		out := map[string]any{}
		for _, f := range v {
			out[f.Name] = plainValue(f.Value)
		}
		return out
	case broker.Array:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plainValue(v[i])
		}
		return out
	}
	return v
}

func (c *suiteClient) Publish(m *doortest.Message) error {
	request := map[string]any{"op": "send", "queue": m.Key}
	switch {
	case m.Exchange == "amq.topic":
		request = map[string]any{"op": "publish", "topic": m.Key, "mandatory": m.Mandatory}
	case m.Exchange != "":
		request = map[string]any{
			"op": "publish", "exchange": m.Exchange, "key": m.Key, "mandatory": m.Mandatory,
		}
	case m.Properties.Type != "":
		request = map[string]any{"op": "send", "service": m.Key, "method": m.Properties.Type}
	}
	_, err := c.do(message(request, m))
	return err
}

func (c *suiteClient) Consume(s doortest.Subscription) (doortest.Consumer, error) {
	request := map[string]any{"op": "subscribe", "id": "s-" + s.Queue + s.Topic, "prefetch": 65_535}
	if s.Topic != "" {
		request["topic"] = s.Topic
	} else {
		request["queue"] = s.Queue
	}
	if s.Auto {
		request["ack"] = "auto"
	}
	if s.Prefetch > 0 {
		request["prefetch"] = s.Prefetch
	}
	id, _ := request["id"].(string)
	k := &suiteConsumer{client: c, box: c.box("sub " + id)}
	_, err := c.do(request)
	return k, err
}

type suiteConsumer struct {
	client *suiteClient
	box    *doortest.Mailbox[*suiteLine]
}

func (k *suiteConsumer) Next() (*doortest.Delivery, error) {
	l, err := k.box.Take()
	switch {
	case err != nil:
		return nil, err
	case l.Event != "message":
		return nil, &doortest.Refusal{Form: l.Error.Code, Text: l.Event + ": " + l.Error.Message}
	}
	body, err := l.body()
	return &doortest.Delivery{
		Properties: l.properties(), Body: body, Redelivered: l.Redelivered, Handle: l.Delivery,
	}, err
}

// body returns the bytes of a body.
func (l *suiteLine) body() (string, error) {
	if l.Body == nil {
		b, err := base64.StdEncoding.DecodeString(l.BodyB64)
		return string(b), err
	}
	if l.Body[0] != '"' || l.ContentType != nil && !strings.HasPrefix(*l.ContentType, "text/") {
		return string(l.Body), nil
	}
	var s string
	err := json.Unmarshal(l.Body, &s)
	return s, err
}

// properties reads an event as a client does.
func (l *suiteLine) properties() (p broker.Properties) {
	for _, f := range []struct {
		bit  broker.PropertySet
		from *string
		to   *string
	}{
		{broker.HasContentType, l.ContentType, &p.ContentType},
		{broker.HasContentEncoding, l.ContentEncoding, &p.ContentEncoding},
		{broker.HasCorrelationID, l.CorrelationID, &p.CorrelationID},
		{broker.HasReplyTo, l.ReplyTo, &p.ReplyTo},
		{broker.HasMessageID, l.MessageID, &p.MessageID},
		{broker.HasType, l.Method, &p.Type},
		{broker.HasUserID, l.UserID, &p.UserID},
		{broker.HasAppID, l.AppID, &p.AppID},
		{broker.HasClusterID, l.ClusterID, &p.ClusterID},
	} {
		if f.from != nil {
			*f.to, p.Set = *f.from, p.Set|f.bit
		}
	}
	if l.Expires != "" {
		p.Expiration, p.Set = l.Expires.String(), p.Set|broker.HasExpiration
	}
	if l.Priority != nil {
		p.Priority, p.Set = *l.Priority, p.Set|broker.HasPriority
	}
	if l.Timestamp != nil {
		p.Timestamp, p.Set = *l.Timestamp, p.Set|broker.HasTimestamp
	}
	if l.Headers != nil {
		p.Headers, _ = heartValue(l.Headers).(broker.Table)
		p.Set |= broker.HasHeaders
	}
	return p
}

// heartValue is a value of encoding/json as the heart has it.
func heartValue(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case map[string]any:
		out := broker.Table{}
		for name, value := range v {
			out = append(out, broker.Field{Name: name, Value: heartValue(value)})
		}
		return out
	case []any:
		out := make(broker.Array, len(v))
		for i := range v {
			out[i] = heartValue(v[i])
		}
		return out
	}
	return v
}

func (k *suiteConsumer) Settle(d *doortest.Delivery, o broker.Outcome) error {
	request := map[string]any{"op": "ack", "delivery": d.Handle}
	switch o {
	case broker.Accepted:
	case broker.Released:
		request["op"] = "nack"
	default:
		request["op"], request["dead_letter"] = "nack", true
	}
	_, err := k.client.do(request)
	return err
}

func (c *suiteClient) Reply(to *doortest.Delivery, m *doortest.Message) error {
	request := map[string]any{"op": "reply", "delivery": to.Handle}
	if word, failed := m.Properties.Headers.Text(broker.HeaderError); failed {
		request["error"] = map[string]any{"code": word}
		_, err := c.do(request)
		return err
	}
	_, err := c.do(message(request, m))
	return err
}

// question makes a request of a question.
func question(op string, q *doortest.Question) map[string]any {
	request := map[string]any{"op": op, "body": q.Body, "timeout_ms": q.Timeout.Milliseconds()}
	if q.Topic != "" {
		request["topic"] = q.Topic
		return request
	}
	request["service"] = q.Service
	if q.Operation != "" {
		request["method"] = q.Operation
	}
	return request
}

func (c *suiteClient) Call(q doortest.Question) (*doortest.Answer, error) {
	box, err := c.ask(question("call", &q))
	if err != nil {
		return nil, err
	}
	l, err := box.Take()
	if err != nil {
		return nil, err
	}
	if l.Error != nil {
		if l.Error.Code == codeForbidden {
			return nil, &doortest.Refusal{Form: l.Error.Code, Text: l.Error.Message}
		}
		return &doortest.Answer{Error: l.Error.word()}, nil
	}
	body, err := l.body()
	return &doortest.Answer{Body: body}, err
}

func (c *suiteClient) Gather(q doortest.Question) (*doortest.Gathered, error) {
	request := question("gather", &q)
	if q.Replies > 0 {
		request["until"] = map[string]any{"n": q.Replies}
	}
	box, err := c.ask(request)
	if err != nil {
		return nil, err
	}
	out := &doortest.Gathered{Replies: make(map[string]string)}
	for {
		l, err := box.Take()
		switch {
		case err != nil:
			return nil, err
		case l.Event == "gather_end":
			out.Complete, out.Missing = l.Complete, l.Missing
			return out, nil
		case l.Error != nil && l.Error.Code == codeForbidden:
			return nil, &doortest.Refusal{Form: l.Error.Code, Text: l.Error.Message}
		case l.Error != nil:
			out.Error = l.Error.Code
			return out, nil
		}
		if out.Replies[l.From], err = l.body(); err != nil {
			return nil, err
		}
	}
}
