// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// pipeClient is a client over net.Pipe under the fake clock. A goroutine notes when octets come.
type pipeClient struct {
	t    *testing.T
	net  net.Conn
	heap strings.Builder
	at   []time.Time // of each read
	end  time.Time
	done chan struct{}
}

// pipeHub serves one connection over net.Pipe. It must be called in a synctest bubble.
func pipeHub(t *testing.T) (*pipeClient, *conn) {
	t.Helper()
	return pipeHubWith(t, Options{Broker: newBroker(t)}, 0)
}

// pipeHubWith is pipeHub with options, and with a pause of the client after each read.
func pipeHubWith(t *testing.T, o Options, pause time.Duration) (*pipeClient, *conn) {
	t.Helper()
	o.Auth = users{}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	served, serving := make(chan struct{}), newConn(d, far, func() {})
	go func() {
		defer close(served)
		serving.serveUntil(t.Context())
	}()
	c := &pipeClient{t: t, net: near, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		buf := make([]byte, 4096)
		for {
			n, err := near.Read(buf)
			c.heap.Write(buf[:n])
			if err != nil {
				c.end = time.Now()
				return
			}
			c.at = append(c.at, time.Now())
			time.Sleep(pause)
		}
	}()
	t.Cleanup(func() {
		_ = near.Close()
		<-served
		<-c.done
	})
	return c, serving
}

// send writes octets and lets the door handle them.
func (c *pipeClient) send(octets string) {
	c.t.Helper()
	if _, err := c.net.Write([]byte(octets)); err != nil {
		c.t.Fatal(err)
	}
	synctest.Wait()
}

// ended says whether the door has closed the connection.
func (c *pipeClient) ended() bool {
	synctest.Wait()
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

const connect = "CONNECT\naccept-version:1.2\nlogin:guest\npasscode:guest\nheart-beat:"

// TestHeartBeatSilence: row 20, a client that sends exactly at the agreed interval,
// or somewhat late, lives; one that is silent is closed after two intervals and before three.
func TestHeartBeatSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := pipeHub(t)
		c.send(connect + "4000,0\n\n\x00")
		for range 5 {
			time.Sleep(4 * time.Second)
			c.send("\n")
			if c.ended() {
				t.Fatal("closed though it sent in time")
			}
		}
		time.Sleep(7 * time.Second)
		c.send("\n")
		if c.ended() {
			t.Fatal("closed before two intervals")
		}
		last := time.Now()
		<-c.done
		if took := c.end.Sub(last); took < 8*time.Second || took > 12*time.Second {
			t.Errorf("closed %v after the last octet, want 8 s to 12 s", took)
		}
		if !strings.Contains(c.heap.String(), "message:Heart-beat missed") {
			t.Errorf("no ERROR in %q", c.heap.String())
		}
	})
}

// TestHeartBeatSending: the client sees an octet at least every half interval, and no frame but
// CONNECTED.
func TestHeartBeatSending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := pipeHub(t)
		c.send(connect + "0,2000\n\n\x00")
		time.Sleep(30 * time.Second)
		c.send("DISCONNECT\n\n\x00")
		<-c.done
		c.wantSteady(time.Second)
		if n := len(c.at); n < 30 || n > 130 {
			t.Errorf("%d reads in 30 s", n)
		}
		rest := c.heap.String()
		rest = rest[strings.Index(rest, "\x00")+1:]
		if strings.Trim(rest, "\n") != "" {
			t.Errorf("sent %q", rest)
		}
	})
}

// wantSteady checks that no two octets came further apart than so.
func (c *pipeClient) wantSteady(most time.Duration) {
	c.t.Helper()
	for i := 1; i < len(c.at); i++ {
		if gap := c.at[i].Sub(c.at[i-1]); gap > most {
			c.t.Errorf("nothing for %v", gap)
		}
	}
}

// TestHeartBeatBackPressure: the client sees an octet in every half interval while much
// is on its way to it, and when that is over; no filler stands inside a frame.
func TestHeartBeatBackPressure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const messages, bytes = 100, 10_000
		c, _ := pipeHubWith(t, Options{Broker: newBroker(t)}, 100*time.Millisecond)
		c.send(connect + "0,2000\n\n\x00SUBSCRIBE\nid:s\ndestination:/queue/a\n\n\x00")
		frame := "SEND\ndestination:/queue/a\n\n" + strings.Repeat("x", bytes) + "\x00"
		c.send(strings.Repeat(frame, messages))
		time.Sleep(time.Minute) // 1 MB at 40 KiB a second, and then nothing
		c.send("DISCONNECT\n\n\x00")
		<-c.done
		c.wantSteady(time.Second)
		if n := strings.Count(c.heap.String(), "\n\n"+strings.Repeat("x", bytes)+"\x00"); n != messages {
			t.Errorf("%d of %d messages are whole", n, messages)
		}
		if took := c.end.Sub(c.at[0]); took < 50*time.Second {
			t.Errorf("over after %v", took)
		}
	})
}

// TestHeartBeatThrottled: a client that reads so slowly that it is not read on for a while
// is not silent: what it sends meanwhile is not looked at.
func TestHeartBeatThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := Options{Broker: newBroker(t), OutputBytes: 16 << 10}
		c, _ := pipeHubWith(t, o, time.Second)
		c.send(connect + "1000,1000\n\n\x00")
		receipt := "BEGIN\ntransaction:t\nreceipt:" + strings.Repeat("r", 1<<10) +
			"\n\n\x00ABORT\ntransaction:t\n\n\x00"
		sent := make(chan struct{})
		go func() { // blocked while the hub does not read
			defer close(sent)
			const receipts = 200
			for i := 0; ; i++ {
				frame := receipt
				if i >= receipts {
					time.Sleep(time.Second)
					frame = "\n"
				}
				if _, err := c.net.Write([]byte(frame)); err != nil {
					return
				}
			}
		}()
		time.Sleep(2 * time.Minute) // 200 KiB at 4 KiB a second
		if ended, text := c.ended(), c.heap.String(); ended || strings.Count(text, "RECEIPT") != 200 {
			t.Errorf("%d receipts, then %q", strings.Count(text, "RECEIPT"), text[max(0, len(text)-200):])
		}
		_ = c.net.Close()
		<-sent
	})
}

// blockedLog is a log on a disk that does not answer until the gate is closed.
type blockedLog struct {
	*store.Memory

	gate chan struct{}
}

func (l *blockedLog) Append(r *broker.Record, t broker.Ticket, seq uint64) (bool, error) {
	if r.Type == broker.RecordPublish {
		<-l.gate
	}
	return l.Memory.Append(r, t, seq)
}

func (l *blockedLog) Shard(uint32) broker.Log { return l }

// TestHeartBeatReaderBlocked: the client sees octets, and is not silent, while its SEND
// waits for the disk.
func TestHeartBeatReaderBlocked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &blockedLog{store.NewMemory(store.MemoryOptions{}), make(chan struct{})}
		b := broker.New(broker.Options{Clock: clock{}, Log: log, Formats: []broker.Format{Format{}}})
		log.Bind(b)
		t.Cleanup(b.Close)
		c, _ := pipeHubWith(t, Options{Broker: b}, 0)
		c.send(connect + "1000,2000\n\n\x00")
		c.send("SEND\ndestination:/queue/a\npersistent:true\nreceipt:late\n\nx\x00")
		time.Sleep(time.Minute)
		if c.ended() || strings.Contains(c.heap.String(), "RECEIPT") {
			t.Errorf("the SEND is over: %q", c.heap.String())
		}
		close(log.gate)
		c.send("DISCONNECT\n\n\x00")
		<-c.done
		c.wantSteady(time.Second)
		if !strings.Contains(c.heap.String(), "receipt-id:late") {
			t.Errorf("%q", c.heap.String())
		}
	})
}

// TestHeartBeatNone: 0,0 means none either way.
func TestHeartBeatNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := pipeHub(t)
		c.send(connect + "0,0\n\n\x00")
		n := len(c.at)
		time.Sleep(time.Hour)
		if c.ended() || len(c.at) != n {
			t.Errorf("ended or sent: %q", c.heap.String())
		}
	})
}

// TestHeartBeatHeld: a connection that is not read because of an alarm is not silent.
func TestHeartBeatHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, serving := pipeHub(t)
		c.send(connect + "1000,1000\n\n\x00")
		serving.Block("low on disk")
		c.send("SEND\ndestination:/queue/a\n\nx\x00")
		time.Sleep(time.Minute)
		if c.ended() {
			t.Fatalf("closed: %q", c.heap.String())
		}
		if n := len(c.at); n < 60 {
			t.Errorf("%d heart-beats while held for a minute", n)
		}
		serving.Block("")
		synctest.Wait()
		c.send("DISCONNECT\nreceipt:r\n\n\x00")
		<-c.done
		if !strings.Contains(c.heap.String(), "receipt-id:r") {
			t.Errorf("%q", c.heap.String())
		}
	})
}

// TestHeartBeatHeldAndGone: a client that goes while it is held gives its place and its messages back
// at once, not when the alarm ends, which may be waiting for them.
func TestHeartBeatHeldAndGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, serving := pipeHub(t)
		c.send(connect + "1000,1000\n\n\x00")
		serving.Block("low on memory")
		c.send("SEND\ndestination:/queue/a\n\nx\x00")
		time.Sleep(time.Second)
		_ = c.net.Close()
		time.Sleep(time.Minute)
		if n := len(serving.door.options.Broker.Connections()); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		serving.Block("")
		<-c.done
	})
}

// TestLoginTime: a connection has 10 s to log in, whatever it sends.
func TestLoginTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := pipeHub(t)
		began := time.Now()
		for range 9 {
			c.send("\n")
			time.Sleep(time.Second)
		}
		c.send("CONNECT\nlogin:")
		<-c.done
		if took := c.end.Sub(began); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("closed after %v", took)
		}
		if !strings.Contains(c.heap.String(), "message:Login timed out") {
			t.Errorf("%q", c.heap.String())
		}
	})
}

// TestFrameTime: a frame that does not end has its own deadline, which octets
// now and then do not move; a large one that arrives at a fair rate has more time.
func TestFrameTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := pipeHub(t)
		c.send(connect + "1000,0\n\n\x00")
		c.send("SEND\ndestination:/queue/a\n\n")
		part := strings.Repeat("x", 2<<10)
		for range 60 { // 2 KiB a second for a minute
			time.Sleep(time.Second)
			c.send(part)
		}
		if c.ended() {
			t.Fatalf("closed while it arrives: %q", c.heap.String())
		}
		c.send("\x00")
		began := time.Now()
		c.send("SEND\ndestination:/queue/a\n\n")
		for !c.ended() {
			time.Sleep(time.Second)
			if c.ended() {
				break
			}
			if _, err := c.net.Write([]byte("x")); err != nil {
				break
			}
		}
		if took := c.end.Sub(began); took < 30*time.Second || took > 40*time.Second {
			t.Errorf("closed after %v", took)
		}
		if !strings.Contains(c.heap.String(), "message:Frame timed out") {
			t.Errorf("%q", c.heap.String())
		}
	})
}

// TestIntervals: the agreed pair.
func TestIntervals(t *testing.T) {
	t.Parallel()
	testCases := []struct{ header, want string }{
		{"0,0", "0,0"}, {"250,250", "1000,1000"}, {"1500,0", "0,1500"}, {" 10 , 20000 ", "20000,1000"},
	}
	for _, tc := range testCases {
		asked, err := parseHeartBeat(tc.header)
		if err != nil {
			t.Fatal(err)
		}
		if got := asked.agree(time.Second).header(); got != tc.want {
			t.Errorf("%q agreed to %q, want %q", tc.header, got, tc.want)
		}
	}
	for _, bad := range []string{"", "1", "1,", "a,b", "-1,0", "1,2,3", "2147483648,0"} {
		if _, err := parseHeartBeat(bad); err == nil {
			t.Errorf("%q is agreed to", bad)
		}
	}
}
