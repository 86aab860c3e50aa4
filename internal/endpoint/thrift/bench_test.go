// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// mirror answers each framed call of the binary protocol with its own struct, and allocates nothing.
func mirror(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 64<<10)
	for {
		if _, err := io.ReadFull(c, buf[:4]); err != nil {
			return
		}
		n := 4 + int(binary.BigEndian.Uint32(buf))
		if _, err := io.ReadFull(c, buf[4:n]); err != nil {
			return
		}
		buf[7] = byte(thrift.Reply)
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

// mirrored is a kind whose one connection leads to a mirror.
func mirrored(tb testing.TB, ends func(testing.TB) (near, far net.Conn)) (*Kind, *conn) {
	tb.Helper()
	m := reachAt(tb, "thrift://127.0.0.1:1", "127.0.0.1:1", Options{})
	near, far := ends(tb)
	go mirror(far)
	p := m.pool()
	p.places <- struct{}{}
	p.open++
	c := newConn(p, near)
	tb.Cleanup(func() { _ = near.Close() })
	return m.kind, c
}

// sockets are the ends of a connection through the loopback.
func sockets(tb testing.TB) (near, far net.Conn) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err == nil {
		far, err = l.Accept()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return near, far
}

func pipe(testing.TB) (near, far net.Conn) { return net.Pipe() }

// passThrough makes one call of a message, prepared and all.
func passThrough(k *Kind, c *conn, of *broker.EndpointCall) (*broker.Reply, endpoint.Outcome) {
	r, err := k.prepare(of)
	if err != nil {
		return nil, endpoint.Outcome{Err: err}
	}
	reply, o := r.exchange(context.Background(), c, endpoint.Attempt{Number: 1})
	c.pool.pop(want{}) // the connection is ours again
	c.pool.places <- struct{}{}
	return reply, o
}

// BenchmarkPassThrough is one call of 1 KiB whose struct passes untouched.
func BenchmarkPassThrough(b *testing.B) {
	for name, ends := range map[string]func(testing.TB) (near, far net.Conn){
		"pipe": pipe, "socket": sockets,
	} {
		b.Run(name, func(b *testing.B) {
			k, c := mirrored(b, ends)
			of := callOf(thrift.Binary, "say", strings.Repeat("x", 1<<10))
			b.ReportAllocs()
			for b.Loop() {
				if r, o := passThrough(k, c, of); r == nil {
					b.Fatal(o)
				}
			}
		})
	}
}
