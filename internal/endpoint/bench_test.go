// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// instant is a kind whose members answer at once.
type instant struct{}

func (instant) Prepare(*broker.EndpointCall) (Call, error)  { return instant{}, nil }
func (instant) Check(context.Context, Target, Health) error { return nil }
func (instant) Forget(Target)                               {}
func (instant) Close() error                                { return nil }
func (instant) Traits() Traits                              { return Traits{Timed: true} }
func (instant) Try(context.Context, Attempt) (*broker.Reply, Outcome) {
	return &broker.Reply{}, Outcome{}
}

// members makes a pool of n members that have answered before.
func members(tb testing.TB, n int) *Pool {
	tb.Helper()
	p, err := New(Options{Service: "svc"}, instant{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Shutdown(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	for i := range n {
		id := fmt.Sprintf("10.0.%d.%d:80", i/250, i%250+1)
		if _, err := p.Put(Instance{ID: id, URL: id}); err != nil {
			tb.Fatal(err)
		}
	}
	for i, m := range p.roster.Load().pick {
		m.latency.sample(p.now(), int64(time.Millisecond)+int64(i), p.balance.rate)
	}
	return p
}

// pickAndRecord is what the pool adds to each attempt (resilience §8, row 13).
func pickAndRecord(p *Pool) bool {
	now := p.now()
	m := p.pick(now, nil)
	if m == nil {
		return false
	}
	p.judge(m, Outcome{}, now)
	m.end(now)
	return true
}

// cpu reports what the process computed for each operation, which other processes cannot lengthen.
func cpu(b *testing.B) {
	b.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	b.Cleanup(func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") })
}

// BenchmarkRow13Pick is a pick alone, with 64 members.
func BenchmarkRow13Pick(b *testing.B) {
	p := members(b, 64)
	b.ReportAllocs()
	cpu(b)
	now := p.now()
	for b.Loop() {
		p.pick(now, nil).end(now)
	}
}

// BenchmarkRow13PickAndRecord is a pick, the two looks at the clock, and the record of a success.
func BenchmarkRow13PickAndRecord(b *testing.B) {
	for _, n := range []int{2, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := members(b, n)
			b.ReportAllocs()
			cpu(b)
			for b.Loop() {
				pickAndRecord(p)
			}
		})
	}
}

// BenchmarkRow13Parallel is the same by many at once.
func BenchmarkRow13Parallel(b *testing.B) {
	p := members(b, 64)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			pickAndRecord(p)
		}
	})
}

// BenchmarkCredit is what stands under the queue's lock: a credit taken and given back.
func BenchmarkCredit(b *testing.B) {
	p := members(b, 64)
	operation := []byte("op")
	b.ReportAllocs()
	cpu(b)
	for b.Loop() {
		if p.Take(operation) {
			p.Return(operation)
		}
	}
}

// BenchmarkCall is a whole call with a deadline, at members that answer at once; BenchmarkRefusal one
// that finds no credit (row 6: less than a tenth of a call that is served).
func BenchmarkCall(b *testing.B) {
	p := members(b, 64)
	c := &broker.EndpointCall{
		Message: &broker.Message{}, Deadline: time.Now().Add(time.Hour),
	}
	ctx := context.Background()
	b.ReportAllocs()
	cpu(b)
	for b.Loop() {
		if p.Take(nil) {
			if _, err := p.Call(ctx, c); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkRefusal(b *testing.B) {
	p := members(b, 64)
	for p.Take(nil) {
	}
	b.Cleanup(func() {
		for p.credits.taken.Load() > 0 {
			p.Return(nil)
		}
	})
	b.ReportAllocs()
	cpu(b)
	for b.Loop() {
		if p.Take(nil) {
			b.Fatal("a credit too many")
		}
	}
}
