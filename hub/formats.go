// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"github.com/parley-ipc/parley/internal/broker"
	amqp091door "github.com/parley-ipc/parley/internal/door/amqp091"
	linedoor "github.com/parley-ipc/parley/internal/door/line"
	restdoor "github.com/parley-ipc/parley/internal/door/rest"
	stompdoor "github.com/parley-ipc/parley/internal/door/stomp"
)

// formats lists the Format of every door, also of doors that are off: the log may hold their
// messages.
func formats() []broker.Format {
	return []broker.Format{
		amqp091door.Format{},
		stompdoor.Format{},
		restdoor.Format{},
		linedoor.Format{},
		broker.HubFormat{},
	}
}
