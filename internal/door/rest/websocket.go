// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// MessageConn is a WebSocket: messages of text, each read and written whole. One goroutine reads; all
// other methods may be called by any.
type MessageConn interface {
	// Read returns the next message. What a client may not send ends the connection.
	Read(ctx context.Context) ([]byte, error)
	// Write sends one message; when ctx ends first, the connection has ended.
	Write(ctx context.Context, message []byte) error
	// Ping waits for the client's pong.
	Ping(ctx context.Context) error
	// Close sends a close with a code (RFC 6455 §7.4) and ends the connection.
	Close(code int, reason string) error
}

// The codes of a close (RFC 6455 §7.4.1).
const (
	closeNormal = 1000
	closeAway   = 1001
	closePolicy = 1008
)

// socketPing is how often a client is asked whether it is there.
const socketPing = 30 * time.Second

// wantsWebSocket reports whether a request asks for a WebSocket (RFC 6455 §4.1).
func wantsWebSocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// socketMessage is what the hub sends.
type socketMessage struct {
	Message *messageBody `json:"message,omitempty"`
	Error   *socketError `json:"error,omitempty"`
	Gone    string       `json:"gone,omitempty"` // the queue was deleted
}

// socketError is a problem with the lease that it is about.
type socketError struct {
	problemBody

	Lease string `json:"lease,omitempty"`
}

// socketCommand is what a client sends: one of its members.
type socketCommand struct {
	Ack  *string `json:"ack"`
	Nack *struct {
		Lease string `json:"lease"`
		leaseNack
	} `json:"nack"`
	Extend *struct {
		Lease    string `json:"lease"`
		ExtendMS int64  `json:"extend_ms"`
	} `json:"extend"`
}

// socket is a stream as a WebSocket (rest.md, Streams).
type socket struct {
	*feed

	v    *visit
	conn MessageConn
}

// streamMessages passes messages on and takes acknowledgements in, until somebody ends it.
func (d *Door) streamMessages(v *visit, terms feedTerms) error {
	f, err := d.openFeed(v, terms, func() {})
	if err != nil {
		return err
	}
	s := &socket{feed: f, v: v}
	if s.conn, err = d.options.Upgrade(v.w, v.r, int64(d.options.BodyBytes)); err != nil {
		f.holder.finish()
		v.status = http.StatusBadRequest // the client has been told
		return nil
	}
	v.status = http.StatusSwitchingProtocols
	ctx, cancel := context.WithCancel(context.WithoutCancel(v.r.Context()))
	defer cancel()
	if err := f.consume(terms.prefetch); err != nil {
		s.fail(ctx, err, "")
		_ = s.conn.Close(closePolicy, problemOf(err).word)
		f.holder.finish()
		return nil
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.read(ctx)
	}()
	code, reason := s.write(ctx, read)
	_ = s.conn.Close(code, reason) // the client may be gone
	cancel()
	<-read
	s.end()
	return nil
}

// read takes commands until the connection ends.
func (s *socket) read(ctx context.Context) {
	for {
		data, err := s.conn.Read(ctx)
		if err != nil {
			return
		}
		lease, err := s.command(data)
		if err == nil {
			continue
		}
		s.fail(ctx, err, lease)
		if p := problemOf(err); p.word == wordBadRequest && lease == "" {
			_ = s.conn.Close(closePolicy, p.detail)
			return
		}
	}
}

// command does what the client asks for; it returns the lease that this was about.
func (s *socket) command(data []byte) (lease string, err error) {
	if err := checkJSON(data); err != nil {
		return "", badRequest("the message is not JSON: %v", err)
	}
	var c socketCommand
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return "", jsonFault(err)
	}
	given := 0
	for _, some := range [...]bool{c.Ack != nil, c.Nack != nil, c.Extend != nil} {
		if some {
			given++
		}
	}
	switch d := s.door; {
	case given != 1:
		return "", badRequest("one of ack, nack and extend is needed")
	case c.Ack != nil:
		return *c.Ack, d.acceptLease(s.v, *c.Ack)
	case c.Nack != nil:
		return c.Nack.Lease, d.change(s.v, c.Nack.Lease, &leaseChange{Nack: &c.Nack.leaseNack})
	default:
		return c.Extend.Lease, d.change(s.v, c.Extend.Lease,
			&leaseChange{ExtendMS: &c.Extend.ExtendMS})
	}
}

// fail tells the client what went wrong.
func (s *socket) fail(ctx context.Context, err error, lease string) {
	b := s.door.problems.body(problemOf(err))
	b.TraceID = s.v.traceID()
	// The client may be gone.
	_ = s.send(ctx, socketMessage{Error: &socketError{problemBody: b, Lease: lease}})
}

func (s *socket) send(ctx context.Context, m socketMessage) error {
	limited, cancel := context.WithTimeout(ctx, streamWriteTime)
	defer cancel()
	return s.conn.Write(limited, writeJSON(m))
}

// write passes messages on until the connection ends, and returns the code to close it with.
func (s *socket) write(ctx context.Context, read <-chan struct{}) (code int, reason string) {
	ticker := time.NewTicker(socketPing)
	defer ticker.Stop()
	sink := s.holder.sink
	for {
		list, resume, cancelled := sink.take()
		if err := s.messages(ctx, list); err != nil {
			return closeAway, "the client does not read"
		}
		if resume {
			s.holder.session.Resume()
		}
		if cancelled {
			_ = s.send(ctx, socketMessage{Gone: "the queue was deleted"})
			return closeNormal, "the queue was deleted"
		}
		select {
		case <-sink.wake:
		case <-ticker.C:
			if err := s.ping(ctx); err != nil {
				return closeAway, "no pong"
			}
		case <-read:
			return closeNormal, ""
		case <-s.closed:
			return closeAway, "the hub ends the connection"
		case <-s.v.client.gone:
			return closeAway, "the hub ends the connection"
		case <-s.door.draining:
			return closeAway, "the hub stops"
		}
	}
}

func (s *socket) ping(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, socketPing)
	defer cancel()
	return s.conn.Ping(limited)
}

// messages sends deliveries; what cannot be written goes back with the connection.
func (s *socket) messages(ctx context.Context, list []parcel) error {
	list = s.holder.readable(list)
	if len(list) == 0 {
		return nil
	}
	var leases []*lease
	if s.terms.manual {
		var err error
		leases, err = s.door.leases.add(s.holder, list, 0, func(int) string { return newID() })
		if err != nil {
			return errors.Join(err, s.conn.Close(closePolicy, problemOf(err).word))
		}
	}
	for i := range list {
		body := list[i].message.json()
		if s.terms.manual {
			body.Lease = leases[i].id
		}
		if err := s.send(ctx, socketMessage{Message: &body}); err != nil {
			return err
		}
		if !s.terms.manual {
			s.holder.settle(list[i].tag, broker.Accepted)
		}
	}
	return nil
}

// end gives back what has no outcome and lets the session go.
func (s *socket) end() {
	s.door.leases.release(func(h *holder) bool { return h == s.holder })
	s.cancel()
	s.holder.finish()
}
