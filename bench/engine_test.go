// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/parley-ipc/parley/bench/internal/peer"
)

// shyPeer fails to start a number of times and notes where it was asked to.
type shyPeer struct {
	failures int
	dirs     []string
}

func (p *shyPeer) Name() string { return "shy" }

func (p *shyPeer) Build(context.Context, string) error { return nil }

func (p *shyPeer) Start(_ context.Context, place peer.Place) (*peer.Running, error) {
	p.dirs = append(p.dirs, place.Dir)
	if len(p.dirs) <= p.failures {
		return nil, errors.New("address already in use")
	}
	return &peer.Running{}, nil
}

func TestStartTriesOnceMoreInAFreshPlace(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		failures, starts int
		ok               bool
	}{{0, 1, true}, {1, 2, true}, {2, 2, false}}
	for _, tc := range testCases {
		e := &engine{progress: io.Discard}
		p := &shyPeer{failures: tc.failures}
		broker, err := e.start(t.Context(), p, peer.Place{Dir: t.TempDir()})
		if (err == nil) != tc.ok || (broker != nil) != tc.ok {
			t.Errorf("%d failures: %v, %v", tc.failures, broker, err)
		}
		slices.Sort(p.dirs)
		if len(p.dirs) != tc.starts || len(slices.Compact(p.dirs)) != tc.starts {
			t.Errorf("%d failures: started in %v", tc.failures, p.dirs)
		}
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := &shyPeer{failures: 1}
	_, err := (&engine{progress: io.Discard}).start(ctx, p, peer.Place{Dir: t.TempDir()})
	if !errors.Is(err, context.Canceled) || len(p.dirs) != 1 {
		t.Errorf("%v after %d starts", err, len(p.dirs))
	}
}

func TestRotatePutsAnotherPeerFirst(t *testing.T) {
	t.Parallel()
	peers := []peer.Peer{&shyPeer{failures: 1}, &shyPeer{failures: 2}, &shyPeer{failures: 3}}
	for round := range 4 {
		got := rotate(peers, round)
		if len(got) != 3 || got[0] != peers[round%3] || got[1] != peers[(round+1)%3] {
			t.Errorf("round %d: %v", round, got)
		}
	}
	if got := rotate(nil, 1); len(got) != 0 {
		t.Errorf("of none: %v", got)
	}
}

func TestBudgetKeepsRoomForOneWork(t *testing.T) {
	t.Parallel()
	three := work{kind: throughput, peers: allPeers()[:3]}
	e := &engine{deadline: time.Now().Add(time.Minute), longest: 10 * time.Second}
	if e.overBudget(three) {
		t.Error("over budget with a minute left and 30 s needed")
	}
	e.longest = 30 * time.Second
	if !e.overBudget(three) {
		t.Error("not over budget with a minute left and 90 s needed")
	}
	e.longest, e.opts.Works = 10*time.Second, []work{{kind: deep}}
	if !e.overBudget(three) {
		t.Error("no room is kept for the backlogs")
	}
}

func TestOnlyNeededPeersAreBuilt(t *testing.T) {
	t.Parallel()
	o, err := parseFlags([]string{"-work", backlog})
	if err != nil {
		t.Fatal(err)
	}
	if got := (&engine{opts: o}).needed(); !slices.Equal(got, []string{peer.Parley}) {
		t.Errorf("needed %v", got)
	}
}
