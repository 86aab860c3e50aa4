// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// pooled is a pool of servers.
func pooled(t *testing.T, o endpoint.Options, servers ...*server) *endpoint.Pool {
	t.Helper()
	k, err := New(Service{VHost: "/", Name: "Text"}, Options{Conns: 16})
	if err != nil {
		t.Fatal(err)
	}
	o.Service = "Text"
	p, err := endpoint.New(o, k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	for i, s := range servers {
		_, err := p.Put(endpoint.Instance{
			ID: fmt.Sprint(i), URL: "thrift://" + s.listener.Addr().String(),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// callPool makes a call as soon as there is a credit.
func callPool(t *testing.T, p *endpoint.Pool, text string, idempotent bool) error {
	t.Helper()
	c := callOf(thrift.Binary, "say", text)
	c.Deadline, c.Idempotent = time.Now().Add(patience), idempotent
	for !p.Take(c.Message.Type) {
		if time.Now().After(c.Deadline) {
			return errors.New("no credit")
		}
		runtime.Gosched()
	}
	r, err := p.Call(t.Context(), c)
	if err != nil {
		return err
	}
	if got := (&member{tb: t}).text(thrift.Binary, "say", r); got != "say "+text {
		return fmt.Errorf("%q for %q", got, text)
	}
	return nil
}

// TestMemberKilled is row 7 of resilience.md: while one of three servers dies under load and comes back,
// no call fails that may be made twice; others fail only because nobody knows whether they were
// executed.
func TestMemberKilled(t *testing.T) {
	t.Parallel()
	for _, idempotent := range []bool{true, false} {
		t.Run(fmt.Sprint("idempotent ", idempotent), func(t *testing.T) {
			t.Parallel()
			servers := []*server{serve(t, echo), serve(t, echo), serve(t, echo)}
			p := pooled(t, endpoint.Options{Breaker: endpoint.Breaker{Percent: -1}}, servers...)
			var stop atomic.Bool
			var calls atomic.Int32
			var callers sync.WaitGroup
			for i := range 8 {
				callers.Go(func() {
					for j := 0; !stop.Load(); j++ {
						calls.Add(1)
						err := callPool(t, p, fmt.Sprint(i, " ", j), idempotent)
						if err == nil {
							continue
						}
						e, ok := errors.AsType[*broker.Error](err)
						if idempotent || !ok || e.Code != broker.CodeBadReply {
							t.Errorf("call %d of caller %d: %v", j, i, err)
						}
					}
				})
			}
			reached := func(s *server, n int32) {
				t.Helper()
				before := s.calls.Load()
				for end := time.Now().Add(patience); s.calls.Load() < before+n; {
					if time.Now().After(end) {
						t.Fatal("it gets no calls")
					}
					time.Sleep(time.Millisecond)
				}
			}
			reached(servers[0], 20)
			servers[0].stop()
			reached(servers[1], 100)
			again := restart(t, servers[0])
			reached(again, 20)
			stop.Store(true)
			callers.Wait()
			t.Logf("%d calls", calls.Load())
		})
	}
}

// restart starts a server where one was.
func restart(t *testing.T, s *server) *server {
	t.Helper()
	l, err := net.Listen("tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	again := &server{tb: t, listener: l, handle: s.handle, open: make(map[net.Conn]struct{})}
	again.done.Go(again.accept)
	t.Cleanup(again.stop)
	return again
}

// TestHedge: of two attempts at once the first answer counts, and the other one's connection is closed
// with its answer still to come.
func TestHedge(t *testing.T) {
	t.Parallel()
	var hangs atomic.Bool
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	slow := serve(t, func(c net.Conn, h *heard) []byte {
		if hangs.Load() {
			<-release
		}
		return echo(c, h)
	})
	p := pooled(t, endpoint.Options{
		Hedge:   endpoint.Hedge{Enabled: true, Percentile: 99, ExtraPercent: 50},
		Balance: endpoint.Balance{ForceAfter: 10 * time.Millisecond},
		Breaker: endpoint.Breaker{Percent: -1},
	}, slow, serve(t, echo))
	t.Cleanup(free) // before the servers stop
	calls := func(lasting time.Duration) {
		t.Helper()
		for i, start := 0, time.Now(); time.Since(start) < lasting; i++ {
			if err := callPool(t, p, fmt.Sprint(i), true); err != nil {
				t.Fatal(err)
			}
		}
	}
	calls(1200 * time.Millisecond) // the pool looks at latencies once a second
	hangs.Store(true)
	before := slow.calls.Load()
	for end := time.Now().Add(patience); slow.calls.Load() == before; {
		start := time.Now()
		err := callPool(t, p, "x", true)
		if err != nil || time.Since(start) > patience/2 || time.Now().After(end) {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
	}
	hangs.Store(false)
	free()
	calls(50 * time.Millisecond)
}

// TestGather: each member is asked once, and answers for itself.
func TestGather(t *testing.T) {
	t.Parallel()
	p := pooled(t, endpoint.Options{}, serve(t, echo), serve(t, func(_ net.Conn, h *heard) []byte {
		return exceptionOf(h, thrift.InternalError, "not me")
	}))
	if got := strings.Join(p.Members(), " "); got != "0 1" {
		t.Fatalf("members %s", got)
	}
	for name, failure := range map[string]string{"0": "", "1": "internal"} {
		c := callOf(thrift.Binary, "say", "all")
		c.Deadline = time.Now().Add(patience)
		r, err := p.CallMember(t.Context(), name, c)
		if err != nil || r.Failure != failure {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}
