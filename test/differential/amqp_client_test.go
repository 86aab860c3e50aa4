// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
)

// amqpRun is one script's run on one broker.
type amqpRun struct {
	notes
	t     *testing.T
	b     *harness.Broker
	addr  string
	conns []*amqp.Connection
	wires []net.Conn
}

// amqpScript is a named script.
type amqpScript struct {
	name string
	run  func(*amqpRun)
}

// runAMQP runs s on b and returns what it noted.
func runAMQP(t *testing.T, s amqpScript, b *harness.Broker) []note {
	t.Helper()
	r := &amqpRun{t: t, b: b, addr: b.AMQP}
	defer r.end()
	s.run(r)
	return r.lines
}

// end closes what the script opened.
func (r *amqpRun) end() {
	for _, c := range r.conns {
		_ = c.Close()
	}
	for _, c := range r.wires {
		_ = c.Close()
	}
}

// dial opens a connection that ends with the script.
func (r *amqpRun) dial() *amqp.Connection {
	c, err := amqp.Dial("amqp://guest:guest@" + r.addr + "/")
	if err != nil {
		r.t.Errorf("dial %s: %v", r.addr, err)
		runtime.Goexit() // not FailNow: a script runs beside the test's goroutine
	}
	r.conns = append(r.conns, c)
	return c
}

// channel is a channel that knows how it was closed.
type channel struct {
	*amqp.Channel

	r          *amqpRun
	conn       *amqp.Connection
	closed     chan *amqp.Error
	connClosed chan *amqp.Error
	returns    chan amqp.Return
	confirms   chan amqp.Confirmation
}

// channel opens a channel on a connection of its own, since some errors close
// the connection.
func (r *amqpRun) channel() *channel { return r.on(r.dial()) }

// on opens a channel on c.
func (r *amqpRun) on(c *amqp.Connection) *channel {
	ch, err := c.Channel()
	if err != nil {
		r.t.Errorf("open a channel on %s: %v", r.addr, err)
		runtime.Goexit()
	}
	const room = 64
	return &channel{
		Channel: ch, r: r, conn: c,
		closed:     ch.NotifyClose(make(chan *amqp.Error, 1)),
		connClosed: c.NotifyClose(make(chan *amqp.Error, 1)),
		returns:    ch.NotifyReturn(make(chan amqp.Return, room)),
		confirms:   ch.NotifyPublish(make(chan amqp.Confirmation, room)),
	}
}

// note records what a call returned: ok or its error.
func (c *channel) note(step string, err error) { c.r.add(step, "%s", c.outcome(err)) }

// outcome prints an error with the level that it closed.
func (c *channel) outcome(err error) string {
	if err == nil {
		return "ok"
	}
	var e *amqp.Error
	if !errors.As(err, &e) {
		return "not AMQP: " + err.Error()
	}
	if !e.Server || errors.Is(e, amqp.ErrClosed) {
		return c.closeText()
	}
	return plain(errorText(e))
}

// errorText prints an exception of the server.
func errorText(e *amqp.Error) string {
	level := "connection"
	if e.Recover {
		level = "channel"
	}
	return fmt.Sprintf("%s closed: %d %s", level, e.Code, e.Reason)
}

// closeText waits until the channel is closed and says why.
func (c *channel) closeText() string {
	select {
	case e := <-c.closed:
		if e == nil {
			return "closed without an error"
		}
		return plain(errorText(e))
	case <-time.After(comesWait):
		return "still open"
	}
}

// publish publishes without waiting.
func (c *channel) publish(exchange, key string, p amqp.Publishing) {
	ctx, cancel := context.WithTimeout(context.Background(), comesWait)
	defer cancel()
	if err := c.PublishWithContext(ctx, exchange, key, false, false, p); err != nil {
		c.r.add("publish failed", "%s", c.outcome(err))
	}
}

// tryPublish publishes on a channel that may have been closed meanwhile.
func (c *channel) tryPublish(exchange, key string) {
	ctx, cancel := context.WithTimeout(context.Background(), comesWait)
	defer cancel()
	_ = c.PublishWithContext(ctx, exchange, key, false, false, amqp.Publishing{})
}

// send publishes text to queue.
func (c *channel) send(queue string, bodies ...string) {
	for _, body := range bodies {
		c.publish("", queue, amqp.Publishing{Body: []byte(body)})
	}
}

// queue declares a queue that lives as long as its connection, so that scripts
// leave nothing behind.
func (c *channel) queue(name string, args amqp.Table) string {
	q, err := c.QueueDeclare(name, false, false, true, false, args)
	if err != nil {
		c.r.add("declare "+name, "%s", c.outcome(err))
	}
	return q.Name
}

// consume starts a consumer.
func (c *channel) consume(queue string, autoAck bool) <-chan amqp.Delivery {
	ds, err := c.Consume(queue, "", autoAck, false, false, false, nil)
	if err != nil {
		c.r.add("consume "+queue, "%s", c.outcome(err))
	}
	return ds
}

// next waits for a delivery.
func next(ds <-chan amqp.Delivery) (amqp.Delivery, bool) {
	select {
	case d, ok := <-ds:
		return d, ok
	case <-time.After(comesWait):
		return amqp.Delivery{}, false
	}
}

// noteNext records the next delivery.
func (c *channel) noteNext(step string, ds <-chan amqp.Delivery) amqp.Delivery {
	d, ok := next(ds)
	if !ok {
		c.r.add(step, "nothing came")
		return d
	}
	c.r.add(step, "%s", deliveryText(&d))
	return d
}

// noteSilence records that nothing more comes.
func (c *channel) noteSilence(step string, ds <-chan amqp.Delivery) {
	select {
	case d, ok := <-ds:
		if !ok {
			c.r.add(step, "deliveries ended")
			return
		}
		c.r.add(step, "unexpected: %s", deliveryText(&d))
	case <-time.After(silence):
		c.r.add(step, "silence")
	}
}

// bodies gets everything that lies in queue, acknowledged, as text.
func (c *channel) bodies(queue string) string {
	var got []string
	for {
		d, ok, err := c.Get(queue, true)
		if err != nil {
			return c.outcome(err)
		}
		if !ok {
			return strings.Join(got, ",")
		}
		body := string(d.Body)
		if d.Redelivered {
			body += "(again)"
		}
		got = append(got, body)
	}
}

// await polls basic.get until queue yields a message, for what a broker does on
// its own time (expiry, dead letters).
func (c *channel) await(step, queue string) amqp.Delivery {
	var d amqp.Delivery
	err := harness.Poll(comesWait, func() error {
		var ok bool
		var err error
		if d, ok, err = c.Get(queue, true); err != nil {
			return err
		}
		if !ok {
			return errors.New("still empty")
		}
		return nil
	})
	if err != nil {
		c.r.add(step, "nothing came: %v", err)
		return d
	}
	d.MessageCount = 0
	c.r.add(step, "%s", deliveryText(&d))
	return d
}

// Names that a broker makes up differ from run to run.
var generated = regexp.MustCompile(
	`amq\.(gen|ctag)-[A-Za-z0-9_-]+|amq\.rabbitmq\.reply-to\.[^ ,;"']+`)

// text replaces made-up names.
func plain(s string) string {
	return generated.ReplaceAllStringFunc(s, func(m string) string {
		if rest, ok := strings.CutPrefix(m, "amq.rabbitmq.reply-to."); ok && rest != "" {
			return "amq.rabbitmq.reply-to.TOKEN"
		}
		kind, _, _ := strings.Cut(m, "-")
		return kind + "-NAME"
	})
}

// deliveryText prints all that a client can see of a delivery, but for the
// consumer tag.
func deliveryText(d *amqp.Delivery) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q from %q key %q tag %d", d.Body, d.Exchange, d.RoutingKey, d.DeliveryTag)
	if d.Redelivered {
		b.WriteString(" redelivered")
	}
	if d.MessageCount > 0 {
		fmt.Fprintf(&b, " %d behind", d.MessageCount)
	}
	props := []struct{ name, value string }{
		{"content-type", d.ContentType},
		{"content-encoding", d.ContentEncoding},
		{"correlation-id", d.CorrelationId},
		{"reply-to", d.ReplyTo},
		{"expiration", d.Expiration},
		{"message-id", d.MessageId},
		{"type", d.Type},
		{"user-id", d.UserId},
		{"app-id", d.AppId},
	}
	for _, p := range props {
		if p.value != "" {
			fmt.Fprintf(&b, " %s=%s", p.name, p.value)
		}
	}
	if d.DeliveryMode != 0 {
		fmt.Fprintf(&b, " mode=%d", d.DeliveryMode)
	}
	if d.Priority != 0 {
		fmt.Fprintf(&b, " priority=%d", d.Priority)
	}
	if !d.Timestamp.IsZero() {
		fmt.Fprintf(&b, " timestamp=%d", d.Timestamp.Unix())
	}
	if len(d.Headers) > 0 {
		b.WriteString(" headers=" + valueText("", d.Headers))
	}
	return plain(b.String())
}

// valueText prints a field with its type. Times that the broker took are shown
// as such: two brokers never agree on them.
func valueText(key string, v any) string {
	switch v := v.(type) {
	case amqp.Table:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for i, k := range keys {
			keys[i] = k + ":" + valueText(k, v[k])
		}
		return "{" + strings.Join(keys, " ") + "}"
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = valueText(key, e)
		}
		return "[" + strings.Join(parts, " ") + "]"
	case time.Time:
		if key == "time" {
			if d := time.Since(v); d > time.Minute || d < -time.Minute {
				return "far from now"
			}
			return "now"
		}
		return fmt.Sprintf("timestamp %d", v.Unix())
	case []byte:
		return fmt.Sprintf("bytes %x", v)
	case string:
		return fmt.Sprintf("%q", v)
	default:
		return fmt.Sprintf("%T %v", v, v)
	}
}
