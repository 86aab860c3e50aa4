// SPDX-License-Identifier: Apache-2.0

// Package metric counts: counters, gauges and histograms on atomics, and a registry that names
// them. It exports nothing; whoever does (a console, a /metrics page) walks the registry.
//
// The basics: a package asks a [Registry] for its metrics once, at start, and keeps the
// pointers; on the data path there are atomics only, no map and no lock. What many goroutines
// count at once is a [Counter] of which each connection takes its own [Cell].
//
// Caveats: names and labels are fixed in the program. Nothing that a client chooses (a queue, a
// user agent, a header name) becomes a label: the number of series is bounded, and what is
// asked for beyond the bound counts but is not shown. Values are read one by one, so two of
// them need not be of the same instant.
package metric
