// SPDX-License-Identifier: Apache-2.0

// Package durability kills the hub with kill -9 under load, starts it again on the same data
// directory, and lets an oracle judge what clients saw before and after.
//
// Basics: TestRow02Kill is the programme; -cycles=N sets how often the hub dies (5 without it).
// Package oracle is the judge, for other tests and the benchmark too.
//
// Caveats: the page cache survives kill -9, so these tests prove the order of writes, answers and
// recovery, and not that anything was synced; the simulation in internal/store does that.
package durability
