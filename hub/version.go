// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"github.com/parley-ipc/parley"
	"github.com/parley-ipc/parley/internal/console"
)

// version is what goes with the product: clients that look for RabbitMQ read its number.
func (p *Product) version() string {
	switch {
	case p.Version != "":
		return p.Version
	case p.Product == "RabbitMQ":
		return console.RabbitMQVersion
	}
	return parley.Version()
}
