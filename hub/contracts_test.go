// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/contract"
)

const (
	ordersIDL = `include "types.thrift"
/** Takes orders. */
service orders {
  /** Puts an order. */
  string put(1: types.Order order) (parley.timeout = "250ms")
  oneway void forget(1: string id)
}
service stock { i64 count(1: string what) (parley.idempotent) }
`
	typesIDL = "struct Order { 1: required string what, 2: i32 many }\n"
)

// pushed is the body of PUT /contracts/{name}.
func pushed(t *testing.T, s contract.Source) string {
	t.Helper()
	data, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func orders() contract.Source {
	return contract.Source{
		Files: map[string]string{"orders.thrift": ordersIDL, "types.thrift": typesIDL},
		Root:  "orders.thrift",
	}
}

const jsonBody = "Content-Type: application/json"

// TestPushContract: a contract is pushed, shown, replaced, refused when it breaks the one before it or
// describes what another does, and deleted.
func TestPushContract(t *testing.T) {
	t.Parallel()
	h := start(t, doors())
	const path = "/v1/contracts/orders"
	r, body := ask(t, h, "PUT", path, pushed(t, orders()), jsonBody)
	if r.StatusCode != http.StatusCreated || r.Header.Get("Location") != path {
		t.Fatalf("push: %d %s", r.StatusCode, body)
	}
	o := h.contracts.Operations("/", "orders")
	if o == nil || o.Method([]byte("put")) == nil || h.contracts.Operations("/", "stock") == nil ||
		h.contracts.Operations("/other", "orders") != nil {
		t.Fatalf("operations of orders: %v", o)
	}
	r, body = ask(t, h, "GET", path, "")
	var shown struct {
		Files    map[string]string
		Services map[string]string
		Methods  map[string][]struct {
			Name      string
			About     string
			TimeoutMS int `json:"timeout_ms"`
		}
	}
	if err := json.Unmarshal([]byte(body), &shown); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("show: %d %v %s", r.StatusCode, err, body)
	}
	if m := shown.Methods["orders"]; len(m) != 2 || m[1].Name != "put" || m[1].TimeoutMS != 250 ||
		m[1].About != "Puts an order." || shown.Files["types.thrift"] != typesIDL ||
		shown.Services["stock"] != "stock" {
		t.Errorf("shown: %s", body)
	}
	if r, body = ask(t, h, "GET", "/v1/contracts", ""); r.StatusCode != http.StatusOK ||
		!strings.Contains(body, `"name":"orders"`) || strings.Contains(body, typesIDL) {
		t.Errorf("list: %d %s", r.StatusCode, body)
	}

	next := orders()
	next.Files["orders.thrift"] = strings.Replace(ordersIDL, "string put", "i32 put", 1)
	r, body = ask(t, h, "PUT", path, pushed(t, next), jsonBody)
	if r.StatusCode != http.StatusConflict || !strings.Contains(body, `"code":"conflict"`) ||
		!strings.Contains(body, `"rule":"returns","file":"orders.thrift","line":5`) {
		t.Errorf("a version that breaks: %d %s", r.StatusCode, body)
	}
	if now := h.contracts.Operations("/", "orders"); now != o {
		t.Error("what was refused is in force")
	}
	r, body = ask(t, h, "PUT", path+"?force=true", pushed(t, next), jsonBody)
	if r.StatusCode != http.StatusOK || !strings.Contains(body, `"level":"error","rule":"returns"`) {
		t.Errorf("forced: %d %s", r.StatusCode, body)
	}
	now := h.contracts.Operations("/", "orders")
	if now == o || now.Method([]byte("put")).Function.Returns.Kind != contract.KindI32 ||
		o.Method([]byte("put")).Function.Returns.Kind != contract.KindString {
		t.Error("the new version is not in force, or the old one changed under its users")
	}

	r, body = ask(t, h, "PUT", "/v1/contracts/other", "service stock {}", "Content-Type: text/x-thrift")
	if r.StatusCode != http.StatusConflict || !strings.Contains(body, "'orders' describes") {
		t.Errorf("two contracts for a service: %d %s", r.StatusCode, body)
	}
	r, body = ask(t, h, "PUT", "/v1/contracts/other",
		pushed(t, contract.Source{
			Files:    map[string]string{"a.thrift": "service stock { void f() }"},
			Services: map[string]string{"warehouse": "stock"},
		}), jsonBody)
	if r.StatusCode != http.StatusCreated || h.contracts.Operations("/", "warehouse") == nil {
		t.Errorf("a contract by a mapping: %d %s", r.StatusCode, body)
	}
	for range 2 {
		if r, body = ask(t, h, "DELETE", path, ""); r.StatusCode != http.StatusNoContent {
			t.Errorf("delete: %d %s", r.StatusCode, body)
		}
	}
	if r, _ = ask(t, h, "GET", path, ""); r.StatusCode != http.StatusNotFound ||
		h.contracts.Operations("/", "orders") != nil {
		t.Errorf("a contract that was deleted: %d", r.StatusCode)
	}
}

// askConsole sends a request to the management API as an administrator, and wants a status.
func askConsole(t *testing.T, h *Hub, method, path, body string, want int) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method,
		"http://"+h.Addr("management").String()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("guest", "guest")
	r.Header.Set("Content-Type", "application/json")
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != want {
		t.Errorf("%s %s: %d %v %s", method, path, answer.StatusCode, err, data)
	}
	return string(data)
}

// within waits until something has come about.
func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come", what)
		}
	}
}

// TestPushRefused: what is wrong with a contract comes back with its places.
func TestPushRefused(t *testing.T) {
	t.Parallel()
	h := start(t, doors())
	many := map[string]string{}
	for i := range contract.SourceFiles + 1 {
		many[strings.Repeat("a", i+1)] = ""
	}
	for _, c := range []struct {
		name, contract string
		source         contract.Source
		status         int
		want           string
	}{
		{
			"a fault", "a",
			contract.Source{Files: map[string]string{"a.thrift": "service s {\n  oops"}},
			400, `"faults":[{"file":"a.thrift","line":2,"column":`,
		},
		{
			"no such include", "a",
			contract.Source{Files: map[string]string{"a.thrift": `include "b.thrift"`}},
			400, "is not found",
		},
		{"outside", "a", contract.Source{Files: map[string]string{
			"a.thrift": `include "../../etc/passwd"`,
		}}, 400, "leads out of the files"},
		{
			"a path outside", "a",
			contract.Source{Files: map[string]string{"../a.thrift": "service s {}"}},
			400, "no path of a file",
		},
		{"no root", "a", contract.Source{Files: map[string]string{"a": "", "b": ""}}, 400, "root"},
		{"another root", "a", contract.Source{Files: map[string]string{"a": ""}, Root: "b"}, 400, "root"},
		{"no files", "a", contract.Source{}, 400, "there is none"},
		{"too many", "a", contract.Source{Files: many, Root: "a"}, 400, "more than 1024"},
		{"too large", "a", contract.Source{Files: map[string]string{
			"a.thrift": "service s {}" + strings.Repeat(" ", contract.SourceBytes),
		}}, 400, "more than 1048576"},
		{
			"no service", "a",
			contract.Source{Files: map[string]string{"a.thrift": "struct S {}"}},
			400, "defines none",
		},
		{"another service", "a", contract.Source{
			Files: map[string]string{"a.thrift": "service s {}"}, Services: map[string]string{"q": "t"},
		}, 400, "has no service"},
		{"the hub's own name", "a", contract.Source{
			Files:    map[string]string{"a.thrift": "service s {}"},
			Services: map[string]string{"amq.gen-1": "s"},
		}, 400, "cannot be the name"},
		{"i64", "a", contract.Source{
			Files: map[string]string{"a.thrift": "service s {}"}, I64: "text",
		}, 400, "i64: it is number or string"},
		{
			"a name", "%20",
			contract.Source{Files: map[string]string{"a.thrift": "service s {}"}},
			400, "name of a contract",
		},
	} {
		r, body := ask(t, h, "PUT", "/v1/contracts/"+c.contract, pushed(t, c.source), jsonBody)
		if r.StatusCode != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %.300s", c.name, r.StatusCode, body)
		}
	}
	if n := len(h.contracts.List()); n != 0 {
		t.Errorf("%d contracts are in force", n)
	}
}

// TestContractPermission: who may declare the queue says what its service takes; who may do nothing
// with it sees no contract.
func TestContractPermission(t *testing.T) {
	t.Parallel()
	h := start(t, doors())
	as := map[string]string{}
	for name, permission := range map[string]Permission{
		"maker": {Configure: "^greeter$"}, "caller": {Write: "^greeter$"}, "stranger": {},
	} {
		u := User{Name: name, Permissions: map[string]Permission{"/": permission}}
		if err := h.Users().Put(u); err != nil {
			t.Fatal(err)
		}
		if err := h.Users().SetPassword(t.Context(), name, auth.NewSecret("pw")); err != nil {
			t.Fatal(err)
		}
		as[name] = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":pw"))
	}
	const path, text = "/v1/contracts/greeter", "service greeter {}"
	for _, c := range []struct {
		user, method, path, body string
		status                   int
	}{
		{"caller", "PUT", path, text, 403},
		{"stranger", "PUT", path, text, 403},
		{"maker", "PUT", path, "service greeter {} service other {}", 403},
		{"maker", "PUT", path, text, 201},
		{"stranger", "GET", path, "", 404},
		{"caller", "GET", path, "", 200},
		{"caller", "PUT", path, "service mine {}", 403},
		{"caller", "DELETE", path, "", 403},
		{"maker", "DELETE", path, "", 204},
	} {
		r, body := ask(t, h, c.method, c.path, c.body, "Content-Type: text/x-thrift", as[c.user])
		if r.StatusCode != c.status {
			t.Errorf("%s as %s: %d %s", c.method, c.user, r.StatusCode, body)
		}
	}
}

// TestContractsLast: contracts are there after a restart, and with the definitions that another hub
// imports.
func TestContractsLast(t *testing.T) {
	t.Parallel()
	o := doors()
	o.Data = t.TempDir()
	first := start(t, o)
	r, body := ask(t, first, "PUT", "/v1/contracts/orders", pushed(t, orders()), jsonBody)
	if r.StatusCode != http.StatusCreated {
		t.Fatalf("push: %d %s", r.StatusCode, body)
	}
	if err := first.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := start(t, o)
	if second.contracts.Operations("/", "stock") == nil {
		t.Error("the contract is gone after a restart")
	}
	definitions := askConsole(t, second, "GET", "/api/definitions", "", 200)
	if !strings.Contains(definitions, `"component":"contract"`) {
		t.Errorf("definitions without the contract: %s", definitions)
	}
	third := start(t, doors())
	askConsole(t, third, "POST", "/api/definitions", definitions, 204)
	within(t, "the imported contract", func() bool {
		return third.contracts.Operations("/", "orders") != nil
	})
	askConsole(t, third, "DELETE", "/api/parameters/contract/%2F/orders", "", 204)
	within(t, "the end of the contract", func() bool {
		return third.contracts.Operations("/", "orders") == nil
	})
	answer := askConsole(t, third, "PUT", "/api/parameters/contract/%2F/bad",
		`{"value":{"files":{"a.thrift":"service s {"}}}`, 400)
	if !strings.Contains(answer, "a.thrift:1:") {
		t.Errorf("a contract with a fault was refused with %s", answer)
	}
}

// TestConfiguredContract: a contract of the configuration is in force, cannot be replaced, and its
// faults are those of the configuration.
func TestConfiguredContract(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	file := write("idl/orders.thrift", ordersIDL)
	write("shared/types.thrift", typesIDL)
	o := doors()
	o.Contracts = map[string]Contract{"orders": {
		File: file, Include: []string{filepath.Join(dir, "shared")},
		Services: map[string]string{"shop": "orders"}, I64: "string",
	}}
	h := start(t, o)
	operations := h.contracts.Operations("/", "shop")
	if operations == nil || h.contracts.Operations("/", "orders") != nil ||
		!operations.Contract.Settings.I64Strings {
		t.Fatalf("the contract of the configuration: %v", operations)
	}
	if _, ok := h.contracts.Entry("/", "orders").Source.Files["shared/types.thrift"]; !ok {
		t.Errorf("files: %v", h.contracts.Entry("/", "orders").Source.Files)
	}
	r, body := ask(t, h, "PUT", "/v1/contracts/orders", pushed(t, orders()), jsonBody)
	if r.StatusCode != http.StatusConflict || !strings.Contains(body, "stands in the configuration") {
		t.Errorf("pushed over it: %d %s", r.StatusCode, body)
	}
	if r, body = ask(t, h, "DELETE", "/v1/contracts/orders", ""); r.StatusCode != http.StatusConflict {
		t.Errorf("deleted: %d %s", r.StatusCode, body)
	}

	o.Contracts = map[string]Contract{
		"bad":  {File: write("bad.thrift", "service s {\n  void f(")},
		"gone": {File: filepath.Join(dir, "gone.thrift")},
		"none": {},
		"note": {File: write("idl/note.thrift", "service n {\n  void f() (parley.timeout = 'soon')\n}")},
		"one":  {File: write("one.thrift", "service s {}")},
		"two":  {File: filepath.Join(dir, "one.thrift")},
	}
	err := o.Validate()
	for _, want := range []string{
		"contracts.bad.file: ", "bad.thrift:2:", "contracts.gone.file: ", "contracts.none.file: it is needed",
		"contracts.note.file: " + filepath.Join(dir, "idl", "note.thrift") + ":2:8: parley.timeout",
		"contracts.two.services: ",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("faults without %q: %v", want, err)
		}
	}
	// A file may have changed since it was found good.
	if loaded, _ := o.loadContracts(); len(loaded) != 1 || loaded[0].Contract.Name != "one" {
		t.Errorf("%d contracts, want one", len(loaded))
	}
}

// slow is an HTTP service that never answers, and counts who asks.
func slow(t *testing.T, asked *atomic.Int64) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return s
}

// TestContractTimeout: a call through REST or as a line that does not say how long it may take takes as
// long as the contract says.
func TestContractTimeout(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	o := doors()
	o.Services = map[string]Service{"sleeper": {Members: map[string]Instance{
		"one": {URL: slow(t, &asked).URL},
	}}}
	h := start(t, o)
	r, body := ask(t, h, "PUT", "/v1/contracts/sleeper", `service sleeper {
		void nap() (parley.timeout = "1s")
	}`, "Content-Type: text/x-thrift")
	if r.StatusCode != http.StatusCreated {
		t.Fatalf("push: %d %s", r.StatusCode, body)
	}
	const limit = time.Second
	begun := time.Now()
	r, body = ask(t, h, "POST", "/v1/services/sleeper/nap", "", jsonBody)
	if took := time.Since(begun); r.StatusCode != http.StatusGatewayTimeout || took < limit*9/10 ||
		took > 10*limit {
		t.Errorf("through REST: %d %s after %v", r.StatusCode, body, took)
	}
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp",
		h.Addr("line").String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	begun = time.Now()
	_, err = io.WriteString(c, `{"op":"call","id":1,"service":"sleeper","method":"nap","body":{}}`+"\n")
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if took := time.Since(begun); err != nil || !strings.Contains(line, `"code":"deadline"`) ||
		took < limit*9/10 || took > 10*limit {
		t.Errorf("as a line: %q %v after %v", line, err, took)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the service was asked %d times", n)
	}
}

// TestSecT7Upload: an IDL of a stranger is refused with its place, quickly, and reaches no file but its
// own (security.md T7).
func TestSecT7Upload(t *testing.T) {
	t.Parallel()
	h := start(t, doors())
	many := map[string]string{"a.thrift": ""}
	for i := range 1000 {
		name := fmt.Sprintf("f%d.thrift", i)
		many[name] = fmt.Sprintf("include \"f%d.thrift\"\n", i+1)
		many["a.thrift"] += "include \"" + name + "\"\n"
	}
	many["f1000.thrift"] = "struct S {}"
	deep := strings.Repeat("list<", 10_000) + "i32" + strings.Repeat(">", 10_000)
	tower := "typedef map<string, map<string, map<string, i8>>> T0\n"
	for i := range 40 {
		tower += fmt.Sprintf("typedef map<T%d, T%d> T%d\n", i, i, i+1)
	}
	for _, c := range []struct {
		name   string
		files  map[string]string
		status int
		want   string
	}{
		{"a cycle", map[string]string{
			"a.thrift": `include "b.thrift"`, "b.thrift": `include "a.thrift"`,
		}, 400, `"file":"b.thrift","line":1`},
		{"10,000 includes", map[string]string{
			"a.thrift": strings.Repeat("include \"a.thrift\"\n", 10_000),
		}, 400, `"file":"a.thrift","line":1`},
		{"includes that nest", many, 400, "deeper than 64"},
		{"out of the files", map[string]string{"a.thrift": `include "../../etc/passwd"`}, 400, `"line":1`},
		{"an absolute path", map[string]string{"a.thrift": `include "/etc/passwd"`}, 400, "no relative path"},
		{"nesting", map[string]string{"a.thrift": "struct S { 1: " + deep + " x }"}, 400, `"line":1`},
		{"a tower", map[string]string{"a.thrift": tower + "service s { T40 f() }"}, 400, `"file":"a.thrift"`},
		{"a million tokens", map[string]string{
			"a.thrift": "const list<i8> c = [" + strings.Repeat("1 ", 500_000) + "]",
		}, 400, `"file":"a.thrift"`},
	} {
		body, err := json.Marshal(contract.Source{Files: c.files, Root: "a.thrift"})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		r, answer := ask(t, h, "PUT", "/v1/contracts/a", string(body), jsonBody)
		if r.StatusCode != c.status || !strings.Contains(answer, c.want) {
			t.Errorf("%s: %d %.300s", c.name, r.StatusCode, answer)
		}
		if took := time.Since(begun); took > time.Minute { // of a busy machine, under -race
			t.Errorf("%s took %v", c.name, took)
		}
	}
	// 100 MB are refused before they come.
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.Addr("rest").String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(c, "PUT /v1/contracts/a HTTP/1.1\r\nHost: localhost\r\n"+
		"Content-Type: application/json\r\nContent-Length: 104857600\r\n\r\n")
	line, failed := bufio.NewReader(c).ReadString('\n')
	if err != nil || failed != nil || !strings.Contains(line, " 413 ") {
		t.Errorf("100 MB: %q %v %v", line, err, failed)
	}
}
