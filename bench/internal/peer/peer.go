// SPDX-License-Identifier: Apache-2.0

// Package peer starts the brokers of the benchmark, each alone, as processes of its own with
// their data in a temporary directory and on free ports of the loopback interface, and ends them.
//
// The basics: a Peer knows how to Start one broker, and Running is that broker with the
// processes that belong to it, their processor time and their memory. Only processes that were
// started here, and their children, are ever signalled, each by its id and only while its start
// time is still the one that was seen.
//
// Caveat: processor time and memory come from /proc, so this works on Linux only.
package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// Names of the peers.
const (
	Parley = "parley"
	// ParleyAMQP is parley over AMQP 0-9-1 at works that parley does over STOMP.
	ParleyAMQP = "parley-amqp"
	RabbitMQ   = "rabbitmq"
	// RabbitQuorum is RabbitMQ, used with quorum queues.
	RabbitQuorum = "rabbitmq-quorum"
	// RabbitStomp is RabbitMQ with its STOMP plugin, used over STOMP.
	RabbitStomp = "rabbitmq-stomp"
	ActiveMQ    = "activemq"
	// Nginx, HAProxy and ReverseProxy (Go's httputil.ReverseProxy) are proxies of HTTP.
	Nginx        = "nginx"
	HAProxy      = "haproxy"
	ReverseProxy = "reverseproxy"
	// ApacheThrift is a server of Apache's Go library, without anything before it.
	ApacheThrift = "apache-thrift"
	NATS         = "nats"
	// JetStream is nats-server with JetStream, which by default syncs every two minutes.
	JetStream = "jetstream"
	// JetStreamSync is the same with sync_interval: always.
	JetStreamSync = "jetstream-sync"
)

const (
	startTimeout  = 90 * time.Second // from the start of a process until it serves
	stopTimeout   = 10 * time.Second // from SIGTERM to SIGKILL
	orphanTimeout = time.Second      // from the end of a process to that of what it leaves behind
	pollInterval  = 5 * time.Millisecond
	maxLogTail    = 2_000 // bytes of a broker's output shown when it fails
	loopback      = "127.0.0.1"
)

// ErrMissing says that a peer is not installed on this machine.
var ErrMissing = errors.New("not installed")

// Peer is a broker that can be started.
type Peer interface {
	// Name returns one of the names above.
	Name() string
	// Build prepares the program, in dir if it has to be compiled. It wraps ErrMissing if this
	// machine cannot have it.
	Build(ctx context.Context, dir string) error
	// Start runs the broker and returns when it serves.
	Start(ctx context.Context, place Place) (*Running, error)
}

// Place is where a broker runs.
type Place struct {
	Dir string // its data and its output; what an earlier start has left there is found again
	// Trace, when set, is the file into which strace counts its system calls for syncing.
	Trace string
	// Upstream is host:port of the service that a proxy is for, or empty.
	Upstream string
	// Thrift says that this service speaks Thrift, and not HTTP.
	Thrift bool
}

// Running is a broker that serves.
type Running struct {
	Addr    string        // of AMQP or NATS, or empty
	Stomp   string        // of STOMP, or empty
	HTTP    string        // of HTTP, or empty
	Thrift  string        // of Thrift, or empty
	Path    string        // of the service behind a proxy
	Version string        // of a proxy
	Pprof   string        // address of net/http/pprof, or empty
	ReadyIn time.Duration // from the start of the process until it served

	counted *process   // the broker, whose tree is measured
	helpers []*process // what else has to be ended
}

// CPU returns the user and system time that the broker's processes have used so far.
func (r *Running) CPU() (time.Duration, error) { return r.counted.cpu() }

// PID returns the process id of the broker's first process.
func (r *Running) PID() int { return r.counted.cmd.Process.Pid }

// PeakRSS returns the sum of the broker's processes' highest resident memory in bytes since
// ResetPeak or their start.
func (r *Running) PeakRSS() (uint64, error) { return r.counted.memory("VmHWM:") }

// RSS returns the sum of the broker's processes' present resident memory in bytes.
func (r *Running) RSS() (uint64, error) { return r.counted.memory("VmRSS:") }

// ResetPeak makes the present memory the highest, where the kernel allows it.
func (r *Running) ResetPeak() { r.counted.resetPeak() }

// Stop ends the broker and what was started with it, and waits until all are gone.
func (r *Running) Stop() error {
	err := r.counted.stop()
	for _, h := range r.helpers {
		err = errors.Join(err, h.stop())
	}
	return err
}

// Kill ends the broker as a crash would, without a word, and waits until it is gone.
func (r *Running) Kill() error {
	err := r.counted.kill()
	for _, h := range r.helpers {
		err = errors.Join(err, h.stop())
	}
	return err
}

// Source says where programs come from.
type Source struct {
	Root   string // directory of the main module
	Parley string // a parley that is built already, or empty
}

// New returns the peer of a name.
func New(name string, from Source) (Peer, error) {
	switch name {
	case Parley, ParleyAMQP:
		return &parley{name: name, root: from.Root, program: from.Parley}, nil
	case ActiveMQ:
		return &activeMQ{}, nil
	case RabbitMQ, RabbitQuorum, RabbitStomp:
		return &rabbitMQ{name: name}, nil
	case Nginx, HAProxy:
		return &proxy{name: name}, nil
	case ApacheThrift:
		return &apacheThrift{root: from.Root}, nil
	case ReverseProxy:
		return &goProxy{root: from.Root}, nil
	case NATS, JetStream, JetStreamSync:
		return &natsServer{name: name, root: from.Root}, nil
	default:
		return nil, fmt.Errorf("unknown peer %q", name)
	}
}

// freePorts returns n ports that nothing listens on at this moment.
func freePorts(ctx context.Context, n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
		if err != nil {
			return nil, fmt.Errorf("free port: %w", err)
		}
		defer l.Close() // held until all are chosen, so that they differ
		addr, err := netip.ParseAddrPort(l.Addr().String())
		if err != nil {
			return nil, fmt.Errorf("free port: %w", err)
		}
		ports = append(ports, int(addr.Port()))
	}
	return ports, nil
}

func hostPort(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// await calls ready until it returns nil, the process ends, or the time is up.
func await(ctx context.Context, p *process, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.exited:
			return fmt.Errorf("ended while starting: %s", p.tail())
		case <-ctx.Done():
			return fmt.Errorf("not ready (%w): %s", err, p.tail())
		}
	}
}

// accepts reports whether something accepts connections at addr.
func accepts(ctx context.Context, addr string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// goBuild compiles a package of a module into a program, unless another peer has done so.
func goBuild(ctx context.Context, moduleDir, pkg, out string) error {
	if _, err := os.Stat(out); err == nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, pkg)
	cmd.Dir = moduleDir
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w: %s", pkg, err, lastBytes(text))
	}
	return nil
}

func lastBytes(b []byte) []byte { return b[max(0, len(b)-maxLogTail):] }

// writeFile writes a small file into dir and returns its path.
func writeFile(dir, name, text string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// once returns the broker when it is ready; if it does not get there, it is ended.
func (r *Running) once(ctx context.Context, ready func(context.Context) error) (*Running, error) {
	if err := await(ctx, r.counted, ready); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	r.ReadyIn = time.Since(r.counted.began)
	return r, nil
}
