// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/parley-ipc/parley/bench/internal/load"
	"github.com/parley-ipc/parley/bench/internal/peer"
)

// engine does the runs: round by round, work by work, one peer after the other.
type engine struct {
	opts     Options
	dir      string // temporary, gone at the end
	progress io.Writer
	deadline time.Time
	longest  time.Duration // of the runs so far, start and end of the broker included
}

// Run is one measurement of one peer at one work.
type Run struct {
	Work    string `json:"work"`
	Peer    string `json:"peer"`
	Round   int    `json:"round"`
	PeakRSS uint64 `json:"peakRSSBytes"`
	Error   string `json:"error,omitempty"`
	load.Result
	Disk *diskTimes `json:"disk,omitempty"` // where the disk was probed
}

// measure builds the peers and does all runs that the budget allows.
func (e *engine) measure(ctx context.Context) (*report, error) {
	rep := newReport(e.opts)
	var peers []peer.Peer
	for _, name := range e.needed() {
		p, err := peer.New(name, peer.Source{Root: e.opts.Root, Parley: e.opts.Program})
		if err != nil {
			return nil, err
		}
		e.say("building %s", name)
		if err := p.Build(ctx, e.dir); errors.Is(err, peer.ErrMissing) {
			rep.Missing = append(rep.Missing, fmt.Sprintf("%s is not measured: %v", name, err))
			e.say("%s", rep.Missing[len(rep.Missing)-1])
			continue
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		peers = append(peers, p)
	}
	rep.Commit = commitOf(ctx, e.opts.Root)
	for _, step := range []func(context.Context, []peer.Peer, *report) error{
		e.countSyncs, e.conversions, e.rounds, e.backlogs, e.explain,
	} {
		if err := step(ctx, peers, rep); err != nil {
			return nil, err
		}
	}
	return rep, nil
}

// needed returns those of the chosen peers that a chosen work is done with.
func (e *engine) needed() []string {
	var names []string
	for _, name := range e.opts.Peers {
		if slices.ContainsFunc(e.opts.Works, func(w work) bool {
			return slices.Contains(w.peers, name)
		}) {
			names = append(names, name)
		}
	}
	return names
}

// rounds does the runs round by round until all are done or the budget is used up.
func (e *engine) rounds(ctx context.Context, peers []peer.Peer, rep *report) error {
	for round := range e.opts.Runs {
		for _, w := range e.opts.Works {
			if w.kind == deep || w.kind == converted || round >= w.rounds(e.opts.Runs) {
				continue
			}
			if e.overBudget(w) {
				e.say("the budget of %v allows no further run", e.opts.Budget)
				rep.CutShort = true
				return nil
			}
			if w.kind == crowd && !e.enoughDescriptors(rep) {
				continue
			}
			if err := e.round(ctx, w, rotate(peers, round), rep); err != nil {
				return err
			}
		}
	}
	return nil
}

// enoughDescriptors reports whether this process, and so a broker, may open what a crowd takes; if
// not, the report says so.
func (e *engine) enoughDescriptors(rep *report) bool {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	if err == nil && limit.Cur >= crowdDescriptors {
		return true
	}
	line := fmt.Sprintf("%s is not measured: it takes %d descriptors and %d are allowed", idle10K,
		crowdDescriptors, limit.Cur)
	if !slices.Contains(rep.Missing, line) {
		rep.Missing = append(rep.Missing, line)
		e.say("%s", line)
	}
	return false
}

// rotate returns the peers with another one first in each round, so that none always has the
// same neighbour.
func rotate(peers []peer.Peer, round int) []peer.Peer {
	if len(peers) == 0 {
		return nil
	}
	at := round % len(peers)
	return slices.Concat(peers[at:], peers[:at])
}

// backlogReserve is what is left of the budget for the backlogs, which come last.
const backlogReserve = 5 * time.Minute

// overBudget reports whether one more work for its peers would probably end too late.
func (e *engine) overBudget(w work) bool {
	need := e.longest * time.Duration(len(w.peers))
	if slices.ContainsFunc(e.opts.Works, func(w work) bool { return w.kind == deep }) {
		need += backlogReserve
	}
	return time.Now().Add(need).After(e.deadline)
}

// round measures each peer at one work. A failure is kept in the report; only the end of ctx
// stops everything.
func (e *engine) round(ctx context.Context, w work, peers []peer.Peer, rep *report) error {
	for _, p := range peers {
		if !slices.Contains(w.peers, p.Name()) {
			continue
		}
		began := time.Now()
		r := Run{Work: w.name, Peer: p.Name(), Round: rep.roundOf(w.name, p.Name())}
		if err := e.one(ctx, w, p, &r); err != nil {
			r.Error = err.Error()
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("interrupted: %w", err)
		}
		e.longest = max(e.longest, time.Since(began))
		rep.Runs = append(rep.Runs, r)
		e.say("%s", progressLine(r))
	}
	return nil
}

// one starts a peer, loads it and ends it.
func (e *engine) one(ctx context.Context, w work, p peer.Peer, r *Run) (err error) {
	dir, err := os.MkdirTemp(e.dir, p.Name()+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	service, err := e.upstream(ctx, w, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.end()) }()
	place := service.place
	place.Dir = dir
	broker, err := e.start(ctx, p, place)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	defer func() { err = errors.Join(err, broker.Stop()) }()
	params := e.params(w, p, broker)
	params.ServiceCPU = service.cpu
	prof := &profiler{addr: broker.Pprof, length: e.opts.Measure}
	if p.Name() == peer.Parley {
		prof.file = profilePath(e.opts.Profile, w.name)
	}
	if prof.wanted() {
		params.Begin = func() { broker.ResetPeak(); prof.begin(ctx) }
	}
	if w.kind == paced {
		r.Result, r.Disk, err = e.paced(ctx, params, dir)
	} else {
		r.Result, err = w.do(ctx, params)
	}
	peak, peakErr := broker.PeakRSS()
	r.PeakRSS = peak
	return errors.Join(err, peakErr, prof.end())
}

// upstream is the service that a peer is in front of.
type upstream struct {
	place peer.Place // what the peer has to know
	cpu   func() (time.Duration, error)
	end   func() error
}

// upstream starts the service that a peer is in front of, if the work has one.
func (e *engine) upstream(ctx context.Context, w work, p peer.Peer) (upstream, error) {
	out := upstream{end: func() error { return nil }}
	switch {
	case w.proxied:
		service, err := load.NewUpstream(ctx)
		if err != nil {
			return out, err
		}
		out.place.Upstream = service.Addr
		out.end = func() error { service.Close(); return nil }
	case w.thrift && p.Name() != peer.ApacheThrift:
		server, err := peer.New(peer.ApacheThrift, peer.Source{Root: e.opts.Root})
		if err != nil {
			return out, err
		}
		if err := server.Build(ctx, e.dir); err != nil {
			return out, err
		}
		running, err := e.start(ctx, server, peer.Place{Dir: e.dir})
		if err != nil {
			return out, err
		}
		out.place.Upstream, out.place.Thrift = running.Thrift, true
		out.cpu, out.end = running.CPU, running.Stop
	}
	return out, nil
}

// params says how a running broker is loaded.
func (e *engine) params(w work, p peer.Peer, broker *peer.Running) load.Params {
	protocol, addr := w.protocolOf(p.Name()), broker.Addr
	if protocol == load.STOMP {
		addr = broker.Stomp
	}
	switch {
	case w.proxied:
		addr = broker.HTTP
	case w.thrift:
		addr = broker.Thrift
	}
	return load.Params{
		Protocol:  protocol,
		Addr:      addr,
		Path:      broker.Path,
		Server:    broker.Version,
		QueueType: queueTypeOf(p.Name()),
		Warmup:    warmupOf(p.Name()),
		Measure:   e.opts.Measure,
		BrokerCPU: broker.CPU,
		RSS:       broker.RSS,
		Begin:     broker.ResetPeak,
	}
}

// warmupOf returns how long a peer is loaded before it is measured.
func warmupOf(name string) time.Duration {
	if name == peer.ActiveMQ {
		return javaWarmup
	}
	return warmup
}

// startAttempts is how often a broker is started: the ports that were found free may be taken by
// another process before the broker listens on them.
const startAttempts = 2

// start runs a peer in a fresh directory below the place's.
func (e *engine) start(ctx context.Context, p peer.Peer, place peer.Place) (*peer.Running, error) {
	dir := place.Dir
	return e.startAt(ctx, p, func() (peer.Place, error) {
		at, err := os.MkdirTemp(dir, "start-")
		place.Dir = at
		return place, err
	})
}

// startAt runs a peer where place says, which is asked before each attempt.
func (e *engine) startAt(
	ctx context.Context, p peer.Peer, place func() (peer.Place, error),
) (*peer.Running, error) {
	var failed error
	for range startAttempts {
		at, err := place()
		if err != nil {
			return nil, err
		}
		broker, err := p.Start(ctx, at)
		if err == nil {
			return broker, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e.say("%s does not start: %v", p.Name(), err)
		failed = err
	}
	return nil, failed
}

func (e *engine) say(format string, args ...any) {
	fmt.Fprintf(e.progress, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}

func progressLine(r Run) string {
	line := fmt.Sprintf("%-17s %-15s #%d", r.Work, r.Peer, r.Round+1)
	if r.Error != "" {
		return line + " FAILED: " + oneLine(r.Error)
	}
	line += fmt.Sprintf(" %11s/s  broker %7.2f us (%4.0f%%)  load %6.2f us  peak %4d MiB"+
		"  p50 %v p99 %v", thousands(r.Rate()), r.BrokerMicros(),
		100*r.BrokerCPU.Seconds()/r.Elapsed.Seconds(), r.LoadMicros(), r.PeakRSS>>20,
		r.P50.Round(time.Microsecond), r.P99.Round(time.Microsecond))
	if r.Disk != nil {
		line += fmt.Sprintf("  disk p50 %v, paced %v", r.Disk.P50.Round(time.Microsecond),
			r.Disk.PacedP50.Round(time.Microsecond))
	}
	return line
}

// commitOf returns the commit of the main module, marked if files differ from it; empty outside
// of a checkout.
func commitOf(ctx context.Context, root string) string {
	cmd := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12")
	cmd.Dir = filepath.Clean(root)
	text, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
