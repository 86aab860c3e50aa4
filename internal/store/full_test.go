// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/parley-ipc/parley/internal/store"
)

// TestFullDiskStarts: when the disk turns out to be full what publishers have sent already is written:
// a batch in the writer's hand, a full ring, and what connections had read. The process ends, and the
// log must be able to begin again on the full disk.
func TestFullDiskStarts(t *testing.T) {
	t.Parallel()
	const segment, frame = 64 << 10, 16 << 10
	fs := newCrashFS()
	o := damageOptions(fs)
	o.FirstSegmentBytes, o.LastSegmentBytes, o.FrameBytes = segment, segment, frame
	l, err := store.OpenFile(o)
	if err != nil {
		t.Fatal(err)
	}
	l.Bind(quiet{})
	declare(t, l)
	put := func(l *store.File, frames int) {
		t.Helper()
		body := strings.Repeat("b", frame-100) // a frame each, and some more than a quarter of a segment
		for range frames {
			for range 2 {
				if _, err := l.Append(persistent(body[:frame/2+1_000]), heedless{}, 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		for worked := true; worked; {
			if worked, err = l.Step(); err != nil {
				t.Fatalf("P8: a full disk: %v", err)
			}
		}
	}
	for begun := l.Segments(); l.Segments() < begun+2; {
		put(l, 1)
	}
	full := func(_ int, what, name string) error {
		if what == "create" && strings.HasSuffix(name, ".tmp") {
			return syscall.ENOSPC
		}
		return nil
	}
	fs.fail = full
	// One segment is taken before it turns out, and filled.
	for begun := l.Segments(); l.Segments() == begun || l.End()+frame+4_000 < segment; {
		put(l, 1)
	}
	put(l, 5)
	again := unlocked(fs.killClone())
	again.fail = full
	o.FS = again
	if l, err = store.OpenFile(o); err != nil {
		t.Fatalf("P8: a start on a full disk: %v", err)
	}
	l.Bind(quiet{})
	put(l, 1)
}
