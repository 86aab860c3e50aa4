// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"os"
	"testing"

	"github.com/parley-ipc/parley/test/harness"
)

// TestThriftTest lets clients that Apache's compiler generated for Go, Python and Node make every call
// of ThriftTest through the hub, in every form that they have, to servers generated for Go and Python.
// All forms share one port of the hub, and a run one connection. Without `make interop-full` each
// protocol, each transport and each form of a server has a run; with it, all pairs have, and the page
// gets the table.
func TestThriftTest(t *testing.T) {
	t.Parallel()
	k := newThriftKit(t)
	var servers thriftTable
	t.Run("servers", func(t *testing.T) {
		for _, u := range thriftUpstreams() {
			for _, server := range []thriftProgram{k.goProgram(), k.pythonProgram()} {
				k.throughHub(t, &servers, server, u)
			}
		}
	})
	report(t, "ThriftTest through the hub: "+servers.String())
	if os.Getenv(envOn) == "full" {
		writeThriftPage(t, map[string]*thriftTable{"ThriftTest": &servers})
	}
}

// throughHub has clients call a server, and counts in the table.
func (k *thriftKit) throughHub(
	t *testing.T, table *thriftTable, server thriftProgram, u thriftUpstream,
) {
	t.Helper()
	runs := k.thriftRuns(server, u)
	if len(runs) == 0 {
		return
	}
	column := server.language + ", " + u.name
	for _, r := range runs {
		table.plan(r.row(), column)
	}
	t.Run(column, func(t *testing.T) {
		t.Parallel()
		addr, process := k.start(t, server, u.form, shortSecond)
		hub := startThriftHub(t, contractOf(k.idl)+u.services(addr))
		t.Run("from", func(t *testing.T) {
			for _, r := range runs {
				t.Run(r.String(), func(t *testing.T) {
					t.Parallel()
					if err := k.through(t, hub, r); err != nil {
						t.Fatal(err)
					}
					table.pass(r.row(), column)
				})
			}
		})
		allOneway(t, process, len(runs))
	})
}

// A thriftRun is a client in one form.
type thriftRun struct {
	thriftProgram
	form   thriftForm
	secure bool // over TLS
	tame   bool // nothing that the TJSON of Python or Node does not write as JSON
	uuid   bool // testUuid too
}

// row is where the run stands in tables.
func (r thriftRun) row() string { return r.language + ", " + r.form.protocol }

func (r thriftRun) String() string {
	text := r.language + " " + r.form.String()
	if r.secure {
		text += " TLS"
	}
	return text
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

// shares returns which forms of a client are tried, plain and over TLS, with a server; first is the form
// of servers in which most are.
func shares(client, server thriftProgram, first bool) (plain, secure share) {
	pick := func(yes bool, s share) share {
		if yes {
			return s
		}
		return none
	}
	native, full := client.language == "Go", os.Getenv(envOn) == "full"
	switch {
	case full && server.language == "Go":
		return all, pick(first || native, all)
	case full:
		return pick(first || native, all), none
	case server.language != "Go":
		return pick(first && native, diagonal), none
	case first && native:
		return all, diagonal
	default:
		return pick(first || native, diagonal), none
	}
}

// thriftRuns returns the runs of clients to such a server.
func (k *thriftKit) thriftRuns(server thriftProgram, u thriftUpstream) []thriftRun {
	var runs []thriftRun
	for _, client := range []thriftProgram{k.goProgram(), k.pythonProgram(), k.nodeProgram()} {
		plain, secure := shares(client, server, u == thriftUpstreams()[0])
		for i, form := range client.forms() {
			run := thriftRun{thriftProgram: client, form: form}
			run.uuid = client.language == "Go" && server.language == "Go"
			run.tame = form.protocol == "json" && client.language != "Go" ||
				u.protocol == "json" && server.language != "Go"
			if plain.takes(i, len(client.transports)) {
				runs = append(runs, run)
			}
			run.secure = true
			if secure.takes(i, len(client.transports)) {
				runs = append(runs, run)
			}
		}
	}
	return runs
}

// through makes a run through the hub.
func (k *thriftKit) through(t *testing.T, hub *thriftHub, r thriftRun) error {
	t.Helper()
	if r.secure {
		return k.run(t, r, hub.secure, "--ca", hub.ca)
	}
	return k.run(t, r, hub.thrift)
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
