// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"net"
	"path/filepath"
)

// natsPackage is a tool of the benchmark's go.mod, which pins its version.
const natsPackage = "github.com/nats-io/nats-server/v2"

// natsServer is nats-server as the module graph has it, with its default settings.
type natsServer struct {
	root    string
	program string
}

func (n *natsServer) Name() string { return NATS }

func (n *natsServer) Build(ctx context.Context, dir string) error {
	n.program = filepath.Join(dir, "nats-server")
	return goBuild(ctx, filepath.Join(n.root, "bench"), natsPackage, n.program)
}

func (n *natsServer) Start(ctx context.Context, dir string) (*Running, error) {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	addr := hostPort(ports[0])
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	proc, err := start(spawn{program: n.program, args: []string{"-a", host, "-p", port}, dir: dir})
	if err != nil {
		return nil, err
	}
	run := &Running{Addr: addr, counted: proc}
	return run.once(ctx, func(ctx context.Context) error { return accepts(ctx, addr) })
}
