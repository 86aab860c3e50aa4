// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"runtime/debug"
	"strings"

	"github.com/parley-ipc/parley/internal/console"
)

// modulePath is this module's.
const modulePath = "github.com/parley-ipc/parley"

// Version returns the release of parley that the go command wrote into the program, be it the program's
// own module or one that it imports; "devel" where it says nothing.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unreleased
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == modulePath && m.Version != "" && m.Version != "(devel)" {
			return strings.TrimPrefix(m.Version, "v") // as AMQP's clients look for it
		}
	}
	return unreleased
}

const unreleased = "devel"

// version is what goes with the product: clients that look for RabbitMQ read its number.
func (p *Product) version() string {
	switch {
	case p.Version != "":
		return p.Version
	case p.Product == "RabbitMQ":
		return console.RabbitMQVersion
	}
	return Version()
}
