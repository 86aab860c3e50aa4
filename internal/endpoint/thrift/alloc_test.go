// SPDX-License-Identifier: Apache-2.0

//go:build !race

package thrift

import (
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// TestAllocPassThrough: a call whose struct passes untouched costs what is read of it, the answer and
// its body.
func TestAllocPassThrough(t *testing.T) {
	const most = 3
	k, c := mirrored(t, sockets)
	of := callOf(thrift.Binary, "say", strings.Repeat("x", 1<<10))
	n := testing.AllocsPerRun(1000, func() {
		if r, o := passThrough(k, c, of); r == nil {
			t.Fatal(o)
		}
	})
	if n > most {
		t.Errorf("%v allocations, at most %d", n, most)
	}
}
