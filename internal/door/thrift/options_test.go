// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// TestLimitOfMessages: no message is read that the hub would take from nobody.
func TestLimitOfMessages(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ heart, given, want int }{
		{0, 0, wire.DefaultLimits().MessageBytes},
		{-1, 0, wire.DefaultLimits().MessageBytes},
		{1 << 16, 0, 1 << 16},
		{1 << 16, 1 << 10, 1 << 10},
	} {
		log := store.NewMemory(store.MemoryOptions{})
		b := broker.New(broker.Options{
			Name: "test", Clock: clock{}, Log: log, Formats: []broker.Format{broker.HubFormat{}},
			Access: rights{}, Limits: broker.Limits{MessageBytes: tc.heart},
		})
		log.Bind(b)
		d, err := New(Options{Broker: b, Auth: users{}, MessageBytes: tc.given})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.limits.MessageBytes; got != tc.want {
			t.Errorf("%d of the heart, %d given: %d, want %d", tc.heart, tc.given, got, tc.want)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		b.Close()
	}
}
