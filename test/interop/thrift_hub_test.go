// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/test/harness"
)

// A thriftUpstream is how the hub calls a server of ThriftTest.
type thriftUpstream struct {
	name string
	form thriftForm // of the server
	// protocol and transport are the same in the words of the hub.
	protocol, transport string
}

// thriftUpstreams returns the forms of servers that each client is tried with.
func thriftUpstreams() []thriftUpstream {
	return []thriftUpstream{
		{"binary framed", thriftForm{"binary", "framed"}, "binary", "framed"},
		{"compact framed", thriftForm{"compact", "framed"}, "compact", "framed"},
		{"binary unframed", thriftForm{"binary", "buffered"}, "binary", "unframed"},
		{"header", thriftForm{"header", "buffered"}, "binary", "header"},
		{"json", thriftForm{"json", "buffered"}, "json", "unframed"},
	}
}

// A thriftHub is a hub with a Thrift door, for clients of ThriftTest.
type thriftHub struct {
	*harness.Hub

	thrift, secure string // where the door is, plain and TLS
	ca             string // file of the authority
}

// startThriftHub starts a hub of which more is the rest of the configuration. Names without a service are
// ThriftTest's.
func startThriftHub(t *testing.T, more string) *thriftHub {
	t.Helper()
	ca := harness.NewIssuer(t)
	ca.Issue(t, "hub", nil)
	h := &thriftHub{
		thrift: harness.FreeAddr(t), secure: harness.FreeAddr(t), ca: filepath.Join(ca.Dir, "ca.pem"),
	}
	file := filepath.Join(t.TempDir(), "parley.yaml")
	text := fmt.Sprintf(`doors:
  thrift: { service: ThriftTest, tls_listen: %q }
tls: { cert: %q, key: %q }
%s`, h.secure, filepath.Join(ca.Dir, "hub.pem"), filepath.Join(ca.Dir, "hub.key"), more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h.Hub = harness.Start(t, harness.Build(t), harness.Options{
		Args: []string{"-c", file}, Env: []string{"PARLEY_DOORS__THRIFT__LISTEN=" + h.thrift},
	})
	return h
}

// contractOf is the part of a configuration by which ThriftTest and SecondService have a contract.
func contractOf(idl string) string {
	return fmt.Sprintf("contracts:\n  ThriftTest: { file: %q }\n", idl)
}

// thriftServices is the part of a configuration by which ThriftTest and SecondService are at addr.
func (u thriftUpstream) services(addr string) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for service, multiplex := range map[string]string{
		"ThriftTest": "", "SecondService": "multiplex: SecondService",
	} {
		fmt.Fprintf(&b, `  %s:
    members: { one: { url: "thrift://%s" } }
    thrift: { protocol: %s, transport: %s, %s }
`, service, addr, u.protocol, u.transport, multiplex)
	}
	return b.String()
}
