// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// rabbitScript starts the server as the present user; Debian's /usr/sbin/rabbitmq-server would
// change to the user rabbitmq and put aside the environment.
const rabbitScript = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// rabbitMQ is Debian's rabbitmq-server with its default settings, but for its places and ports, and
// without plugins unless STOMP is asked for. It gets an epmd, the name server of Erlang, of its own.
type rabbitMQ struct {
	name string
	epmd string
}

func (r *rabbitMQ) Name() string { return r.name }

func (r *rabbitMQ) Build(context.Context, string) error {
	if _, err := os.Stat(rabbitScript); err != nil {
		return fmt.Errorf("rabbitmq-server (apt-get install rabbitmq-server): %w", ErrMissing)
	}
	epmd, err := exec.LookPath("epmd")
	if err != nil {
		return fmt.Errorf("epmd (it comes with Erlang): %w", ErrMissing)
	}
	r.epmd = epmd
	return nil
}

func (r *rabbitMQ) Start(ctx context.Context, place Place) (*Running, error) {
	dir := place.Dir
	ports, err := freePorts(ctx, 4)
	if err != nil {
		return nil, err
	}
	addr, distPort, epmdPort := hostPort(ports[0]), strconv.Itoa(ports[1]), strconv.Itoa(ports[2])
	settings, enabled, stomp := "listeners.tcp.1 = "+addr+"\n", "[].\n", ""
	if r.name == RabbitStomp {
		stomp = hostPort(ports[3])
		settings += "stomp.listeners.tcp.1 = " + stomp + "\n"
		enabled = "[rabbitmq_stomp].\n"
	}
	conf, err := writeFile(dir, "rabbitmq.conf", settings)
	if err != nil {
		return nil, err
	}
	plugins, err := writeFile(dir, "enabled_plugins", enabled)
	if err != nil {
		return nil, err
	}
	epmd, err := start(spawn{
		program: r.epmd,
		args:    []string{"-port", epmdPort, "-address", loopback},
		dir:     dir,
	})
	if err != nil {
		return nil, err
	}
	run := &Running{Addr: addr, Stomp: stomp, helpers: []*process{epmd}}
	ready := func(ctx context.Context) error { return accepts(ctx, hostPort(ports[2])) }
	if err := await(ctx, epmd, ready); err != nil {
		return nil, errors.Join(fmt.Errorf("epmd: %w", err), epmd.stop())
	}
	run.counted, err = start(spawn{
		program: rabbitScript,
		dir:     dir,
		trace:   place.Trace,
		env: append(os.Environ(),
			"HOME="+dir, // the cookie lies there
			"ERL_EPMD_PORT="+epmdPort,
			"RABBITMQ_NODENAME=bench"+epmdPort+"@localhost",
			"RABBITMQ_DIST_PORT="+distPort,
			"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "mnesia"),
			"RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"),
			"RABBITMQ_CONFIG_FILE="+conf,
			"RABBITMQ_CONF_ENV_FILE="+filepath.Join(dir, "none"),
			"RABBITMQ_ENABLED_PLUGINS_FILE="+plugins,
		),
	})
	if err != nil {
		return nil, errors.Join(err, epmd.stop())
	}
	return run.once(ctx, func(ctx context.Context) error {
		return accepts(ctx, cmp.Or(stomp, addr)) // plugins come last
	})
}
