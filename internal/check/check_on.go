// SPDX-License-Identifier: Apache-2.0

//go:build check

package check

// On says whether Assert does anything.
const On = true

// Assert panics with what when ok is false.
func Assert(ok bool, what string) {
	if !ok {
		panic("check: " + what)
	}
}
