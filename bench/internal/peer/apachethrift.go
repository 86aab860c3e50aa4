// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"debug/buildinfo"
	"path/filepath"
)

const thriftModule = "github.com/apache/thrift"

// apacheThrift is a server of Apache's Go library, called without anything in between.
type apacheThrift struct {
	root    string
	program string
	version string
}

func (p *apacheThrift) Name() string { return ApacheThrift }

func (p *apacheThrift) Build(ctx context.Context, dir string) error {
	p.program = filepath.Join(dir, ApacheThrift)
	err := goBuild(ctx, filepath.Join(p.root, "bench"), "./internal/peer/thriftserver", p.program)
	if err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(p.program)
	if err != nil {
		return err
	}
	for _, m := range info.Deps {
		if m.Path == thriftModule {
			p.version = "apache/thrift " + m.Version
		}
	}
	return nil
}

func (p *apacheThrift) Start(ctx context.Context, place Place) (*Running, error) {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	addr := hostPort(ports[0])
	proc, err := start(spawn{
		program: p.program, args: []string{addr}, dir: place.Dir, trace: place.Trace,
	})
	if err != nil {
		return nil, err
	}
	run := &Running{Thrift: addr, Version: p.version, counted: proc}
	return run.once(ctx, func(ctx context.Context) error { return accepts(ctx, addr) })
}
