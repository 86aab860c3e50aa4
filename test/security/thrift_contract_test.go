// SPDX-License-Identifier: Apache-2.0

package security

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// idl is the contract of the services that are called here.
const idl = `struct Box { 1: required i64 n, 2: optional Box inner }
service Boxes { string open(1: Box box) }`

// thriftContractAttacks are the rows about contracts and about services that are called.
func thriftContractAttacks() []attack {
	many := map[string]string{}
	var includes strings.Builder
	for n := range 10_000 {
		many[fmt.Sprintf("i%d.thrift", n)] = ""
		fmt.Fprintf(&includes, "include \"i%d.thrift\"\n", n)
	}
	many["a.thrift"] = includes.String() + "service S {}"
	const service = "service S {}"
	list := []attack{
		{"T6 numbers of JSON", func(t *testing.T, g *ground) { conversions(t, g) }},
		pushRow("T7 includes in a circle", "b.thrift:1:", map[string]string{
			"a.thrift": `include "b.thrift"`, "b.thrift": `include "a.thrift"` + "\n" + service,
		}),
		pushRow("T7 10,000 includes", "more than 1024", many),
		pushRow("T7 include of a path", "a.thrift:1:", map[string]string{
			"a.thrift": `include "../../../../etc/passwd"` + "\n" + service,
		}),
		pushRow("T7 file that is a path", "is no path of a file", map[string]string{
			"../../etc/passwd": service,
		}),
		pushRow("T7 10,000 deep", "a.thrift:1:", map[string]string{
			"a.thrift": "const " + strings.Repeat("list<", 10_000),
		}),
		pushRow("T7 values 10,000 deep", "a.thrift:1:", map[string]string{
			"a.thrift": "const list<i32> A = " + strings.Repeat("[", 10_000),
		}),
		pushRow("T7 file of 2 MB", "bytes", map[string]string{"a.thrift": strings.Repeat("#", 2<<20)}),
		restRow("T7 file of 100 MB", "PUT /v1/contracts/t7 HTTP/1.1\r\nHost: HOST\r\nContent-Type: text/x-thrift\r\n"+
			"Content-Length: 104857600\r\nConnection: close\r\n\r\n", " 413 "),
	}
	for _, s := range strangers() {
		list = append(list, attack{"T8 " + s.name, func(t *testing.T, g *ground) { s.run(t, g) }})
	}
	return list
}

// pushRow pushes a contract and expects the fault, with its place.
func pushRow(row, want string, files map[string]string) attack {
	return attack{row, func(t *testing.T, g *ground) {
		body, err := json.Marshal(map[string]any{"files": files, "root": "a.thrift"})
		if err != nil {
			t.Fatal(err)
		}
		volley(t, 8, func() {
			r, err := http.NewRequest(http.MethodPut, g.URL("/v1/contracts/t7"), strings.NewReader(string(body)))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/json")
			status, answer := reply(t, r)
			if status != http.StatusBadRequest || !strings.Contains(answer, want) && !hasPlace(answer, want) {
				t.Errorf("%d %.300s, want %q", status, answer, want)
			}
		})
	}}
}

// hasPlace reports whether an answer names file and line.
func hasPlace(answer, want string) bool {
	file, line, ok := strings.Cut(want, ":")
	var p struct {
		Faults []struct {
			File string `json:"file"`
			Line int    `json:"line"`
		} `json:"faults"`
	}
	if !ok || json.Unmarshal([]byte(answer), &p) != nil {
		return false
	}
	for _, e := range p.Faults {
		if e.File == file && fmt.Sprint(e.Line, ":") == line {
			return true
		}
	}
	return false
}

// reply is the status and the body of an answer.
func reply(t *testing.T, r *http.Request) (status int, body string) {
	t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		t.Error(err)
	}
	return res.StatusCode, string(text)
}

// put sends JSON and expects that it is taken.
func put(t *testing.T, url, body string) {
	t.Helper()
	r := request(t, http.MethodPut, url, body)
	r.Header.Set("Content-Type", "application/json")
	if status, answer := reply(t, r); status/100 != 2 {
		t.Fatalf("%s: %d %s", url, status, answer)
	}
}

// described tells the hub of a service, its contract and the one server that it has.
func described(t *testing.T, g *ground, service, addr string) {
	t.Helper()
	contract, err := json.Marshal(map[string]any{
		"files": map[string]string{"boxes.thrift": idl}, "services": map[string]string{service: "Boxes"},
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, g.URL("/v1/contracts/"+service), string(contract))
	put(t, g.URL("/v1/services/"+service+"/instances/one"), `{"url":"thrift://`+addr+`"}`)
	t.Cleanup(func() {
		for _, url := range []string{"/v1/services/" + service + "/instances/one", "/v1/contracts/" + service} {
			r, err := http.NewRequest(http.MethodDelete, g.URL(url), http.NoBody)
			if err == nil {
				reply(t, r)
			}
		}
	})
}

// conversions are bodies of JSON that no Thrift can be made of: the caller is told where.
func conversions(t *testing.T, g *ground) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // nothing of this reaches it
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	described(t, g, "t6", l.Addr().String())
	for body, place := range map[string]string{
		`{"box":{"n":9223372036854775808}}`: "/box/n", `{"box":{"n":1e400}}`: "/box/n",
		`{"box":{"n":0.5}}`: "/box/n", `{"box":{"n":"x"}}`: "/box/n", `{"box":{}}`: "/box",
		`{"box":{"n":1,"n":2}}`: "/box/n", `{"box":{"n":1,"inner":{"n":[]}}}`: "/box/inner/n",
		`{"box":{"n":` + strings.Repeat("9", 100_000) + `}}`:  "/box/n",
		`{"box":` + strings.Repeat(`{"n":1,"inner":`, 10_000): "/box/inner",
		`{"box":{"n":1},"lid":1}`:                             "lid",
	} {
		volley(t, 40, func() {
			r, err := http.NewRequest(http.MethodPost, g.URL("/v1/services/t6/open"), strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/json")
			if status, answer := reply(t, r); status != http.StatusBadRequest || !strings.Contains(answer, place) {
				t.Errorf("%.60s: %d %.300s", body, status, answer)
			}
		})
	}
}

// stranger is a server that answers a call as no server should.
type stranger struct {
	name string
	// answer returns what the server sends when it was asked with a sequence id; it is closed then
	// unless it hangs.
	answer func(seq uint32) []byte
	hangs  bool
	// status is what a caller over HTTP gets.
	status int
}

// strangers are all of them.
func strangers() []stranger {
	result := func(name string, kind byte, seq uint32, body string) []byte {
		b := []byte{0x80, 1, 0, kind, 0, 0, 0, byte(len(name))}
		b = binary.BigEndian.AppendUint32(append(b, name...), seq)
		return []byte(framed(string(b) + body))
	}
	good := "\x0b\x00\x00\x00\x00\x00\x02hi\x00"
	fixed := func(text string) func(uint32) []byte {
		return func(uint32) []byte { return []byte(text) }
	}
	reply := func(body string) func(uint32) []byte {
		return func(seq uint32) []byte { return result("open", 2, seq, body) }
	}
	return []stranger{
		{"right answer", reply(good), false, 200},
		{"frame of 2^31", fixed("\x80\x00\x00\x00"), true, 502},
		{"frame of 2^31-1", fixed("\x7f\xff\xff\xff"), true, 502},
		{"answer without an end", fixed("\x00\xfa\x00\x00" + strings.Repeat("\x0b", thriftFrameMost)), true, 502},
		{"half an answer, then silence", func(seq uint32) []byte {
			return result("open", 2, seq, good)[:20]
		}, true, 504},
		{"half an answer, then the end", func(seq uint32) []byte {
			return result("open", 2, seq, good)[:20]
		}, false, 502},
		{"another sequence id", func(seq uint32) []byte { return result("open", 2, seq+1, good) }, true, 502},
		{"another method", func(seq uint32) []byte { return result("shut", 2, seq, good) }, true, 502},
		{"a call for an answer", func(seq uint32) []byte { return result("open", 1, seq, good) }, true, 502},
		{"list of 2^31-1", reply("\x0f\x00\x09\x0a\x7f\xff\xff\xff"), true, 502},
		{"string of -1", reply("\x0b\x00\x00\xff\xff\xff\xff"), true, 502},
		{"10,000 structs", reply(strings.Repeat("\x0c\x00\x09", 10_000)), true, 502},
		{"text that is not UTF-8", reply("\x0b\x00\x00\x00\x00\x00\x01\xff\x00"), true, 502},
		{"result of nothing", reply("\x00"), true, 502},
		{"HTTP for an answer", fixed("HTTP/1.1 200 OK\r\n\r\n"), true, 502},
		{"the end at once", fixed(""), false, 502},
		{"more than an answer", func(seq uint32) []byte {
			return append(result("open", 2, seq, good), result("open", 2, seq+1, good)...)
		}, true, 200},
	}
}

// run calls such a server: the caller gets a status in time, and what the server did reaches nobody.
func (s stranger) run(t *testing.T, g *ground) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	service := "t8." + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, s.name)
	described(t, g, service, l.Addr().String())
	limit := attackWait
	if s.status == http.StatusGatewayTimeout {
		limit = 500 * time.Millisecond
	}
	r := request(t, http.MethodPost, g.URL("/v1/services/"+service+"/open"), `{"box":{"n":1}}`)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("grpc-timeout", fmt.Sprintf("%dm", limit.Milliseconds()))
	start := time.Now()
	status, answer := reply(t, r)
	if took := time.Since(start); status != s.status || took > attackWait/2 {
		t.Errorf("%d after %v: %.300s", status, took, answer)
	}
	if status == http.StatusOK && answer != `"hi"` {
		t.Errorf("answered with %q", answer)
	}
}

// serve answers one call after the other.
func (s stranger) serve(conn net.Conn) {
	defer conn.Close()
	head := make([]byte, 4)
	for {
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		call := make([]byte, binary.BigEndian.Uint32(head))
		if _, err := io.ReadFull(conn, call); err != nil {
			return
		}
		name := binary.BigEndian.Uint32(call[4:])
		seq := binary.BigEndian.Uint32(call[8+name:])
		if _, err := conn.Write(s.answer(seq)); err != nil || !s.hangs {
			return
		}
	}
}
