// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"io"
	"net"
	"runtime"
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
}

// newPath subscribes with a head and publishes a text.
func newPath(tb testing.TB, subscribe, text string) *path {
	tb.Helper()
	h := newHub(tb, nil)
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
	for range 20_000 { // until buffers and pools have their size
		p.step()
	}
	return p
}

// step handles one frame, and ends the batch where the read loop would.
func (p *path) step() {
	for !p.pub.reader.Next() {
		p.pub.flush()
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
			p := newPath(b, tc[0], tc[1])
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
		p := newPath(t, tc[0], tc[1])
		if n := testing.AllocsPerRun(2_000, p.step); n > 0 {
			t.Errorf("%s: %v allocations a message", name, n)
		}
	}
}

// noDeadline takes a deadline away.
func noDeadline() (none time.Time) { return none }
