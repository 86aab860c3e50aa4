// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// miniNATS relays PUBs to the one subscriber of a subject or of its wildcard. Every message goes
// through fault, which returns how often it is relayed.
type miniNATS struct {
	fault  func(n int) int
	faults *jetFaults // plays JetStream with these, if not nil

	mu     sync.Mutex
	n      int
	subs   map[string]net.Conn
	stored map[string]uint64 // messages in a stream
}

// startMini serves until the test ends and returns its address.
func startMini(t *testing.T, fault func(n int) int) string {
	t.Helper()
	return (&miniNATS{fault: fault}).start(t)
}

// startJet does the same with JetStream.
func startJet(t *testing.T, faults *jetFaults) string {
	t.Helper()
	return (&miniNATS{faults: faults, stored: map[string]uint64{}}).start(t)
}

func (s *miniNATS) start(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.subs = map[string]net.Conn{}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(conn) })
		}
	})
	return l.Addr().String()
}

// serve ends when the client goes.
func (s *miniNATS) serve(conn net.Conn) {
	defer conn.Close()
	_, _ = io.WriteString(conn, "INFO {\"version\":\"mini\"}\r\n")
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		fields := strings.Fields(line)
		switch fields[0] {
		case "PING":
			_, _ = io.WriteString(conn, "PONG\r\n")
		case "SUB":
			s.mu.Lock()
			s.subs[strings.TrimSuffix(fields[1], "*")] = conn
			s.mu.Unlock()
		case "PUB":
			n, _ := strconv.Atoi(fields[len(fields)-1])
			body := make([]byte, n+2)
			if _, err := io.ReadFull(in, body); err != nil {
				return
			}
			s.relay(fields, body)
		}
	}
}

func (s *miniNATS) relay(pub []string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jet(pub, body) {
		return
	}
	subject, rest := pub[1], strings.Join(pub[2:], " ")
	to := s.subs[subject]
	if to == nil {
		to = s.subs[subject[:strings.LastIndexByte(subject, '.')+1]]
	}
	s.n++
	msg := fmt.Appendf(nil, "MSG %s 1 %s\r\n%s", subject, rest, body)
	_, _ = to.Write(bytes.Repeat(msg, s.fault(s.n)))
}

func brief(addr string) Params {
	var at time.Duration
	return Params{
		Protocol: NATS,
		Addr:     addr,
		Warmup:   10 * time.Millisecond,
		Measure:  50 * time.Millisecond,
		Drain:    200 * time.Millisecond,
		BrokerCPU: func() (time.Duration, error) {
			at += time.Millisecond
			return at, nil
		},
	}
}

func TestStreamCountsWhatItMeasures(t *testing.T) {
	t.Parallel()
	p := brief(startMini(t, func(int) int { return 1 }))
	p.Drain = 10 * time.Second
	begun := 0
	p.Begin = func() { begun++ }
	res, err := Stream(t.Context(), p, 16)
	if err != nil {
		t.Fatal(err)
	}
	if res.Messages == 0 || res.Messages > res.Received || res.Sent != res.Received {
		t.Errorf("%d measured, %d received of %d", res.Messages, res.Received, res.Sent)
	}
	if res.Elapsed < p.Measure || res.BrokerCPU != time.Millisecond || begun != 1 {
		t.Errorf("elapsed %v, broker %v, begun %d times", res.Elapsed, res.BrokerCPU, begun)
	}
	if res.Server != "nats-server mini" || res.Rate() <= 0 || res.LoadMicros() < 0 {
		t.Errorf("server %q, rate %v, load %v", res.Server, res.Rate(), res.LoadMicros())
	}
}

func TestStreamFindsFaults(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name  string
		fault func(n int) int
		wrong func(Result) bool
	}{
		{"one lost", func(n int) int {
			if n == 5 {
				return 0
			}
			return 1
		}, func(r Result) bool { return r.Lost == 1 && r.Duplicated == 0 }},
		{"one twice", func(n int) int {
			if n == 5 {
				return 2
			}
			return 1
		}, func(r Result) bool { return r.Lost == 0 && r.Duplicated == 1 }},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := brief(startMini(t, tc.fault))
			p.Drain = 10 * time.Second
			res, err := Stream(t.Context(), p, 16)
			if err == nil || !tc.wrong(res) {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
}

func TestStreamSurvivesASilentBroker(t *testing.T) {
	t.Parallel()
	res, err := Stream(t.Context(), brief(startMini(t, func(int) int { return 0 })), 16)
	if err == nil || res.Messages != 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestRequestsMeasureEveryAnswer(t *testing.T) {
	t.Parallel()
	for _, outstanding := range []int{1, 64} {
		t.Run(strconv.Itoa(outstanding), func(t *testing.T) {
			t.Parallel()
			p := brief(startMini(t, func(int) int { return 1 }))
			p.Drain = 10 * time.Second
			res, err := Requests(t.Context(), p, outstanding)
			if err != nil {
				t.Fatal(err)
			}
			if res.Messages == 0 || res.Sent != res.Received {
				t.Errorf("%d measured, %d of %d answered", res.Messages, res.Received, res.Sent)
			}
			if res.P50 <= 0 || res.P99 < res.P50 || res.MaxLatency < res.P99 {
				t.Errorf("p50 %v, p99 %v, max %v", res.P50, res.P99, res.MaxLatency)
			}
		})
	}
	if _, err := Requests(t.Context(), brief(""), 0); err == nil {
		t.Error("no request outstanding was accepted")
	}
}

func TestConfirmerFollowsTagsInAnyOrder(t *testing.T) {
	t.Parallel()
	_, r := newRun(t.Context(), Params{})
	r.measuring.Store(true)
	c := newConfirmer(r.newLane(true), confirmWindow)
	c.stamp(0, 6)
	steps := []struct {
		tag      uint64
		multiple bool
		low      uint64
	}{{2, false, 0}, {1, false, 2}, {5, false, 2}, {4, true, 5}, {6, false, 6}}
	for _, s := range steps {
		if err := c.settle(s.tag, s.multiple); err != nil || c.low != s.low {
			t.Fatalf("after tag %d: %d confirmed, %v; want %d", s.tag, c.low, err, s.low)
		}
	}
	if c.latency.Count() != 6 {
		t.Errorf("%d latencies", c.latency.Count())
	}
	for _, tag := range []uint64{6, 0, 6 + confirmWindow + 1} {
		if err := c.settle(tag, false); err == nil {
			t.Errorf("tag %d was taken", tag)
		}
	}
}
