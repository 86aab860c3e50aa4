// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"runtime/debug"
	"strings"
)

// Version returns the release of parley that the go command wrote into the program, without a "v", be it
// the program's own module or one that it imports; "devel" where there is none.
func Version() string {
	const module, unreleased = "github.com/parley-ipc/parley", "devel"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unreleased
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module && m.Version != "" && m.Version != "(devel)" {
			return strings.TrimPrefix(m.Version, "v") // as AMQP's clients look for it
		}
	}
	return unreleased
}
