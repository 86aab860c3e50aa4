// SPDX-License-Identifier: Apache-2.0

// Package check states what must be true. The statements are compiled in with `-tags check`,
// as the tests do, and are empty without it.
//
// Assert is for what only a mistake in this program can break: never for input, for a full
// disk or for anything that a peer does. Without the tag its arguments are still evaluated, so
// a condition that costs something stands inside `if check.On { … }`, which the compiler
// removes.
//
// It is the only package that may panic.
package check
