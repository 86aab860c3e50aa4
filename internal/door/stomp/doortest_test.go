// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/door/doortest"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// TestDoor plays the scenarios that every door must pass.
func TestDoor(t *testing.T) {
	t.Parallel()
	doortest.Run(t, doortest.Driver{
		Features: suiteFeatures(), Format: Format{},
		Serve: func(tb testing.TB, s doortest.Setup) doortest.Door {
			tb.Helper()
			return suiteServe(tb, s, RabbitMQ)
		},
	})
}

func suiteFeatures() doortest.Features {
	const badConnect = "Bad CONNECT"
	const noManagement = "no frame of STOMP does this: queues come with SEND and SUBSCRIBE"
	return doortest.Features{
		Forms: map[doortest.Fault]string{
			doortest.Forbidden:       "access_refused",
			doortest.ForbiddenVHost:  badConnect,
			doortest.UnknownVHost:    badConnect,
			doortest.WrongPassword:   badConnect,
			doortest.NotFound:        "not_found",
			doortest.HubConnections:  badConnect,
			doortest.VHostConnection: badConnect,
			doortest.UserConnections: badConnect,
			doortest.TooManyQueues:   "not_allowed",
			doortest.TooManyConsumer: "not_allowed",
			doortest.TooLarge:        "Frame too large",
			doortest.QueueFull:       "Message refused",
			doortest.Shutdown:        "connection_forced",
		},
		Lacks: map[doortest.Ability]string{
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
			doortest.Mandatory:       "a SEND has no such flag",
		},
		NotSent: map[broker.PropertySet]string{
			broker.HasClusterID: "no header stands for it",
		},
		NotShown: map[broker.PropertySet]string{
			broker.HasClusterID: "no header stands for it",
		},
		Sends: func(value any) (any, bool) {
			text, ok := value.(string)
			return text, ok
		},
		Shows: func(value any) (any, bool) {
			switch v := value.(type) {
			case string:
				return v, true
			case bool:
				return strconv.FormatBool(v), true
			}
			n, ok := integer(value)
			return strconv.FormatInt(n, 10), ok
		},
	}
}

// passcodeLogin is an Authenticator of the suite's.
type passcodeLogin func(user, passcode string) error

func (l passcodeLogin) Login(user, passcode string, _ net.Addr) error { return l(user, passcode) }

// suiteDoor is the door on a listener.
type suiteDoor struct {
	dialect Dialect
	ln      net.Listener
	stop    context.CancelFunc
	serving sync.WaitGroup
}

func suiteServe(tb testing.TB, s doortest.Setup, dialect Dialect) doortest.Door {
	tb.Helper()
	o := Options{Dialect: dialect, Broker: s.Broker, Auth: passcodeLogin(s.Login), RefuseUnknownHost: true}
	o.Limits.BodyBytes = s.BodyBytes
	d, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	out := &suiteDoor{dialect: dialect, ln: ln, stop: stop}
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
		nc: nc, in: wire.NewReader(nc, wire.Limits{}),
		receipts: doortest.NewMailbox[string](),
		boxes:    make(map[string]*doortest.Mailbox[*doortest.Delivery]),
		dialect:  d.dialect, delivery: suiteDelivery,
	}
	var out doortest.Client = c
	if d.dialect == ActiveMQ {
		out, c.delivery = &activeSuiteClient{c}, activeDelivery
	}
	c.in.SetVersion(wire.V12)
	tb.Cleanup(c.Abort)
	c.reading.Go(c.read)
	user, passcode := who.Credentials()
	err = c.frame(wire.Connect, "", []string{
		"accept-version", "1.2", "host", who.VHost, "login", user, "passcode", passcode,
		"client-id", who.Name,
	})
	if err != nil {
		return nil, err
	}
	return out, c.receipt("") // CONNECTED
}

// suiteClient speaks STOMP 1.2. Messages go to their subscriptions, receipts to whoever waits.
type suiteClient struct {
	nc       net.Conn
	in       *wire.Reader
	reading  sync.WaitGroup
	receipts *doortest.Mailbox[string]
	number   int
	dialect  Dialect
	asked    bool // it has subscribed to the answers
	delivery func(*wire.Frame) *doortest.Delivery

	mu    sync.Mutex
	boxes map[string]*doortest.Mailbox[*doortest.Delivery]
	why   error // the end of the conversation
}

// frame writes a frame; headers are names and values in turn.
func (c *suiteClient) frame(command wire.Command, body string, headers []string) error {
	version := wire.V12
	if command == wire.Connect {
		version = wire.V10 // CONNECT has no escapes
	}
	raw := wire.AppendCommand(nil, command)
	for i := 0; i < len(headers); i += 2 {
		raw = wire.AppendHeader(raw, version, headers[i], headers[i+1])
	}
	if command == wire.Send {
		raw = wire.AppendNumber(raw, "content-length", int64(len(body)))
	}
	_, err := c.nc.Write(wire.AppendBody(raw, []byte(body)))
	return err
}

// do writes a frame and waits for its RECEIPT; a write may fail because the hub has closed, and then
// it has said why.
func (c *suiteClient) do(command wire.Command, body string, headers ...string) error {
	c.number++
	id := strconv.Itoa(c.number)
	sent := c.frame(command, body, append(headers, "receipt", id))
	if err := c.receipt(id); err != nil {
		return errors.Join(err, sent)
	}
	return nil
}

func (c *suiteClient) receipt(id string) error {
	got, err := c.receipts.Take()
	if err == nil && got != id {
		err = fmt.Errorf("got receipt %q, want %q", got, id)
	}
	return err
}

// read passes on what comes until the conversation ends.
func (c *suiteClient) read() {
	for {
		for c.in.Next() {
			c.take(c.in.Frame())
		}
		err := c.in.Err()
		if err == nil {
			_, err = c.in.Fill()
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

func (c *suiteClient) take(f *wire.Frame) {
	switch f.Command {
	case wire.Connected:
		c.receipts.Put("")
	case wire.Receipt:
		id, _ := f.Get("receipt-id")
		c.receipts.Put(string(id))
	case wire.Message:
		subscription, _ := f.Get("subscription")
		c.box(string(subscription)).Put(c.delivery(f))
	case wire.ErrorFrame:
		message, _ := f.Get("message")
		c.end(&doortest.Refusal{Form: string(message), Text: string(f.Body)})
	default:
		c.end(fmt.Errorf("unexpected frame %s", f.Word))
	}
}

// suiteDelivery reads a MESSAGE as a client does.
func suiteDelivery(f *wire.Frame) *doortest.Delivery {
	d := &doortest.Delivery{Body: string(f.Body)}
	p := &d.Properties
	texts := map[string]struct {
		field *string
		bit   broker.PropertySet
	}{
		"content-type":     {&p.ContentType, broker.HasContentType},
		"content-encoding": {&p.ContentEncoding, broker.HasContentEncoding},
		"correlation-id":   {&p.CorrelationID, broker.HasCorrelationID},
		"reply-to":         {&p.ReplyTo, broker.HasReplyTo},
		"expiration":       {&p.Expiration, broker.HasExpiration},
		"amqp-message-id":  {&p.MessageID, broker.HasMessageID},
		"type":             {&p.Type, broker.HasType},
		"user-id":          {&p.UserID, broker.HasUserID},
		"app-id":           {&p.AppID, broker.HasAppID},
	}
	for _, h := range f.Headers {
		name, value := string(h.Name), string(h.Value)
		if text, ok := texts[name]; ok {
			*text.field, p.Set = value, p.Set|text.bit
			continue
		}
		switch name {
		case "ack":
			d.Handle = value
		case "redelivered":
			d.Redelivered = value == "true"
		case "persistent":
			p.DeliveryMode, p.Set = 2, p.Set|broker.HasDeliveryMode
		case "priority":
			n, _ := strconv.ParseUint(value, 10, 8)
			p.Priority, p.Set = uint8(n), p.Set|broker.HasPriority
		case "timestamp":
			p.Timestamp, _ = strconv.ParseUint(value, 10, 64)
			p.Set |= broker.HasTimestamp
		case "subscription", "message-id", "destination", "content-length":
		default:
			p.Headers = append(p.Headers, broker.Field{Name: name, Value: value})
			p.Set |= broker.HasHeaders
		}
	}
	p.ReplyTo = strings.TrimPrefix(p.ReplyTo, prefixReply)
	return d
}

func (c *suiteClient) box(id string) *doortest.Mailbox[*doortest.Delivery] {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.boxes[id]
	if b == nil {
		b = doortest.NewMailbox[*doortest.Delivery]()
		c.boxes[id] = b
		if c.why != nil {
			b.End(c.why)
		}
	}
	return b
}

// end tells everybody who waits why nothing more comes; the first reason counts.
func (c *suiteClient) end(why error) {
	c.receipts.End(why)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == nil {
		c.why = why
	}
	for _, b := range c.boxes {
		b.End(c.why)
	}
}

func (c *suiteClient) Ended() (string, error) {
	why, ended := c.receipts.Wait()
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
	if op.Do != doortest.DeclareQueue {
		return fmt.Errorf("no such operation: %s", op.Do)
	}
	headers := []string{"destination", prefixQueue + op.Queue, "id", "declare"}
	if op.DeadLetters != "" {
		headers = append(headers, "x-dead-letter-exchange", op.DeadLetters)
	}
	if err := c.do(wire.Subscribe, "", headers...); err != nil {
		return err
	}
	return c.do(wire.Unsubscribe, "", "id", "declare")
}

// destinationOf is where a message goes, declaring nothing.
func destinationOf(exchange, key string) string {
	switch {
	case exchange == "amq.topic":
		return prefixTopic + key
	case exchange != "":
		return prefixExchange + exchange + "/" + key
	case strings.HasPrefix(key, broker.DirectReplyTo):
		return prefixReply + key
	}
	return prefixAMQQueue + key
}

func (c *suiteClient) Publish(m *doortest.Message) error {
	p := &m.Properties
	headers := []string{"destination", destinationOf(m.Exchange, m.Key)}
	for _, h := range []struct {
		bit         broker.PropertySet
		name, value string
	}{
		{broker.HasContentType, "content-type", p.ContentType},
		{broker.HasContentEncoding, "content-encoding", p.ContentEncoding},
		{broker.HasCorrelationID, "correlation-id", p.CorrelationID},
		{broker.HasReplyTo, "reply-to", prefixReply + p.ReplyTo},
		{broker.HasExpiration, "expiration", p.Expiration},
		{broker.HasMessageID, "amqp-message-id", p.MessageID},
		{broker.HasType, "type", p.Type},
		{broker.HasUserID, "user-id", p.UserID},
		{broker.HasAppID, "app-id", p.AppID},
		{broker.HasDeliveryMode, "persistent", strconv.FormatBool(p.DeliveryMode == 2)},
		{broker.HasPriority, "priority", strconv.Itoa(int(p.Priority))},
		{broker.HasTimestamp, "timestamp", strconv.FormatUint(p.Timestamp, 10)},
	} {
		if p.Set&h.bit != 0 {
			headers = append(headers, h.name, h.value)
		}
	}
	for _, f := range p.Headers {
		text, _ := f.Value.(string)
		headers = append(headers, f.Name, text)
	}
	return c.do(wire.Send, m.Body, headers...)
}

func (c *suiteClient) Consume(s doortest.Subscription) (doortest.Consumer, error) {
	id, destination, ack := "s-"+s.Queue+s.Topic, prefixAMQQueue+s.Queue, "client-individual"
	if s.Topic != "" {
		destination = prefixTopic + s.Topic
	}
	if s.Auto {
		ack = "auto"
	}
	headers := []string{"destination", destination, "id", id, "ack", ack}
	if s.Prefetch > 0 {
		headers = append(headers, "prefetch-count", strconv.Itoa(s.Prefetch))
	}
	k := &suiteConsumer{client: c, box: c.box(id)}
	return k, c.do(wire.Subscribe, "", headers...)
}

type suiteConsumer struct {
	client *suiteClient
	box    *doortest.Mailbox[*doortest.Delivery]
}

func (k *suiteConsumer) Next() (*doortest.Delivery, error) { return k.box.Take() }

func (k *suiteConsumer) Settle(d *doortest.Delivery, o broker.Outcome) error {
	id, _ := d.Handle.(string)
	if o == broker.Accepted {
		return k.client.do(wire.Ack, "", "id", id)
	}
	return k.client.do(wire.Nack, "", "id", id, "requeue", strconv.FormatBool(o == broker.Released))
}

func (c *suiteClient) Reply(to *doortest.Delivery, m *doortest.Message) error {
	answer := *m
	answer.Key = to.Properties.ReplyTo
	answer.Properties.CorrelationID = to.Properties.CorrelationID
	answer.Properties.Set |= broker.HasCorrelationID
	return c.Publish(&answer)
}

// question sends a request and returns where its answers come.
func (c *suiteClient) question(
	q *doortest.Question, headers ...string,
) (*doortest.Mailbox[*doortest.Delivery], error) {
	const replies = prefixTemp + "replies"
	exchange, key := "", q.Service
	if q.Topic != "" {
		exchange, key = "amq.topic", q.Topic
	}
	destination := destinationOf(exchange, key)
	if c.dialect == ActiveMQ {
		destination = activeDestinationOf(exchange, key)
	}
	return c.box(replies), c.do(wire.Send, q.Body, append(headers,
		"destination", destination, "reply-to", replies, "type", q.Operation,
		"correlation-id", "c:"+strconv.Itoa(c.number))...)
}

func (c *suiteClient) Call(q doortest.Question) (*doortest.Answer, error) {
	id := "c:" + strconv.Itoa(c.number)
	ms := strconv.FormatInt(q.Timeout.Milliseconds(), 10)
	box, err := c.question(&q, headerTimeout, ms)
	if err != nil {
		return nil, err
	}
	d, err := box.Take()
	if err != nil {
		return nil, err
	}
	if d.Properties.CorrelationID != id {
		return nil, fmt.Errorf("an answer to call %q", d.Properties.CorrelationID)
	}
	word, _ := d.Properties.Headers.Text(broker.HeaderError)
	return &doortest.Answer{Body: d.Body, Error: word}, nil
}

func (c *suiteClient) Gather(q doortest.Question) (*doortest.Gathered, error) {
	rule := "all"
	if q.Replies > 0 {
		rule = strconv.Itoa(q.Replies)
	}
	ms := strconv.FormatInt(q.Timeout.Milliseconds(), 10)
	box, err := c.question(&q, headerGather, rule, "expiration", ms)
	if err != nil {
		return nil, err
	}
	out := &doortest.Gathered{Replies: make(map[string]string)}
	for {
		d, err := box.Take()
		if err != nil {
			return nil, err
		}
		h := d.Properties.Headers
		if word, failed := h.Text(broker.HeaderError); failed {
			out.Error = word
			return out, nil
		}
		if end, last := h.Text(broker.HeaderGatherEnd); last {
			out.Complete = end == "complete"
			if missing, _ := h.Text(broker.HeaderMissing); missing != "" {
				out.Missing = strings.Split(missing, ",")
			}
			return out, nil
		}
		from, _ := h.Text(broker.HeaderFrom)
		out.Replies[from] = d.Body
	}
}
