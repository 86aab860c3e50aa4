// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"slices"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// single checks that bytes are one whole message of that name, and nothing else.
func single(t *testing.T, p thrift.Protocol, data []byte, name string) {
	t.Helper()
	var r thrift.Reader
	r.Reset(p, data, thrift.DefaultLimits())
	head, err := r.MessageBegin()
	if err == nil {
		_, err = walk(&r, data)
	}
	if err != nil || string(head.Name) != name {
		t.Fatalf("%v %q: %q, %v", p, data, head.Name, err)
	}
}

// FuzzCall: whatever is sent, a server gets one call of the method that it is said to be of, or none.
func FuzzCall(f *testing.F) {
	for _, p := range []thrift.Protocol{thrift.Binary, thrift.Compact, thrift.JSON} {
		c := callOf(p, "say", "text")
		f.Add(c.Message.Body, string(c.Message.ContentType), uint8(p))
		f.Add(slices.Concat(c.Message.Body, c.Message.Body), "", uint8(p))
	}
	f.Add([]byte(`{"text":"x"}`), typeJSON, uint8(1))
	f.Add([]byte{}, "", uint8(2))
	registry := described(f)
	kinds := make([]*Kind, 0, 3)
	for _, protocol := range []string{ProtocolBinary, ProtocolCompact, ProtocolJSON} {
		k, err := New(Service{VHost: "/", Name: "Text"}, Options{
			Protocol: protocol, Contracts: registry, Multiplex: "S",
		})
		if err != nil {
			f.Fatal(err)
		}
		kinds = append(kinds, k)
	}
	f.Fuzz(func(t *testing.T, body []byte, contentType string, which uint8) {
		k := kinds[int(which)%len(kinds)]
		m := &broker.Message{Body: body}
		m.Type, m.ContentType = []byte("say"), []byte(contentType)
		r, err := k.prepare(&broker.EndpointCall{Message: m})
		if err != nil {
			return
		}
		sent := r.message(1)
		var w thrift.Writer
		single(t, k.protocol, sent.append(&w, nil), "S:say")
	})
}

// FuzzAnswer: whatever a server answers, an asker of Thrift gets one whole message, or nothing.
func FuzzAnswer(f *testing.F) {
	for _, p := range []thrift.Protocol{thrift.Binary, thrift.Compact, thrift.JSON} {
		h := &heard{Message: thrift.Message{Protocol: p}, head: thrift.Head{Name: []byte("say"), Seq: 1}}
		for i := range uint8(4) {
			f.Add(resultOf(h, "text"), uint8(p), i)
			f.Add(exceptionOf(h, thrift.InternalError, "text"), uint8(p), i)
			f.Add(emptyOf(h), uint8(p), i)
		}
	}
	k, err := New(Service{VHost: "/", Name: "Text"}, Options{Contracts: described(f)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, theirs, ours uint8) {
		protocols := []thrift.Protocol{thrift.Binary, thrift.Compact, thrift.JSON}
		c := callOf(protocols[ours%3], "say", "x")
		if ours%4 == 3 {
			c = jsonCall("say", `{"text":"x"}`)
		}
		r, err := k.prepare(c)
		if err != nil {
			t.Fatal(err)
		}
		before := bytes.Clone(data)
		var w work
		reply, _ := r.answer(&w, &thrift.Message{Bytes: data, Protocol: protocols[theirs%3]}, 1)
		if reply == nil {
			return
		}
		clear(data) // nothing of it is borrowed
		if !r.asker.json {
			single(t, r.asker.protocol, reply.Message.Body, "say")
		}
		copy(data, before)
	})
}
