// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/logtest"
	"github.com/parley-ipc/parley/internal/store"
)

func openMemory(o store.MemoryOptions) logtest.Maker {
	return func(_ testing.TB, a broker.Applier) broker.Log {
		m := store.NewMemory(o)
		m.Bind(a)
		return m
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	logtest.Run(t, openMemory(store.MemoryOptions{Retain: true}))
}

func BenchmarkMemory(b *testing.B) {
	logtest.Bench(b, openMemory(store.MemoryOptions{}))
}
