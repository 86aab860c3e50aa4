// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"

	"github.com/parley-ipc/parley/test/harness"
)

// tempQueue names the temporary queue that answers come to.
const tempQueue = "/temp-queue/answers"

// stompPeer is a connection; go-stomp lets any goroutine use it.
type stompPeer struct {
	waiting

	hub  *harness.Hub
	conn *stomp.Conn
	wg   sync.WaitGroup
}

func dialSTOMP(ctx context.Context, hub *harness.Hub) (Peer, error) {
	p, err := newSTOMP(ctx, hub)
	if err != nil {
		return nil, err // not p: a nil pointer would be no nil Peer
	}
	return p, nil
}

func newSTOMP(ctx context.Context, hub *harness.Hub) (*stompPeer, error) {
	conn, err := stomp.DialWithContext(ctx, "tcp", hub.STOMP,
		stomp.ConnOpt.Login("guest", "guest"), stomp.ConnOpt.Logger(quiet{}))
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	p := &stompPeer{hub: hub, conn: conn}
	// With reply-to, Subscribe only tells the library where answers go: the hub
	// subscribes when a SEND names the temporary queue first.
	replies, err := conn.Subscribe(tempQueue, stomp.AckAuto,
		stomp.SubscribeOpt.Header(stomp.ReplyToHeader, tempQueue))
	if err != nil {
		_ = conn.MustDisconnect()
		return nil, fmt.Errorf("subscribe to answers: %w", err)
	}
	p.wg.Go(func() {
		for m := range replies.C {
			if m.Err != nil {
				return
			}
			p.deliver(m.Header.Get("correlation-id"), answer{string(m.Body), headersOf(m.Header)})
		}
	})
	return p, nil
}

// headersOf copies a frame's headers.
func headersOf(h *frame.Header) map[string]string {
	out := map[string]string{}
	for i := range h.Len() {
		k, v := h.GetAt(i)
		if _, ok := out[k]; !ok {
			out[k] = v
		}
	}
	return out
}

// plain is the media type of bodies that have no form.
const plain = "text/plain"

// typed is the media type of what is sent with a context, and its headers with the operation.
func typed(ctx context.Context, headers ...string) (contentType string, all []string) {
	f := formOf(ctx)
	if f.operation != "" {
		headers = append(headers, "type", f.operation)
	}
	return cmp.Or(f.contentType, plain), headers
}

// options turns pairs into send options.
func options(headers ...string) []func(*frame.Frame) error {
	var opts []func(*frame.Frame) error
	for i := 0; i < len(headers); i += 2 {
		opts = append(opts, stomp.SendOpt.Header(headers[i], headers[i+1]))
	}
	return opts
}

func (p *stompPeer) Call(
	ctx context.Context, service, body string, timeout time.Duration,
) (string, error) {
	id, answers := p.add()
	defer p.drop(id)
	// The absolute form: AMQP's driver uses the relative one.
	deadline := time.Now().Add(timeout).UTC().Format("2006-01-02T15:04:05.000Z07:00")
	headers := []string{"reply-to", tempQueue, "correlation-id", id, "parley-deadline", deadline}
	if method := methodOf(ctx); method != "" {
		headers = append(headers, "http-method", method)
	}
	kind, headers := typed(ctx, headers...)
	err := p.conn.Send("/amq/queue/"+service, kind, []byte(body), options(headers...)...)
	if err != nil {
		return "", fmt.Errorf("send: %w", err)
	}
	select {
	case a := <-answers:
		return a.result()
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (p *stompPeer) Send(ctx context.Context, queue, body string) error {
	return p.receipted(ctx, "/queue/"+queue, body)
}

// receipted sends and waits for the receipt.
func (p *stompPeer) receipted(
	ctx context.Context, destination, body string, headers ...string,
) error {
	kind, headers := typed(ctx, append(headers, "persistent", "true")...)
	opts := append(options(headers...), stomp.SendOpt.Receipt)
	if err := p.conn.Send(destination, kind, []byte(body), opts...); err != nil {
		return fmt.Errorf("send to %s: %w", destination, err)
	}
	return nil
}

func (p *stompPeer) Publish(ctx context.Context, topic, body string) error {
	return p.receipted(ctx, "/topic/"+topic, body)
}

func (p *stompPeer) Ask(ctx context.Context, service, body string) (string, error) {
	ticket := "/queue/" + service + ".answers"
	// Subscribing declares the queue. A connection of its own does it: go-stomp's
	// Unsubscribe may sleep through its receipt.
	declarer, err := newSTOMP(ctx, p.hub)
	if err != nil {
		return "", err
	}
	defer declarer.Close()
	if _, err := declarer.conn.Subscribe(ticket, stomp.AckClientIndividual); err != nil {
		return "", fmt.Errorf("subscribe to %s: %w", ticket, err)
	}
	if err := declarer.attached(ctx); err != nil {
		return "", err
	}
	return ticket, p.receipted(ctx, "/queue/"+service, body,
		"reply-to", ticket, "correlation-id", "later")
}

func (p *stompPeer) Collect(ctx context.Context, ticket string) (string, error) {
	sub, err := p.conn.Subscribe(ticket, stomp.AckClientIndividual)
	if err != nil {
		return "", fmt.Errorf("subscribe to %s: %w", ticket, err)
	}
	select {
	case m := <-sub.C:
		if m == nil || m.Err != nil {
			return "", fmt.Errorf("the subscription ended before the answer came: %v", m)
		}
		if id := m.Header.Get("correlation-id"); id != "later" {
			return "", fmt.Errorf("correlation id %q came back", id)
		}
		return string(m.Body), p.conn.Ack(m)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (p *stompPeer) Gather(ctx context.Context, topic, body string, rule Rule) (*Gathered, error) {
	id, answers := p.add()
	defer p.drop(id)
	headers := []string{
		"reply-to", tempQueue, "correlation-id", id, "parley-gather", rule.text(),
		"expiration", strconv.FormatInt(rule.Total.Milliseconds(), 10),
	}
	if rule.Stall > 0 {
		headers = append(headers,
			"parley-gather-stall", strconv.FormatInt(rule.Stall.Milliseconds(), 10))
	}
	kind, headers := typed(ctx, headers...)
	err := p.conn.Send("/topic/"+topic, kind, []byte(body), options(headers...)...)
	if err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	return collect(ctx, answers)
}

func (p *stompPeer) Serve(ctx context.Context, service string, h Handler) error {
	return p.serve(ctx, "/queue/"+service, h)
}

func (p *stompPeer) Join(ctx context.Context, topic, name string, h Handler) error {
	return p.serve(ctx, "/topic/"+topic, h,
		stomp.SubscribeOpt.Header("x-queue-name", name))
}

// serve answers what comes from destination, one message at a time.
func (p *stompPeer) serve(
	ctx context.Context, destination string, h Handler, opts ...func(*frame.Frame) error,
) error {
	opts = append(opts, stomp.SubscribeOpt.Header("prefetch-count", "1"))
	sub, err := p.conn.Subscribe(destination, stomp.AckClientIndividual, opts...)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", destination, err)
	}
	p.wg.Go(func() {
		for m := range sub.C {
			if m.Err != nil {
				return
			}
			r := h(ctx, Request{
				Body: string(m.Body), Redelivered: m.Header.Get("redelivered") == "true",
			})
			if to := m.Header.Get("reply-to"); !r.Silent && to != "" {
				headers := []string{"correlation-id", m.Header.Get("correlation-id")}
				if r.Keep {
					headers = append(headers, "persistent", "true")
				}
				if r.Error != "" {
					headers = append(headers, "parley-error", r.Error,
						"parley-error-message", r.Body, "http-status", strconv.Itoa(ErrorStatus))
				}
				kind := cmp.Or(r.ContentType, plain)
				_ = p.conn.Send(to, kind, []byte(r.Body), options(headers...)...)
			}
			_ = p.conn.Ack(m)
		}
	})
	return p.attached(ctx)
}

// attached returns when the hub has processed all that was sent before: the
// receipt of a later frame says so.
func (p *stompPeer) attached(ctx context.Context) error {
	return p.receipted(ctx, "/topic/peers.sync", "")
}

func (p *stompPeer) Subscribe(ctx context.Context, topic string, f func(string)) error {
	sub, err := p.conn.Subscribe("/topic/"+topic, stomp.AckAuto)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", topic, err)
	}
	p.wg.Go(func() {
		for m := range sub.C {
			if m.Err != nil {
				return
			}
			f(string(m.Body))
		}
	})
	return p.attached(ctx)
}

func (p *stompPeer) Close() {
	// A handler may still hold the connection's goroutines; the library closes
	// every subscription's channel when the connection ends.
	_ = p.conn.Disconnect()
	p.wg.Wait()
}

// quiet drops the library's log lines: a closed connection is how peers end.
type quiet struct{}

func (quiet) Debugf(string, ...any)   {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warningf(string, ...any) {}
func (quiet) Errorf(string, ...any)   {}
func (quiet) Debug(string)            {}
func (quiet) Info(string)             {}
func (quiet) Warning(string)          {}
func (quiet) Error(string)            {}
