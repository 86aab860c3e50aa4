// SPDX-License-Identifier: Apache-2.0

package metric

import "sync/atomic"

// cacheLineBytes keeps what different cores write apart. 128: current cores fetch lines in pairs.
const cacheLineBytes = 128

// cells is the number of cells of a counter, a power of two. It is about the number of cores
// that count at the same time; more would make reading slower and gain little.
const cells = 8

// Cell is one addend of a Counter. Its zero value is ready to use; it must not be copied.
type Cell struct {
	n atomic.Uint64
	_ [cacheLineBytes - 8]byte
}

// Add adds n.
func (c *Cell) Add(n uint64) { c.n.Add(n) }

// Inc adds one.
func (c *Cell) Inc() { c.n.Add(1) }

// Counter is a number that only grows. Its zero value is ready to use; it must not be copied.
// All methods may be called concurrently.
type Counter struct {
	cells [cells]Cell
}

// Add adds n.
func (c *Counter) Add(n uint64) { c.cells[0].Add(n) }

// Inc adds one.
func (c *Counter) Inc() { c.cells[0].Inc() }

// Cell returns an addend for the owner of that number. A connection takes one by its own id when
// it begins and adds to it, so that connections on different cores do not share a cache line.
func (c *Counter) Cell(owner uint64) *Cell { return &c.cells[owner%cells] }

// Value returns the sum of all that was added.
func (c *Counter) Value() uint64 {
	var sum uint64
	for i := range c.cells {
		sum += c.cells[i].n.Load()
	}
	return sum
}

// Gauge is a number that goes up and down. Its zero value is ready to use; it must not be
// copied. All methods may be called concurrently.
type Gauge struct {
	n atomic.Int64
	_ [cacheLineBytes - 8]byte
}

// Add adds n, which may be negative.
func (g *Gauge) Add(n int64) { g.n.Add(n) }

// Set replaces the value.
func (g *Gauge) Set(n int64) { g.n.Store(n) }

// Value returns the value.
func (g *Gauge) Value() int64 { return g.n.Load() }
