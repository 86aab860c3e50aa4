// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// thriftServer is a server of Thrift that knows nothing of the hub. It answers each call in the form
// in which it came, by what f says of the method and of the string that is its argument; an error is a
// TApplicationException.
func thriftServer(t *testing.T, f func(method, text string) (string, error)) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			done.Go(func() { serveThrift(t, c, f) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		done.Wait()
	})
	return l.Addr()
}

func serveThrift(t *testing.T, c net.Conn, f func(method, text string) (string, error)) {
	t.Helper()
	defer c.Close()
	stream := thrift.NewStream(c, thrift.DefaultLimits())
	how := thrift.Wrapping{Limits: thrift.DefaultLimits()}
	for {
		m, err := stream.Next()
		if err != nil {
			return
		}
		head, text := readText(t, m.Protocol, m.Bytes)
		answer, err := f(string(head.Name), text)
		var w thrift.Writer
		w.Reset(m.Protocol, nil)
		if err != nil {
			e := thrift.ApplicationException{Type: thrift.InternalError, Message: []byte(err.Error())}
			e.Append(&w, head)
		} else {
			head.Type = thrift.Reply
			writeText(&w, head, 0, answer)
		}
		out, err := m.Shape.Append(nil, w.Bytes(), &how)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// writeText writes a message whose struct has one string.
func writeText(w *thrift.Writer, head thrift.Head, id int16, text string) {
	w.MessageBegin(head)
	w.StructBegin()
	w.Field(thrift.String, id)
	w.Text([]byte(text))
	w.StructEnd()
	w.MessageEnd()
}

// readText reads a message whose struct has one string, or none.
func readText(t *testing.T, p thrift.Protocol, message []byte) (head thrift.Head, text string) {
	t.Helper()
	var r thrift.Reader
	r.Reset(p, message, thrift.DefaultLimits())
	head, err := r.MessageBegin()
	if err == nil {
		err = r.StructBegin()
	}
	var f thrift.Field
	if err == nil {
		f, err = r.Field()
	}
	var raw []byte
	if err == nil && f.Type == thrift.String {
		raw, err = r.Text()
	}
	if err != nil {
		t.Errorf("no message with a string: %v", err)
	}
	return head, string(raw)
}

// binaryCall is a whole call in the binary protocol.
func binaryCall(method, text string) string {
	var w thrift.Writer
	w.Reset(thrift.Binary, nil)
	writeText(&w, thrift.Head{Name: []byte(method), Type: thrift.Call, Seq: 77}, 1, text)
	return string(w.Bytes())
}

const binaryType = "Content-Type: application/vnd.apache.thrift.binary"

// TestThriftService: a service of the configuration that speaks Thrift is called with Thrift through
// REST, and its servers come and go at run time as others do.
func TestThriftService(t *testing.T) {
	t.Parallel()
	address := thriftServer(t, func(method, text string) (string, error) {
		if method == "fail" {
			return "", fmt.Errorf("Internal error processing fail: %s", text)
		}
		return method + ": " + text, nil
	})
	o := doors()
	o.Services = map[string]Service{
		"Echo": {Members: map[string]Instance{"one": {URL: "thrift://" + address.String()}}},
		"Narrow": {
			Protocol: "thrift", Members: map[string]Instance{"one": {URL: address.String()}},
			Thrift: ThriftService{Protocol: "compact", Transport: "header"},
		},
	}
	h := start(t, o)
	for _, service := range []string{"Echo", "Narrow"} {
		r, body := ask(t, h, "POST", "/v1/services/"+service+"/say", binaryCall("say", "hello"), binaryType)
		if r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", service, r.StatusCode, body)
		}
		head, text := readText(t, thrift.Binary, []byte(body))
		if text != "say: hello" || string(head.Name) != "say" || head.Seq != 77 ||
			head.Type != thrift.Reply ||
			r.Header.Get("Content-Type") != "application/vnd.apache.thrift.binary" {
			t.Errorf("%s: %q %+v %v", service, text, head, r.Header)
		}
		if !h.called.bodies.wantsThrift("/", service) {
			t.Errorf("%s wants no Thrift", service)
		}
	}
	r, body := ask(t, h, "POST", "/v1/services/Echo/fail", binaryCall("fail", "x"), binaryType)
	if r.StatusCode != http.StatusOK || !strings.Contains(body, "Internal error processing fail: x") {
		t.Errorf("an exception: %d %q", r.StatusCode, body)
	}
	r, body = ask(t, h, "POST", "/v1/services/Echo/say", binaryCall("other", "x"), binaryType)
	if r.StatusCode != http.StatusBadRequest {
		t.Errorf("another method than it says: %d %q", r.StatusCode, body)
	}
	const at = "/v1/services/Echo/instances/"
	for _, tc := range []struct {
		body   string
		status int
	}{
		{`{"url":"http://127.0.0.1:1/"}`, http.StatusBadRequest},
		{`{"url":"thrift://169.254.169.254:9090"}`, http.StatusBadRequest},
		{`{"url":"thrift://127.0.0.1"}`, http.StatusBadRequest},
		{`{"url":"thrift://` + address.String() + `","health":{"thrift":{"method":"say"}}}`,
			http.StatusCreated},
		{`{"url":"thrift://` + address.String() + `","protocol":"http"}`, http.StatusBadRequest},
	} {
		if r, body := ask(t, h, "PUT", at+"two", tc.body); r.StatusCode != tc.status {
			t.Errorf("%s: %d %s", tc.body, r.StatusCode, body)
		}
	}
	r, body = ask(t, h, "PUT", "/v1/services/Late/instances/a",
		`{"url":"`+address.String()+`","protocol":"thrift"}`)
	if r.StatusCode != http.StatusCreated || !h.called.bodies.wantsThrift("/", "Late") {
		t.Errorf("attached at run time: %d %s", r.StatusCode, body)
	}
	r, body = ask(t, h, "PUT", "/v1/services/Late/instances/b", `{"url":"http://127.0.0.1:1"}`)
	if r.StatusCode != http.StatusBadRequest || !strings.Contains(body, "speak thrift") {
		t.Errorf("mixed protocols: %d %s", r.StatusCode, body)
	}
}
