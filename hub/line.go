// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"errors"
	"net"
	"os"
	"os/user"
	"strconv"

	"github.com/parley-ipc/parley"
	linedoor "github.com/parley-ipc/parley/internal/door/line"
	"github.com/parley-ipc/parley/internal/listen"
)

// newLine makes the door for lines of JSON.
func (h *Hub) newLine() (service, error) {
	door, err := linedoor.New(linedoor.Options{
		Version: parley.Version(), Broker: h.broker,
		Auth: login{h.users}, User: h.options.Doors.Line.User,
		PeerUser: h.processOwner, Metrics: h.metrics, Logger: h.options.Logger,
	})
	if err != nil {
		return service{}, err
	}
	return service{
		route:   listen.Route{Match: linedoor.Match, Handler: door.Serve},
		packets: door.ServePacket,
	}, nil
}

// guestUser is who may do without a password on this machine.
const guestUser = "guest"

// processOwner returns which of the hub's users the owner of a process is: the one with his name, or
// the guest, for processes of the hub's own user and of root. Anybody else has to say who he is.
func (h *Hub) processOwner(uid uint32) (string, bool) {
	owner, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err == nil {
		if _, known := h.users.User(owner.Username); known {
			return owner.Username, true
		}
	}
	return guestUser, uid == 0 || int64(uid) == int64(os.Getuid())
}

// listenPacket opens a socket for the datagrams of a door.
func (h *Hub) listenPacket(ctx context.Context, o *opened, address string) error {
	if o.packets == nil {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	var socket net.PacketConn
	if port == "0" && len(o.listeners) > 0 { // the port that was chosen for connections, if it is free
		chosen := o.listeners[0].Addr().String()
		socket, err = listen.Packet(ctx, chosen, h.options.ListenAll)
	}
	if socket == nil {
		socket, err = listen.Packet(ctx, address, h.options.ListenAll)
	}
	if err != nil {
		return err
	}
	o.socket = socket
	return nil
}

// closeSocket closes the socket of a door that was never started.
func (o *opened) closeSocket() error {
	if o.socket == nil {
		return nil
	}
	if err := o.socket.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
