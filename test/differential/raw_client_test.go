// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"time"
)

// Frame types (AMQP 0-9-1 §4.2.3) and what ends a frame.
const (
	frameMethod    = 1
	frameHeader    = 2
	frameBody      = 3
	frameHeartbeat = 8
	frameEnd       = 0xCE
)

// protocolHeader opens a connection (AMQP 0-9-1 §4.2.2).
const protocolHeader = "AMQP\x00\x00\x09\x01"

// maxRawBytes bounds a frame that a script accepts.
const maxRawBytes = 1 << 20

// A wire is an AMQP connection one frame at a time: for what no client library
// lets a client do.
type wire struct {
	r    *amqpRun
	conn net.Conn
	in   *bufio.Reader
}

// wire connects and sends nothing.
func (r *amqpRun) wire() *wire {
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Errorf("dial %s: %v", r.addr, err)
		runtime.Goexit()
	}
	r.wires = append(r.wires, conn)
	return &wire{r: r, conn: conn, in: bufio.NewReader(conn)}
}

// args builds the arguments of a method.
type args []byte

func (a args) u8(v byte) args    { return append(a, v) }
func (a args) u16(v uint16) args { return binary.BigEndian.AppendUint16(a, v) }
func (a args) u32(v uint32) args { return binary.BigEndian.AppendUint32(a, v) }
func (a args) u64(v uint64) args { return binary.BigEndian.AppendUint64(a, v) }

// short appends a short string.
func (a args) short(s string) args { return append(a.u8(byte(len(s))), s...) }

// long appends a long string; a table without fields is an empty one.
func (a args) long(s string) args { return append(a.u32(uint32(len(s))), s...) }

// frame writes a frame.
func (w *wire) frame(kind byte, channel uint16, payload []byte) {
	b := args{}.u8(kind).u16(channel).long(string(payload)).u8(frameEnd)
	_, _ = w.conn.Write(b) // a failed write shows in what is read
}

// method writes a method frame.
func (w *wire) method(channel, class, id uint16, a args) {
	w.frame(frameMethod, channel, append(args{}.u16(class).u16(id), a...))
}

// next reads a frame and returns its kind, channel and payload.
func (w *wire) next() (kind byte, channel uint16, payload []byte, err error) {
	if err := w.conn.SetReadDeadline(time.Now().Add(comesWait)); err != nil {
		return 0, 0, nil, err
	}
	var head [7]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return 0, 0, nil, err
	}
	if string(head[:4]) == "AMQP" {
		rest := make([]byte, 1)
		_, err := io.ReadFull(w.in, rest)
		return 'A', 0, append(head[:], rest...), err
	}
	size := binary.BigEndian.Uint32(head[3:])
	if size > maxRawBytes {
		return 0, 0, nil, fmt.Errorf("a frame of %d bytes", size)
	}
	payload = make([]byte, size+1)
	if _, err := io.ReadFull(w.in, payload); err != nil {
		return 0, 0, nil, err
	}
	return head[0], binary.BigEndian.Uint16(head[1:]), payload[:size], nil
}

// read returns the next frame as text; heart-beats are skipped.
func (w *wire) read() string {
	for {
		kind, channel, payload, err := w.next()
		if err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() { //nolint:errorlint // as net returns it
				return "nothing"
			}
			return "closed"
		}
		if kind != frameHeartbeat {
			return frameString(kind, channel, payload)
		}
	}
}

// note records the next frame.
func (w *wire) note(step string) { w.r.add(step, "%s", w.read()) }

// frameString prints a frame: what clients look at in full, the rest by numbers.
func frameString(kind byte, channel uint16, payload []byte) string {
	switch kind {
	case 'A':
		return fmt.Sprintf("header %q", payload)
	case frameMethod:
		class, id := binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])
		return fmt.Sprintf("channel %d %s", channel, methodString(class, id, payload[4:]))
	case frameHeader:
		return fmt.Sprintf("channel %d header", channel)
	case frameBody:
		return fmt.Sprintf("channel %d body %q", channel, payload)
	default:
		return fmt.Sprintf("channel %d frame of type %d", channel, kind)
	}
}

// methodString prints a method and the arguments that a script looks at.
func methodString(class, id uint16, a []byte) string {
	name := fmt.Sprintf("%d.%d", class, id)
	switch name {
	case "10.50", "20.40": // close
		code := binary.BigEndian.Uint16(a)
		length := int(a[2])
		text, rest := string(a[3:3+length]), a[3+length:]
		return fmt.Sprintf("closed: %d %s (of %d.%d)", code, plain(text),
			binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:]))
	case "10.30": // tune
		return fmt.Sprintf("tune channels %d frame %d heartbeat %d", binary.BigEndian.Uint16(a),
			binary.BigEndian.Uint32(a[2:]), binary.BigEndian.Uint16(a[6:]))
	case "50.11": // declare-ok
		return "declare-ok " + plain(string(a[1:1+a[0]]))
	case "60.21", "60.31", "60.30": // consume-ok, cancel-ok, cancel
		return name + " " + plain(string(a[1:1+a[0]]))
	}
	return name
}

// connect starts a connection up to connection.tune; how it logs in is the
// script's.
func (w *wire) connect() {
	_, _ = w.conn.Write([]byte(protocolHeader))
	if got := w.read(); got != "channel 0 10.10" {
		w.r.add("start", "%s", got)
	}
}

// startOK answers connection.start. The client has no capabilities.
func (w *wire) startOK(mechanism, response string) {
	w.method(0, 10, 11, args{}.long("").short(mechanism).long(response).short("en_US"))
}

// plainLogin is SASL PLAIN for the default user.
const plainLogin = "\x00guest\x00guest"

// tuneOK answers connection.tune.
func (w *wire) tuneOK(channels uint16, frame uint32, heartbeat uint16) {
	w.method(0, 10, 31, args{}.u16(channels).u32(frame).u16(heartbeat))
}

// open opens a virtual host.
func (w *wire) open(vhost string) { w.method(0, 10, 40, args{}.short(vhost).short("").u8(0)) }

// ready returns a wire with an open connection and channel 1.
func (r *amqpRun) ready() *wire {
	w := r.wire()
	w.connect()
	w.startOK("PLAIN", plainLogin)
	_ = w.read()
	w.tuneOK(2047, 131072, 0)
	w.open("/")
	if got := w.read(); got != "channel 0 10.41" {
		r.add("open", "%s", got)
	}
	w.channel(1)
	return w
}

// channel opens a channel.
func (w *wire) channel(n uint16) {
	w.method(n, 20, 10, args{}.short(""))
	if got := w.read(); got != fmt.Sprintf("channel %d 20.11", n) {
		w.r.add("channel.open", "%s", got)
	}
}

// declare declares an exclusive queue on channel 1.
func (w *wire) declare(queue string) {
	const exclusive = 1 << 2
	w.method(1, 50, 10, args{}.u16(0).short(queue).u8(exclusive).long(""))
	if got := w.read(); !strings.HasPrefix(got, "channel 1 declare-ok") {
		w.r.add("declare "+queue, "%s", got)
	}
}

// publish writes basic.publish to the default exchange, without content.
func (w *wire) publish(queue string) {
	w.method(1, 60, 40, args{}.u16(0).short("").short(queue).u8(0))
}

// header writes a content header without properties.
func (w *wire) header(class uint16, size uint64) {
	w.frame(frameHeader, 1, args{}.u16(class).u16(0).u64(size).u16(0))
}
