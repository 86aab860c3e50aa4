// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-ipc/parley/bench/internal/disk"
	"github.com/parley-ipc/parley/bench/internal/load"
	"github.com/parley-ipc/parley/bench/internal/peer"
)

const (
	backlogBodyBytes = 100
	// floorBytes is what a data directory without messages may take: a few segments of 64 MiB.
	floorBytes = 6 * 64 << 20
	// floorTimeout is how long after the drain the disk use may take to fall to that.
	floorTimeout = 30 * time.Second
	// calmTime is how long memory is left to settle before it is read.
	calmTime = 500 * time.Millisecond
)

// Deep is what became of one backlog.
type Deep struct {
	Queues       int           `json:"queues"`
	PerQueue     int           `json:"perQueue"`
	Publish      load.Moved    `json:"publish"`
	RSSBefore    uint64        `json:"rssBeforeBytes"` // with the queues declared
	RSSAfter     uint64        `json:"rssAfterBytes"`  // of the last confirm
	RSSPeak      uint64        `json:"rssPeakBytes"`   // while publishing
	DiskFull     uint64        `json:"diskFullBytes"`  // of the data directory, with the backlog
	Restart      time.Duration `json:"restartNS"`      // exec to ready, after a stop in order
	RestartKill  time.Duration `json:"restartKillNS"`  // the same after SIGKILL
	Drain        load.Moved    `json:"drain"`
	RSSPeakDrain uint64        `json:"rssPeakDrainBytes"`
	DiskEmpty    uint64        `json:"diskEmptyBytes"` // after the drain
	Error        string        `json:"error,omitempty"`
}

// growth returns by how much the memory has grown while the backlog was published.
func (d Deep) growth() float64 { return float64(d.RSSAfter) - float64(d.RSSBefore) }

// backlog returns what is published and drained.
func (d Deep) backlog() load.Backlog {
	return load.Backlog{Queues: d.Queues, PerQueue: d.PerQueue, BodyBytes: backlogBodyBytes}
}

func (d Deep) name() string {
	if d.Queues == 1 {
		return "1 queue x " + thousands(float64(d.PerQueue))
	}
	return thousands(float64(d.Queues)) + " queues x " + thousands(float64(d.PerQueue))
}

// parseBacklogs reads a list of QUEUESxMESSAGES.
func parseBacklogs(list string) ([]load.Backlog, error) {
	var out []load.Backlog
	for item := range strings.SplitSeq(list, ",") {
		left, right, ok := strings.Cut(item, "x")
		queues, err1 := strconv.Atoi(left)
		messages, err2 := strconv.Atoi(right)
		if !ok || err1 != nil || err2 != nil {
			return nil, fmt.Errorf("backlog: %q is not QUEUESxMESSAGES", item)
		}
		b := load.Backlog{Queues: queues, PerQueue: messages, BodyBytes: backlogBodyBytes}
		if err := b.Validate(); err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// backlogs does the work that is done once, by parley alone, if it is among those asked for.
func (e *engine) backlogs(ctx context.Context, peers []peer.Peer, rep *report) error {
	asked := slices.ContainsFunc(e.opts.Works, func(w work) bool { return w.kind == deep })
	i := slices.IndexFunc(peers, func(p peer.Peer) bool { return p.Name() == peer.Parley })
	if !asked || i < 0 {
		return nil
	}
	for _, b := range e.opts.Backlogs {
		d := Deep{Queues: b.Queues, PerQueue: b.PerQueue}
		if err := e.deep(ctx, peers[i], &d); err != nil {
			d.Error = err.Error()
			e.say("backlog %s FAILED: %s", d.name(), oneLine(d.Error))
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("interrupted: %w", err)
		}
		rep.Backlogs = append(rep.Backlogs, d)
	}
	return nil
}

// deep publishes one backlog, restarts the hub twice, drains it, and looks at the disk.
func (e *engine) deep(ctx context.Context, p peer.Peer, d *Deep) (err error) {
	dir, err := os.MkdirTemp(e.dir, "backlog-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	data := filepath.Join(dir, peer.ParleyData)
	start := func() (*peer.Running, error) {
		return e.startAt(ctx, p, func() (peer.Place, error) { return peer.Place{Dir: dir}, nil })
	}
	hub, err := start()
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	defer func() { err = errors.Join(err, hub.Stop()) }()
	if err := e.fill(ctx, e.params(deepWork(), p, hub), hub, d); err != nil {
		return err
	}
	if d.DiskFull, err = disk.Usage(data); err != nil {
		return err
	}
	e.say("backlog %s: published at %s/s, memory %+.0f MiB (peak %+.0f), %d MiB on disk", d.name(),
		thousands(d.Publish.Rate()), d.growth()/(1<<20),
		(float64(d.RSSPeak)-float64(d.RSSBefore))/(1<<20), d.DiskFull>>20)

	if hub, err = again(hub, hub.Stop, start); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	d.Restart = hub.ReadyIn
	if hub, err = again(hub, hub.Kill, start); err != nil {
		return fmt.Errorf("restart after kill: %w", err)
	}
	d.RestartKill = hub.ReadyIn
	e.say("backlog %s: ready in %v, after kill -9 in %v", d.name(), d.Restart, d.RestartKill)

	hub.ResetPeak()
	if d.Drain, err = load.Drain(ctx, e.params(deepWork(), p, hub), d.backlog()); err != nil {
		return err
	}
	if d.RSSPeakDrain, err = hub.PeakRSS(); err != nil {
		return err
	}
	d.DiskEmpty, err = e.floor(ctx, data)
	e.say("backlog %s: drained at %s/s, %d MiB on disk afterwards", d.name(),
		thousands(d.Drain.Rate()), d.DiskEmpty>>20)
	return err
}

// again ends a hub and starts it once more. The old one is returned with an error, so that the
// caller always has one to stop.
func again(
	hub *peer.Running, end func() error, start func() (*peer.Running, error),
) (*peer.Running, error) {
	if err := end(); err != nil {
		return hub, err
	}
	fresh, err := start()
	if err != nil {
		return hub, err
	}
	return fresh, nil
}

// fill publishes the backlog and reads the memory around that.
func (e *engine) fill(
	ctx context.Context, params load.Params, hub *peer.Running, d *Deep,
) (err error) {
	b := d.backlog()
	if err := load.Declare(ctx, params, b); err != nil {
		return err
	}
	if d.RSSBefore, err = calmRSS(ctx, hub); err != nil {
		return err
	}
	hub.ResetPeak()
	if d.Publish, err = load.Fill(ctx, params, b); err != nil {
		return err
	}
	if d.RSSPeak, err = hub.PeakRSS(); err != nil {
		return err
	}
	d.RSSAfter, err = calmRSS(ctx, hub)
	return err
}

// calmRSS reads the memory of a hub that has had calmTime without load.
func calmRSS(ctx context.Context, hub *peer.Running) (uint64, error) {
	if err := pause(ctx, calmTime); err != nil {
		return 0, err
	}
	return hub.RSS()
}

// floor waits until a data directory has fallen to what it takes without messages, or until it has
// had the time for that, and returns what it takes.
func (e *engine) floor(ctx context.Context, data string) (uint64, error) {
	for began := time.Now(); ; {
		used, err := disk.Usage(data)
		if err != nil || used <= floorBytes || time.Since(began) > floorTimeout {
			return used, err
		}
		if err := pause(ctx, calmTime); err != nil {
			return used, err
		}
	}
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
