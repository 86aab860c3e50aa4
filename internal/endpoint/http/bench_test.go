// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
)

// BenchmarkCall is one call of 1 KiB to a member on a socket, whose end is in this process and
// allocates nothing: over connections of this package's own, and through net/http, which is what
// there was without them.
func BenchmarkCall(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	body := bytes.Repeat([]byte("x"), 1<<10)
	answer := append([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"+
		"Content-Length: 1024\r\n\r\n"), body...)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go echoWhole(c, answer)
		}
	}()
	k, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = k.Close() }()
	target := endpoint.Target{URL: "http://" + l.Addr().String(), Address: l.Addr().String()}
	u, err := k.upstream(target)
	if err != nil {
		b.Fatal(err)
	}
	type try func(*call, context.Context, *upstream, endpoint.Attempt) (*broker.Reply, endpoint.Outcome)
	for _, w := range []struct {
		name string
		try  try
	}{{"own", (*call).exchange}, {"net-http", (*call).roundTrip}} {
		b.Run(w.name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 2<<10)
			of := &broker.EndpointCall{
				Head:    headOf{"http-method": "POST", "http-path": "/x", "Content-Type": "text/plain"},
				Message: &broker.Message{Body: body}, Streams: true,
			}
			for b.Loop() {
				c, err := k.prepare(of)
				if err != nil {
					b.Fatal(err)
				}
				r, o := w.try(c, b.Context(), u, endpoint.Attempt{Target: target, Number: 1})
				if r == nil {
					b.Fatal(o)
				}
				if _, err := io.ReadFull(r.Stream, buf[:1<<10]); err != nil {
					b.Fatal(err)
				}
				_, _ = r.Stream.Read(buf) // the end
				_ = r.Stream.Close()
			}
		})
	}
}

// echoWhole answers each head with a body of 1 KiB.
func echoWhole(c net.Conn, answer []byte) {
	defer c.Close()
	buf := make([]byte, 8<<10)
	for n := 0; ; {
		m, err := c.Read(buf[n:])
		if err != nil {
			return
		}
		n += m
		if i := bytes.Index(buf[:n], []byte("\r\n\r\n")); i >= 0 && n >= i+4+1<<10 {
			n = 0
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	}
}
