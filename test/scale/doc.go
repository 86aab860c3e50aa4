// SPDX-License-Identifier: Apache-2.0

// Package scale holds a hub, in a process of its own, to what it may take for much of one thing.
//
// Caveat: the counts are small enough for every run; the work idle-10k of the benchmark does the same
// with ten times as many.
package scale
