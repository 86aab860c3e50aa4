// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/door/doortest"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// TestActiveDoor plays the scenarios that every door must pass, in ActiveMQ's dialect.
func TestActiveDoor(t *testing.T) {
	t.Parallel()
	f := suiteFeatures()
	f.Forms[doortest.WrongPassword] = "User name [" + "guest" + "] or password is invalid."
	f.Lacks[doortest.AnyExchange] = "a destination is a queue or a topic"
	f.Lacks[doortest.PutBack] = "NACK gives a message up"
	f.Lacks[doortest.DeclareQueue] = "a queue has no arguments"
	f.NotSent[broker.HasMessageID] = "the door says what a message is called"
	f.NotShown[broker.HasExpiration] = "it is shown as a time"
	f.Adds = broker.HasMessageID | broker.HasTimestamp
	doortest.Run(t, doortest.Driver{
		Features: f, Format: Format{},
		Serve: func(tb testing.TB, s doortest.Setup) doortest.Door {
			tb.Helper()
			return suiteServe(tb, s, ActiveMQ)
		},
	})
}

// activeSuiteClient is suiteClient in ActiveMQ's dialect.
type activeSuiteClient struct{ *suiteClient }

// activeDelivery is suiteDelivery for the other names.
func activeDelivery(f *wire.Frame) *doortest.Delivery {
	d := suiteDelivery(f)
	p := &d.Properties
	p.Headers = p.Headers.Without("expires").Without("JMSXUserID")
	if user, ok := f.Get("JMSXUserID"); ok {
		p.UserID, p.Set = string(user), p.Set|broker.HasUserID
	}
	if id, _ := f.Get("message-id"); !strings.HasPrefix(string(id), "ID:parley-") {
		p.MessageID, p.Set = string(id), p.Set|broker.HasMessageID
	}
	if p.Priority == defaultPriority {
		p.Priority, p.Set = 0, p.Set&^broker.HasPriority
	}
	if p.Timestamp /= 1_000; p.Timestamp == 0 {
		p.Set &^= broker.HasTimestamp
	}
	if len(p.Headers) == 0 {
		p.Headers, p.Set = nil, p.Set&^broker.HasHeaders
	}
	for _, prefix := range []string{prefixQueue, prefixRemoteTempQueue} {
		p.ReplyTo = strings.TrimPrefix(p.ReplyTo, prefix)
	}
	return d
}

// activeDestination is where a message goes, declaring nothing.
func activeDestinationOf(exchange, key string) string {
	if exchange != "" {
		return prefixTopic + key
	}
	return prefixRemoteTempQueue + key
}

func (c *activeSuiteClient) Manage(doortest.Op) error { return errors.New("no such operation") }

func (c *activeSuiteClient) Publish(m *doortest.Message) error {
	p := &m.Properties
	headers := []string{"destination", activeDestinationOf(m.Exchange, m.Key)}
	for _, h := range []struct {
		bit         broker.PropertySet
		name, value string
	}{
		{broker.HasContentType, "content-type", p.ContentType},
		{broker.HasContentEncoding, "content-encoding", p.ContentEncoding},
		{broker.HasCorrelationID, "correlation-id", p.CorrelationID},
		{broker.HasReplyTo, "reply-to", prefixRemoteTempQueue + p.ReplyTo},
		{broker.HasExpiration, "expiration", p.Expiration},
		{broker.HasType, "type", p.Type},
		{broker.HasUserID, "user-id", p.UserID},
		{broker.HasAppID, "app-id", p.AppID},
		{broker.HasDeliveryMode, "persistent", strconv.FormatBool(p.DeliveryMode == 2)},
		{broker.HasPriority, "priority", strconv.Itoa(int(p.Priority))},
		{broker.HasTimestamp, "timestamp", strconv.FormatUint(p.Timestamp*1_000, 10)},
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

func (c *activeSuiteClient) Consume(s doortest.Subscription) (doortest.Consumer, error) {
	id, destination, ack := "s-"+s.Queue+s.Topic, prefixQueue+s.Queue, "client-individual"
	if s.Topic != "" {
		destination = prefixTopic + s.Topic
	}
	if s.Auto {
		ack = "auto"
	}
	headers := []string{"destination", destination, "id", id, "ack", ack}
	if s.Prefetch > 0 {
		headers = append(headers, "activemq.prefetchSize", strconv.Itoa(s.Prefetch))
	}
	k := &suiteConsumer{client: c.suiteClient, box: c.box(id)}
	return k, c.do(wire.Subscribe, "", headers...)
}

// listen subscribes to the answers, which nothing does by itself.
func (c *activeSuiteClient) listen() error {
	const replies = prefixTemp + "replies"
	if c.asked {
		return nil
	}
	c.asked = true
	return c.do(wire.Subscribe, "", "id", replies, "destination", replies)
}

func (c *activeSuiteClient) Call(q doortest.Question) (*doortest.Answer, error) {
	if err := c.listen(); err != nil {
		return nil, err
	}
	return c.suiteClient.Call(q)
}

func (c *activeSuiteClient) Gather(q doortest.Question) (*doortest.Gathered, error) {
	if err := c.listen(); err != nil {
		return nil, err
	}
	return c.suiteClient.Gather(q)
}

func (c *activeSuiteClient) Reply(to *doortest.Delivery, m *doortest.Message) error {
	answer := *m
	answer.Key = to.Properties.ReplyTo
	answer.Properties.CorrelationID = to.Properties.CorrelationID
	answer.Properties.Set |= broker.HasCorrelationID
	return c.Publish(&answer)
}
