// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
)

// fail answers a delivery with an error that has no body.
func (c *client) fail(d delivery) {
	c.tb.Helper()
	m := broker.Message{Overlay: broker.Table{{Name: broker.HeaderError, Value: "no-luck"}}}
	m.Key, m.CorrelationID = []byte(d.replyTo), []byte(d.correlation)
	if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
		c.tb.Fatal(err)
	}
}

// TestGatherSentinel: where it is asked for, an empty answer that is no error ends a gather at once and
// is not handed on; what comes behind it is late.
func TestGatherSentinel(t *testing.T) {
	t.Parallel()
	const fails = "fails" // instead of a body
	for _, tc := range []struct {
		name    string
		terms   broker.GatherTerms
		answers []string // of a, b and c, who are asked
		from    []string
		missing []string
	}{
		{"behind an answer", broker.GatherTerms{Sentinel: true}, []string{"1", "", "3"}, []string{"a"}, []string{"c"}},
		{"at once", broker.GatherTerms{Sentinel: true}, []string{"", "2", ""}, nil, []string{"b", "c"}},
		{"the last", broker.GatherTerms{Sentinel: true}, []string{"1", "2", ""}, []string{"a", "b"}, nil},
		{"none", broker.GatherTerms{Sentinel: true}, []string{"1", "2", "3"}, []string{"a", "b", "c"}, nil},
		{"not asked for", broker.GatherTerms{}, []string{"", "2", ""}, []string{"a", "b", "c"}, nil},
		{"an error", broker.GatherTerms{Sentinel: true}, []string{fails, "", "3"}, []string{"a"}, []string{"c"}},
		{
			"enough before it",
			broker.GatherTerms{Replies: 1, Sentinel: true},
			[]string{"1", "", "3"},
			[]string{"a"},
			[]string{"b", "c"},
		},
		{
			"before a quorum",
			broker.GatherTerms{Quorum: true, Sentinel: true},
			[]string{"1", "", "3"},
			[]string{"a"},
			[]string{"c"},
		},
		{
			"more wanted than are asked",
			broker.GatherTerms{Replies: 9, Sentinel: true},
			[]string{"1", "", "3"},
			[]string{"a"},
			[]string{"c"},
		},
	} {
		for _, kind := range []string{"topic", "service"} {
			t.Run(tc.name+" "+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					g := gatherCase{t: t, b: newBroker(t), service: kind == "service"}
					g.open()
					start := time.Now()
					terms := tc.terms
					terms.Stall, terms.Total = time.Minute, time.Hour
					g.ask(terms)
					for i, body := range tc.answers {
						d := g.members[i].all()[0]
						if body == fails {
							g.members[i].fail(d)
						} else {
							g.members[i].reply(d, body)
						}
					}
					r := g.result.Load()
					if r == nil || time.Since(start) != 0 {
						t.Fatal("not ended")
					}
					want := broker.GatherResult{Complete: true, Asked: 3, Missing: tc.missing}
					if diff := cmp.Diff(want, *r) + cmp.Diff(tc.from, g.from); diff != "" {
						t.Error(diff)
					}
					if n := g.b.Metrics().CallsLate.Load(); n != uint64(len(tc.missing)) {
						t.Errorf("%d answers were late, %q are missing", n, tc.missing)
					}
				})
			})
		}
	}
}

// TestGatherSentinelRace: what comes at the same time as the sentinel is either an answer or late, also
// where it is the last one.
func TestGatherSentinelRace(t *testing.T) {
	t.Parallel()
	const rounds = 500
	g := gatherCase{t: t, b: newBroker(t), service: true}
	g.open()
	for range rounds {
		g.from = nil
		g.result.Store(nil)
		late := g.b.Metrics().CallsLate.Load()
		g.ask(broker.GatherTerms{Sentinel: true})
		var group sync.WaitGroup
		begin := make(chan struct{})
		for i, m := range g.members {
			d, body := m.all()[0], "answer"
			if i == 0 {
				body = ""
			}
			group.Go(func() {
				<-begin
				m.reply(d, body)
				m.settle(d.tag, broker.Accepted)
			})
		}
		close(begin)
		group.Wait()
		r := g.result.Load()
		if r == nil || !r.Complete {
			t.Fatalf("ended with %+v", r)
		}
		late = g.b.Metrics().CallsLate.Load() - late
		all := slices.Sorted(slices.Values(slices.Concat(g.from, r.Missing)))
		if !slices.Equal(all, []string{"b", "c"}) || late != uint64(len(r.Missing)) {
			t.Fatalf("answers of %q, missing %q, %d late", g.from, r.Missing, late)
		}
	}
}

// TestGatherMetAtItsEnd: the total time that ends while the answer that meets the rule is handed on does
// not make a gather incomplete.
func TestGatherMetAtItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := gatherCase{t: t, b: newBroker(t), service: true}
		g.open()
		m := &broker.Message{Body: []byte("who?")}
		m.Key = []byte("svc")
		answered := make(chan struct{})
		err := newClient(t, g.b, "asker").Gather(broker.GatherParams{
			Message: m, Terms: broker.GatherTerms{Replies: 1, Total: time.Second},
			Reply: func(string, *broker.Message) { <-answered },
			End:   func(r broker.GatherResult) { g.result.Store(&r) },
		})
		if err != nil {
			t.Fatal(err)
		}
		var answer sync.WaitGroup
		a := g.members[0]
		answer.Go(func() { a.reply(a.all()[0], "answer") })
		time.Sleep(time.Second)
		close(answered)
		answer.Wait()
		synctest.Wait()
		if r := g.result.Load(); r == nil || !r.Complete || len(r.Missing) != 2 {
			t.Errorf("ended with %+v", r)
		}
	})
}

// TestEndpointGatherSentinel: the sentinel of a member ends the calls of the others; an error without a
// body is an answer.
func TestEndpointGatherSentinel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 0) // needs no credit
		p.names = []string{"a", "b", "c"}
		attach(t, b, "svc", p)
		c := newClient(t, b, "asker")
		var from []string
		end := make(chan broker.GatherResult, 1)
		m := &broker.Message{Body: []byte("who")}
		m.Key = []byte("svc")
		err := c.Gather(broker.GatherParams{
			Message: m, Terms: broker.GatherTerms{Sentinel: true, Total: time.Hour},
			Reply: func(name string, _ *broker.Message) { from = append(from, name) },
			End:   func(r broker.GatherResult) { end <- r },
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Session.Flush()
		calls := map[string]*poolCall{}
		for range p.names {
			call := p.next()
			calls[call.member] = call
		}
		if !slices.Equal(slices.Sorted(maps.Keys(calls)), p.names) {
			t.Fatalf("asked %v", calls)
		}
		start := time.Now()
		calls["a"].answer(&broker.Reply{Failure: "exception"}, "")
		synctest.Wait()
		calls["b"].reply("")
		<-calls["c"].ended // it is not asked any more
		r := <-end
		if !r.Complete || !slices.Equal(r.Missing, []string{"c"}) || !slices.Equal(from, []string{"a"}) ||
			time.Since(start) != 0 {
			t.Errorf("after %v %+v, answers of %q", time.Since(start), r, from)
		}
	})
}

// TestGatherRule: rules in words are those of the list, and all where nothing else bounds the answers.
func TestGatherRule(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]broker.GatherTerms{
		"all":               {All: true},
		"quorum":            {Quorum: true},
		"3":                 {Replies: 3},
		"sentinel":          {All: true, Sentinel: true},
		"all,sentinel":      {All: true, Sentinel: true},
		"2,sentinel":        {Replies: 2, Sentinel: true},
		"sentinel,quorum,3": {Quorum: true, Replies: 3, Sentinel: true},
		"4,2,3":             {Replies: 2},
	} {
		if got, ok := broker.GatherRule(words); !ok || got != want {
			t.Errorf("%s: %+v, %t", words, got, ok)
		}
	}
	for _, words := range []string{"", "0", "-1", "most", "all,", ",2", "2, sentinel", "Sentinel", "4294967296"} {
		if got, ok := broker.GatherRule(words); ok {
			t.Errorf("%q is taken for %+v", words, got)
		}
	}
}
