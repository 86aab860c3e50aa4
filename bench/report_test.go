// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/bench/internal/load"
	"github.com/parley-ipc/parley/bench/internal/peer"
)

// ran makes a run of 1 s.
func ran(work, name string, round int, messages uint64) Run {
	return Run{
		Work: work, Peer: name, Round: round, PeakRSS: 32 << 20,
		Result: load.Result{
			Server: name + " 1", Messages: messages, Elapsed: time.Second,
			BrokerCPU: time.Second, LoadCPU: time.Second / 2,
		},
	}
}

// reportOf makes a report over all peers and works.
func reportOf(runs ...Run) *report {
	r := newReport(Options{Peers: allPeers(), Works: allWorks(), Runs: 2, Measure: time.Second})
	r.Runs = runs
	return r
}

func TestRatioPairsRounds(t *testing.T) {
	t.Parallel()
	failed := ran(transient16, peer.RabbitMQ, 1, 1)
	failed.Error = "lost"
	r := reportOf(
		ran(transient16, peer.Parley, 0, 1000), ran(transient16, peer.RabbitMQ, 0, 100),
		ran(transient16, peer.Parley, 1, 9000), failed,
		ran(transient16, peer.RabbitMQ, 2, 100), ran(transient16, peer.Parley, 2, 3000),
		ran(transient1K, peer.Parley, 0, 7),
	)
	s := r.ratio(transient16, peer.RabbitMQ)
	if s.Median != 20 || s.Min != 10 || s.Max != 30 || s.Runs != 2 {
		t.Errorf("ratio %+v", s)
	}
	if got := r.roundOf(transient16, peer.RabbitMQ); got != 3 {
		t.Errorf("round %d", got)
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name   string
		runs   []Run
		line   string
		failed bool
	}{
		{
			"met",
			[]Run{ran(transient16, peer.Parley, 0, 1e6), ran(transient16, peer.RabbitMQ, 0, 1e5)},
			"gate met    16 B transient at least 10 x RabbitMQ: 10.00 x", false,
		},
		{
			"missed",
			[]Run{ran(transient16, peer.Parley, 0, 9e5), ran(transient16, peer.RabbitMQ, 0, 1e5)},
			"gate missed 16 B transient at least 10 x RabbitMQ: 9.00 x", true,
		},
		{
			"an aim missed fails nothing",
			[]Run{ran(transient16, peer.Parley, 0, 4e5), ran(transient16, peer.NATS, 0, 1e6)},
			"aim  missed 16 B transient at least 0.5 x NATS core: 0.40 x", false,
		},
		{
			"without RabbitMQ",
			[]Run{ran(transient16, peer.Parley, 0, 1e6)},
			"gate not evaluated", false,
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := reportOf(tc.runs...)
			if all := strings.Join(r.verdicts(), "\n"); !strings.Contains(all, tc.line) {
				t.Errorf("no %q in\n%s", tc.line, all)
			}
			if err := r.failure(); (err != nil) != tc.failed {
				t.Errorf("failure() = %v", err)
			}
		})
	}
}

func TestARunThatFailedFailsTheCall(t *testing.T) {
	t.Parallel()
	bad := ran(request1, peer.NATS, 0, 1)
	bad.Error = "3 were\n lost" + strings.Repeat(" and more", maxErrorBytes)
	r := reportOf(bad)
	if err := r.failure(); err == nil || !strings.Contains(err.Error(), "3 were lost") {
		t.Errorf("failure() = %v", err)
	}
	if text := r.markdown(); !strings.Contains(text, "Failed: nats, round 1: 3 were lost and more") {
		t.Errorf("not in the document:\n%s", text)
	}
}

func TestMarkdownShowsWhatWasMeasured(t *testing.T) {
	t.Parallel()
	heavy := ran(transient16, peer.NATS, 0, 2_000_000)
	heavy.LoadCPU = 3 * time.Second
	text := reportOf(
		ran(transient16, peer.Parley, 0, 1_000_000), heavy,
		ran(transient16, peer.Parley, 1, 3_000_000), ran(transient16, peer.NATS, 1, 2_000_000),
		ran(transient16, peer.NATS, 2, 2_000_000),
	).markdown()
	for _, want := range []string{
		"| | parley | nats |",
		"| messages a second | **2,000,000** (1,000,000, 3,000,000) | **2,000,000**",
		"| broker CPU, us each | **0.67** (0.33, 1.00) |",
		"| broker peak RSS, MiB | **32** (32, 32) |",
		"| parley's rate by this one's |  | **1.00** (0.50, 1.50) |",
		"`cd bench && go run . -work transient-16 -runs 2 -seconds 1`",
		"parley 1, nats 1",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "Request/reply") {
		t.Errorf("a work that was not measured is shown:\n%s", text)
	}
	if strings.Contains(text, "Warning") {
		t.Errorf("one run of three above the broker is no warning:\n%s", text)
	}
}

func TestMarkdownWarnsOfAHeavyGenerator(t *testing.T) {
	t.Parallel()
	heavy := ran(transient16, peer.NATS, 0, 2_000_000)
	heavy.LoadCPU = 3 * time.Second
	if text := reportOf(heavy).markdown(); !strings.Contains(text, "Warning: with nats") {
		t.Errorf("no warning in\n%s", text)
	}
}

func TestReplaceMarked(t *testing.T) {
	t.Parallel()
	doc := "# Title\n" + beginMark + "\nold\n" + endMark + "\nby hand\n"
	got, err := replaceMarked(doc, "new\n")
	want := "# Title\n" + beginMark + "\nnew\n" + endMark + "\nby hand\n"
	if err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", beginMark, endMark + beginMark} {
		if _, err := replaceMarked(bad, "x"); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		v    float64
		want string
	}{
		{0, "0"},
		{999, "999"},
		{1000, "1,000"},
		{1234567.8, "1,234,568"},
		{-1234, "-1,234"},
		{-123, "-123"},
	}
	for _, tc := range testCases {
		if got := thousands(tc.v); got != tc.want {
			t.Errorf("thousands(%v) = %q, want %q", tc.v, got, tc.want)
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	o, err := parseFlags(nil)
	if err != nil || o.Runs != 5 || o.Measure != 5*time.Second || !o.Write ||
		len(o.Works) != len(allWorks()) || o.Machine == "" {
		t.Errorf("defaults %+v, %v", o, err)
	}
	o, err = parseFlags([]string{"-work", "request-64,transient-16", "-seconds", "1.5"})
	if err != nil || o.Write || len(o.Works) != 2 || o.Works[0].name != request64 ||
		o.Measure != 1500*time.Millisecond {
		t.Errorf("a part: %+v, %v", o, err)
	}
	for _, bad := range [][]string{
		{"-runs", "0"}, {"-seconds", "0.5"}, {"-work", "juggling"}, {"-write", "maybe"},
	} {
		if _, err := parseFlags(bad); err == nil {
			t.Errorf("%v: no error", bad)
		}
	}
}

func TestTopOfKeepsTheTable(t *testing.T) {
	t.Parallel()
	const text = "File: parley\nType: cpu\n      flat  flat%   sum%        cum   cum%\n" +
		"     0.53s 20.78% 20.78%      0.53s 20.78%  github.com/parley-ipc/parley/internal/x.f\n"
	const want = "      flat  flat%   sum%        cum   cum%\n" +
		"     0.53s 20.78% 20.78%      0.53s 20.78%  internal/x.f\n"
	if got := topOf(text); got != want {
		t.Errorf("topOf = %q", got)
	}
	if got := topOf("no samples"); got != "" {
		t.Errorf("topOf = %q", got)
	}
	r := reportOf(ran(transient16, peer.Parley, 0, 10))
	r.Profile = want
	if text := r.markdown(); !strings.Contains(text, "```\n"+want+"```\n") {
		t.Errorf("no profile in\n%s", text)
	}
}
