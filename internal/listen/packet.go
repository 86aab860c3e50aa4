// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"fmt"
	"net"
)

// Packet opens a socket for datagrams at host:port, which has to be a loopback address unless all is
// set. Whoever reads it closes it.
func Packet(ctx context.Context, address string, all bool) (net.PacketConn, error) {
	if !all {
		loopback, err := loopbackAddress(ctx, address)
		if err != nil {
			return nil, err
		}
		address = loopback
	}
	var config net.ListenConfig
	socket, err := config.ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return socket, nil
}
