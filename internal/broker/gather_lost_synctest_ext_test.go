// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// TestGatherLosesConsumers: a consumer of a service that has gone, or has given its copy back, does not
// answer. It is missing, and nobody waits for it; who has answered before is not lost.
func TestGatherLosesConsumers(t *testing.T) {
	t.Parallel()
	type members = []*client
	for _, tc := range []struct {
		name     string
		terms    broker.GatherTerms
		do       func(m members)
		answers  []string
		complete bool
		missing  []string
	}{
		{
			"gone",
			broker.GatherTerms{},
			func(m members) { m[1].Close() },
			[]string{"a", "c"},
			false,
			[]string{"b"},
		},
		{
			"given back",
			broker.GatherTerms{},
			func(m members) { m[1].settle(1, broker.Released) },
			[]string{"a", "c"},
			false,
			[]string{"b"},
		},
		{
			"refused",
			broker.GatherTerms{},
			func(m members) { m[1].settle(1, broker.Rejected) },
			[]string{"a", "c"},
			false,
			[]string{"b"},
		},
		{
			"recovered",
			broker.GatherTerms{},
			func(m members) { m[1].Recover(); m[1].Session.Flush() },
			[]string{"a", "c"},
			false,
			[]string{"b"},
		},
		{
			"all gone",
			broker.GatherTerms{},
			func(m members) { m[0].Close(); m[1].Close(); m[2].Close() },
			nil, false,
			[]string{"a", "b", "c"},
		},
		{
			"with its queue",
			broker.GatherTerms{},
			func(m members) {
				if _, err := m[0].DeleteQueue(broker.DeleteParams{Name: "svc"}); err != nil {
					m[0].tb.Fatal(err)
				}
				m[0].Session.Flush()
				m[1].settle(1, broker.Released)
			},
			[]string{"a", "c"},
			false,
			[]string{"b"},
		},
		{
			"more than half",
			broker.GatherTerms{Quorum: true},
			func(m members) { m[2].Close() },
			[]string{"a", "b"},
			true,
			[]string{"c"},
		},
		{
			"less than asked for",
			broker.GatherTerms{Replies: 3},
			func(m members) { m[2].Close() },
			[]string{"a", "b"},
			false,
			[]string{"c"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := gatherCase{t: t, b: newBroker(t), service: true}
				g.open()
				tc.terms.Total = time.Hour
				g.ask(tc.terms)
				start := time.Now()
				var copies [3]delivery
				for i, m := range g.members {
					copies[i] = m.all()[0]
				}
				tc.do(g.members)
				for i, name := range []string{"a", "b", "c"} {
					if slices.Contains(tc.answers, name) {
						if g.result.Load() != nil {
							t.Fatal("ended before the answers")
						}
						g.members[i].reply(copies[i], "answer")
					}
				}
				r := g.result.Load()
				if r == nil || time.Since(start) != 0 {
					t.Fatal("somebody is waited for who is gone")
				}
				if r.Complete != tc.complete || !slices.Equal(r.Missing, tc.missing) ||
					!slices.Equal(g.from, tc.answers) {
					t.Errorf("%+v, answers of %q", r, g.from)
				}
			})
		})
	}
}

// TestGatherCountsOnce: who gives a copy back behind its answer, or answers behind that, counts once.
func TestGatherCountsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := gatherCase{t: t, b: newBroker(t), service: true}
		g.open()
		g.ask(broker.GatherTerms{Total: time.Hour})
		a, b, c := g.members[0], g.members[1], g.members[2]
		first, second, third := a.all()[0], b.all()[0], c.all()[0]
		a.reply(first, "answer")
		a.settle(first.tag, broker.Released)
		b.settle(second.tag, broker.Released)
		if g.result.Load() != nil {
			t.Fatal("ended before the last had its say")
		}
		b.reply(second, "all the same")
		if g.result.Load() != nil {
			t.Fatal("ended before the last had its say")
		}
		c.reply(third, "answer")
		if r := g.result.Load(); r == nil || !r.Complete || len(r.Missing) != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// TestGatherLosesWaitingCopy: a copy that waits for its consumer's credit is lost with the consumer.
func TestGatherLosesWaitingCopy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := gatherCase{t: t, b: newBroker(t), service: true}
		g.open()
		g.ask(broker.GatherTerms{Total: time.Hour})
		a, b, c := g.members[0], g.members[1], g.members[2]
		for _, m := range g.members { // each has no credit any more
			m.reply(m.all()[0], "answer")
		}
		if g.result.Swap(nil) == nil {
			t.Fatal("the first has not ended")
		}
		g.ask(broker.GatherTerms{Total: time.Hour})
		b.Close()
		a.settle(1, broker.Accepted)
		c.settle(1, broker.Accepted)
		a.reply(a.all()[0], "answer")
		c.reply(c.all()[0], "answer")
		if r := g.result.Load(); r == nil || r.Complete || !slices.Equal(r.Missing, []string{"b"}) {
			t.Errorf("%+v", r)
		}
	})
}
