// SPDX-License-Identifier: Apache-2.0

// Package doortest is the list of scenarios that every door must pass: what clients of any protocol
// can rely on, told once and never per door.
//
// A door's own test states a [Driver]: how to start the door, and a [Client] that speaks its wire.
// [Run] then plays each scenario between such a client and a plain session of the heart, in both
// directions where there are two. What a protocol cannot do stands in its [Features], each with the
// reason; a scenario that needs it is skipped with that reason.
//
// Every scenario has a hub of its own and runs in parallel with the others. Time is the [Clock]'s:
// deadlines, expiries and leases of the heart are reached by moving it, not by waiting. Only _test.go
// files may import this package.
package doortest
