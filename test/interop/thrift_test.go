// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"context"
	"encoding/json"
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
	apacheThrift = "github.com/apache/thrift"
	// thriftServerWait is how long a server of ThriftTest may take to come up.
	thriftServerWait = 20 * time.Second
	// shortSecond is how long a second of testOneway takes where many clients wait for it.
	shortSecond = "0.05"
)

// thriftKit is what the programs of test/interop/thrift need: code that Debian's compiler generates of
// Apache's IDL, which is kept nowhere, and Go's program, built.
type thriftKit struct {
	dir string // of the programs
	idl string // ThriftTest.thrift with testUuid, which only the hub reads
	env []string
	bin string // of Go
}

// newThriftKit generates and builds, or skips.
func newThriftKit(t *testing.T) *thriftKit {
	t.Helper()
	if os.Getenv(envOn) == "" {
		t.Skipf("needs clients of other languages: run `make interop`, or set %s=1", envOn)
	}
	root := filepath.Join(harness.Root(t), "test")
	tests := filepath.Join(goCommand(t, root, "list", "-m", "-f", "{{.Dir}}", apacheThrift), "test")
	made := t.TempDir()
	k := &thriftKit{
		dir: filepath.Join(root, "interop", "thrift"),
		idl: filepath.Join(tests, "ThriftTest.thrift"),
		env: append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1",
			"PYTHONPATH="+filepath.Join(made, "gen-py"),
			"NODE_PATH="+filepath.Join(made, "gen-nodejs")+":"+
				filepath.Join(root, "interop", "node", "node_modules")),
		bin: filepath.Join(made, "thrift-go"),
	}
	// The one that Debian's compiler reads.
	known := filepath.Join(tests, "v0.16", "ThriftTest.thrift")
	k.generate(t, made, "py", known)
	k.generate(t, made, "js:node,es6", known)
	k.buildGo(t, made, known)
	return k
}

func (k *thriftKit) generate(t *testing.T, dir, language, idl string) {
	t.Helper()
	// It warns of namespaces of languages that it does not know, with which this IDL tests it.
	cmd := exec.CommandContext(t.Context(), "thrift", "-nowarn", "--gen", language, "-o", dir, idl)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("thrift --gen %s: %v\n%s", language, err, out)
	}
}

// buildGo builds Go's program, whose package thrifttest is in the directory of what was generated.
func (k *thriftKit) buildGo(t *testing.T, dir, idl string) {
	t.Helper()
	text, err := os.ReadFile(idl)
	if err != nil {
		t.Fatal(err)
	}
	// The compiler cannot make Go of these two fields, as Apache's own tests know; no method uses them.
	var fit bytes.Buffer
	for line := range bytes.Lines(text) {
		if !bytes.Contains(line, []byte("list<map<set<i32>")) && !bytes.Contains(line, []byte("set<Insanity>")) {
			fit.Write(line)
		}
	}
	reduced := filepath.Join(dir, "ThriftTest.thrift")
	if err := os.WriteFile(reduced, fit.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	k.generate(t, dir, "go", reduced)
	made, err := filepath.Glob(filepath.Join(dir, "gen-go", "thrifttest", "*.go"))
	if err != nil || len(made) == 0 {
		t.Fatalf("the compiler made no Go: %v", err)
	}
	source := filepath.Join(k.dir, "go")
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for _, file := range made {
		overlay.Replace[filepath.Join(source, "thrifttest", filepath.Base(file))] = file
	}
	text, err = json.Marshal(overlay)
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

// thriftForms returns every pair.
func thriftForms(protocols, transports []string) []thriftForm {
	var all []thriftForm
	for _, p := range protocols {
		for _, t := range transports {
			all = append(all, thriftForm{p, t})
		}
	}
	return all
}

// A thriftProgram is ThriftTest in one language.
type thriftProgram struct {
	language    string
	call, serve []string
	protocols   []string // of its clients
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

func (p thriftProgram) forms() []thriftForm { return thriftForms(p.protocols, p.transports) }

// wants returns what the client says that was answered as it should be.
func (r thriftRun) wants() []string {
	all := []string{
		"testVoid", "testString", "testBool", "testByte", "testI32", "testI64", "testDouble",
		"testBinary", "testStruct", "testNest", "testMap", "testStringMap", "testSet", "testList",
		"testEnum", "testTypedef", "testMapMap", "testInsanity", "testMulti",
		"testException Xception", "testException TException", "testException",
		"testMultiException Xception", "testMultiException Xception2", "testMultiException",
		"testOneway",
	}
	if !r.tame {
		all = slices.Insert(all, 0, "wild values")
	}
	if r.uuid {
		all = append(all, "testUuid")
	}
	return append(all, "ThriftTest:testI32", "SecondService:secondtestString")
}

// start runs a server of p and returns where it listens.
func (k *thriftKit) start(
	t *testing.T, p thriftProgram, form thriftForm, second string,
) (addr string, server *harness.Process) {
	t.Helper()
	addr = harness.FreeAddr(t)
	cmd := exec.Command(p.serve[0], slices.Concat(p.serve[1:], form.args(), //nolint:noctx // harness.Run ends it
		[]string{"--addr", addr, "--second", second})...)
	cmd.Env = k.env
	server = harness.Run(t, p.language+" server, "+form.String(), cmd)
	if err := harness.Accepts(server, addr, thriftServerWait); err != nil {
		t.Fatal(err)
	}
	return addr, server
}

// run has a client make all its calls to addr, and returns what goes wrong.
func (k *thriftKit) run(t *testing.T, r thriftRun, addr string, more ...string) error {
	t.Helper()
	if r.tame {
		more = append(more, "--tame")
	}
	if r.uuid {
		more = append(more, "--uuid")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*commandWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.call[0], slices.Concat(r.call[1:], r.form.args(),
		[]string{"--addr", addr}, more)...)
	cmd.Env = k.env
	cmd.WaitDelay = time.Second
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w after %q: %.2000s", err, out.String(), complaint.String())
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if want := r.wants(); !slices.Equal(lines, want) {
		return fmt.Errorf("%d lines instead of %d: %q", len(lines), len(want), lines)
	}
	return nil
}
