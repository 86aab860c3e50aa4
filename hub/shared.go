// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"

	"github.com/parley-ipc/parley/internal/listen"
)

// SharedPort is the name of the listener that all doors share, in metrics, logs and for Addr.
const SharedPort = "shared"

// openShared opens the address that all doors share.
func (h *Hub) openShared(ctx context.Context, doors []*opened) (*opened, error) {
	options := listen.Options{
		Door: SharedPort, Address: h.options.Listen, TLS: h.options.TLS, PlainToo: true,
	}
	var routes []listen.Route
	for _, door := range doors {
		if door.route.Match == nil {
			continue // WebSockets come by the door that speaks HTTP
		}
		routes = append(routes, door.route)
		options.Protocols = append(options.Protocols, door.protocols...)
	}
	o := &opened{stop: func() {}}
	return o, h.listen(ctx, o, options, routes...)
}

// matchAMQP matches every version of AMQP: the door answers one that it does not speak with its own
// header (AMQP 0-9-1 §4.2.2).
func matchAMQP(first []byte) (ours, more bool) {
	const word = "AMQP"
	n := min(len(first), len(word))
	same := string(first[:n]) == word[:n]
	return same && n == len(word), same && n < len(word)
}
