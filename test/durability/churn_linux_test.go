// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/durability/oracle"
	"github.com/parley-ipc/parley/test/harness"
)

const (
	// churnConnections, churnChannels and churnQueues come and go in a second.
	churnConnections = 500
	churnChannels    = 2_000
	churnQueues      = 500
	// churnLeast is the part of that which must be reached on a machine that is busy with other things.
	churnLeast = 10
	// idleConnections say nothing meanwhile; halfOpen more have not even logged in.
	idleConnections = 500
	halfOpen        = 500
	// churnSegment is the size of the log's files, churnDisk what the data directory may hold.
	churnSegment = 64 << 10
	churnDisk    = 10 * churnSegment
	// lateLogin is how long a client may take to log in, and a little.
	lateLogin = 13 * time.Second
)

// TestRow11Churn: connections, channels and durable queues come and go by the hundred, while others
// are idle or do not even log in. Nothing of them stays behind, in memory or on the disk, and a canary
// loses nothing.
func TestRow11Churn(t *testing.T) {
	profiles, judge := harness.FreeAddr(t), oracle.New()
	hub := harness.Start(t, harness.Build(t), harness.Options{
		Args: harness.Profiled(profiles),
		Env:  []string{fmt.Sprintf("PARLEY_LOG__SEGMENT_BYTES=%dKiB", churnSegment>>10)},
	})
	before := vitals(t, hub, profiles)
	c := startCanary(t, hub, judge, "churn.canary")
	for round := range rounds(t, 1) {
		h := &churn{t: t, judge: judge, hub: hub, round: round}
		h.crowd()
		h.run(hold())
		h.leave()
		h.disk()
		if !sound(t, judge) {
			break
		}
	}
	c.end()
	rest(t, hub, judge, profiles, before)
	verdict(t, judge)
}

// churn is one time of it.
type churn struct {
	t     *testing.T
	judge *oracle.Oracle
	hub   *harness.Hub
	round int
	idle  []*amqp.Connection
	half  []net.Conn
	since time.Time // when the last of half came
}

func (h *churn) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// crowd opens the connections that say nothing.
func (h *churn) crowd() {
	h.t.Helper()
	for range halfOpen {
		c, err := net.Dial("tcp", h.hub.AMQP)
		h.must(err)
		_, err = c.Write([]byte("AMQP\x00\x00\x09\x01")) // and no word after connection.start
		h.must(err)
		h.half = append(h.half, c)
	}
	h.since = time.Now()
	for range idleConnections {
		c, err := amqp.Dial(h.hub.AMQPURL())
		h.must(err)
		h.idle = append(h.idle, c)
	}
	h.t.Cleanup(h.leave)
}

// leave closes them. Those that did not log in must have been cut off when their time was over.
func (h *churn) leave() {
	for _, c := range h.half {
		if time.Since(h.since) > lateLogin {
			h.cut(c)
		}
		_ = c.Close()
	}
	for _, c := range h.idle {
		if c.IsClosed() {
			h.judge.Stuck("an idle connection was closed")
		}
		_ = c.CloseDeadline(time.Now().Add(closeWait))
	}
	h.half, h.idle = nil, nil
}

// cut judges a connection that did not log in.
func (h *churn) cut(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(closeWait))
	for b := make([]byte, 1<<10); ; {
		if _, err := c.Read(b); err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // net says so
				h.judge.Stuck("a client that does not log in is connected after %v", lateLogin)
			}
			return
		}
	}
}

// run lets everything come and go for a while.
func (h *churn) run(long time.Duration) {
	h.t.Helper()
	const workers = 8
	conns := make([]*amqp.Connection, workers)
	chans := make([]*amqp.Channel, workers)
	for i := range workers {
		conns[i] = dial(h.t, h.hub)
		chans[i] = channel(h.t, conns[i])
	}
	var group sync.WaitGroup
	paced := func(what string, rate int, do func(worker, i int) error) {
		p := &pace{rate: rate, began: time.Now(), long: long}
		for w := range workers {
			group.Go(func() {
				for i, ok := p.next(); ok; i, ok = p.next() {
					if err := do(w, i); err != nil {
						h.judge.Stuck("%s %d: %v", what, i, err)
						return
					}
					p.done.Add(1)
				}
			})
		}
		h.t.Cleanup(func() {
			done := p.done.Load()
			h.t.Logf("%s: %d in %v", what, done, long)
			if done < int64(rate)*int64(long/time.Millisecond)/1000/churnLeast {
				h.t.Errorf("P8: only %d %s in %v", done, what, long)
			}
		})
	}
	paced("connections", churnConnections, h.connection)
	paced("channels", churnChannels, func(w, _ int) error {
		ch, err := conns[w].Channel()
		if err != nil {
			return err
		}
		return ch.Close()
	})
	paced("queues", churnQueues, func(w, i int) error {
		name := fmt.Sprintf("churn.%d.%d", h.round, i)
		_, err := chans[w].QueueDeclare(name, true, false, false, false, nil)
		if err == nil {
			err = chans[w].QueueBind(name, name, "amq.topic", false, nil)
		}
		if err == nil {
			_, err = chans[w].QueueDelete(name, false, false, false)
		}
		return err
	})
	group.Wait()
	for _, c := range conns {
		h.must(c.Close())
	}
}

// connection comes and goes, every other one without a word.
func (h *churn) connection(_, i int) error {
	var raw net.Conn
	conn, err := amqp.DialConfig(h.hub.AMQPURL(), amqp.Config{
		Dial: func(network, addr string) (c net.Conn, err error) {
			if raw, err = net.Dial(network, addr); err == nil {
				err = raw.SetDeadline(time.Now().Add(progressWait))
			}
			return raw, err
		},
	})
	if err != nil {
		return err
	}
	if i%2 == 0 {
		return conn.Close()
	}
	_ = raw.Close()
	_ = conn.CloseDeadline(time.Now())
	return nil
}

// pace hands out numbers at a rate.
type pace struct {
	rate    int
	began   time.Time
	long    time.Duration
	n, done atomic.Int64
}

// next waits for the time of the next number; false says that the time is over.
func (p *pace) next() (int, bool) {
	n := p.n.Add(1) - 1
	at := p.began.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	time.Sleep(time.Until(at))
	return int(n), time.Since(p.began) < p.long
}

// disk judges the data directory: what is gone takes no room.
func (h *churn) disk() {
	h.t.Helper()
	var size int64
	newest := ""
	err := harness.Poll(restWait, func() error {
		size = 0
		err := filepath.WalkDir(h.hub.Dir, func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			if err == nil {
				size += info.Size()
				if filepath.Ext(name) == ".wal" {
					newest = max(newest, filepath.Base(name))
				}
			}
			return err
		})
		if os.IsNotExist(err) { // it went meanwhile
			return err
		}
		if err == nil && size > churnDisk {
			err = fmt.Errorf("the data directory has %d KiB, more than %d", size>>10, churnDisk>>10)
		}
		return err
	})
	if err != nil {
		h.t.Errorf("P9: %v", err)
	}
	number, err := strconv.ParseUint(strings.TrimSuffix(newest, ".wal"), 16, 64)
	h.must(err)
	h.t.Logf("note: the data directory has %d KiB after %d KiB of log", size>>10, number*churnSegment>>10)
}
