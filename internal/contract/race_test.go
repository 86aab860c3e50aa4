// SPDX-License-Identifier: Apache-2.0

//go:build race

package contract

// raceEnabled: sync.Pool drops items at random, so allocation counts mean nothing.
const raceEnabled = true
