// SPDX-License-Identifier: Apache-2.0

package line

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/metric"
)

// packets is a door that takes datagrams.
type packets struct {
	*hub
	net.Conn
}

func newPackets(t *testing.T, s setup) *packets {
	t.Helper()
	h := newHub(t, s)
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := h.door.ServePacket(ctx, socket); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		serving.Wait()
	})
	conn, err := net.Dial("udp", socket.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &packets{hub: h, Conn: conn}
}

// send sends datagrams.
func (p *packets) send(list ...string) {
	p.tb.Helper()
	for _, text := range list {
		if _, err := p.Write([]byte(text)); err != nil {
			p.tb.Fatal(err)
		}
	}
}

// count waits until a counter stands at a number.
func (p *packets) count(what string, c *metric.Counter, n uint64) {
	p.tb.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if c.Value() == n {
			return
		}
	}
	p.tb.Fatalf("%s: %d datagrams, want %d", what, c.Value(), n)
}

// silent checks that nothing was ever answered.
func (p *packets) silent() {
	p.tb.Helper()
	if err := p.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		p.tb.Fatal(err)
	}
	if n, err := p.Read(make([]byte, 64)); err == nil {
		p.tb.Errorf("a datagram of %d bytes came back", n)
	}
}

// line.md, UDP: send and publish, volatile unless they say otherwise, and no answer.
func TestDatagrams(t *testing.T) {
	t.Parallel()
	p := newPackets(t, setup{})
	p.queue("q")
	c := p.dial()
	c.do(`{"op":"subscribe","id":"s","topic":"load.#","ack":"auto"}`, `{"id":"s"}`)
	p.send(`{"op":"publish","id":1,"topic":"load.cpu","body":{"cpu":0.7}}`,
		`{"op":"send","queue":"q","body":"hi"}`+"\n", `{"op":"send","queue":"q","persistent":true}`,
		`{"op":"publish","topic":"nobody"}`)
	c.want(`{"event":"message","sub":"s",...,"key":"load.cpu",...,"body":{"cpu":0.7}}`)
	p.ready("q", 2)
	p.count("carried out", p.door.datagrams, 4)
	var modes []uint8
	sink := &modeSink{see: func(mode uint8) { modes = append(modes, mode) }}
	s := p.session(sink)
	if _, err := s.Consume(broker.ConsumerParams{Queue: "q", AutoAck: true}); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(modes) != "[1 2]" {
		t.Errorf("delivery modes %v, want a volatile one and a persistent one", modes)
	}
	p.silent()
}

// modeSink sees delivery modes.
type modeSink struct {
	deaf
	see func(mode uint8)
}

func (s *modeSink) Deliver(d *broker.Delivery) int {
	p, _ := d.Properties()
	s.see(p.DeliveryMode)
	return 1
}

// security.md L8: what is malformed, too long, refused, or too much is dropped and counted by reason.
func TestSecL8Datagrams(t *testing.T) {
	t.Parallel()
	p := newPackets(t, setup{})
	p.queue("q")
	body := func(n int) string {
		const head, tail = `{"op":"send","queue":"q","body":"`, `"}`
		return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
	}
	malformed := []string{
		"", "x", "[]", `{}`, `{"op":"ping"}`, `{"op":"call","id":1,"service":"q"}`, `{"op":"send"}`,
		`{"op":"hello","user":"guest","password":"guest"}`, `{"op":"send","queue":"q","frob":1}`,
		`{"op":"send","queue":"q"}{"op":"send","queue":"q"}`, `{"op":"send","queue":"q"}` + "\n" + `{}`,
	}
	p.send(malformed...)
	p.count("malformed", p.door.dropped[dropMalformed], uint64(len(malformed)))
	p.send(body(datagramBytesMax-1), body(datagramBytesMax), body(datagramBytesMax+1), body(65_507))
	p.count("too long", p.door.dropped[dropTooLong], 2)
	p.ready("q", 2)
	p.send(`{"op":"send","queue":"none"}`, `{"op":"publish","exchange":"none"}`)
	p.count("refused", p.door.dropped[dropRefused], 2)
	p.silent()
}

// security.md L8: a flood is cut at the rate; under an alarm nothing is taken.
func TestSecL8Flood(t *testing.T) {
	t.Parallel()
	p := newPackets(t, setup{options: func(o *Options) { o.UDPRate = 5 }})
	p.queue("q")
	for range 50 {
		p.send(`{"op":"send","queue":"q"}`)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if p.door.datagrams.Value()+p.door.dropped[dropRate].Value() == 50 {
			break
		}
	}
	if n := p.door.datagrams.Value(); n < 5 || n > 20 {
		t.Errorf("%d datagrams of a flood were taken, want some 5", n)
	}
	blocked := newPackets(t, setup{})
	blocked.queue("q")
	blocked.broker.MemoryFull(true)
	blocked.send(`{"op":"send","queue":"q"}`)
	blocked.count("alarm", blocked.door.dropped[dropAlarm], 1)
	blocked.broker.MemoryFull(false)
	blocked.send(`{"op":"send","queue":"q"}`)
	blocked.ready("q", 1)
}

// line.md, UDP: the user is the listener's, or the guest on loopback; who may not come in is refused.
func TestDatagramUser(t *testing.T) {
	t.Parallel()
	p := newPackets(t, setup{options: func(o *Options) { o.User = "limited" }})
	p.queue("mine")
	p.send(`{"op":"send","queue":"mine"}`, `{"op":"publish","topic":"theirs"}`)
	p.count("refused", p.door.dropped[dropRefused], 1)
	p.ready("mine", 1)
	stranger := newPackets(t, setup{options: func(o *Options) { o.Guest = "stranger" }})
	stranger.send(`{"op":"send","queue":"q"}`, `{"op":"send","queue":"q"}`)
	stranger.count("refused", stranger.door.dropped[dropRefused], 2)
}
