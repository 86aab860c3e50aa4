// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a Crowd.
const (
	maxCrowd = 20_000
	// crowdWorkers is how many connections are set up, or read, at a time.
	crowdWorkers = 16
	// perSource is how many connections come from one address of the loopback network: there are
	// about 28,000 ports for each, some of them in use.
	perSource = 5_000
	// calmTime is how long the broker is left alone before its memory is read.
	calmTime = time.Second
)

// crowd is a number of connections, each with a channel and later with a queue and a consumer.
type crowd struct {
	params Params
	ctx    context.Context //nolint:containedctx // a crowd lives for one call
	conns  []*amqpConn
}

// Crowd opens n connections with a channel each and leaves them idle, then gives each a queue of its
// own with a consumer, and sends every queue one message, which its consumer has to get. The
// result's Idle says what the connections take in the broker; its Messages are the deliveries, and
// its Elapsed the time for these.
func Crowd(ctx context.Context, p Params, n int) (res Result, err error) {
	if n < 1 || n > maxCrowd {
		return Result{}, fmt.Errorf("crowd: %d is not in 1..%d", n, maxCrowd)
	}
	if p.RSS == nil {
		return Result{}, errors.New("crowd: the broker's memory cannot be read")
	}
	c := &crowd{params: p, ctx: ctx, conns: make([]*amqpConn, n)}
	defer c.close()
	// The first login and the first queue cost what later ones do not.
	first, err := c.open(0)
	if err != nil {
		return Result{}, err
	}
	defer first.close()
	res.Server = first.server
	before, err := c.memory()
	if err != nil {
		return res, err
	}
	began := time.Now()
	if err := c.each(c.connect); err != nil {
		return res, err
	}
	idle := &Idle{Connections: n, Connecting: time.Since(began)}
	if idle.Bytes, err = c.grown(before); err != nil {
		return res, err
	}
	if err := c.each(c.consume); err != nil {
		return res, err
	}
	if idle.ConsumingBytes, err = c.grown(before); err != nil {
		return res, err
	}
	res.Idle = idle
	return res, c.deliver(first, &res)
}

// Idle is what idle connections take.
type Idle struct {
	Connections    int           `json:"connections"`
	Connecting     time.Duration `json:"connectingNS"`   // until the last had its channel
	Bytes          int64         `json:"bytes"`          // growth of resident memory, of all
	ConsumingBytes int64         `json:"consumingBytes"` // the same with a queue and a consumer each
}

// EachKiB returns the growth for each connection in KiB, idle and with queue and consumer.
func (i Idle) EachKiB() (idle, consuming float64) {
	n := float64(i.Connections) * (1 << 10)
	return float64(i.Bytes) / n, float64(i.ConsumingBytes) / n
}

// open connects from one of several addresses.
func (c *crowd) open(i int) (*amqpConn, error) {
	source := net.IPv4(127, 0, 0, byte(1+i/perSource))
	d := &amqpDriver{addr: c.params.Addr, source: &net.TCPAddr{IP: source}}
	conn, err := d.open(c.ctx)
	if err != nil {
		return nil, fmt.Errorf("connection %d: %w", i, err)
	}
	return conn, nil
}

// connect opens connection i.
func (c *crowd) connect(i int) (err error) {
	c.conns[i], err = c.open(i)
	return err
}

// consume gives connection i its queue and its consumer.
func (c *crowd) consume(i int) error {
	conn := c.conns[i]
	if err := conn.extend(); err != nil {
		return err
	}
	name := crowdQueue(i)
	if err := conn.call(queueDeclare, declareArgs(name, 0, ""), queueDeclareOK); err != nil {
		return fmt.Errorf("declare %s: %w", name, err)
	}
	return conn.consume(name, true)
}

func crowdQueue(i int) string { return fmt.Sprintf("crowd-%0*x", queueDigits, i) }

// extend gives the connection time for what comes next.
func (c *amqpConn) extend() error { return c.conn.SetDeadline(time.Now().Add(stallTimeout)) }

// deliver sends a message to each queue and reads every one.
func (c *crowd) deliver(from *amqpConn, res *Result) error {
	_, r := newRun(c.ctx, c.params)
	defer r.cancel(nil)
	f, err := r.begin(uint64(len(c.conns)))
	if err != nil {
		return err
	}
	var wire []byte
	for i := range c.conns {
		body := binary.BigEndian.AppendUint64(nil, uint64(i))
		wire, _ = appendPublish(wire, content{key: []byte(crowdQueue(i)), body: body})
	}
	if err := firstError(from.extend(), writeAll(from.link, &wire)); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if err := firstError(c.each(c.take), f.end(res)); err != nil {
		return err
	}
	res.Sent, res.Received = res.Messages, res.Messages // take has checked each
	return nil
}

// take reads the one message of connection i.
func (c *crowd) take(i int) error {
	conn := c.conns[i]
	if err := conn.extend(); err != nil {
		return err
	}
	var got []uint64
	s := &amqpScanner{deliver: func(d *delivery) {
		if len(d.body) == minBodyBytes {
			got = append(got, binary.BigEndian.Uint64(d.body))
		}
	}}
	for len(got) == 0 {
		used, err := s.scan(conn.unread())
		conn.start += used
		if err != nil {
			return err
		}
		if len(got) > 0 {
			break
		}
		if err := conn.more(); err != nil {
			return fmt.Errorf("%s gets no message: %w", crowdQueue(i), err)
		}
	}
	if len(got) != 1 || got[0] != uint64(i) || len(conn.unread()) > 0 {
		return fmt.Errorf("%s gets %d in place of its message", crowdQueue(i), got)
	}
	return nil
}

// each calls do for every connection, some at a time, until one fails.
func (c *crowd) each(do func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Bool
	errs := make([]error, crowdWorkers)
	var tasks sync.WaitGroup
	for w := range crowdWorkers {
		tasks.Go(func() {
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= len(c.conns) {
					return
				}
				if errs[w] = do(i); errs[w] != nil {
					failed.Store(true)
				}
			}
		})
	}
	tasks.Wait()
	return firstError(errs...)
}

// memory reads the broker's resident memory when it has been calm.
func (c *crowd) memory() (int64, error) {
	timer := time.NewTimer(calmTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
		return 0, c.ctx.Err()
	}
	bytes, err := c.params.RSS()
	return int64(bytes), err
}

// grown returns how much the broker's memory has grown.
func (c *crowd) grown(before int64) (int64, error) {
	now, err := c.memory()
	return now - before, err
}

// close ends all connections.
func (c *crowd) close() {
	for _, conn := range c.conns {
		if conn != nil {
			conn.close()
		}
	}
}
