// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var _ driver = (*stompDriver)(nil)

// stompDriver is STOMP 1.2, with one destination for each queue.
type stompDriver struct {
	addr string
}

const (
	stompQueue = "/queue/"
	// subscribed is the receipt of SUBSCRIBE.
	subscribed = "subscribed"
)

// open connects and logs in.
func (d *stompDriver) open(ctx context.Context) (*link, error) {
	l, err := dial(ctx, d.addr)
	if err != nil {
		return nil, err
	}
	connect := "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\nheart-beat:0,0\n\n\x00"
	head, err := l.stompAnswer(connect, "CONNECTED")
	if err != nil {
		l.close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	server, _ := stompHeader(head, "\nserver:")
	l.server = strings.Replace(string(server), "/", " ", 1)
	return l, nil
}

// stompAnswer sends a frame and waits for one of the given command, whose head it returns.
func (l *link) stompAnswer(frame, command string) ([]byte, error) {
	if _, err := l.conn.Write([]byte(frame)); err != nil {
		return nil, err
	}
	for {
		f, err := nextStomp(l.unread())
		if err != nil {
			return nil, err
		}
		if f.size == 0 {
			if err := l.more(); err != nil {
				return nil, err
			}
			continue
		}
		l.start += f.size
		if !bytes.HasPrefix(f.head, []byte(command+"\n")) {
			return nil, fmt.Errorf("%q %q in place of %s", f.head, f.body, command)
		}
		return f.head, nil
	}
}

// publisher implements driver; o.confirmed also makes messages persistent and asks for receipts.
func (d *stompDriver) publisher(ctx context.Context, o publishOptions) (*link, *batch, error) {
	l, err := d.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := l.ready(&stompScanner{confirmed: o.confirmed}); err != nil {
		l.close()
		return nil, nil, err
	}
	return l, newBatch(stompSend(o)), nil
}

// stompSend encodes a SEND; its receipt, if any, is the sequence number.
func stompSend(o publishOptions) messageLayout {
	m := messageLayout{hexAt: -1}
	text := "SEND\ndestination:" + stompQueue + o.queue + "\n"
	if o.confirmed != nil {
		text += "persistent:true\nreceipt:"
		m.hexAt = len(text)
		text += strings.Repeat("0", maxSequenceDigits) + "\n"
	}
	text += "content-length:" + strconv.Itoa(o.bodyBytes) + "\n\n"
	m.seqAt = len(text)
	m.encoded = append(append([]byte(text), filler(o.bodyBytes)...), 0)
	return m
}

// consumer implements driver. The headers for the prefetch are RabbitMQ's and ActiveMQ's; each
// broker ignores the other's.
func (d *stompDriver) consumer(ctx context.Context, o consumeOptions) (*link, error) {
	l, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	text := "SUBSCRIBE\nid:0\ndestination:" + stompQueue + o.queue + "\nreceipt:" + subscribed + "\n"
	if o.durable {
		n := strconv.Itoa(prefetchMessages)
		text += "ack:client-individual\nprefetch-count:" + n + "\nactivemq.prefetchSize:" + n + "\n"
	} else {
		text += "ack:auto\n"
	}
	_, err = l.stompAnswer(text+"\n\x00", "RECEIPT")
	err = firstError(err, l.ready(&stompScanner{deliver: o.deliver, acks: o.durable}))
	if err != nil {
		l.close()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return l, nil
}

// asker implements driver: there are no requests here.
func (d *stompDriver) asker(context.Context, func(*delivery)) (*link, *batch, error) {
	return nil, nil, errors.New("no requests over STOMP")
}

// appendAnswer implements driver.
func (d *stompDriver) appendAnswer(dst []byte, _ *delivery) []byte { return dst }

// appendAck implements driver.
func (d *stompDriver) appendAck(dst []byte, m *delivery) []byte {
	dst = append(dst, "ACK\nid:"...)
	dst = append(dst, m.ackID...)
	return append(dst, "\n\n\x00"...)
}

// stompScanner reads frames of a STOMP server. A frame is taken only when all of it is in the buffer.
type stompScanner struct {
	deliver   func(*delivery)
	confirmed func(tag uint64, multiple bool) error
	acks      bool // the ids for acknowledgements are wanted
	message   delivery
}

// stompFrame is one frame in the read buffer. Its head is the lines of command and headers, with
// the last one's end.
type stompFrame struct {
	head, body []byte
	size       int // in the buffer, line breaks before it included
}

// nextStomp returns the frame at the front of buf; its size is 0 if it is not all there.
func nextStomp(buf []byte) (stompFrame, error) {
	begin := 0
	for begin < len(buf) && (buf[begin] == '\n' || buf[begin] == '\r') {
		begin++
	}
	end := bytes.Index(buf[begin:], []byte("\n\n"))
	if end < 0 {
		return stompFrame{}, nil
	}
	f := stompFrame{head: buf[begin : begin+end+1]}
	rest := buf[begin+end+2:]
	n := bytes.IndexByte(rest, 0)
	if text, ok := stompHeader(f.head, "\ncontent-length:"); ok {
		n = 0
		for _, c := range text {
			if c < '0' || c > '9' || n > maxBodyBytes {
				return stompFrame{}, fmt.Errorf("content-length %q", text)
			}
			n = 10*n + int(c-'0')
		}
	}
	if n < 0 || n >= len(rest) {
		return stompFrame{}, nil
	}
	if rest[n] != 0 {
		return stompFrame{}, errors.New("frame does not end after its content-length")
	}
	f.body = rest[:n]
	f.size = len(buf) - len(rest) + n + 1
	return f, nil
}

// stompHeader returns the value of a header, whose name comes with a line break and a colon.
func stompHeader(head []byte, name string) (value []byte, ok bool) {
	at := bytes.Index(head, []byte(name))
	if at < 0 {
		return nil, false
	}
	value = head[at+len(name):]
	return value[:bytes.IndexByte(value, '\n')], true
}

// scan implements scanner.
func (s *stompScanner) scan(buf []byte) (int, error) {
	used := 0
	for {
		f, err := nextStomp(buf[used:])
		if err != nil || f.size == 0 {
			return used, err
		}
		if err := s.frame(f); err != nil {
			return used, err
		}
		used += f.size
	}
}

// frame acts on one frame.
func (s *stompScanner) frame(f stompFrame) error {
	switch {
	case bytes.HasPrefix(f.head, []byte("MESSAGE\n")) && s.deliver != nil:
		s.message = delivery{body: f.body}
		if s.acks {
			s.message.ackID, _ = stompHeader(f.head, "\nack:")
		}
		s.deliver(&s.message)
		return nil
	case bytes.HasPrefix(f.head, []byte("RECEIPT\n")) && s.confirmed != nil:
		id, _ := stompHeader(f.head, "\nreceipt-id:")
		seq, err := strconv.ParseUint(string(id), 16, 64)
		if err != nil {
			return fmt.Errorf("receipt: %w", err)
		}
		return s.confirmed(seq+1, false)
	default:
		return fmt.Errorf("frame that was not asked for: %q %q", f.head, f.body)
	}
}
