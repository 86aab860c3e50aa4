// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// Heart is the driver of the heart itself: a plain session, which is the other side of every
// scenario. That the scenarios hold between two of them says that the suite is right.
func Heart() Driver {
	forms := make(map[Fault]string)
	for fault, code := range map[Fault]broker.Code{
		Forbidden: broker.CodeForbidden, ForbiddenVHost: broker.CodeForbidden,
		UnknownVHost: broker.CodeNotFound, WrongPassword: broker.CodeUnauthenticated,
		NotFound: broker.CodeNotFound, Unroutable: broker.CodeUnroutable,
		HubConnections: broker.CodeLimit, VHostConnection: broker.CodeLimit,
		UserConnections: broker.CodeLimit, TooManyQueues: broker.CodeLimit,
		TooManyConsumer: broker.CodeLimit, TooLarge: broker.CodeTooLarge,
		QueueFull: broker.CodeQueueFull, Shutdown: broker.CodeDraining,
	} {
		forms[fault] = code.String()
	}
	return Driver{
		Features: Features{
			Forms: forms,
			Lacks: map[Ability]string{
				LimitBodies:    "a session takes what the heart takes",
				HoldPublishers: "doors hold their publishers back, the heart only says when",
			},
			Sends: AsIs, Shows: AsIs,
		},
		Serve: func(_ testing.TB, s Setup) Door {
			return &heartDoor{broker: s.Broker, login: s.Login}
		},
	}
}

// heartDoor hands out plain sessions.
type heartDoor struct {
	broker *broker.Broker
	login  func(user, password string) error
}

// Shutdown implements Door.
func (d *heartDoor) Shutdown() {
	for _, c := range d.broker.Connections() {
		c.ForceClose("shutdown")
	}
}

// Connect implements Door.
func (d *heartDoor) Connect(tb testing.TB, who Account) (Client, error) {
	tb.Helper()
	c, err := d.open(who)
	if err != nil {
		return nil, err
	}
	tb.Cleanup(c.Abort)
	return c, nil
}

func (d *heartDoor) open(who Account) (*heartClient, error) {
	name, password := who.Credentials()
	if d.login(name, password) != nil {
		return nil, &Refusal{Form: broker.CodeUnauthenticated.String(), Text: "wrong password"}
	}
	c := &heartClient{
		deliveries: make(map[string]*Mailbox[*Delivery]), end: NewMailbox[struct{}](),
	}
	var p broker.ConnectionParams
	p.Name, p.ClientName, p.User, p.VHost, p.Door = who.Name, who.Name, name, who.VHost, "test"
	p.Close = c.told
	var err error
	if c.conn, err = d.broker.Open(p); err != nil {
		return nil, refusalOf(err)
	}
	if c.session, err = c.conn.OpenSession(c); err != nil {
		c.conn.Close()
		return nil, refusalOf(err)
	}
	c.session.EnableConfirms()
	return c, nil
}

func refusalOf(err error) error {
	if e, ok := errors.AsType[*broker.Error](err); ok {
		return &Refusal{Form: e.Code.String(), Text: e.Text}
	}
	return err
}

// heartClient is a Client, and the Sink of its own session.
type heartClient struct {
	conn *broker.Connection
	end  *Mailbox[struct{}]

	use     sync.Mutex // makes the session one goroutine's at a time
	session *broker.Session

	mu         sync.Mutex // before nothing; after the heart's locks
	deliveries map[string]*Mailbox[*Delivery]
	nacked     bool
	returned   *broker.Error
}

var (
	_ Client      = (*heartClient)(nil)
	_ broker.Sink = (*heartClient)(nil)
)

// told ends the client, as a door does.
func (c *heartClient) told(string) {
	c.end.End(&Refusal{Form: broker.CodeDraining.String(), Text: "told to go"})
	c.conn.Close()
}

// Ended implements Client.
func (c *heartClient) Ended() (string, error) {
	why, ended := c.end.Wait()
	if !ended {
		return "", ErrNothing
	}
	if r, ok := errors.AsType[*Refusal](why); ok {
		return r.Form, nil
	}
	return "", why
}

// Abort implements Client.
func (c *heartClient) Abort() {
	c.use.Lock()
	defer c.use.Unlock()
	c.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, box := range c.deliveries {
		box.End(net.ErrClosed)
	}
}

// Manage implements Client.
func (c *heartClient) Manage(op Op) error {
	c.use.Lock()
	defer c.use.Unlock()
	defer c.session.Flush()
	var err error
	switch s := c.session; op.Do {
	case DeclareQueue, InspectQueue:
		var p broker.QueueParams
		p.Name, p.Durable, p.Passive = op.Queue, !op.Volatile, op.Do == InspectQueue
		if op.DeadLetters != "" {
			p.Arguments = broker.Table{{Name: "x-dead-letter-exchange", Value: op.DeadLetters}}
		}
		_, err = s.DeclareQueue(p)
	case PurgeQueue:
		_, err = s.PurgeQueue(op.Queue)
	case DeleteQueue:
		var p broker.DeleteParams
		p.Name = op.Queue
		_, err = s.DeleteQueue(p)
	case GetMessage:
		_, err = s.Get(op.Queue, true)
	case DeclareExchange, InspectExchange:
		var p broker.ExchangeParams
		p.Name, p.Type, p.Durable, p.Passive = op.Exchange, "direct", true, op.Do == InspectExchange
		if op.Alternate != "" {
			p.Arguments = broker.Table{{Name: "alternate-exchange", Value: op.Alternate}}
		}
		_, err = s.DeclareExchange(p)
	case DeleteExchange:
		err = s.DeleteExchange(op.Exchange, false)
	case BindQueue, BindExchange, UnbindQueue:
		var p broker.BindingParams
		p.Source, p.Destination, p.Key = op.Source, op.Queue, op.Key
		if op.Do == BindExchange {
			p.Destination, p.ToExchange = op.Exchange, true
		}
		if op.Do == UnbindQueue {
			err = s.Unbind(p)
		} else {
			err = s.Bind(p)
		}
	default:
		err = errors.New("no such operation: " + string(op.Do))
	}
	return refusalOf(err)
}

// message makes a message of the heart's own format.
func message(m *Message) *broker.Message {
	p := &m.Properties
	raw, _ := newTableFormat().Append(nil, p) // it has no error
	out := &broker.Message{Format: newTableFormat(), Props: raw, Body: []byte(m.Body)}
	out.Exchange, out.Key = []byte(m.Exchange), []byte(m.Key)
	out.ReplyTo, out.CorrelationID = []byte(p.ReplyTo), []byte(p.CorrelationID)
	out.Type, out.ContentType = []byte(p.Type), []byte(p.ContentType)
	out.UserID, out.Priority = []byte(p.UserID), p.Priority
	out.Persistent = p.DeliveryMode == persistent
	if ms, ok := milliseconds(p.Expiration); ok {
		out.ExpirationMS, out.Expires = ms, true
	}
	return out
}

// persistent is the delivery mode of a message that outlives the hub.
const persistent = 2

// Publish implements Client.
func (c *heartClient) Publish(m *Message) error {
	c.use.Lock()
	defer c.use.Unlock()
	c.mu.Lock()
	c.nacked, c.returned = false, nil
	c.mu.Unlock()
	var p broker.PublishParams
	p.Mandatory = m.Mandatory
	if _, err := c.session.Publish(message(m), p); err != nil {
		return refusalOf(err)
	}
	c.session.Flush()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch { // the log in memory confirms at once
	case c.returned != nil:
		return refusalOf(c.returned)
	case c.nacked:
		return &Refusal{Form: broker.CodeQueueFull.String(), Text: "refused"}
	}
	return nil
}

// Consume implements Client.
func (c *heartClient) Consume(s Subscription) (Consumer, error) {
	c.use.Lock()
	defer c.use.Unlock()
	defer c.session.Flush()
	queue := s.Queue
	if s.Topic != "" {
		var p broker.QueueParams
		p.Exclusive, p.AutoDelete = true, true
		info, err := c.session.DeclareQueue(p)
		if err != nil {
			return nil, refusalOf(err)
		}
		queue = info.Name
		var b broker.BindingParams
		b.Source, b.Destination, b.Key = topics, queue, s.Topic
		if err := c.session.Bind(b); err != nil {
			return nil, refusalOf(err)
		}
	}
	var p broker.ConsumerParams
	p.Queue, p.Tag, p.Prefetch, p.AutoAck = queue, "c-"+queue, s.Prefetch, s.Auto
	k := &heartConsumer{client: c, box: NewMailbox[*Delivery]()}
	c.mu.Lock()
	c.deliveries[p.Tag] = k.box
	c.mu.Unlock()
	if _, err := c.session.Consume(p); err != nil {
		return nil, refusalOf(err)
	}
	return k, nil
}

// topics is the exchange of topics.
const topics = "amq.topic"

type heartConsumer struct {
	client *heartClient
	box    *Mailbox[*Delivery]
}

// Next implements Consumer.
func (k *heartConsumer) Next() (*Delivery, error) { return k.box.Take() }

// Settle implements Consumer.
func (k *heartConsumer) Settle(d *Delivery, o broker.Outcome) error {
	k.client.use.Lock()
	defer k.client.use.Unlock()
	tag, _ := d.Handle.(uint64)
	var p broker.SettleParams
	p.Tag, p.Outcome = tag, o
	err := k.client.session.Settle(p)
	k.client.session.Flush()
	return refusalOf(err)
}

// Reply implements Client.
func (c *heartClient) Reply(to *Delivery, m *Message) error {
	answer := *m
	answer.Exchange, answer.Key = "", to.Properties.ReplyTo
	answer.Properties.CorrelationID = to.Properties.CorrelationID
	answer.Properties.Set |= broker.HasCorrelationID
	return c.Publish(&answer)
}

// question makes the message of a call or gather.
func question(q *Question) *broker.Message {
	m := &Message{Body: q.Body}
	m.Properties.Type, m.Properties.Set = q.Operation, broker.HasType
	m.Properties.CorrelationID = "heart"
	m.Properties.Set |= broker.HasCorrelationID
	if q.Topic != "" {
		m.Exchange, m.Key = topics, q.Topic
	} else {
		m.Key = q.Service
	}
	return message(m)
}

// failed makes of a refused call what a door's client gets: the word of the hub.
func failed(err error) (word string, refused error) {
	e, ok := errors.AsType[*broker.Error](err)
	if !ok {
		return "", err
	}
	switch e.Code {
	case broker.CodeNoInstance, broker.CodeNoService, broker.CodeDeadline, broker.CodeOverloaded:
		return e.Code.String(), nil
	default:
		return "", refusalOf(err)
	}
}

// Call implements Client.
func (c *heartClient) Call(q Question) (*Answer, error) {
	box := NewMailbox[*Answer]()
	var p broker.CallParams
	p.Service, p.Message, p.Timeout = q.Service, question(&q), q.Timeout
	p.Done = func(m *broker.Message, err *broker.Error) {
		if err != nil {
			box.Put(&Answer{Body: "", Error: err.Code.String()})
			return
		}
		box.Put(answerOf(m))
	}
	c.use.Lock()
	_, err := c.session.Call(p)
	c.session.Flush()
	c.use.Unlock()
	if err != nil {
		word, err := failed(err)
		return &Answer{Body: "", Error: word}, err
	}
	return box.Take()
}

func answerOf(m *broker.Message) *Answer {
	p, err := m.Properties()
	if err != nil {
		return &Answer{Body: "", Error: err.Error()}
	}
	word, _ := p.Headers.Text(broker.HeaderError)
	return &Answer{Body: string(m.Body), Error: word}
}

// Gather implements Client.
func (c *heartClient) Gather(q Question) (*Gathered, error) {
	out := &Gathered{Replies: make(map[string]string)}
	box := NewMailbox[*Gathered]()
	var p broker.GatherParams
	p.Message = question(&q)
	p.Terms.All, p.Terms.Replies, p.Terms.Total = q.Replies == 0, q.Replies, q.Timeout
	p.Reply = func(from string, m *broker.Message) { out.Replies[from] = string(m.Body) }
	p.End = func(r broker.GatherResult) {
		out.Complete, out.Missing = r.Complete, r.Missing
		box.Put(out)
	}
	c.use.Lock()
	err := c.session.Gather(p)
	c.session.Flush()
	c.use.Unlock()
	if err != nil {
		word, err := failed(err)
		return &Gathered{Error: word}, err
	}
	return box.Take()
}

// Deliver implements broker.Sink.
func (c *heartClient) Deliver(d *broker.Delivery) int {
	p, err := d.Properties()
	if err != nil || d.Consumer == nil {
		return 1
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deliveries[d.Consumer.Tag].Put(&Delivery{
		Properties: p, Body: string(d.Message.Body), Redelivered: d.Redelivered, Handle: d.Tag,
	})
	return 1
}

// Cancel implements broker.Sink.
func (c *heartClient) Cancel(k *broker.Consumer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deliveries[k.Tag].End(errors.New("canceled"))
}

// Nack implements broker.Sink.
func (c *heartClient) Nack(uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nacked = true
}

// Return implements broker.Sink.
func (c *heartClient) Return(_ *broker.Message, why *broker.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.returned = why
}

// Confirm implements broker.Sink.
func (c *heartClient) Confirm(uint64) {}

// Block implements broker.Sink.
func (c *heartClient) Block(string) {}

// Flush implements broker.Sink.
func (c *heartClient) Flush() {}

// milliseconds is a property expiration as a number.
func milliseconds(text string) (int64, bool) {
	d, err := time.ParseDuration(text + "ms")
	return d.Milliseconds(), text != "" && err == nil
}
