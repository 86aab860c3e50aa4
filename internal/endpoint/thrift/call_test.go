// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"net"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// TestPassThrough: calls and answers go through every protocol and transport, short and long, one
// after the other on one connection (thrift.md, Services).
func TestPassThrough(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{ProtocolBinary, ProtocolCompact, ProtocolJSON} {
		for _, transport := range []string{
			TransportFramed, TransportUnframed, TransportHeader, TransportTTHeader, TransportZlib,
		} {
			o := Options{Protocol: protocol, Transport: transport}
			if o.Validate() != nil {
				continue
			}
			t.Run(protocol+" "+transport, func(t *testing.T) {
				t.Parallel()
				s := serve(t, echo)
				m := reach(t, s, o)
				askers := []thrift.Protocol{thrift.Binary, thrift.Compact}
				if protocol == ProtocolJSON {
					askers = []thrift.Protocol{thrift.JSON} // others need a contract
				}
				for _, asker := range askers {
					for _, text := range []string{"", "x", strings.Repeat("long ", 20_000), "äöü"} {
						if got := m.answered(asker, "say", text); got != "say "+text {
							t.Errorf("%v: %d bytes came back as %.40q", asker, len(text), got)
						}
					}
				}
				if n := s.conns.Load(); n != 1 {
					t.Errorf("%d connections for calls one after the other", n)
				}
			})
		}
	}
}

// TestMultiplex: the service's name goes before the method's, and the answer has the method's alone
// (thrift.md, Door).
func TestMultiplex(t *testing.T) {
	t.Parallel()
	names := make(chan string, 1)
	s := serve(t, func(c net.Conn, h *heard) []byte {
		names <- string(h.head.Name)
		return echo(c, h)
	})
	m := reach(t, s, Options{Multiplex: "Inner"})
	if got := m.answered(thrift.Binary, "say", "x"); got != "say x" {
		t.Error(got)
	}
	if name := <-names; name != "Inner:say" {
		t.Errorf("the server was called as %q", name)
	}
}
