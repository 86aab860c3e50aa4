// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/parley-ipc/parley/test/harness"
)

// TestThriftTest makes every call of ThriftTest through the hub. Clients that Apache's compiler
// generated for Go, Python and Node, in every form that they have, call servers generated for Go and
// Python, and services that know JSON alone, over HTTP and AMQP; clients that know JSON alone, over
// HTTP, AMQP and STOMP, call the servers. All forms share one port of the hub, and a run one connection.
//
// Without `make interop-full` each protocol, each transport and each form of a server has a run; with it
// all pairs have, and the page gets the table.
func TestThriftTest(t *testing.T) {
	t.Parallel()
	k := newThriftKit(t)
	var table, others thriftTable
	t.Run("by", func(t *testing.T) {
		for _, s := range k.servers() {
			k.throughHub(t, &table, s, k.runs(s))
		}
		few := k.fewRuns()
		more := slices.Concat(few, k.jsonRuns(false))
		k.throughHub(t, &others, k.slowServer(), more)
		k.throughHub(t, &others, k.undescribedServer(), few)
		secure := k.goProgram().run(thriftForm{"json", "zlib"}, true, false).overTLS()
		k.throughHub(t, &others, k.sharedPort(), append(more, secure))
	})
	report(t, "ThriftTest through the hub: "+table.String()+", and "+others.String())
	if os.Getenv(envOn) == "full" && table.whole() {
		writeThriftPage(t, map[string]*thriftTable{"ThriftTest": &table})
	}
}

// throughHub has clients call a server, and counts in the table.
func (k *thriftKit) throughHub(
	t *testing.T, table *thriftTable, s thriftServer, runs []thriftRun,
) {
	t.Helper()
	if len(runs) == 0 {
		return
	}
	for _, r := range runs {
		table.plan(r.row, s.name)
	}
	t.Run(s.name, func(t *testing.T) {
		t.Parallel()
		hub, process := s.start(t)
		var passed atomic.Int64
		t.Run("for", func(t *testing.T) {
			for _, r := range runs {
				t.Run(r.name, func(t *testing.T) {
					t.Parallel()
					err := k.run(t, r, hub)
					table.done(r.row, s.name, err == nil)
					if err != nil {
						t.Fatal(err)
					}
					passed.Add(1)
				})
			}
		})
		if !t.Failed() {
			allOneway(t, process, int(passed.Load()))
		}
	})
}

// allOneway wants each client's oneway call to have come to its end in the server, once.
func allOneway(t *testing.T, server *harness.Process, runs int) {
	t.Helper()
	err := harness.Poll(commandWait, func() error {
		if got := server.Lines("oneway 2"); got < runs {
			return fmt.Errorf("%d of %d", got, runs)
		}
		return nil
	})
	if got := server.Lines("oneway 2"); err != nil || got != runs {
		t.Errorf("the server had %d oneway calls of %d: %v", got, runs, err)
	}
}

// A share says which forms of a client are tried.
type share int

const (
	none     share = iota
	diagonal       // each protocol once, each transport about as often as any other
	all
)

// takes reports whether form i of a client with that many transports is in the share.
func (s share) takes(i, transports int) bool {
	return s == all || s == diagonal && i%transports == i/transports%transports
}

// shares returns which forms of a client are tried with a server, plain and over TLS.
func shares(client thriftProgram, s thriftServer) (plain, secure share) {
	pick := func(yes bool, s share) share {
		if yes {
			return s
		}
		return none
	}
	native, full := client.language == "Go", os.Getenv(envOn) == "full"
	switch {
	case s.knows == "Kitex":
		return pick(native, diagonal), none
	case s.knows == "JSON" && full:
		return all, none
	case s.knows == "JSON":
		return diagonal, none
	case full && s.knows == "Go":
		return all, pick(s.first || native, all)
	case full:
		return pick(s.first || native, all), none
	case s.knows == "Go" && s.first && native:
		return all, diagonal
	default:
		return pick(s.first || native && s.knows == "Go", diagonal), none
	}
}

// runs returns the runs of clients to a server.
func (k *thriftKit) runs(s thriftServer) []thriftRun {
	var runs []thriftRun
	for _, p := range []thriftProgram{k.goProgram(), k.pythonProgram(), k.nodeProgram()} {
		plain, secure := shares(p, s)
		for i, form := range p.forms() {
			// Debian's compiler knows no uuid: what is written by hand in Go calls what is in Go.
			uuid := p.language == "Go" && (s.knows == "Go" || s.knows == "JSON")
			// See docs/thrift.md for what does not get across.
			tame := form.protocol == "json" && p.language != "Go" || s.tame
			if plain.takes(i, len(p.transports)) {
				runs = append(runs, p.run(form, uuid, tame))
			}
			if secure.takes(i, len(p.transports)) {
				runs = append(runs, p.run(form, uuid, tame).overTLS())
			}
		}
	}
	if s.first || s.knows == "Kitex" || s.knows == "JSON" {
		runs = append(runs, k.kitexRuns()...)
	}
	if s.knows == "JSON" || s.knows == "Python" && !s.first && os.Getenv(envOn) != "full" {
		return runs
	}
	return append(runs, k.jsonRuns(s.tame)...)
}

// fewRuns is a form or two of each generated client.
func (k *thriftKit) fewRuns() []thriftRun {
	return []thriftRun{
		k.goProgram().run(thriftForm{"compact", "framed"}, true, false),
		k.goProgram().run(thriftForm{"header-compact", "buffered"}, true, false),
		k.pythonProgram().run(thriftForm{"binary", "buffered"}, false, false),
		k.nodeProgram().run(thriftForm{"header", "framed"}, false, false),
	}
}
