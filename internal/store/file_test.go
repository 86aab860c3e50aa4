// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/logtest"
	"github.com/parley-ipc/parley/internal/store"
)

// clock is the log's Clock on package time.
type clock struct{}

func (clock) Now() time.Time { return time.Now() }

func (clock) Wall() time.Time { return time.Now() }

func (clock) AfterFunc(d time.Duration, f func()) broker.Timer { return time.AfterFunc(d, f) }

func openFile(options func(testing.TB) store.FileOptions) logtest.Maker {
	return func(tb testing.TB, a broker.Applier) broker.Log {
		tb.Helper()
		l, err := store.OpenFile(options(tb))
		if err != nil {
			tb.Fatal(err)
		}
		l.Bind(a)
		l.Start()
		tb.Cleanup(func() {
			if err := l.Close(); err != nil {
				tb.Error(err)
			}
		})
		return l
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name    string
		options func(testing.TB) store.FileOptions
	}{
		{"disk", func(tb testing.TB) store.FileOptions {
			tb.Helper()
			return store.FileOptions{Dir: tb.TempDir(), FirstSegmentBytes: 64 << 10}
		}},
		{"memory", func(testing.TB) store.FileOptions {
			return store.FileOptions{
				Dir: "data", FS: newCrashFS(), FirstSegmentBytes: 16 << 10, FrameBytes: 1 << 10,
			}
		}},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			logtest.Run(t, openFile(func(tb testing.TB) store.FileOptions {
				tb.Helper()
				o := tc.options(tb)
				o.Clock = clock{}
				return o
			}))
		})
	}
}

func BenchmarkFile(b *testing.B) {
	logtest.Bench(b, openFile(func(tb testing.TB) store.FileOptions {
		tb.Helper()
		return store.FileOptions{Dir: tb.TempDir(), Clock: clock{}}
	}))
}
