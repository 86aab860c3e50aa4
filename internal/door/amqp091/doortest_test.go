// SPDX-License-Identifier: Apache-2.0

package amqp091

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
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// TestDoor plays the scenarios that every door must pass.
func TestDoor(t *testing.T) {
	t.Parallel()
	doortest.Run(t, doortest.Driver{Features: suiteFeatures(), Format: Format{}, Serve: suiteServe})
}

func suiteFeatures() doortest.Features {
	const notAllowed, failed = "530 NOT_ALLOWED", "406 PRECONDITION_FAILED"
	return doortest.Features{
		Forms: map[doortest.Fault]string{
			doortest.Forbidden:       "403 ACCESS_REFUSED",
			doortest.ForbiddenVHost:  notAllowed,
			doortest.UnknownVHost:    notAllowed,
			doortest.WrongPassword:   "403 ACCESS_REFUSED",
			doortest.NotFound:        "404 NOT_FOUND",
			doortest.Unroutable:      "312 NO_ROUTE",
			doortest.HubConnections:  notAllowed,
			doortest.VHostConnection: notAllowed,
			doortest.UserConnections: notAllowed,
			doortest.TooManyQueues:   failed,
			doortest.TooManyConsumer: notAllowed,
			doortest.TooLarge:        failed,
			doortest.QueueFull:       nacked,
			doortest.Shutdown:        "320 CONNECTION_FORCED",
		},
		Lacks: map[doortest.Ability]string{
			doortest.LimitBodies: "a consumer takes whatever the heart takes, in frames",
		},
		Sends: doortest.AsIs, Shows: doortest.AsIs,
	}
}

// nacked is the form of a publish that got basic.nack, which has no text.
const nacked = "basic.nack"

// passwordLogin is an Authenticator of the suite's.
type passwordLogin func(user, password string) error

func (l passwordLogin) Login(user, password string, _ net.Addr) error { return l(user, password) }

func (passwordLogin) Admit(string, net.Addr) error { return nil }

// suiteDoor is the door on a listener.
type suiteDoor struct {
	ln      net.Listener
	stop    context.CancelFunc
	serving sync.WaitGroup
}

func suiteServe(tb testing.TB, s doortest.Setup) doortest.Door {
	tb.Helper()
	d, err := New(Options{Broker: s.Broker, Auth: passwordLogin(s.Login), FailurePause: -1})
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
		nc: nc, in: wire.NewReader(nc), methods: doortest.NewMailbox[wire.Method](),
		boxes: make(map[string]*doortest.Mailbox[*doortest.Delivery]),
	}
	c.in.SetFrameMax(defaultFrameMaxBytes)
	tb.Cleanup(c.Abort)
	c.reading.Go(c.read)
	return c, c.open(who)
}

// suiteClient speaks on channel 1 of a connection. Deliveries go to their consumers, all other
// methods to whoever waits for an answer.
type suiteClient struct {
	nc      net.Conn
	in      *wire.Reader
	reading sync.WaitGroup
	methods *doortest.Mailbox[wire.Method]
	calls   int

	mu       sync.Mutex
	boxes    map[string]*doortest.Mailbox[*doortest.Delivery]
	why      error // the end of the conversation
	returned *doortest.Refusal
}

func (c *suiteClient) send(methods ...wire.Method) error {
	var raw []byte
	for _, m := range methods {
		channel := uint16(1)
		if m.ID()>>16 == wire.IDConnectionOpen>>16 {
			channel = 0
		}
		raw = m.AppendFrame(raw, channel)
	}
	_, err := c.nc.Write(raw)
	return err
}

// want takes the next answer, which must be that method.
func (c *suiteClient) want(m wire.Method) error {
	got, err := c.methods.Take()
	if err == nil && got.ID() != m.ID() {
		err = fmt.Errorf("got %v, want %v", got.ID(), m.ID())
	}
	return err
}

// do sends a method and waits for its answer; a write may fail because the hub has closed, and then
// it has said why.
func (c *suiteClient) do(m, answer wire.Method) error {
	sent := c.send(m)
	if err := c.want(answer); err != nil {
		return errors.Join(err, sent)
	}
	return nil
}

func (c *suiteClient) open(who doortest.Account) error {
	user, password := who.Credentials()
	if _, err := c.nc.Write([]byte(wire.ProtocolHeader)); err != nil {
		return err
	}
	if err := c.want(&wire.ConnectionStart{}); err != nil {
		return err
	}
	properties := clientProperties()
	properties[0].Value = who.Name
	start := &wire.ConnectionStartOk{
		ClientProperties: properties, Mechanism: "PLAIN",
		Response: "\x00" + user + "\x00" + password, Locale: "en_US",
	}
	if err := c.do(start, &wire.ConnectionTune{}); err != nil {
		return err
	}
	if err := c.send(&wire.ConnectionTuneOk{ChannelMax: 8, FrameMax: defaultFrameMaxBytes}); err != nil {
		return err
	}
	for _, step := range []struct{ m, answer wire.Method }{
		{&wire.ConnectionOpen{VirtualHost: who.VHost}, &wire.ConnectionOpenOk{}},
		{&wire.ChannelOpen{}, &wire.ChannelOpenOk{}},
		{&wire.ConfirmSelect{}, &wire.ConfirmSelectOk{}},
	} {
		if err := c.do(step.m, step.answer); err != nil {
			return err
		}
	}
	return nil
}

// read passes on what comes until the conversation ends.
func (c *suiteClient) read() {
	for {
		f, err := c.in.Next()
		if err == nil && f.Type == wire.FrameMethod {
			err = c.method(f)
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

func (c *suiteClient) method(f wire.Frame) error {
	id, args, err := f.SplitMethod()
	if err != nil {
		return err
	}
	m, err := wire.NewMethod(id)
	if err == nil {
		err = m.Decode(args)
	}
	if err != nil {
		return err
	}
	switch m := m.(type) {
	case *wire.BasicDeliver:
		return c.deliver(m)
	case *wire.BasicReturn:
		form := suiteForm(m.ReplyCode, string(m.ReplyText))
		if _, err := c.content(); err != nil {
			return err
		}
		c.mu.Lock()
		c.returned = &doortest.Refusal{Form: form, Text: "returned"}
		c.mu.Unlock()
	case *wire.BasicGetOk:
		got := &wire.BasicGetOk{}
		if _, err := c.content(); err != nil {
			return err
		}
		c.methods.Put(got)
	case *wire.BasicCancel:
		c.box(m.ConsumerTag).End(errors.New("canceled"))
	case *wire.ChannelClose:
		_ = c.send(&wire.ChannelCloseOk{}) // the refusal is what counts
		return &doortest.Refusal{Form: suiteForm(m.ReplyCode, m.ReplyText), Text: m.ReplyText}
	case *wire.ConnectionClose:
		_ = c.send(&wire.ConnectionCloseOk{}) // ″
		return &doortest.Refusal{Form: suiteForm(m.ReplyCode, m.ReplyText), Text: m.ReplyText}
	case *wire.ConnectionBlocked, *wire.ConnectionUnblocked:
	default:
		c.methods.Put(m)
	}
	return nil
}

// suiteForm is code and name: the text begins with the name.
func suiteForm(code uint16, text string) string {
	name, _, _ := strings.Cut(text, " - ")
	return strconv.Itoa(int(code)) + " " + name
}

func (c *suiteClient) box(tag string) *doortest.Mailbox[*doortest.Delivery] {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.boxes[tag]
	if b == nil {
		b = doortest.NewMailbox[*doortest.Delivery]()
		c.boxes[tag] = b
		if c.why != nil {
			b.End(c.why)
		}
	}
	return b
}

func (c *suiteClient) deliver(m *wire.BasicDeliver) error {
	tag, redelivered, delivery := string(m.ConsumerTag), m.Redelivered, m.DeliveryTag
	d, err := c.content()
	if err != nil {
		return err
	}
	d.Redelivered, d.Handle = redelivered, delivery
	c.box(tag).Put(d)
	return nil
}

// content reads header and body.
func (c *suiteClient) content() (*doortest.Delivery, error) {
	f, err := c.in.Next()
	if err != nil {
		return nil, err
	}
	var h wire.ContentHeader
	if err := h.Decode(f.Payload); err != nil {
		return nil, err
	}
	d := &doortest.Delivery{}
	if err := (Format{}).Decode(h.Properties, &d.Properties); err != nil {
		return nil, err
	}
	var body strings.Builder
	for uint64(body.Len()) < h.BodySize {
		if f, err = c.in.Next(); err != nil {
			return nil, err
		}
		body.Write(f.Payload)
	}
	d.Body = body.String()
	return d, nil
}

// end tells everybody who waits why nothing more comes.
func (c *suiteClient) end(why error) {
	c.methods.End(why)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.why = why
	for _, b := range c.boxes {
		b.End(why)
	}
}

func (c *suiteClient) Ended() (string, error) {
	why, ended := c.methods.Wait()
	if r, ok := errors.AsType[*doortest.Refusal](why); ok && ended {
		return r.Form, nil
	}
	return "", why
}

func (c *suiteClient) Abort() {
	c.nc.Close()
	c.reading.Wait()
}

func (c *suiteClient) Manage(op doortest.Op) error {
	var queueArguments, exchangeArguments wire.Table
	if op.DeadLetters != "" {
		queueArguments = wire.Table{{Name: "x-dead-letter-exchange", Value: op.DeadLetters}}
	}
	if op.Alternate != "" {
		exchangeArguments = wire.Table{{Name: "alternate-exchange", Value: op.Alternate}}
	}
	switch op.Do {
	case doortest.DeclareQueue:
		return c.do(&wire.QueueDeclare{
			Queue: op.Queue, Durable: !op.Volatile, Arguments: queueArguments,
		}, &wire.QueueDeclareOk{})
	case doortest.InspectQueue:
		return c.do(&wire.QueueDeclare{Queue: op.Queue, Passive: true}, &wire.QueueDeclareOk{})
	case doortest.PurgeQueue:
		return c.do(&wire.QueuePurge{Queue: op.Queue}, &wire.QueuePurgeOk{})
	case doortest.DeleteQueue:
		return c.do(&wire.QueueDelete{Queue: op.Queue}, &wire.QueueDeleteOk{})
	case doortest.GetMessage:
		return c.do(&wire.BasicGet{Queue: op.Queue, NoAck: true}, &wire.BasicGetOk{})
	case doortest.DeclareExchange:
		return c.do(&wire.ExchangeDeclare{
			Exchange: op.Exchange, Type: "direct", Durable: true, Arguments: exchangeArguments,
		}, &wire.ExchangeDeclareOk{})
	case doortest.InspectExchange:
		return c.do(&wire.ExchangeDeclare{Exchange: op.Exchange, Passive: true},
			&wire.ExchangeDeclareOk{})
	case doortest.DeleteExchange:
		return c.do(&wire.ExchangeDelete{Exchange: op.Exchange}, &wire.ExchangeDeleteOk{})
	case doortest.BindQueue:
		return c.do(&wire.QueueBind{Queue: op.Queue, Exchange: op.Source, RoutingKey: op.Key},
			&wire.QueueBindOk{})
	case doortest.UnbindQueue:
		return c.do(&wire.QueueUnbind{Queue: op.Queue, Exchange: op.Source, RoutingKey: op.Key},
			&wire.QueueUnbindOk{})
	case doortest.BindExchange:
		return c.do(&wire.ExchangeBind{
			Destination: op.Exchange, Source: op.Source, RoutingKey: op.Key,
		}, &wire.ExchangeBindOk{})
	default:
		return fmt.Errorf("no such operation: %s", op.Do)
	}
}

func (c *suiteClient) Publish(m *doortest.Message) error {
	c.mu.Lock()
	c.returned = nil
	c.mu.Unlock()
	properties, err := (Format{}).Append(nil, &m.Properties)
	if err != nil {
		return err
	}
	_, sent := c.nc.Write(wire.AppendPublish(nil, &wire.BasicPublish{
		Exchange: []byte(m.Exchange), RoutingKey: []byte(m.Key), Mandatory: m.Mandatory,
	}, &wire.Content{
		Channel: 1, FrameMax: defaultFrameMaxBytes, Properties: properties, Body: []byte(m.Body),
	}))
	answer, err := c.methods.Take()
	if err != nil {
		return errors.Join(err, sent)
	}
	switch answer.(type) {
	case *wire.BasicAck:
	case *wire.BasicNack:
		return &doortest.Refusal{Form: nacked, Text: "refused"}
	default:
		return fmt.Errorf("got %v instead of a confirm", answer.ID())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.returned != nil {
		return c.returned
	}
	return nil
}

func (c *suiteClient) Consume(s doortest.Subscription) (doortest.Consumer, error) {
	queue := s.Queue
	if s.Topic != "" {
		if err := c.send(&wire.QueueDeclare{Exclusive: true, AutoDelete: true}); err != nil {
			return nil, err
		}
		answer, err := c.methods.Take()
		if err != nil {
			return nil, err
		}
		ok, _ := answer.(*wire.QueueDeclareOk)
		if ok == nil {
			return nil, fmt.Errorf("got %v instead of a queue", answer.ID())
		}
		queue = ok.Queue
		bind := &wire.QueueBind{Queue: queue, Exchange: "amq.topic", RoutingKey: s.Topic}
		if err := c.do(bind, &wire.QueueBindOk{}); err != nil {
			return nil, err
		}
	}
	if err := c.do(&wire.BasicQos{PrefetchCount: uint16(s.Prefetch)}, &wire.BasicQosOk{}); err != nil {
		return nil, err
	}
	k := &suiteConsumer{client: c, box: c.box("c-" + queue)}
	return k, c.do(&wire.BasicConsume{
		Queue: queue, ConsumerTag: "c-" + queue, NoAck: s.Auto,
	}, &wire.BasicConsumeOk{})
}

type suiteConsumer struct {
	client *suiteClient
	box    *doortest.Mailbox[*doortest.Delivery]
}

func (k *suiteConsumer) Next() (*doortest.Delivery, error) { return k.box.Take() }

func (k *suiteConsumer) Settle(d *doortest.Delivery, o broker.Outcome) error {
	tag, _ := d.Handle.(uint64)
	if o == broker.Accepted {
		return k.client.send(&wire.BasicAck{DeliveryTag: tag})
	}
	return k.client.send(&wire.BasicNack{DeliveryTag: tag, Requeue: o == broker.Released})
}

func (c *suiteClient) Reply(to *doortest.Delivery, m *doortest.Message) error {
	answer := *m
	answer.Key = to.Properties.ReplyTo
	answer.Properties.CorrelationID = to.Properties.CorrelationID
	answer.Properties.Set |= broker.HasCorrelationID
	return c.Publish(&answer)
}

// question publishes a request and returns where its answers come.
func (c *suiteClient) question(
	q *doortest.Question, header broker.Field,
) (*doortest.Mailbox[*doortest.Delivery], error) {
	box := c.box("replies")
	if c.calls == 0 {
		err := c.do(&wire.BasicConsume{
			Queue: broker.DirectReplyTo, ConsumerTag: "replies", NoAck: true,
		}, &wire.BasicConsumeOk{})
		if err != nil {
			return nil, err
		}
	}
	c.calls++
	m := &doortest.Message{Key: q.Service, Body: q.Body, Properties: broker.Properties{
		Type: q.Operation, ReplyTo: broker.DirectReplyTo, CorrelationID: strconv.Itoa(c.calls),
		Headers: broker.Table{header},
		Set: broker.HasType | broker.HasReplyTo | broker.HasCorrelationID |
			broker.HasHeaders,
	}}
	if header.Name == headerGather { // a gather's total time is the message's own
		m.Properties.Expiration = strconv.FormatInt(q.Timeout.Milliseconds(), 10)
		m.Properties.Set |= broker.HasExpiration
	}
	if q.Topic != "" {
		m.Exchange, m.Key = "amq.topic", q.Topic
	}
	return box, c.Publish(m)
}

func (c *suiteClient) Call(q doortest.Question) (*doortest.Answer, error) {
	box, err := c.question(&q, broker.Field{Name: headerTimeout, Value: q.Timeout.Milliseconds()})
	if err != nil {
		return nil, err
	}
	d, err := box.Take()
	if err != nil {
		return nil, err
	}
	if d.Properties.CorrelationID != strconv.Itoa(c.calls) {
		return nil, fmt.Errorf("an answer to call %q", d.Properties.CorrelationID)
	}
	word, _ := d.Properties.Headers.Text(broker.HeaderError)
	return &doortest.Answer{Body: d.Body, Error: word}, nil
}

func (c *suiteClient) Gather(q doortest.Question) (*doortest.Gathered, error) {
	rule := any("all")
	if q.Replies > 0 {
		rule = int64(q.Replies)
	}
	box, err := c.question(&q, broker.Field{Name: headerGather, Value: rule})
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
