// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/harness"
)

const (
	// thriftServerWait is how long a server of ThriftTest may take to come up.
	thriftServerWait = 20 * time.Second
	// shortSecond is how long a second of testOneway takes, in seconds: many clients wait for two of them.
	shortSecond = "0.05"
	// longSecond is such that two of them are longer than a client lets testOneway take.
	longSecond = "2"
)

// A thriftServer is a service that the hub leads to.
type thriftServer struct {
	name  string
	knows string // Go, Python, Kitex: the library of Thrift that it has; or JSON alone
	first bool   // of the forms of that library
	tame  bool   // not all values get across its TJSON
	// start runs it, and a hub.
	start func(*testing.T) (*thriftHub, *harness.Process)
}

// A thriftUpstream is how the hub calls a server of Thrift.
type thriftUpstream struct {
	name string
	form thriftForm // of the server
	// protocol and transport are the same in the words of the hub.
	protocol, transport string
	multiplex           []string // the services that are called by their names
	more                string   // settings, in YAML, each behind a comma
}

func thriftServices() []string { return []string{"ThriftTest", "SecondService"} }

func thriftUpstreams() []thriftUpstream {
	both := thriftServices()
	second := both[1:] // the other one is what servers have for names without a service
	return []thriftUpstream{
		{"binary framed", thriftForm{"binary", "framed"}, "binary", "framed", second, ""},
		{"compact framed", thriftForm{"compact", "framed"}, "compact", "framed", both, ""},
		{"binary unframed", thriftForm{"binary", "buffered"}, "binary", "unframed", second, ""},
		{"header", thriftForm{"header", "buffered"}, "binary", "header", both, ""},
		{"json", thriftForm{"json", "buffered"}, "json", "unframed", both, ""},
	}
}

// servers returns all services.
func (k *thriftKit) servers() []thriftServer {
	var servers []thriftServer
	for _, p := range []thriftProgram{k.goProgram(), k.pythonProgram()} {
		for i, u := range thriftUpstreams() {
			servers = append(servers, thriftServer{
				name: p.language + ", " + u.name, knows: p.language, first: i == 0,
				tame: p.language == "Python" && u.protocol == "json",
				start: func(t *testing.T) (*thriftHub, *harness.Process) {
					t.Helper()
					addr, process := k.listen(t, slices.Concat(p.serve, u.form.args()), shortSecond)
					return k.startHub(t, k.idl, u.services("thrift", addr)), process
				},
			})
		}
	}
	servers = append(servers, k.kitexServers()...)
	program := []string{python, filepath.Join(k.dir, "python", "json_service.py"), "--by"}
	return append(servers, thriftServer{
		name: "HTTP, JSON", knows: "JSON",
		start: func(t *testing.T) (*thriftHub, *harness.Process) {
			t.Helper()
			addr, process := k.listen(t, append(program, "http"), shortSecond)
			return k.startHub(t, k.idl, thriftUpstream{}.services("http", addr)), process
		},
	}, thriftServer{
		name: "AMQP, JSON", knows: "JSON",
		start: func(t *testing.T) (*thriftHub, *harness.Process) {
			t.Helper()
			hub := k.startHub(t, k.idl, "")
			process := k.serve(t, hub.AMQP, append(program, "amqp"), shortSecond)
			err := harness.Poll(thriftServerWait, func() error {
				if process.Lines("ready") == 0 {
					return fmt.Errorf("it says %q", process.Output())
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return hub, process
		},
	})
}

// slowServer is one whose testOneway takes longer than any client would wait: what comes next on the
// client's connection does not wait for it.
func (k *thriftKit) slowServer() thriftServer {
	u := thriftUpstreams()[0]
	return thriftServer{
		name: "Go, slow", knows: "Go",
		start: func(t *testing.T) (*thriftHub, *harness.Process) {
			t.Helper()
			addr, process := k.listen(t, slices.Concat(k.goProgram().serve, u.form.args()), longSecond)
			return k.startHub(t, k.idl, u.services("thrift", addr)), process
		},
	}
}

// undescribedServer is one whose service has no contract: the hub goes by the types that binary and compact
// carry, and by a list of the methods that are not answered.
func (k *thriftKit) undescribedServer() thriftServer {
	u := thriftUpstreams()[0]
	u.more = ", oneway: [testOneway]"
	return thriftServer{
		name: "Go, without a contract", knows: "Go",
		start: func(t *testing.T) (*thriftHub, *harness.Process) {
			t.Helper()
			addr, process := k.listen(t, slices.Concat(k.goProgram().serve, u.form.args()), shortSecond)
			return k.startHub(t, "", u.services("thrift", addr)), process
		},
	}
}

// sharedPort is a hub at one port: all doors, with TLS and without.
func (k *thriftKit) sharedPort() thriftServer {
	u := thriftUpstreams()[0]
	return thriftServer{
		name: "Go, one port for all doors", knows: "Go",
		start: func(t *testing.T) (*thriftHub, *harness.Process) {
			t.Helper()
			addr, process := k.listen(t, slices.Concat(k.goProgram().serve, u.form.args()), shortSecond)
			port := harness.FreeAddr(t)
			hub := k.startHub(t, k.idl, u.services("thrift", addr)+fmt.Sprintf("listen: %q\n", port))
			hub.thrift, hub.secure = port, port
			hub.AMQP, hub.STOMP, hub.REST = port, port, port
			return hub, process
		},
	}
}

// serve runs a server that listens on addr, or connects to it; second is how long one of testOneway's is.
func (k *thriftKit) serve(t *testing.T, addr string, command []string, second string) *harness.Process {
	t.Helper()
	command = append(command, "--addr", addr, "--second", second)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = k.env
	return harness.Run(t, filepath.Base(command[0]), cmd)
}

// listen is serve for one that listens, and returns where.
func (k *thriftKit) listen(
	t *testing.T, command []string, second string,
) (addr string, process *harness.Process) {
	t.Helper()
	addr = harness.FreeAddr(t)
	process = k.serve(t, addr, command, second)
	if err := harness.Accepts(process, addr, thriftServerWait); err != nil {
		t.Fatal(err)
	}
	return addr, process
}

// services is the part of a configuration by which ThriftTest and SecondService are at addr.
func (u thriftUpstream) services(scheme, addr string) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for _, service := range thriftServices() {
		fmt.Fprintf(&b, "  %s:\n    members: { one: { url: %q } }\n", service, scheme+"://"+addr)
		more := u.more
		if slices.Contains(u.multiplex, service) {
			more += ", multiplex: " + service
		}
		if scheme == "thrift" {
			fmt.Fprintf(&b, "    thrift: { protocol: %s, transport: %s%s }\n",
				u.protocol, u.transport, more)
		}
	}
	return b.String()
}

// A thriftHub is a hub with a Thrift door.
type thriftHub struct {
	*harness.Hub

	thrift, secure string // where the door is, plain and with TLS
	ca             string // file of the authority
}

// startHub starts a hub that has services, and a contract of ThriftTest and SecondService unless idl is
// "". Names without a service are ThriftTest's.
func (k *thriftKit) startHub(t *testing.T, idl, services string) *thriftHub {
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
%s`, h.secure, filepath.Join(ca.Dir, "hub.pem"), filepath.Join(ca.Dir, "hub.key"), services)
	if idl != "" {
		text += fmt.Sprintf("contracts:\n  ThriftTest: { file: %q }\n", idl)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h.Hub = harness.Start(t, k.hub, harness.Options{
		Args: []string{"-c", file}, Env: []string{"PARLEY_DOORS__THRIFT__LISTEN=" + h.thrift},
	})
	return h
}
