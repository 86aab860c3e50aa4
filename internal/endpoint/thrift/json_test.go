// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// jsonCall is a call with arguments of JSON.
func jsonCall(method, body string) *broker.EndpointCall {
	m := &broker.Message{Body: []byte(body)}
	m.Type, m.ContentType = []byte(method), []byte(typeJSON)
	return &broker.EndpointCall{Message: m, Answers: true}
}

// status returns the header http-status of a reply, 200 where there is none.
func status(tb testing.TB, r *broker.Reply) int64 {
	tb.Helper()
	p, err := r.Message.Properties()
	if err != nil {
		tb.Fatal(err)
	}
	n, ok := p.Headers.Integer(headerStatus)
	if !ok {
		return 200
	}
	return n
}

// TestJSONStatuses: the status and code that an asker of JSON gets for each type of exception
// (thrift.md, Door).
func TestJSONStatuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind   thrift.ExceptionType
		fb     bool
		status int64
		code   string
	}{
		{thrift.Unknown, false, 502, "bad-reply"},
		{thrift.UnknownMethod, false, 501, "no-method"},
		{thrift.InvalidMessageType, false, 502, "bad-reply"},
		{thrift.MissingResult, false, 502, "bad-reply"},
		{thrift.InternalError, false, 500, "internal"},
		{thrift.ProtocolError, false, 502, "bad-reply"},
		{thrift.InvalidTransform, false, 502, "bad-reply"},
		{thrift.InvalidProtocol, false, 502, "bad-reply"},
		{thrift.UnsupportedClientType, false, 502, "bad-reply"},
		{thrift.ValidationFailed, false, 400, "bad-request"},
		{thrift.ValidationFailed, true, 503, "overloaded"},
		{thrift.Timeout, true, 504, "deadline"},
	} {
		s := serve(t, func(_ net.Conn, h *heard) []byte { return exceptionOf(h, tc.kind, "\xffits words") })
		m := reach(t, s, Options{FBThrift: tc.fb, Contracts: described(t)})
		r, o := m.try(t.Context(), jsonCall("say", `{"text":"x"}`))
		if r == nil {
			t.Fatalf("%d: %v, %v", tc.kind, o.Class, o.Err)
		}
		want := fmt.Sprintf(`"status":%d,"detail":"`+"\uFFFD"+`its words","code":%q`, tc.status, tc.code)
		if got := string(r.Message.Body); status(t, r) != tc.status || !strings.Contains(got, want) ||
			string(r.Message.ContentType) != typeProblem || r.Failure != tc.code {
			t.Errorf("%d: %d %s", tc.kind, status(t, r), got)
		}
	}
}

// TestBadResults: a result that is not what the contract says is passed to no asker of JSON, and its
// connection is not used again; an asker of Thrift gets it as it is.
func TestBadResults(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]handler{
		"missing":    func(_ net.Conn, h *heard) []byte { return emptyOf(h) },
		"no text":    func(_ net.Conn, h *heard) []byte { return resultOf(h, "\xff") },
		"of a kind":  func(_ net.Conn, h *heard) []byte { return numberOf(h) },
		"undeclared": func(_ net.Conn, h *heard) []byte { return textMessage(h.Protocol, replyTo(h), 9, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, answer)
			m := reach(t, s, Options{Contracts: described(t)})
			for range 2 {
				_, o := m.try(t.Context(), jsonCall("say", `{"text":"x"}`))
				if o.Class != endpoint.ClassBadReply {
					t.Errorf("%v, %v", o.Class, o.Err)
				}
			}
			if r, o := m.try(t.Context(), callOf(thrift.Binary, "say", "x")); r == nil {
				t.Errorf("an asker of Thrift: %v, %v", o.Class, o.Err)
			}
			if n := s.conns.Load(); n != 3 {
				t.Errorf("%d connections", n)
			}
		})
	}
	s := serve(t, func(_ net.Conn, h *heard) []byte { return emptyOf(h) })
	m := reach(t, s, Options{Contracts: described(t)})
	_, o := m.try(t.Context(), jsonCall("say", `{"text":"x"}`))
	if !errors.Is(o.Err, contract.ErrMissingResult) {
		t.Errorf("a missing result: %v", o.Err)
	}
	r, o := m.try(t.Context(), jsonCall("note", `{"text":"x"}`))
	if r == nil || status(t, r) != 204 || len(r.Message.Body) > 0 || len(r.Message.ContentType) > 0 {
		t.Errorf("nothing is what a void method returns: %+v, %v", r, o.Err)
	}
}

func replyTo(h *heard) thrift.Head {
	return thrift.Head{Name: h.head.Name, Type: thrift.Reply, Seq: h.head.Seq}
}

// numberOf answers with a number.
func numberOf(h *heard) []byte {
	var w thrift.Writer
	w.Reset(h.Protocol, nil)
	w.MessageBegin(replyTo(h))
	w.StructBegin()
	w.Field(thrift.I64, 0)
	w.I64(7)
	w.StructEnd()
	w.MessageEnd()
	return w.Bytes()
}

// TestThroughTheContract: TJSON beside another protocol is turned by the contract, both ways, and so
// are exceptions.
func TestThroughTheContract(t *testing.T) {
	t.Parallel()
	protocols := []thrift.Protocol{thrift.Binary, thrift.Compact, thrift.JSON}
	s := serve(t, func(c net.Conn, h *heard) []byte {
		if string(firstText(h.Protocol, h.args)) == "fail" {
			return exceptionOf(h, thrift.InternalError, "failed")
		}
		return echo(c, h)
	})
	for _, theirs := range protocols {
		m := reach(t, s, Options{Protocol: theirs.String(), Contracts: described(t)})
		for _, ours := range protocols {
			if got := m.answered(ours, "say", "\"text\""); got != "say \"text\"" {
				t.Errorf("%v to %v: %q", ours, theirs, got)
			}
			r, o := m.try(t.Context(), callOf(ours, "say", "fail"))
			if r == nil {
				t.Fatal(o)
			}
			var reader thrift.Reader
			reader.Reset(ours, r.Message.Body, thrift.DefaultLimits())
			head, err := reader.MessageBegin()
			var e thrift.ApplicationException
			if err == nil {
				err = e.Read(&reader)
			}
			if err != nil || head.Seq != seqOfAsker || string(e.Message) != "failed" {
				t.Errorf("%v to %v: %+v %+v, %v", ours, theirs, head, e, err)
			}
		}
	}
	m := reach(t, s, Options{Protocol: ProtocolJSON, Contracts: described(t)})
	for method, want := range map[string]broker.Code{"other": broker.CodeNoMethod} {
		_, err := m.kind.Prepare(callOf(thrift.Binary, method, "x"))
		if e, ok := errors.AsType[*broker.Error](err); !ok || e.Code != want {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// TestOptions: faults are found, all at once.
func TestOptions(t *testing.T) {
	t.Parallel()
	bad := Options{
		Protocol: "xml", Transport: "pigeon", Multiplex: "a:b", MessageBytes: -1, Conns: 5_000,
		Connect: 1, Idle: 61e9, Oneway: make([]string, maxOneways+1),
	}
	err := bad.Validate()
	for _, key := range []string{
		"protocol", "transport", "multiplex", "oneway", "message_bytes", "conns", "connect", "idle",
	} {
		if err == nil || !strings.Contains(err.Error(), key+": ") {
			t.Errorf("%s is not refused: %v", key, err)
		}
	}
	for _, transport := range []string{TransportHeader, TransportTTHeader} {
		if o := (Options{Protocol: ProtocolJSON, Transport: transport}); o.Validate() == nil {
			t.Errorf("json in %s", transport)
		}
	}
	if _, err := New(Service{}, bad); err == nil {
		t.Error("a kind of bad options")
	}
	if err := new(Options).Validate(); err != nil {
		t.Error(err)
	}
}

// TestCheckURL: what may be the URL of a member.
func TestCheckURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"thrift://10.0.0.1:9090":          "",
		"thrift://name:9090":              "",
		"thrift://[::1]:9090":             "",
		"thrift+tls://name:9090":          "",
		"thrift+unix:///run/t.sock":       "",
		"unix:/run/t.sock":                "",
		"10.0.0.1:9090":                   "",
		"name:9090":                       "",
		"thrift://name:9090/path":         "path",
		"thrift://name":                   "port",
		"http://name:80":                  "scheme",
		"thrift://user@name:9090":         "user",
		"thrift://name:9090?a=b":          "query",
		"thrift://169.254.169.254:80":     "no address of a service",
		"thrift://[::ffff:169.254.1.1]:1": "no address of a service",
		"thrift://224.0.0.1:1":            "no address of a service",
		"thrift://\x7f:1":                 "no URL",
	} {
		err := new(Options).CheckURL(url)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if err := (&Options{Transport: TransportHTTP}).CheckURL("thrift://name:9090/path"); err != nil {
		t.Errorf("a path for posts: %v", err)
	}
}
