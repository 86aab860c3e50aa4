// SPDX-License-Identifier: Apache-2.0

package output

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// waitBound is how long a test waits for what should come at once.
const waitBound = 20 * time.Second

// opaqueConn hides the descriptor of a connection, as TLS does.
type opaqueConn struct{ net.Conn }

// tcpPair returns both ends of a loopback connection; they are closed with the test.
func tcpPair(tb testing.TB) (server, client *net.TCPConn) {
	tb.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	var dialer net.Dialer
	dialed, err := dialer.DialContext(tb.Context(), "tcp", listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _, _ = dialed.Close(), accepted.Close() })
	a, aOK := accepted.(*net.TCPConn)
	d, dOK := dialed.(*net.TCPConn)
	if !aOK || !dOK {
		tb.Fatalf("%T and %T are not TCP connections", accepted, dialed)
	}
	return a, d
}

// newBuffer returns a Buffer that is closed, and whose writer has ended, when the test ends.
func newBuffer(tb testing.TB, conn net.Conn, options Options) *Buffer {
	tb.Helper()
	b := New(conn, options)
	tb.Cleanup(func() {
		_ = b.Close()
		b.Wait()
	})
	return b
}

func appendString(b *Buffer, s string) int { return b.End(append(b.Begin(), s...)) }

func readExactly(t *testing.T, conn net.Conn, n int) []byte {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(waitBound)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, n)
	if _, err := io.ReadFull(conn, got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestFlushWritesAtOnce(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	b := newBuffer(t, server, Options{})
	if room := appendString(b, "hello "); room != DefaultLimitBytes-6 {
		t.Errorf("room = %d, want %d", room, DefaultLimitBytes-6)
	}
	appendString(b, "world")
	if b.Buffered() != 11 {
		t.Errorf("buffered = %d before Flush, want 11", b.Buffered())
	}
	b.Flush()
	if b.Buffered() != 0 || b.Written() != 11 {
		t.Errorf("buffered, written = %d, %d after Flush, want 0, 11", b.Buffered(), b.Written())
	}
	if got := readExactly(t, client, 11); string(got) != "hello world" {
		t.Errorf("read %q", got)
	}
	if b.tail != nil || b.out != nil || len(b.queue) != 0 || b.writing {
		t.Error("a drained buffer keeps a block or a writer")
	}
}

// record is what the stress test sends: who, the how-manyth, how much padding, padding.
const recordBytes = 12

func appendRecord(buf []byte, source, seq, padding int) []byte {
	buf = binary.BigEndian.AppendUint32(buf, uint32(source))
	buf = binary.BigEndian.AppendUint32(buf, uint32(seq))
	buf = binary.BigEndian.AppendUint32(buf, uint32(padding))
	for range padding {
		buf = append(buf, byte(seq))
	}
	return buf
}

// readRecords reads until every source has sent all its records, each in order.
func readRecords(r io.Reader, sources, each int) error {
	next := make([]int, sources)
	var head [recordBytes]byte
	var padding [1 << 17]byte
	for range sources * each {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		source := int(binary.BigEndian.Uint32(head[:]))
		seq := int(binary.BigEndian.Uint32(head[4:]))
		n := int(binary.BigEndian.Uint32(head[8:]))
		if source >= sources || seq != next[source] || n > len(padding) {
			return errors.New("a record is lost, out of order or torn")
		}
		next[source]++
		if _, err := io.ReadFull(r, padding[:n]); err != nil {
			return err
		}
		if n > 0 && bytes.Count(padding[:n], []byte{byte(seq)}) != n {
			return errors.New("the body of a record is not its own")
		}
	}
	return nil
}

// Nothing is lost, reordered or left behind, whoever appends and flushes while the socket is
// free, busy or full. No Flush follows the last ones: a wake-up that got lost would hang.
func TestStressOrderAndWakeUp(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name    string
		conns   func(t *testing.T) (server, client net.Conn)
		padding int
		slow    bool // the reader yields after each read
	}{
		{name: "tcp small", padding: 3},
		{name: "tcp small, slow reader", padding: 200, slow: true},
		{name: "tcp large, slow reader", padding: 70_000, slow: true},
		{name: "no descriptor", padding: 50, conns: func(t *testing.T) (_, _ net.Conn) {
			t.Helper()
			server, client := tcpPair(t)
			return opaqueConn{server}, client
		}},
		{name: "pipe", padding: 50, conns: func(t *testing.T) (_, _ net.Conn) {
			t.Helper()
			server, client := net.Pipe()
			t.Cleanup(func() { _, _ = server.Close(), client.Close() })
			return server, client
		}},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var server, client net.Conn
			if tc.conns != nil {
				server, client = tc.conns(t)
			} else {
				tcp, other := tcpPair(t)
				_ = tcp.SetWriteBuffer(8 << 10)
				server, client = tcp, other
			}
			stress(t, server, client, tc.padding, tc.slow)
		})
	}
}

func stress(t *testing.T, server, client net.Conn, padding int, slow bool) {
	t.Helper()
	const sources = 4
	each := 3000
	if padding > 10_000 {
		each = 60
	}
	b := newBuffer(t, server, Options{LimitBytes: 256 << 10})
	var senders sync.WaitGroup
	for source := range sources {
		senders.Go(func() {
			for seq := range each {
				n := padding * (seq % 3) / 2
				buf := b.BeginSize(recordBytes + n)
				b.End(appendRecord(buf, source, seq, n))
				if seq%(source+1) == 0 || seq == each-1 {
					b.Flush()
				}
				if seq%16 == 0 && b.Throttle() != nil {
					return
				}
			}
		})
	}
	if err := client.SetReadDeadline(time.Now().Add(3 * waitBound)); err != nil {
		t.Fatal(err)
	}
	reader := io.Reader(bufio.NewReaderSize(client, 4<<10))
	if slow {
		reader = yieldingReader{reader}
	}
	err := readRecords(reader, sources, each)
	if err != nil {
		_ = b.Close()
	}
	senders.Wait()
	if err != nil {
		t.Fatal(err)
	}
	b.Wait()
	if b.Buffered() != 0 || b.Err() != nil {
		t.Errorf("buffered, err = %d, %v at the end", b.Buffered(), b.Err())
	}
}

type yieldingReader struct{ io.Reader }

func (r yieldingReader) Read(p []byte) (int, error) {
	runtime.Gosched()
	return r.Reader.Read(p[:min(len(p), 1000)])
}

// OnDrain comes once for each time that End returned no room, and below half of the limit.
func TestDrainOncePerStarvation(t *testing.T) {
	t.Parallel()
	const limit, message = 64 << 10, 1 << 10
	server, client := tcpPair(t)
	_ = server.SetWriteBuffer(4 << 10)
	var drains atomic.Int64
	drained := make(chan int, 100)
	var b *Buffer
	b = newBuffer(t, server, Options{LimitBytes: limit, OnDrain: func() {
		drains.Add(1)
		drained <- b.Buffered()
	}})
	body := make([]byte, message)
	starvations, sent := 0, 0
	readTo := 0
	for range 5 {
		for b.End(append(b.Begin(), body...)) > 0 {
			sent++
		}
		sent++
		starvations++
		if b.End(append(b.Begin(), body...)) > 0 { // starved already: no second drain
			t.Fatal("room appeared without a write")
		}
		sent++
		b.Flush()
		readExactly(t, client, sent*message-readTo)
		readTo = sent * message
		select {
		case left := <-drained:
			if left >= limit/2 {
				t.Errorf("drained with %d bytes left, want less than half of %d", left, limit)
			}
		case <-time.After(waitBound):
			t.Fatal("no drain")
		}
	}
	b.Wait()
	if got := int(drains.Load()); got != starvations {
		t.Errorf("drains = %d, want %d", got, starvations)
	}
}

// OnDrain may do what a door does there: deliver, flush, and close.
func TestDrainMayAppendFlushAndClose(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	var b *Buffer
	b = newBuffer(t, server, Options{LimitBytes: 8, OnDrain: func() {
		appendString(b, "<drained>")
		b.Flush()
		b.CloseAfterFlush(waitBound)
	}})
	if room := appendString(b, "12345678"); room != 0 {
		t.Fatalf("room = %d, want 0", room)
	}
	b.Flush()
	got, err := io.ReadAll(client)
	if err != nil || string(got) != "12345678<drained>" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestCloseAfterFlush(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	_ = server.SetWriteBuffer(4 << 10)
	b := newBuffer(t, server, Options{})
	body := bytes.Repeat([]byte("0123456789"), 100_000)
	b.End(append(b.BeginSize(len(body)), body...))
	b.Flush()
	appendString(b, "last") // not flushed
	b.CloseAfterFlush(waitBound)
	if room := appendString(b, "too late"); room != 0 {
		t.Errorf("room = %d after CloseAfterFlush, want 0", room)
	}
	b.Flush()
	got, err := io.ReadAll(client)
	if err != nil {
		t.Fatal(err)
	}
	if want := string(body) + "last"; string(got) != want {
		t.Errorf("read %d bytes ending in %q, want %d", len(got), got[len(got)-8:], len(want))
	}
	b.Wait()
	if !errors.Is(b.Err(), net.ErrClosed) {
		t.Errorf("err = %v, want net.ErrClosed", b.Err())
	}
}

// A peer that does not read does not keep a connection open that is being closed.
func TestCloseAfterFlushBounded(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	_ = server.SetWriteBuffer(4 << 10)
	b := newBuffer(t, server, Options{})
	body := make([]byte, 16<<20) // more than both kernels' buffers take
	b.End(append(b.BeginSize(len(body)), body...))
	b.Flush()
	b.CloseAfterFlush(50 * time.Millisecond)
	b.Wait()
	if _, err := server.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after the bound: %v, want net.ErrClosed", err)
	}
	_ = client
}

func TestCloseEndsBlockedWriter(t *testing.T) {
	t.Parallel()
	server, client := net.Pipe()
	defer func() { _ = client.Close() }()
	b := New(server, Options{})
	appendString(b, "nobody reads this")
	b.Flush()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	b.Wait()
	if room := appendString(b, "x"); room != 0 || b.Buffered() != 0 {
		t.Errorf("room, buffered = %d, %d after Close, want 0, 0", room, b.Buffered())
	}
	if !errors.Is(b.Err(), net.ErrClosed) {
		t.Errorf("err = %v, want net.ErrClosed", b.Err())
	}
}

// A peer that went away ends the buffer and the connection, so that the read loop ends too.
func TestPeerGone(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	b := newBuffer(t, server, Options{})
	_ = client.SetLinger(0) // reset
	_ = client.Close()
	deadline := time.Now().Add(waitBound)
	for b.Err() == nil && time.Now().Before(deadline) {
		appendString(b, "x")
		b.Flush()
		runtime.Gosched()
	}
	if b.Err() == nil {
		t.Fatal("no error")
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after a failed write: %v, want net.ErrClosed", err)
	}
}

// With ReadOn, what the peer sent before it went is still read.
func TestPeerGoneReadOn(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	b := newBuffer(t, server, Options{ReadOn: true})
	const last = "sent before it went"
	if _, err := io.WriteString(client, last); err != nil {
		t.Fatal(err)
	}
	_ = client.SetLinger(0) // reset
	_ = client.Close()
	deadline := time.Now().Add(waitBound)
	for b.Err() == nil && time.Now().Before(deadline) {
		appendString(b, "x")
		b.Flush()
		runtime.Gosched()
	}
	if !Gone(b.Err()) {
		t.Fatalf("err = %v", b.Err())
	}
	got, _ := io.ReadAll(server) // ended by the reset, or by the end of what is there
	if string(got) != last {
		t.Errorf("read %q, want %q", got, last)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after Close: %v, want net.ErrClosed", err)
	}
}

// A connection that was closed under the buffer's feet is an error, and writes nothing.
func TestConnectionClosedByAnother(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	b := newBuffer(t, server, Options{})
	appendString(b, "written")
	b.Flush()
	readExactly(t, client, 7)
	_ = server.Close()
	appendString(b, "lost")
	b.Flush()
	if !errors.Is(b.Err(), net.ErrClosed) || b.Written() != 7 || b.Buffered() != 0 {
		t.Errorf("err %v, written %d, buffered %d, want closed, 7, 0", b.Err(), b.Written(),
			b.Buffered())
	}
}

// deadlineConn notes the write deadline that was set last.
type deadlineConn struct {
	net.Conn
	mu   sync.Mutex
	last time.Time
	sets int
}

func (c *deadlineConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.sets = t, c.sets+1
	return c.Conn.SetWriteDeadline(t)
}

// After the writer has used a deadline, Flush must not trip over it.
func TestDeadlineIsCleared(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	conn := &deadlineConn{Conn: server}
	b := newBuffer(t, conn, Options{})
	appendString(b, "hello")
	b.Flush()
	readExactly(t, client, 5)
	b.Wait()
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if conn.sets < 2 || !conn.last.IsZero() {
		t.Errorf("the last of %d deadlines is %v, want none", conn.sets, conn.last)
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	server, client := net.Pipe()
	defer func() { _ = client.Close() }()
	b := newBuffer(t, server, Options{LimitBytes: 10})
	appendString(b, "12345678901234567890") // twice the limit: read on
	if err := b.Throttle(); err != nil {
		t.Fatal(err)
	}
	appendString(b, "+")
	b.Flush()
	passed := make(chan error, 1)
	go func() { passed <- b.Throttle() }()
	readExactly(t, client, 1)
	if got := readExactly(t, client, 19); string(got) != "2345678901234567890" {
		t.Errorf("read %q", got)
	}
	readExactly(t, client, 1)
	if err := <-passed; err != nil {
		t.Error(err)
	}
	appendString(b, "123456789012345678901234")
	go func() { passed <- b.Throttle() }()
	_ = b.Close()
	if err := <-passed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Throttle = %v after Close, want net.ErrClosed", err)
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	server, client := net.Pipe()
	defer func() { _, _ = server.Close(), client.Close() }()
	go func() {
		_, _ = client.Write([]byte("what the peer was still sending"))
		_ = client.Close()
	}()
	Discard(server, 1<<20, waitBound)
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read after Discard: %v, want EOF", err)
	}
}
