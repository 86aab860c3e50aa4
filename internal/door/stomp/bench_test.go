// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// feed is a net.Conn whose other side logs in and then repeats one text for ever.
type feed struct {
	net.Conn

	login, text string
	at          int
}

func (f *feed) Read(p []byte) (int, error) {
	if f.login != "" {
		n := copy(p, f.login)
		f.login = f.login[n:]
		return n, nil
	}
	n := 0
	for n < len(p) {
		c := copy(p[n:], f.text[f.at:])
		n += c
		f.at = (f.at + c) % len(f.text)
	}
	return n, nil
}

// path is a publisher that is fed from memory and a consumer behind a socket that somebody reads,
// both through the real door and the real broker.
type path struct {
	tb       testing.TB
	pub, sub *conn
	byHand   bool // nobody serves sub
}

// warmSteps is how many messages go by until buffers and pools have their size.
const warmSteps = 20_000

// newPath subscribes with a head and publishes a text.
func newPath(tb testing.TB, subscribe, text string) *path {
	tb.Helper()
	return newPathIn(tb, RabbitMQ, subscribe, text)
}

// newPathIn is newPath in a dialect.
func newPathIn(tb testing.TB, dialect Dialect, subscribe, text string) *path {
	tb.Helper()
	h := newHub(tb, func(o *Options) { o.Dialect = dialect })
	c := h.login(tb, wire.V12)
	c.do(subscribe, "")
	p := &path{tb: tb, sub: onlyConn(h)}
	if err := c.net.SetReadDeadline(noDeadline()); err != nil {
		tb.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, c.net) }()
	near, far := net.Pipe()
	tb.Cleanup(func() { _ = near.Close() })
	go func() { _, _ = io.Copy(io.Discard, far) }()
	p.pub = newConn(h.door, &feed{
		Conn: near, login: "CONNECT\naccept-version:1.2\nlogin:guest\npasscode:guest\n\n\x00", text: text,
	}, func() {})
	p.pub.startBeat()
	tb.Cleanup(p.pub.end)
	for p.pub.session == nil {
		p.step()
	}
	return p
}

// warm lets some messages go by.
func (p *path) warm() *path {
	for range warmSteps {
		p.step()
	}
	return p
}

// step handles one frame, and ends the batch where the read loop would.
func (p *path) step() {
	for !p.pub.reader.Next() {
		p.pub.flush()
		if p.byHand {
			p.sub.flush()
		}
		for p.sub.out.Buffered() > 1<<20 { // no backlog: it would be kept, which costs
			runtime.Gosched()
		}
		if _, err := p.pub.reader.Fill(); err != nil {
			p.tb.Fatal(err)
		}
	}
	if err := p.pub.handle(p.pub.reader.Frame()); err != nil {
		p.tb.Fatal(err)
	}
}

// ackPath is a path whose consumer acknowledges: it is driven by hand, so that its ACK follows each
// MESSAGE.
type ackPath struct {
	*path

	tag   uint64
	frame wire.Frame
	id    []byte
	begin int // length of the part of id that stays
}

func newAckPath(tb testing.TB, text string) *ackPath {
	tb.Helper()
	p := newPath(tb, "SUBSCRIBE\nid:0\ndestination:/queue/unused", text)
	h := &hub{door: p.pub.door}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	h.addr = listener.Addr().String()
	c := h.dial(tb)
	served, err := listener.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	_ = listener.Close()
	p.sub = newConn(h.door, served, func() {})
	p.sub.startBeat()
	tb.Cleanup(p.sub.end)
	tb.Cleanup(func() { _ = c.net.Close() })
	c.send("CONNECT\naccept-version:1.2\nlogin:guest\npasscode:guest\n\n\x00" +
		"SUBSCRIBE\nid:0\nack:client-individual\ndestination:/queue/acked\n\n\x00")
	go func() { _, _ = io.Copy(io.Discard, c.net) }()
	for len(p.sub.subscriptions) == 0 {
		if _, err := p.sub.reader.Fill(); err != nil {
			tb.Fatal(err)
		}
		p.sub.batch()
		p.sub.flush()
	}
	p.byHand = true
	a := &ackPath{path: p, id: []byte("T_0@@" + p.sub.name + "@@")}
	a.begin = len(a.id)
	a.frame = wire.Frame{Command: wire.Ack, Headers: []wire.Header{{Name: []byte("id")}}}
	for range warmSteps {
		a.step()
	}
	return a
}

// step handles one SEND and the ACK of its MESSAGE.
func (a *ackPath) step() {
	a.path.step()
	a.tag++
	a.frame.Headers[0].Value = strconv.AppendUint(a.id[:a.begin], a.tag, 10)
	if err := a.sub.handle(&a.frame); err != nil {
		a.tb.Fatal(err)
	}
}

// sendText is a SEND as common clients write it.
func sendText(bytes int, headers string) string {
	return "SEND\ndestination:/queue/bench\ncontent-type:text/plain\n" + headers + "\n" +
		strings.Repeat("x", bytes) + "\x00\n"
}

// benchCases are the shapes of the path that are measured.
func benchCases() map[string][2]string {
	const subscribe = "SUBSCRIBE\nid:0\ndestination:/queue/bench"
	return map[string][2]string{
		"16B/auto":  {subscribe, sendText(16, "")},
		"1KiB/auto": {subscribe, sendText(1024, "correlation-id:0123456789\n")},
		"escaped":   {subscribe, sendText(16, "a\\cb:c\\nd\n")},
	}
}

// BenchmarkSendToMessage measures from the octets of the publisher's SEND to those of the
// consumer's MESSAGE, its socket's write included.
func BenchmarkSendToMessage(b *testing.B) {
	for name, tc := range benchCases() {
		b.Run(name, func(b *testing.B) {
			p := newPath(b, tc[0], tc[1]).warm()
			b.SetBytes(int64(len(tc[1])))
			b.ReportAllocs()
			for b.Loop() {
				p.step()
			}
		})
	}
}

// BenchmarkActiveSendToMessage is BenchmarkSendToMessage in ActiveMQ's dialect.
func BenchmarkActiveSendToMessage(b *testing.B) {
	for name, tc := range benchCases() {
		b.Run(name, func(b *testing.B) {
			p := newPathIn(b, ActiveMQ, tc[0], tc[1]).warm()
			b.SetBytes(int64(len(tc[1])))
			b.ReportAllocs()
			for b.Loop() {
				p.step()
			}
		})
	}
}

// TestAllocationsSendToMessage: nothing is allocated from SEND to MESSAGE in mode auto.
func TestAllocationsSendToMessage(t *testing.T) { //nolint:paralleltest // counts the whole process
	if raceEnabled {
		t.Skip("sync.Pool drops items under the race detector")
	}
	for name, tc := range benchCases() {
		for _, dialect := range []Dialect{RabbitMQ, ActiveMQ} {
			p := newPathIn(t, dialect, tc[0], tc[1]).warm()
			if n := testing.AllocsPerRun(2_000, p.step); n > 0 {
				t.Errorf("%s, %s: %v allocations a message", name, dialect, n)
			}
		}
	}
}

// ackText is a SEND to the queue of ackPath.
const ackText = "SEND\ndestination:/queue/acked\ncontent-type:text/plain\n\n0123456789abcdef\x00\n"

// BenchmarkSendToMessageAck is BenchmarkSendToMessage with an ACK for each message.
func BenchmarkSendToMessageAck(b *testing.B) {
	a := newAckPath(b, ackText)
	b.ReportAllocs()
	for b.Loop() {
		a.step()
	}
}

// TestAllocationsAck: with an ACK for each message at most one allocation.
func TestAllocationsAck(t *testing.T) { //nolint:paralleltest // counts the whole process
	if raceEnabled {
		t.Skip("sync.Pool drops items under the race detector")
	}
	if n := testing.AllocsPerRun(2_000, newAckPath(t, ackText).step); n > 1 {
		t.Errorf("%v allocations a message", n)
	}
}

// noDeadline takes a deadline away.
func noDeadline() (none time.Time) { return none }
