// SPDX-License-Identifier: Apache-2.0

//go:build !race

package contract

// raceEnabled: allocations can be counted.
const raceEnabled = false
