// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// An idle connection says that it lives (AMQP 0-9-1 §4.2.7), and gives up a hub that does not.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const beat = 4 * time.Second
		beats := make(chan time.Duration, 100)
		began := time.Now()
		c, err := dialPeer(t, wire.ConnectionTune{Heartbeat: uint16(beat / time.Second)},
			func(p *peer) {
				for {
					f, err := p.r.Next()
					if err != nil {
						return
					}
					if f.Type == wire.FrameHeartbeat {
						beats <- time.Since(began)
					}
				}
			})
		if err != nil {
			t.Fatal(err)
		}
		<-c.Done()
		if silent := time.Since(began); silent != 2*beat {
			t.Errorf("a silent hub was given up after %v, want %v", silent, 2*beat)
		}
		if !errors.Is(c.Err(), CodeUnreachable) {
			t.Errorf("err = %v, want %s", c.Err(), CodeUnreachable)
		}
		last := time.Duration(0)
		for range len(beats) {
			at := <-beats
			if at-last > beat {
				t.Errorf("%v without a heartbeat of ours", at-last)
			}
			last = at
		}
		if last < beat {
			t.Errorf("the last heartbeat came after %v", last)
		}
	})
}

// A hub that reads nothing makes senders wait, no longer than their contexts, with bounded memory.
func TestBlockedHubMakesSendersWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, err := dialPeer(t, wire.ConnectionTune{}, func(p *peer) {
			p.openReplies()
			<-t.Context().Done() // reads no more
		})
		if err != nil {
			t.Fatal(err)
		}
		op := NewOp[[]byte, []byte]("svc.Op")
		body := make([]byte, 1<<20)
		for range 12 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := op.Call(ctx, c, body); !errors.Is(err, CodeDeadline) {
				t.Errorf("err = %v, want %s", err, CodeDeadline)
			}
			cancel()
		}
		c.writer.mu.Lock()
		unsent := len(c.writer.buf)
		c.writer.mu.Unlock()
		if unsent < maxUnsentBytes || unsent > maxUnsentBytes+2<<20 {
			t.Errorf("%d bytes unsent, want about %d", unsent, maxUnsentBytes)
		}
	})
}

// A hub that holds its publishers back for longer than any silence is allowed, and says that it lives,
// keeps them.
func TestBlockedHubKeepsConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const beat = 4 * time.Second
		tune := wire.ConnectionTune{Heartbeat: uint16(beat / time.Second)}
		c, err := dialPeer(t, tune, func(p *peer) {
			channel := p.read(&wire.ChannelOpen{})
			p.say(channel, &wire.ChannelOpenOk{})
			p.read(&wire.ConfirmSelect{})
			p.say(channel, &wire.ConfirmSelectOk{})
			for range 100 { // reads nothing meanwhile
				time.Sleep(beat / 2)
				p.raw(wire.AppendHeartbeat(nil))
			}
			p.read(&wire.BasicPublish{})
			p.say(channel, &wire.BasicAck{DeliveryTag: 1})
			p.drain()
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := NewOp[[]byte, []byte]("svc.Op").Send(ctx, c, nil); err != nil {
			t.Error(err)
		}
	})
}

// Without a deadline of its own a call has the operation's, and says so on the wire.
func TestCallSendsItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sent := make(chan int64, 2)
		c, err := dialPeer(t, wire.ConnectionTune{}, func(p *peer) {
			p.openReplies()
			for range 2 {
				p.read(&wire.BasicPublish{})
				f, err := p.r.Next()
				if err != nil {
					return
				}
				var h wire.ContentHeader
				var props wire.Properties
				if err := errors.Join(h.Decode(f.Payload), props.Decode(h.Properties)); err != nil {
					t.Error(err)
					return
				}
				ms, _ := headerInt(props.Headers, headerTimeout)
				sent <- ms
			}
			p.drain()
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []time.Duration{DefaultTimeout, 70 * time.Millisecond} {
			op := NewOp[string, string]("svc.Op", WithTimeout(want))
			began := time.Now()
			_, err := op.Call(t.Context(), c, "x")
			if !errors.Is(err, CodeDeadline) || time.Since(began) != want {
				t.Errorf("ended after %v with %v, want %v", time.Since(began), err, want)
			}
			if ms := <-sent; ms != want.Milliseconds() {
				t.Errorf("parley-timeout = %d, want %d", ms, want.Milliseconds())
			}
		}
	})
}
