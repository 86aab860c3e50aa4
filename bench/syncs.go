// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/parley-ipc/parley/bench/internal/load"
	"github.com/parley-ipc/parley/bench/internal/peer"
)

// How long a broker is loaded while its syncs are counted.
const (
	tracedWarmup  = 500 * time.Millisecond
	tracedMeasure = 2500 * time.Millisecond
)

// Syncs is how often a broker has asked the system to make its writes durable at one work, from its
// start to its end, and how many messages it has confirmed and delivered meanwhile.
type Syncs struct {
	Work     string            `json:"work"`
	Peer     string            `json:"peer"`
	Calls    map[string]uint64 `json:"calls"`
	Messages uint64            `json:"messages"`
	Error    string            `json:"error,omitempty"`
}

// perThousand returns each system call with its number for a thousand messages.
func (s Syncs) perThousand() string {
	if s.Error != "" || s.Messages == 0 {
		return "not counted"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(s.Calls)) {
		each := 1000 * float64(s.Calls[name]) / float64(s.Messages)
		parts = append(parts, decimals(each)+" "+name)
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// countSyncs runs each peer below strace at each work that asks for it. Without strace the report
// says so, and everything else is measured.
func (e *engine) countSyncs(ctx context.Context, peers []peer.Peer, rep *report) error {
	if !slices.ContainsFunc(e.opts.Works, func(w work) bool { return w.syncs }) || !e.opts.Trace {
		return nil
	}
	if err := peer.CanTrace(ctx); err != nil {
		rep.Missing = append(rep.Missing, "syncs are not counted: "+oneLine(err.Error()))
		e.say("%s", rep.Missing[len(rep.Missing)-1])
		return nil
	}
	for _, w := range e.opts.Works {
		for _, p := range peers {
			if !w.syncs || !slices.Contains(w.peers, p.Name()) {
				continue
			}
			s := Syncs{Work: w.name, Peer: p.Name()}
			if err := e.traced(ctx, w, p, &s); err != nil {
				s.Error = err.Error()
			}
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("interrupted: %w", err)
			}
			rep.Syncs = append(rep.Syncs, s)
			e.say("%-17s %-15s strace: %d messages, %s a thousand %s", w.name, p.Name(), s.Messages,
				s.perThousand(), oneLine(s.Error))
		}
	}
	return nil
}

// traced loads one peer below strace, ends it, and reads the counts.
func (e *engine) traced(ctx context.Context, w work, p peer.Peer, s *Syncs) error {
	dir, err := os.MkdirTemp(e.dir, p.Name()+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	trace := filepath.Join(dir, "strace")
	broker, err := e.startAt(ctx, p, func() (peer.Place, error) {
		place, err := os.MkdirTemp(dir, "start-")
		return peer.Place{Dir: place, Trace: trace}, err
	})
	if err != nil {
		return fmt.Errorf("start below strace: %w", err)
	}
	params := e.params(w, p, broker)
	params.Warmup, params.Measure = tracedWarmup, tracedMeasure
	var res load.Result
	res, err = w.do(ctx, params)
	if err := errors.Join(err, broker.Stop()); err != nil {
		return err
	}
	s.Messages = res.Received
	s.Calls, err = peer.SyncCounts(ctx, trace)
	return err
}
