// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	amqp091door "github.com/parley-ipc/parley/internal/door/amqp091"
	stompdoor "github.com/parley-ipc/parley/internal/door/stomp"
)

// door is one protocol's conversation.
type door interface {
	// Serve speaks with one client until the connection ends, and closes it.
	Serve(conn net.Conn)
	// Shutdown tells every client that the hub stops and waits for the connections to end.
	Shutdown(ctx context.Context) error
}

// newDoor makes the door with a name. This is the list of doors that the hub has.
func (h *Hub) newDoor(name string) (door, error) {
	l := login{users: h.users}
	switch name {
	case "amqp":
		return amqp091door.New(amqp091door.Options{
			Broker: h.broker, Auth: l, Logger: h.options.Logger,
			Product: h.options.Compat.AMQP091.Product, Version: h.options.Compat.AMQP091.Version,
		})
	case "stomp":
		return stompdoor.New(stompdoor.Options{
			Broker: h.broker, Auth: l, Logger: h.options.Logger,
		})
	}
	return nil, fmt.Errorf("no door %q", name)
}

// opened is a door with its listener.
type opened struct {
	name     string
	door     door
	listener net.Listener
	serving  sync.WaitGroup
}

func open(ctx context.Context, d namedDoor, to door) (*opened, error) {
	network, address := "tcp", d.door.Listen
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o600); err != nil {
			return nil, errors.Join(err, listener.Close())
		}
	}
	return &opened{name: d.name, door: to, listener: listener}, nil
}

func (o *opened) start() {
	o.serving.Go(func() {
		for {
			conn, err := o.listener.Accept()
			if err != nil {
				return // closed by shutdown
			}
			go o.door.Serve(conn) // ends with its connection; Shutdown waits for it
		}
	})
}

func (o *opened) shutdown(ctx context.Context) error {
	err := o.listener.Close()
	o.serving.Wait()
	return errors.Join(err, o.door.Shutdown(ctx))
}
