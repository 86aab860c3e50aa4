// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	"github.com/parley-ipc/parley/internal/door/doortest"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// TestDoor plays the scenarios that every door must pass.
func TestDoor(t *testing.T) {
	t.Parallel()
	doortest.Run(t, doortest.Driver{
		Features: suiteFeatures(), Serve: suiteServe,
		Peer: func(c doortest.Client) doortest.Client { return &suitePeer{Client: c} },
	})
}

func suiteFeatures() doortest.Features {
	const (
		noManagement = "Thrift has calls, and nothing else"
		callsOnly    = "a client of Thrift calls, and is not called"
		noEnvelope   = "a message of Thrift has none of it but what a header says"
	)
	all := map[broker.PropertySet]string{}
	for bit := range 16 {
		all[1<<bit] = noEnvelope
	}
	return doortest.Features{
		Forms: map[doortest.Fault]string{
			doortest.Forbidden:       broker.CodeForbidden.String(),
			doortest.ForbiddenVHost:  broker.CodeForbidden.String(),
			doortest.HubConnections:  broker.CodeLimit.String(),
			doortest.VHostConnection: broker.CodeLimit.String(),
			doortest.UserConnections: broker.CodeLimit.String(),
			doortest.Shutdown:        "closed",
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
			doortest.AnyExchange:     noManagement,
			doortest.Mandatory:       noManagement,
			doortest.Receive:         callsOnly,
			doortest.PutBack:         callsOnly,
			doortest.CountConsumers:  callsOnly,
			doortest.LimitBodies:     callsOnly,
			doortest.SendToQueue:     "a oneway call is never answered: TestOneway, TestOnewayOrder, TestPublish",
			doortest.GatherByName:    "a list of results has no names: TestGather, TestGatherIncomplete",
			doortest.ChooseVHost:     "no message names one",
			doortest.ShowPassword:    "Thrift has no login: TestLogin",
		},
		NotSent: all, NotShown: all,
		Sends: doortest.AsIs, Shows: doortest.AsIs,
	}
}

// suiteIDL describes whom the scenarios ask, so that they can be gathered from.
const suiteIDL = `
service svc {
  string Greet(1: string body)
  string Fail(1: string body)
  string Wait(1: string body)
  string Late(1: string body)
  string Ask(1: string body)
  list<string> WhoAll(1: string body) ( parley.gather = "all" )
  list<string> AskAll(1: string body) ( parley.gather = "all" )
}`

// suiteAuth lets in whom the suite does.
type suiteAuth func(user, password string) error

func (a suiteAuth) Admit(user string, _ net.Addr) error { return a(user, user) }

// suiteDoor has a door for each user: the listener says who its clients are.
type suiteDoor struct {
	setup   doortest.Setup
	known   *contract.Registry
	ctx     context.Context //nolint:containedctx // of all connections
	stop    context.CancelFunc
	serving sync.WaitGroup
}

func suiteServe(tb testing.TB, s doortest.Setup) doortest.Door {
	tb.Helper()
	source := contract.Source{
		Files: map[string]string{"svc.thrift": suiteIDL}, Services: map[string]string{"svc": "svc", "mine": "svc"},
	}
	made, services, err := source.Load("svc")
	if err != nil {
		tb.Fatal(err)
	}
	out := &suiteDoor{setup: s, known: &contract.Registry{}}
	if err := out.known.Put(&contract.Entry{VHost: "/", Contract: made, Services: services}); err != nil {
		tb.Fatal(err)
	}
	out.ctx, out.stop = context.WithCancel(context.Background())
	tb.Cleanup(out.Shutdown)
	return out
}

// Shutdown implements doortest.Door.
func (d *suiteDoor) Shutdown() {
	d.stop()
	d.serving.Wait()
}

// Connect implements doortest.Door.
func (d *suiteDoor) Connect(tb testing.TB, who doortest.Account) (doortest.Client, error) {
	tb.Helper()
	door, err := New(Options{
		Broker: d.setup.Broker, Auth: suiteAuth(d.setup.Login), User: who.User, Contracts: d.known,
		Thrift: func(string, string) bool { return true },
	})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return nil, err
	}
	far, err := listener.Accept()
	if err != nil {
		return nil, err
	}
	in := make(chan struct{}, 1)
	ended := make(chan struct{})
	d.serving.Go(func() {
		defer close(ended)
		defer far.Close()
		door.Serve(d.ctx, far, func() { in <- struct{}{} })
	})
	c := &suiteClient{
		tb: tb, nc: near, stream: wire.NewStream(near, wire.DefaultLimits()), ended: ended,
	}
	tb.Cleanup(c.Abort)
	select {
	case <-in:
		return c, nil
	case <-time.After(quickLook): // it may be refused, which only who calls is told
		return c, nil
	}
}

// quickLook is how long a client waits to be let in before it calls.
const quickLook = 20 * time.Millisecond

// suiteClient is a client of the door.
type suiteClient struct {
	tb     testing.TB
	nc     net.Conn
	stream *wire.Stream
	ended  chan struct{}
	seq    int32
}

var errNever = errors.New("a client of Thrift does not do that")

// Manage, Publish, Consume and Reply are what the features say that it lacks.
func (*suiteClient) Manage(doortest.Op) error        { return errNever }
func (*suiteClient) Publish(*doortest.Message) error { return errNever }
func (*suiteClient) Consume(doortest.Subscription) (doortest.Consumer, error) {
	return nil, errNever
}
func (*suiteClient) Reply(*doortest.Delivery, *doortest.Message) error { return errNever }

// Abort implements doortest.Client.
func (c *suiteClient) Abort() { _ = c.nc.Close() }

// Ended implements doortest.Client.
func (c *suiteClient) Ended() (string, error) {
	_ = c.nc.SetReadDeadline(time.Now().Add(patience))
	if m, err := c.stream.Next(); !errors.Is(err, io.EOF) {
		return "", errors.Join(errNever, err, errors.New(string(m.Bytes)))
	}
	return "closed", nil
}

// ask makes a call; an exception is the word of the hub or of the service.
func (c *suiteClient) ask(service, method, body string, timeout time.Duration) (parsed, string, error) {
	c.seq++
	shape := wire.Shape{Transport: wire.Headered}
	how := wire.Wrapping{Limits: wire.DefaultLimits()}
	how.Info.Pairs = pairs(keyTimeout, strconv.FormatInt(timeout.Milliseconds(), 10))
	call, err := shape.Append(nil, ask(wire.Binary, service+":"+method, body, c.seq), &how)
	if err != nil {
		return parsed{}, "", err
	}
	_ = c.nc.SetDeadline(time.Now().Add(patience))
	if _, err := c.nc.Write(call); err != nil {
		return parsed{}, "", err
	}
	m, err := c.stream.Next()
	if err != nil {
		return parsed{}, "", err
	}
	got := parse(c.tb, m.Protocol, m.Bytes)
	if got.head.Seq != c.seq || string(got.head.Name) != method {
		c.tb.Errorf("the answer %+v is to another call than %s %d", got, method, c.seq)
	}
	if got.head.Type != wire.Exception {
		return got, "", nil
	}
	word, _, _ := strings.Cut(got.text, ":")
	switch {
	case got.code == int32(wire.UnknownMethod) && strings.Contains(got.text, "(no service '"):
		word = codeNoService
	case got.code == int32(wire.UnknownMethod):
		word = codeNoMethod
	}
	switch word {
	case broker.CodeForbidden.String(), broker.CodeLimit.String(), codeUnauthenticated:
		return got, word, &doortest.Refusal{Form: word, Text: got.text}
	}
	return got, word, nil
}

// Call implements doortest.Client.
func (c *suiteClient) Call(q doortest.Question) (*doortest.Answer, error) {
	method := q.Operation
	if method == "" {
		method = "Greet"
	}
	got, word, err := c.ask(q.Service, method, q.Body, q.Timeout)
	return &doortest.Answer{Body: got.text, Error: word}, err
}

// Gather implements doortest.Client.
func (c *suiteClient) Gather(q doortest.Question) (*doortest.Gathered, error) {
	_, word, err := c.ask(q.Service, q.Operation+"All", q.Body, q.Timeout)
	return &doortest.Gathered{Replies: map[string]string{}, Error: word}, err
}

// suitePeer is a client of the heart whose bodies are messages of Thrift.
type suitePeer struct {
	doortest.Client
}

// Publish implements doortest.Client.
func (p *suitePeer) Publish(m *doortest.Message) error {
	out := *m
	out.Body = string(ask(wire.Binary, "text", m.Body, 0))
	return p.Client.Publish(&out)
}

// Call implements doortest.Client: the features let nobody call a client of Thrift.
func (*suitePeer) Call(doortest.Question) (*doortest.Answer, error) { return nil, errNever }

// suiteAsked is the handle of a delivery and the head of its message.
type suiteAsked struct {
	handle any
	head   wire.Head
}

// Reply implements doortest.Client. An error has no body.
func (p *suitePeer) Reply(to *doortest.Delivery, m *doortest.Message) error {
	asked, _ := to.Handle.(suiteAsked)
	answer, inner := *m, *to
	inner.Handle = asked.handle
	if _, failed := m.Properties.Headers.Text(broker.HeaderError); !failed {
		asked.head.Type = wire.Reply
		answer.Body = string(message(wire.Binary, asked.head, 0, m.Body))
	}
	return p.Client.Reply(&inner, &answer)
}

// Consume implements doortest.Client.
func (p *suitePeer) Consume(s doortest.Subscription) (doortest.Consumer, error) {
	k, err := p.Client.Consume(s)
	return &suiteConsumer{k}, err
}

// suiteConsumer reads messages of Thrift.
type suiteConsumer struct{ doortest.Consumer }

var errNoMessage = errors.New("the service gets no message of Thrift")

// Next implements doortest.Consumer.
func (k *suiteConsumer) Next() (*doortest.Delivery, error) {
	d, err := k.Consumer.Next()
	if err != nil {
		return nil, err
	}
	var r wire.Reader
	r.Reset(wire.Binary, []byte(d.Body), wire.DefaultLimits())
	head, err := r.MessageBegin()
	if err != nil {
		return nil, errors.Join(errNoMessage, err)
	}
	_ = r.StructBegin()
	f, err := r.Field()
	if err != nil || f.Type != wire.String {
		return nil, errors.Join(errNoMessage, err)
	}
	text, err := r.Text()
	out := *d
	out.Body, out.Handle = string(text), suiteAsked{d.Handle, head}
	return &out, err
}

// Settle implements doortest.Consumer.
func (k *suiteConsumer) Settle(d *doortest.Delivery, o broker.Outcome) error {
	asked, _ := d.Handle.(suiteAsked)
	inner := *d
	inner.Handle = asked.handle
	return k.Consumer.Settle(&inner, o)
}
