// SPDX-License-Identifier: Apache-2.0

//go:build !race

package endpoint

import "testing"

// TestAllocPick: picking and recording allocate nothing (resilience §8, row 13), nor do credits.
func TestAllocPick(t *testing.T) {
	p := members(t, 64)
	operation := []byte("op")
	p.breakers.of(operation, p.now())
	for name, fn := range map[string]func(){
		"pick and record": func() { pickAndRecord(p) },
		"credit":          func() { p.Take(operation); p.Return(operation) },
		"breaker":         func() { p.record(p.breakers.of(operation, p.now()), false, ClassSuccess) },
	} {
		if n := testing.AllocsPerRun(1000, fn); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
