// SPDX-License-Identifier: Apache-2.0

// Package durability kills hubs, and their disks, under load, starts them again on the same data
// directory, and lets an oracle judge what clients saw before and after.
//
// Basics: a test a row of the programme (docs/reliability.md); -for goes on with it for a time.
// Package oracle is the judge, for other tests and the benchmark too.
//
// Caveats: the page cache survives kill -9, so these tests prove the order of writes, answers and
// recovery, and not that anything was synced; the power loss here, which needs root, and the
// simulation in internal/store do that.
package durability
