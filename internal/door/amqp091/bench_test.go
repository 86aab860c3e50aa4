// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"io"
	"net"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// memConn is a connection whose client is the test itself: Read gives what was fed, Write counts.
// The door's side of it is stepped batch by batch, so no goroutine of the test's is measured.
type memConn struct {
	input   []byte
	chunk   int // most octets of one Read; 0: all
	written int
	keep    bool // whether Write appends to out
	out     []byte
}

func (m *memConn) Read(p []byte) (int, error) {
	if len(m.input) == 0 {
		return 0, io.EOF
	}
	if m.chunk > 0 {
		p = p[:min(len(p), m.chunk)]
	}
	n := copy(p, m.input)
	m.input = m.input[n:]
	return n, nil
}

func (m *memConn) Write(p []byte) (int, error) {
	m.written += len(p)
	if m.keep {
		m.out = append(m.out, p...)
	}
	return len(p), nil
}

func (*memConn) Close() error        { return nil }
func (*memConn) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (*memConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (*memConn) SetDeadline(time.Time) error      { return nil }
func (*memConn) SetReadDeadline(time.Time) error  { return nil }
func (*memConn) SetWriteDeadline(time.Time) error { return nil }

// stepped is a connection through the real door, without a read loop of its own.
type stepped struct {
	tb  testing.TB
	c   *conn
	mem *memConn
}

// step opens a connection, logs in, opens channel 1 and sends the methods.
func step(tb testing.TB, d *Door, methods ...wire.Method) *stepped {
	tb.Helper()
	input := []byte(wire.ProtocolHeader)
	for _, m := range []wire.Method{
		&wire.ConnectionStartOk{Mechanism: "PLAIN", Response: "\x00guest\x00guest"},
		&wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072},
		&wire.ConnectionOpen{VirtualHost: "/"},
	} {
		input = m.AppendFrame(input, 0)
	}
	s := &stepped{tb: tb, mem: &memConn{input: input}}
	s.c = newConn(d, s.mem, func() {})
	if !s.c.handshake() {
		tb.Fatal("handshake failed")
	}
	tb.Cleanup(func() {
		s.c.beats.stop()
		s.c.closeBroker()
		s.c.out.Close()
		s.c.out.Wait()
	})
	input = (&wire.ChannelOpen{}).AppendFrame(nil, 1)
	for _, m := range methods {
		input = m.AppendFrame(input, 1)
	}
	s.feed(input)
	return s
}

// feed lets the door handle the octets.
func (s *stepped) feed(input []byte) {
	s.mem.input = input
	for len(s.mem.input) > 0 || s.c.in.Ready() {
		if err := s.c.batch(); err != nil {
			s.tb.Fatal(err)
		}
	}
}

// settle waits until the connection's writer has nothing left to write.
func (s *stepped) settle() {
	for s.c.out.Buffered() > 0 {
		s.c.out.Wait()
		s.c.out.Flush()
	}
}

func newStepDoor(tb testing.TB) *Door {
	tb.Helper()
	b := newBroker(tb, broker.Limits{})
	d, err := New(Options{Broker: b, Auth: passwords{}, Heartbeat: -1, FailurePause: -1})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func publishes(n, size int, properties wire.Properties) []byte {
	var out []byte
	for range n {
		out = appendPublish(out, toQueue("q"), properties, string(make([]byte, size)))
	}
	return out
}

const batchMessages = 64

// path is one publisher and one consumer through the door.
type path struct {
	publisher, consumer *stepped
	input               []byte
	manual              bool
	each                bool // an acknowledgement for each message, not one for all
	acks                []byte
	tag                 uint64
}

func newPath(tb testing.TB, size int, manual bool, properties wire.Properties) *path {
	tb.Helper()
	d := newStepDoor(tb)
	return &path{
		consumer: step(tb, d, &wire.QueueDeclare{Queue: "q"},
			&wire.BasicConsume{Queue: "q", ConsumerTag: "ctag", NoAck: !manual}),
		publisher: step(tb, d),
		input:     publishes(batchMessages, size, properties),
		manual:    manual,
	}
}

// batch sends the messages of one read batch and, with manual acknowledgement, their acks.
func (p *path) batch() {
	p.publisher.feed(p.input)
	if p.manual {
		p.acks = p.acks[:0]
		ack := wire.BasicAck{DeliveryTag: p.tag + batchMessages, Multiple: true}
		if p.each {
			ack.DeliveryTag, ack.Multiple = p.tag+1, false
		}
		for ; ack.DeliveryTag <= p.tag+batchMessages; ack.DeliveryTag++ {
			p.acks = ack.AppendFrame(p.acks, 1)
		}
		p.consumer.feed(p.acks)
	}
	p.tag += batchMessages
	p.consumer.settle()
}

func (p *path) delivered(tb testing.TB, batches, size int) {
	tb.Helper()
	if least := batches * batchMessages * size; p.consumer.mem.written < least {
		tb.Fatalf("%d octets arrived, at least %d were to", p.consumer.mem.written, least)
	}
}

// TestAllocTransient: from the octets of the publisher's frames to the octets for the consumer's
// socket, nothing is allocated with automatic acknowledgement, at most once a message without.
func TestAllocTransient(t *testing.T) {
	if raceEnabled {
		t.Skip("allocation counts mean nothing under -race")
	}
	direct := wire.Properties{
		ContentType: "text/plain", DeliveryMode: wire.Transient, CorrelationID: "c", ReplyTo: "r",
		Headers: wire.Table{{Name: "k", Value: "v"}},
	}
	testCases := []struct {
		name       string
		size       int
		acks       string
		properties wire.Properties
		most       float64
	}{
		{"16 B", 16, "", wire.Properties{}, 0},
		{"1 KiB", 1024, "", wire.Properties{}, 0},
		{"properties and headers", 1024, "", direct, 0},
		{"16 B, an ack for all", 16, "all", wire.Properties{}, 1},
		{"16 B, an ack for each", 16, "each", wire.Properties{}, 1},
		{"1 KiB, an ack for each", 1024, "each", direct, 1},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			p := newPath(t, tc.size, tc.acks != "", tc.properties)
			p.each = tc.acks == "each"
			const runs = 50
			per := testing.AllocsPerRun(runs, p.batch) / batchMessages
			p.delivered(t, runs, tc.size)
			if per > tc.most {
				t.Errorf("%v allocations a message, want at most %v", per, tc.most)
			}
			t.Logf("%v allocations a message", per)
		})
	}
}

func BenchmarkTransient(b *testing.B) {
	for _, size := range []int{16, 1024} {
		for _, acks := range []string{"", "/ack", "/ack each"} {
			b.Run(strconv.Itoa(size)+"B"+acks, func(b *testing.B) {
				p := newPath(b, size, acks != "", wire.Properties{})
				p.each = acks == "/ack each"
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					if n%batchMessages == 0 {
						p.batch()
					}
					n++
				}
			})
		}
	}
}

// TestIdleChannelBytes is security.md: an idle channel takes at most 4 KB. It runs alone, since it
// measures the whole heap.
func TestIdleChannelBytes(t *testing.T) { //nolint:paralleltest // measures the whole heap
	const channels, most = 2000, 4096
	s := step(t, newStepDoor(t))
	before := heapBytes()
	var input []byte
	for id := range uint16(channels) {
		input = (&wire.ChannelOpen{}).AppendFrame(input, id+2)
	}
	s.feed(input)
	s.settle()
	per := (heapBytes() - before) / channels
	if len(s.c.channels) != channels+1 || per > most {
		t.Errorf("%d channels, %d octets each", len(s.c.channels), per)
	}
	t.Logf("%d octets a channel", per)
}

func heapBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
