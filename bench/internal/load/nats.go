// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxLineBytes bounds a control line of NATS; INFO is the longest.
const maxLineBytes = 16 << 10

const (
	natsInbox   = "_INBOX.bench." // answers go to the inbox with 16 digits behind it
	natsConnect = `CONNECT {"verbose":false,"pedantic":false,"lang":"go","version":"1",` +
		`"protocol":1,"headers":false,"no_responders":false}` + "\r\nPING\r\n"
)

// natsDriver is the core text protocol of NATS: one subject in place of the queue.
type natsDriver struct {
	addr string
}

var _ driver = (*natsDriver)(nil)

// open connects, sends CONNECT with what follows it, waits for the PONG that says both were taken,
// and prepares the link, if prepare is not nil.
func (d *natsDriver) open(
	ctx context.Context, s *natsScanner, then string, prepare func(*link) error,
) (*link, error) {
	l, err := dial(ctx, d.addr)
	if err != nil {
		return nil, err
	}
	err = s.handshake(l, then)
	if err == nil && prepare != nil {
		err = prepare(l)
	}
	if err := firstError(err, l.ready(s)); err != nil {
		l.close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return l, nil
}

// publisher implements driver.
func (d *natsDriver) publisher(ctx context.Context, o publishOptions) (*link, *batch, error) {
	if o.confirmed != nil {
		return nil, nil, errors.New("no confirms in NATS core")
	}
	l, err := d.open(ctx, &natsScanner{deliver: func(*delivery) {}}, "", nil)
	if err != nil {
		return nil, nil, err
	}
	body := filler(o.bodyBytes)
	msg := appendPub(nil, o.queue, nil, body)
	layout := messageLayout{encoded: msg, seqAt: len(msg) - 2 - len(body), hexAt: -1}
	return l, newBatch(layout), nil
}

// consumer implements driver.
func (d *natsDriver) consumer(ctx context.Context, o consumeOptions) (*link, error) {
	if o.durable {
		return nil, errors.New("no durable queues in NATS core")
	}
	return d.open(ctx, &natsScanner{deliver: o.deliver}, "SUB "+o.queue+" 1\r\n", nil)
}

// asker implements driver with one wildcard subscription for all answers.
func (d *natsDriver) asker(
	ctx context.Context, deliver func(*delivery),
) (*link, *batch, error) {
	s := &natsScanner{deliver: deliver}
	l, err := d.open(ctx, s, "SUB "+natsInbox+"* 1\r\n", nil)
	if err != nil {
		return nil, nil, err
	}
	body := filler(requestBodyBytes)
	inbox := natsInbox + strings.Repeat("0", maxSequenceDigits)
	msg := appendPub(nil, queueName, []byte(inbox), body)
	return l, newBatch(messageLayout{
		encoded: msg,
		seqAt:   len(msg) - 2 - len(body),
		hexAt:   bytes.Index(msg, []byte(inbox)) + len(natsInbox),
	}), nil
}

// appendAnswer implements driver.
func (d *natsDriver) appendAnswer(dst []byte, request *delivery) []byte {
	return appendPub(dst, request.replyTo, nil, request.body)
}

// appendAck implements driver; what NATS core has delivered it has forgotten.
func (d *natsDriver) appendAck(dst []byte, _ *delivery) []byte { return dst }

// appendPub appends a PUB with its body.
func appendPub[T string | []byte](dst []byte, subject T, reply, body []byte) []byte {
	dst = append(append(dst, "PUB "...), subject...)
	if len(reply) > 0 {
		dst = append(append(dst, ' '), reply...)
	}
	dst = strconv.AppendInt(append(dst, ' '), int64(len(body)), 10)
	dst = append(append(dst, "\r\n"...), body...)
	return append(dst, "\r\n"...)
}

// natsScanner reads control lines and the bodies of messages.
type natsScanner struct {
	deliver   func(*delivery)
	confirmed func(*delivery) error // takes every message in place of deliver, if not nil
	answers   string                // subject for the answers to requests, this connection's alone
	pong      func() error          // answers a PING
	server    string
	pongs     int
	message   delivery
}

// handshake logs in on a fresh link and makes it ready.
func (s *natsScanner) handshake(l *link, then string) error {
	s.pong = func() error {
		_, err := l.conn.Write([]byte("PONG\r\n"))
		return err
	}
	if _, err := l.conn.Write([]byte(natsConnect + then + "PING\r\n")); err != nil {
		return err
	}
	for s.pongs < 2 {
		if err := s.read(l); err != nil {
			return err
		}
	}
	l.server = s.server
	return nil
}

// read acts on what one read of a link that is not running yet brings.
func (s *natsScanner) read(l *link) error {
	if err := l.more(); err != nil {
		return err
	}
	used, err := s.scan(l.unread())
	l.start += used
	return err
}

// scan implements scanner.
func (s *natsScanner) scan(buf []byte) (int, error) {
	used := 0
	for {
		n := bytes.IndexByte(buf[used:], '\n')
		if n < 0 {
			if len(buf)-used > maxLineBytes {
				return used, fmt.Errorf("line of more than %d bytes", maxLineBytes)
			}
			return used, nil
		}
		line := bytes.TrimSuffix(buf[used:used+n], []byte("\r"))
		if !bytes.HasPrefix(line, []byte("MSG ")) {
			if err := s.control(line); err != nil {
				return used, err
			}
			used += n + 1
			continue
		}
		size, err := s.msg(line[4:], buf[used+n+1:])
		if err != nil || size == 0 {
			return used, err
		}
		used += n + 1 + size
	}
}

// msg reads the fields "subject sid [reply] size" and the body after them, and hands the message
// over. It returns how many bytes the body is with its line end, 0 if it is not all there.
func (s *natsScanner) msg(fields, rest []byte) (int, error) {
	last := bytes.LastIndexByte(fields, ' ')
	if last < 0 {
		return 0, fmt.Errorf("malformed MSG %q", fields)
	}
	n := 0
	for _, c := range fields[last+1:] {
		if c < '0' || c > '9' || n > readBufferBytes {
			return 0, fmt.Errorf("malformed size in MSG %q", fields)
		}
		n = n*10 + int(c-'0')
	}
	if len(rest) < n+2 {
		return 0, nil
	}
	if rest[n] != '\r' || rest[n+1] != '\n' {
		return 0, errors.New("body without its line end")
	}
	m := &s.message
	*m = delivery{body: rest[:n]}
	subject, sidAndReply, ok := bytes.Cut(fields[:last], []byte(" "))
	if !ok {
		return 0, fmt.Errorf("malformed MSG %q", fields)
	}
	_, m.replyTo, _ = bytes.Cut(sidAndReply, []byte(" "))
	if len(subject) > maxSequenceDigits {
		m.correlation = subject[len(subject)-maxSequenceDigits:]
	}
	if s.confirmed != nil {
		return n + 2, s.confirmed(m)
	}
	s.deliver(m)
	return n + 2, nil
}

// control acts on anything but a message.
func (s *natsScanner) control(line []byte) error {
	verb, args, _ := strings.Cut(string(line), " ")
	switch verb {
	case "PING":
		return s.pong()
	case "PONG":
		s.pongs++
		return nil
	case "+OK":
		return nil
	case "INFO":
		var info struct {
			Version string `json:"version"`
		}
		if err := json.Unmarshal([]byte(args), &info); err != nil {
			return fmt.Errorf("info: %w", err)
		}
		s.server = "nats-server " + info.Version
		return nil
	default:
		return fmt.Errorf("answer %q", line)
	}
}
