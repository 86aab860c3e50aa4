// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/parley-ipc/parley/test/harness"
)

// buildKitex puts together and builds the program of test/interop/thrift/kitex, in dir. It returns "" where
// that module's requirements cannot be had.
func (k *thriftKit) buildKitex(t *testing.T, dir, idl string) string {
	t.Helper()
	source, made := filepath.Join(k.dir, "kitex"), filepath.Join(dir, "kitex")
	if err := os.CopyFS(made, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"handler.go", "checks.go"} {
		text, err := os.ReadFile(filepath.Join(k.dir, "go", name))
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.Replace(text, []byte(`/go/thrifttest"`), []byte(`/kitex/kitex_gen/thrifttest"`), 1)
		if err := os.WriteFile(filepath.Join(made, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	download := exec.CommandContext(t.Context(), "go", "mod", "download")
	download.Dir = made
	if out, err := download.CombinedOutput(); err != nil {
		t.Logf("no Kitex: %v\n%s", err, out)
		return ""
	}
	goCommand(t, made, "tool", "kitex",
		"-module", "github.com/parley-ipc/parley/test/interop/thrift/kitex", idl)
	err := os.Rename(filepath.Join(made, "plain.go.tmpl"),
		filepath.Join(made, "kitex_gen", "thrifttest", "thrifttest", "plain.go"))
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "thrift-kitex")
	goCommand(t, made, "build", "-o", bin, ".")
	return bin
}

// kitexRuns are Kitex's client in its forms.
func (k *thriftKit) kitexRuns() []thriftRun {
	if k.kitex == "" {
		return nil
	}
	var runs []thriftRun
	for _, transport := range []string{"ttheader", "ttheader-framed", "framed", "buffered"} {
		r := thriftRun{
			name: "Kitex " + transport, row: "Kitex, binary",
			command: []string{k.kitex, "call", "--transport", transport},
			at:      atThrift, says: slices.Insert(thriftCalls(), 0, wildValues),
		}
		if transport[0] == 't' { // a header names the service
			r.says = append(r.says, secondService)
		}
		runs = append(runs, r)
	}
	return runs
}

// kitexServers are Kitex's server, called in the forms that it tells apart.
func (k *thriftKit) kitexServers() []thriftServer {
	if k.kitex == "" {
		return nil
	}
	var servers []thriftServer
	for _, transport := range []string{"ttheader", "framed", "unframed"} {
		u := thriftUpstream{protocol: "binary", transport: transport}
		if transport == "ttheader" { // without headers Kitex goes by the method alone
			u.multiplex = thriftServices()
		}
		servers = append(servers, thriftServer{
			name: "Kitex, " + transport, knows: "Kitex",
			start: func(t *testing.T) (*thriftHub, *harness.Process) {
				t.Helper()
				addr, process := k.listen(t, []string{k.kitex, "serve"}, shortSecond)
				return k.startHub(t, k.idl, u.services("thrift", addr)), process
			},
		})
	}
	return servers
}
