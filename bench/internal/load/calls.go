// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/parley-ipc/parley/bench/internal/stat"
)

// Limits of calls that go one at a time on each of many connections.
const (
	maxCallConns = 4_096
	maxCallBody  = 8 << 10
)

// callShape is how a call looks on the wire.
type callShape struct {
	request []byte
	body    bodyRange // within the request
	answers func(net.Conn) answers
}

type bodyRange struct{ from, to int }

// answers are those on one connection.
type answers interface {
	// body reads the next answer and says when it is not that of a call with this body.
	body(body []byte) error
}

// calls makes a call after the other on each of so many connections, and checks that each is answered
// with its own body.
func calls(ctx context.Context, p Params, connections int, shape callShape) (Result, error) {
	bodyBytes := shape.body.to - shape.body.from
	if connections < 1 || connections > maxCallConns || bodyBytes < maxSequenceDigits ||
		bodyBytes > maxCallBody {
		return Result{}, fmt.Errorf("%d connections with %d bytes", connections, bodyBytes)
	}
	ctx, r := newRun(ctx, p)
	callers := make([]*caller, connections)
	for i := range callers {
		callers[i] = newCaller(r, i, shape)
	}
	for _, c := range callers {
		r.start(func() error { return c.ask(ctx) })
	}
	res := Result{Server: p.Server}
	err := r.measure(&res)
	if err := firstError(err, r.finish()); err != nil {
		return res, err
	}
	var latency stat.Histogram
	for _, c := range callers {
		latency.Add(&c.latency)
		res.Sent += c.sent
		res.Received += c.received
	}
	res.Lost = res.Sent - res.Received
	res.latencies(&latency)
	return res, res.Check()
}

// caller is one connection with calls.
type caller struct {
	run            *run
	lane           *lane
	answers        func(net.Conn) answers
	first          uint64
	request        []byte
	body           []byte // of the request, within it
	seq            []byte // of the body, within it: hexadecimal
	sent, received uint64
	latency        stat.Histogram
}

func newCaller(r *run, number int, shape callShape) *caller {
	c := &caller{run: r, lane: r.newLane(false), answers: shape.answers}
	c.request = append([]byte(nil), shape.request...)
	c.body = c.request[shape.body.from:shape.body.to]
	c.seq = c.body[:maxSequenceDigits]
	c.first = uint64(number) << 40 // so that no two callers send the same
	return c
}

// ask sends and checks until the run ends.
func (c *caller) ask(ctx context.Context) error {
	d := net.Dialer{Timeout: handshakeTimeout}
	conn, err := d.DialContext(ctx, "tcp", c.run.params.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	in := c.answers(conn)
	for !c.run.stopping.Load() {
		c.sent++
		putHex(c.seq, c.first+c.sent)
		began := time.Now()
		if _, err := conn.Write(c.request); err != nil {
			return fmt.Errorf("request: %w", err)
		}
		if err := in.body(c.body); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		c.received++
		if c.run.measuring.Load() {
			c.latency.Record(time.Since(began))
		}
		c.lane.completed.Store(c.received)
	}
	c.lane.sentAll(c.sent)
	return nil
}
