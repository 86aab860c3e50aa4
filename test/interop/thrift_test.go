// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/parley-ipc/parley/test/harness"
)

// apacheThrift is the module with the library of Go, and the IDL of ThriftTest.
const apacheThrift = "github.com/apache/thrift"

// A thriftKit is what the programs of test/interop/thrift need: code that Debian's compiler generates of
// Apache's IDL, which is kept nowhere, and Go's program, built.
type thriftKit struct {
	dir string // of the programs
	idl string // ThriftTest.thrift with testUuid, which only the hub reads
	env []string
	hub string // the binary of the hub
	bin string // of Go
	// kitex is the program of Kitex, which only full runs have; else "".
	kitex string
}

// newThriftKit generates and builds, or skips.
func newThriftKit(t *testing.T) *thriftKit {
	t.Helper()
	if os.Getenv(envOn) == "" {
		t.Skipf("needs clients of other languages: run `make interop`, or set %s=1", envOn)
	}
	root := filepath.Join(harness.Root(t), "test")
	goCommand(t, root, "mod", "download", apacheThrift) // or it has no directory
	tests := filepath.Join(goCommand(t, root, "list", "-m", "-f", "{{.Dir}}", apacheThrift), "test")
	made := t.TempDir()
	k := &thriftKit{
		dir: filepath.Join(root, "interop", "thrift"),
		idl: filepath.Join(tests, "ThriftTest.thrift"),
		env: append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1",
			"PYTHONPATH="+filepath.Join(made, "gen-py"),
			"NODE_PATH="+filepath.Join(made, "gen-nodejs")+":"+
				filepath.Join(root, "interop", "node", "node_modules")),
		hub: harness.Build(t), bin: filepath.Join(made, "thrift-go"),
	}
	known := filepath.Join(tests, "v0.16", "ThriftTest.thrift") // to Debian's compiler
	generateThrift(t, made, "py", known)
	generateThrift(t, made, "js:node,es6", known)
	fit := fitForGo(t, made, known)
	k.buildGo(t, made, fit)
	if os.Getenv(envOn) == "full" {
		k.kitex = k.buildKitex(t, made, fit)
	}
	return k
}

func generateThrift(t *testing.T, dir, language, idl string) {
	t.Helper()
	// It would warn of namespaces of languages that it does not know, with which this IDL tests it.
	cmd := exec.CommandContext(t.Context(), "thrift", "-nowarn", "--gen", language, "-o", dir, idl)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("thrift --gen %s: %v\n%s", language, err, out)
	}
}

// fitForGo writes an IDL to dir without the two fields of which generators cannot make Go, as Apache's own
// tests know; no method uses them.
func fitForGo(t *testing.T, dir, idl string) string {
	t.Helper()
	text, err := os.ReadFile(idl)
	if err != nil {
		t.Fatal(err)
	}
	var fit []byte
	for line := range bytes.Lines(text) {
		if !bytes.Contains(line, []byte("list<map<set<i32>")) && !bytes.Contains(line, []byte("set<Insanity>")) {
			fit = append(fit, line...)
		}
	}
	name := filepath.Join(dir, "ThriftTest.thrift")
	if err := os.WriteFile(name, fit, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// buildGo builds Go's program, whose package thrifttest is where the compiler writes, in dir.
func (k *thriftKit) buildGo(t *testing.T, dir, idl string) {
	t.Helper()
	generateThrift(t, dir, "go", idl)
	made, err := filepath.Glob(filepath.Join(dir, "gen-go", "thrifttest", "*.go"))
	if err != nil || len(made) == 0 {
		t.Fatalf("the compiler made no Go: %v", err)
	}
	source := filepath.Join(k.dir, "go")
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for _, file := range made {
		overlay.Replace[filepath.Join(source, "thrifttest", filepath.Base(file))] = file
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		t.Fatal(err)
	}
	goCommand(t, source, "build", "-overlay", list, "-o", k.bin, ".")
}

// A thriftForm is how messages travel, in the words of the programs.
type thriftForm struct{ protocol, transport string }

func (f thriftForm) args() []string {
	return []string{"--protocol", f.protocol, "--transport", f.transport}
}

func (f thriftForm) String() string { return f.protocol + " " + f.transport }

// A thriftProgram is ThriftTest in one language.
type thriftProgram struct {
	language    string
	call, serve []string
	protocols   []string // of its clients, and so are
	transports  []string
}

func (k *thriftKit) goProgram() thriftProgram {
	return thriftProgram{
		language: "Go", call: []string{k.bin, "call"}, serve: []string{k.bin, "serve"},
		protocols:  []string{"binary", "compact", "json", "header"},
		transports: []string{"buffered", "framed", "http", "zlib"},
	}
}

func (k *thriftKit) pythonProgram() thriftProgram {
	return thriftProgram{
		language: "Python",
		call:     []string{python, filepath.Join(k.dir, "python", "thrift_client.py")},
		serve:    []string{python, filepath.Join(k.dir, "python", "thrift_server.py")},
		protocols: []string{
			"binary", "compact", "json", "header", "binary-accelerated", "compact-accelerated",
		},
		transports: []string{"buffered", "framed", "http", "zlib"},
	}
}

func (k *thriftKit) nodeProgram() thriftProgram {
	return thriftProgram{
		language:   "Node",
		call:       []string{"node", filepath.Join(k.dir, "node", "thrift_client.cjs")},
		protocols:  []string{"binary", "compact", "json", "header"},
		transports: []string{"buffered", "framed", "http", "websocket"},
	}
}

// forms returns every pair of a protocol and a transport, by protocol.
func (p thriftProgram) forms() []thriftForm {
	var all []thriftForm
	for _, protocol := range p.protocols {
		for _, transport := range p.transports {
			all = append(all, thriftForm{protocol, transport})
		}
	}
	return all
}
