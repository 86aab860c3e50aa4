// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/hub"
)

// activeClient is go-stomp at the door for clients of ActiveMQ.
func activeClient(t *testing.T, d dialer) *stomp.Conn {
	t.Helper()
	c, err := stomp.Connect(d.dial(t), stomp.ConnOpt.Login("guest", "guest"),
		stomp.ConnOpt.HeartBeat(0, 0), stomp.ConnOpt.Header("client-id", "doors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.MustDisconnect() })
	return c
}

// subscribed opens a subscription, with headers, in the mode client-individual.
func subscribed(t *testing.T, c *stomp.Conn, destination string, headers ...string) *stomp.Subscription {
	t.Helper()
	var options []func(*frame.Frame) error
	for i := 0; i < len(headers); i += 2 {
		options = append(options, stomp.SubscribeOpt.Header(headers[i], headers[i+1]))
	}
	s, err := c.Subscribe(destination, stomp.AckClientIndividual, options...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// came waits for a message with a body.
func came(t *testing.T, s *stomp.Subscription, body string) *stomp.Message {
	t.Helper()
	select {
	case m := <-s.C:
		if m == nil || m.Err != nil || string(m.Body) != body {
			t.Fatalf("got %+v, want %q", m, body)
		}
		return m
	case <-time.After(wait):
		t.Fatalf("%q did not come", body)
	}
	return nil
}

// sendSafely sends text that outlives the hub.
func sendSafely(t *testing.T, c *stomp.Conn, destination, body string) {
	t.Helper()
	err := c.Send(destination, "", []byte(body), stomp.SendOpt.Receipt, stomp.SendOpt.NoContentLength,
		stomp.SendOpt.Header("persistent", "true"))
	if err != nil {
		t.Fatal(err)
	}
}

// TestActiveMQDoor: both dialects at once, with and without TLS, on the queues that AMQP has.
func TestActiveMQDoor(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t)
	h := start(t, func(o *hub.Options) {
		o.TLS = ca.hubTLS(t)
		o.Doors.AMQP.Listen, o.Doors.STOMP.Listen = free, free
		o.Doors.ActiveMQ.Listen, o.Doors.ActiveMQ.TLSListen = free, free
	})
	plain := dialer{h.Addr("activemq").String(), nil}
	stompWorks(t, dialer{h.Addr("activemq" + hub.TLSSuffix).String(), ca.client(t, "")}.dial(t),
		"/topic/with/slashes")
	active := activeClient(t, plain)
	if server := active.Server(); !strings.HasPrefix(server, "ActiveMQ/") {
		t.Errorf("server %q", server)
	}
	other, err := stomp.Connect(dialer{h.Addr("stomp").String(), nil}.dial(t),
		stomp.ConnOpt.Login("guest", "guest"), stomp.ConnOpt.HeartBeat(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.MustDisconnect() }()
	requests := subscribed(t, active, "/queue/service/a")
	sendSafely(t, other, "/queue/service%2Fa", "from the other dialect")
	if err := active.Ack(came(t, requests, "from the other dialect")); err != nil {
		t.Fatal(err)
	}
	answerAMQP(t, h.Addr("amqp").String(), active, requests)
}

// answerAMQP has a client of AMQP ask, and one of ActiveMQ answer.
func answerAMQP(t *testing.T, address string, active *stomp.Conn, requests *stomp.Subscription) {
	t.Helper()
	conn, err := amqp.Dial("amqp://guest:guest@" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	own, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := ch.Consume(own.Name, "", true, true, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = ch.PublishWithContext(t.Context(), "", "service/a", false, false, amqp.Publishing{
		Body: []byte("question"), ReplyTo: own.Name, CorrelationId: "7", Timestamp: time.Unix(1_700_000_000, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	m := came(t, requests, "question")
	if at := m.Header.Get("timestamp"); at != "1700000000000" {
		t.Errorf("timestamp %q", at)
	}
	err = active.Send(m.Header.Get("reply-to"), "", []byte("answer"), stomp.SendOpt.NoContentLength,
		stomp.SendOpt.Header("correlation-id", m.Header.Get("correlation-id")))
	if err != nil {
		t.Fatal(err)
	}
	select {
	case a := <-answers:
		if string(a.Body) != "answer" || a.CorrelationId != "7" || a.ContentType != "text/plain" ||
			!strings.HasPrefix(a.MessageId, "ID:") {
			t.Errorf("answer %+v", a)
		}
	case <-time.After(wait):
		t.Fatal("no answer")
	}
}

// TestActiveMQRestart: what a hub that stops has to keep: durable subscriptions, dead letters, and the
// ids of messages.
func TestActiveMQRestart(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	run := func() (dialer, func()) {
		o := hub.Options{Data: data, Drain: 5 * time.Second}
		for _, d := range []*hub.Door{
			&o.Doors.AMQP, &o.Doors.STOMP, &o.Doors.WebSTOMP, &o.Doors.REST, &o.Doors.Management,
			&o.Doors.Line,
		} {
			d.Listen = hub.Off
		}
		o.Doors.ActiveMQ.Listen = free
		h, err := hub.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return dialer{h.Addr("activemq").String(), nil}, func() {
			if err := h.Shutdown(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		}
	}
	const topic, name = "/topic/prices", "activemq.subscriptionName"
	d, stop := run()
	c := activeClient(t, d)
	subscribed(t, c, topic, name, "n")
	if err := c.Disconnect(); err != nil {
		t.Fatal(err)
	}
	c = activeClient(t, d)
	sendSafely(t, c, topic, "while away")
	sendSafely(t, c, "/queue/work", "kept")
	kept := came(t, subscribed(t, c, "/queue/work"), "kept")
	sendSafely(t, c, "/queue/bad", "refused")
	if err := c.Nack(came(t, subscribed(t, c, "/queue/bad"), "refused")); err != nil {
		t.Fatal(err)
	}
	if err := c.Disconnect(); err != nil { // what it sent has been done then
		t.Fatal(err)
	}
	stop()
	d, stop = run()
	defer stop()
	c = activeClient(t, d)
	if m := came(t, subscribed(t, c, topic, name, "n"), "while away"); m.Destination != topic {
		t.Errorf("destination %q", m.Destination)
	}
	again := came(t, subscribed(t, c, "/queue/work"), "kept")
	if was, is := kept.Header.Get("message-id"), again.Header.Get("message-id"); was != is {
		t.Errorf("message-id %q was %q", is, was)
	}
	if again.Header.Get("redelivered") != "true" {
		t.Error("it does not say that it was delivered before")
	}
	dead := came(t, subscribed(t, c, "/queue/ActiveMQ.DLQ"), "refused")
	if from := dead.Header.Get("original-destination"); from != "/queue/bad" {
		t.Errorf("original-destination %q", from)
	}
	if err := c.Disconnect(); err != nil {
		t.Error(err)
	}
}
