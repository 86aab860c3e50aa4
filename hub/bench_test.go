// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
)

// BenchmarkProxy is one call of 1 KiB through the REST door to an HTTP service and back, over
// sockets; both ends are in this process and allocate nothing.
func BenchmarkProxy(b *testing.B) {
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
			go func() {
				defer c.Close()
				buf := make([]byte, 8<<10)
				for {
					if !readWhole(c, buf) {
						return
					}
					_, _ = c.Write(answer)
				}
			}()
		}
	}()
	o := doors()
	o.Services = map[string]Service{"echo": {Members: map[string]Instance{
		"one": {URL: "http://" + l.Addr().String()},
	}}}
	h, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	if err := h.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = h.Shutdown(b.Context()) }()
	c, err := net.Dial("tcp", h.Addr("rest").String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	request := append(fmt.Appendf(nil, "POST /v1/services/echo/call HTTP/1.1\r\nHost: %s\r\n"+
		"Content-Type: text/plain\r\nContent-Length: 1024\r\n\r\n", h.Addr("rest")), body...)
	buf := make([]byte, 8<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if !readWhole(c, buf) {
			b.Fatal("no answer")
		}
	}
}

// readWhole reads a head and a body of 1 KiB.
func readWhole(c io.Reader, buf []byte) bool {
	n := 0
	for {
		m, err := c.Read(buf[n:])
		if err != nil {
			return false
		}
		n += m
		if i := bytes.Index(buf[:n], []byte("\r\n\r\n")); i >= 0 && n >= i+4+1<<10 {
			return true
		}
	}
}
