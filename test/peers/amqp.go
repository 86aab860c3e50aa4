// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
)

const (
	directReplyTo = "amq.rabbitmq.reply-to"
	topicExchange = "amq.topic"
)

// amqpPeer is a connection with one channel to ask on, one to publish with
// confirms, and one for each service.
type amqpPeer struct {
	waiting

	conn *amqp.Connection
	ask  *amqp.Channel // direct reply-to binds consumer and publisher to one channel
	out  *amqp.Channel // with confirms
	wg   sync.WaitGroup
}

func dialAMQP(_ context.Context, hub *harness.Hub) (Peer, error) {
	p := &amqpPeer{}
	conn, err := amqp.DialConfig(hub.AMQPURL(), amqp.Config{
		Locale: "en_US",
		Dial: func(network, addr string) (net.Conn, error) {
			conn, err := amqp.DefaultDial(30*time.Second)(network, addr)
			if err != nil {
				return nil, err
			}
			return &amqpConn{Conn: conn, in: bufio.NewReader(conn), idle: p.idle}, nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	p.conn = conn
	if err := p.open(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return p, nil
}

func (p *amqpPeer) open() error {
	var err error
	if p.ask, err = p.conn.Channel(); err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	if p.out, err = p.conn.Channel(); err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	if err := p.out.Confirm(false); err != nil {
		return fmt.Errorf("confirm.select: %w", err)
	}
	replies, err := p.ask.Consume(directReplyTo, "", true, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume replies: %w", err)
	}
	p.wg.Go(func() {
		for d := range replies {
			p.deliver(d.CorrelationId, answer{string(d.Body), textHeaders(d.Headers)})
		}
	})
	return nil
}

// textHeaders keeps the headers that are text.
func textHeaders(t amqp.Table) map[string]string {
	out := map[string]string{}
	for k, v := range t {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}

func (p *amqpPeer) Call(
	ctx context.Context, service, body string, timeout time.Duration,
) (string, error) {
	id, answers := p.add()
	defer p.drop(id)
	headers := amqp.Table{"parley-timeout": timeout.Milliseconds()}
	if method := methodOf(ctx); method != "" {
		headers["http-method"] = method
	}
	f := formOf(ctx)
	err := p.ask.PublishWithContext(ctx, "", service, false, false, amqp.Publishing{
		ContentType: f.contentType, Type: f.operation,
		ReplyTo: directReplyTo, CorrelationId: id, Body: []byte(body), Headers: headers,
	})
	if err != nil {
		return "", fmt.Errorf("publish: %w", err)
	}
	select {
	case a := <-answers:
		return a.result()
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// confirmed publishes and waits for the hub's confirm.
func (p *amqpPeer) confirmed(ctx context.Context, exchange, key string, m amqp.Publishing) error {
	f := formOf(ctx)
	m.DeliveryMode, m.ContentType, m.Type = amqp.Persistent, f.contentType, f.operation
	c, err := p.out.PublishWithDeferredConfirmWithContext(ctx, exchange, key, false, false, m)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	acked, err := c.WaitContext(ctx)
	if err != nil {
		return fmt.Errorf("wait for the confirm: %w", err)
	}
	if !acked {
		return errors.New("the hub refused the message")
	}
	return nil
}

func (p *amqpPeer) Send(ctx context.Context, queue, body string) error {
	return p.confirmed(ctx, "", queue, amqp.Publishing{Body: []byte(body)})
}

func (p *amqpPeer) Publish(ctx context.Context, topic, body string) error {
	return p.confirmed(ctx, topicExchange, topic, amqp.Publishing{Body: []byte(body)})
}

func (p *amqpPeer) Ask(ctx context.Context, service, body string) (string, error) {
	ch, err := p.conn.Channel()
	if err != nil {
		return "", fmt.Errorf("open a channel: %w", err)
	}
	defer ch.Close()
	ticket := service + ".answers"
	if _, err := ch.QueueDeclare(ticket, true, false, false, false, nil); err != nil {
		return "", fmt.Errorf("declare %s: %w", ticket, err)
	}
	err = p.confirmed(ctx, "", service, amqp.Publishing{
		ReplyTo: ticket, CorrelationId: "later", Body: []byte(body),
	})
	return ticket, err
}

func (p *amqpPeer) Collect(ctx context.Context, ticket string) (string, error) {
	ch, err := p.conn.Channel()
	if err != nil {
		return "", fmt.Errorf("open a channel: %w", err)
	}
	defer ch.Close()
	ds, err := ch.Consume(ticket, "", false, false, false, false, nil)
	if err != nil {
		return "", fmt.Errorf("consume %s: %w", ticket, err)
	}
	select {
	case d, ok := <-ds:
		if !ok {
			return "", errors.New("the channel ended before the answer came")
		}
		if d.CorrelationId != "later" {
			return "", fmt.Errorf("correlation id %q came back", d.CorrelationId)
		}
		return string(d.Body), d.Ack(false)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (p *amqpPeer) Gather(ctx context.Context, topic, body string, rule Rule) (*Gathered, error) {
	id, answers := p.add()
	defer p.drop(id)
	headers := amqp.Table{"parley-gather": rule.text()}
	if rule.Stall > 0 {
		headers["parley-gather-stall"] = rule.Stall.Milliseconds()
	}
	f := formOf(ctx)
	err := p.ask.PublishWithContext(ctx, topicExchange, topic, false, false, amqp.Publishing{
		ContentType: f.contentType, Type: f.operation,
		ReplyTo: directReplyTo, CorrelationId: id, Body: []byte(body), Headers: headers,
		Expiration: strconv.FormatInt(rule.Total.Milliseconds(), 10),
	})
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return collect(ctx, answers)
}

// text is the rule as the header parley-gather states it.
func (r Rule) text() string {
	text := "all"
	if !r.All {
		text = strconv.Itoa(r.Count)
	}
	if r.Sentinel {
		text += ",sentinel"
	}
	return text
}

// splitNames reads a list of names.
func splitNames(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func (p *amqpPeer) Serve(ctx context.Context, service string, h Handler) error {
	ch, err := p.conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	if _, err := ch.QueueDeclare(service, true, false, false, false, nil); err != nil {
		return fmt.Errorf("declare %s: %w", service, err)
	}
	return p.consume(ctx, ch, service, h)
}

// consume answers what comes from queue, one message at a time.
func (p *amqpPeer) consume(ctx context.Context, ch *amqp.Channel, queue string, h Handler) error {
	if err := ch.Qos(1, 0, false); err != nil {
		return fmt.Errorf("qos: %w", err)
	}
	ds, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume %s: %w", queue, err)
	}
	p.wg.Go(func() {
		for d := range ds {
			r := h(ctx, Request{Body: string(d.Body), Redelivered: d.Redelivered})
			if !r.Silent && d.ReplyTo != "" {
				m := amqp.Publishing{
					ContentType: r.ContentType, CorrelationId: d.CorrelationId, Body: []byte(r.Body),
				}
				if r.Keep {
					f := formOf(ctx)
					m.DeliveryMode, m.ContentType, m.Type = amqp.Persistent, f.contentType, f.operation
				}
				if r.Error != "" {
					m.Headers = amqp.Table{
						"parley-error": r.Error, "parley-error-message": r.Body,
						"http-status": int32(ErrorStatus),
					}
				}
				_ = ch.PublishWithContext(ctx, "", d.ReplyTo, false, false, m)
			}
			_ = d.Ack(false)
		}
	})
	return nil
}

func (p *amqpPeer) Join(ctx context.Context, topic, name string, h Handler) error {
	ch, err := p.bound(topic, name)
	if err != nil {
		return err
	}
	return p.consume(ctx, ch, name, h)
}

// bound declares a queue of this connection's own on a topic.
func (p *amqpPeer) bound(topic, name string) (*amqp.Channel, error) {
	ch, err := p.conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open a channel: %w", err)
	}
	if _, err := ch.QueueDeclare(name, false, false, true, false, nil); err != nil {
		return nil, fmt.Errorf("declare %s: %w", name, err)
	}
	// The empty name stands for the queue declared last.
	if err := ch.QueueBind(name, topic, topicExchange, false, nil); err != nil {
		return nil, fmt.Errorf("bind %s: %w", name, err)
	}
	return ch, nil
}

func (p *amqpPeer) Subscribe(_ context.Context, topic string, f func(string)) error {
	ch, err := p.bound(topic, "")
	if err != nil {
		return err
	}
	ds, err := ch.Consume("", "", true, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	p.wg.Go(func() {
		for d := range ds {
			f(string(d.Body))
		}
	})
	return nil
}

func (p *amqpPeer) Close() {
	_ = p.conn.Close()
	p.wg.Wait()
}
