// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
)

// natsPackage is a tool of the benchmark's go.mod, which pins its version.
const natsPackage = "github.com/nats-io/nats-server/v2"

// natsServer is nats-server as the module graph has it, with its default settings, without or with
// JetStream.
type natsServer struct {
	name    string
	root    string
	program string
}

func (n *natsServer) Name() string { return n.name }

func (n *natsServer) Build(ctx context.Context, dir string) error {
	n.program = filepath.Join(dir, "nats-server")
	return goBuild(ctx, filepath.Join(n.root, "bench"), natsPackage, n.program)
}

func (n *natsServer) Start(ctx context.Context, place Place) (*Running, error) {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	addr := hostPort(ports[0])
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	args := []string{"-a", host, "-p", port}
	if text := n.config(place.Dir); text != "" {
		path, err := writeFile(place.Dir, "nats.conf", text)
		if err != nil {
			return nil, err
		}
		args = append(args, "-c", path)
	}
	proc, err := start(spawn{program: n.program, args: args, dir: place.Dir, trace: place.Trace})
	if err != nil {
		return nil, err
	}
	run := &Running{Addr: addr, counted: proc}
	return run.once(ctx, func(ctx context.Context) error { return accepts(ctx, addr) })
}

// config returns the configuration file with JetStream's data below dir; it is empty for NATS core.
func (n *natsServer) config(dir string) string {
	store := strconv.Quote(filepath.Join(dir, "jetstream"))
	switch n.name {
	case JetStream:
		return "jetstream { store_dir: " + store + " }\n"
	case JetStreamSync:
		return "jetstream { store_dir: " + store + ", sync_interval: always }\n"
	default:
		return ""
	}
}
