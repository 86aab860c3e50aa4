// SPDX-License-Identifier: Apache-2.0

package parley_test

import (
	"context"
	"testing"

	"github.com/parley-ipc/parley"
)

// benchService runs an echo service on the examples' hub and returns a connection to it.
func benchService(b *testing.B, op parley.Op[[]byte, []byte]) *parley.Conn {
	b.Helper()
	dial := func() *parley.Conn {
		c, err := parley.Dial(b.Context(), exampleURL)
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
	c, client := dial(), dial()
	s := parley.NewService(c, parley.ServiceConfig{Name: "bench"})
	op.Handle(s, func(_ context.Context, in []byte) ([]byte, error) { return in, nil },
		parley.Concurrency(256))
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		c.Close()
		client.Close()
	})
	return client
}

func BenchmarkCall(b *testing.B) {
	op := parley.NewOp[[]byte, []byte]("bench.Echo")
	c := benchService(b, op)
	body := make([]byte, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := op.Call(b.Context(), c, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCallsAtOnce(b *testing.B) {
	op := parley.NewOp[[]byte, []byte]("bench.Echo")
	c := benchService(b, op)
	body := make([]byte, 256)
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := op.Call(b.Context(), c, body); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkSendsAtOnce(b *testing.B) {
	op := parley.NewOp[[]byte, []byte]("bench.Echo")
	c := benchService(b, op)
	body := make([]byte, 256)
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := op.Send(b.Context(), c, body); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
