// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
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

// verdictCase is some runs, a line that they have to lead to, and whether the call fails.
type verdictCase struct {
	name   string
	runs   []Run
	line   string
	failed bool
}

// newerVerdicts are those of the works beside RabbitMQ alone, over STOMP, and of idle connections.
func newerVerdicts() []verdictCase {
	crowded := ran(idle10K, peer.Parley, 0, 10_000)
	crowded.Idle = &load.Idle{Connections: 10_000, Bytes: 10_000 * 41 << 10}
	cheap := ran(stomp16, peer.Parley, 0, 1e6)
	cheap.BrokerCPU /= 2
	return []verdictCase{
		{
			"ahead of RabbitMQ",
			[]Run{ran(topic10K, peer.Parley, 0, 300), ran(topic10K, peer.RabbitMQ, 0, 100)},
			"PASS aim topic-10k: ahead of rabbitmq in the same run, more than 1.00 x: 3.00", false,
		},
		{
			"behind RabbitMQ",
			[]Run{ran(body1M, peer.Parley, 0, 90), ran(body1M, peer.RabbitMQ, 0, 100)},
			"FAIL aim body-1m: ahead of rabbitmq in the same run, more than 1.00 x: 0.90", false,
		},
		{
			"the better of two",
			[]Run{
				ran(stomp1K, peer.Parley, 0, 700), ran(stomp1K, peer.RabbitStomp, 0, 50),
				ran(stomp1K, peer.ActiveMQ, 0, 100),
			},
			"FAIL gate stomp-1k: at least 8.00 x the better of rabbitmq-stomp and activemq: 7.00", true,
		},
		{
			"one of two is missing",
			[]Run{ran(stomp1K, peer.Parley, 0, 700), ran(stomp1K, peer.RabbitStomp, 0, 1)},
			"open gate stomp-1k", false,
		},
		{
			"beside the 0-9-1 door",
			[]Run{cheap, ran(stomp16, peer.ParleyAMQP, 0, 1e6)},
			"PASS aim stomp-16: broker CPU at most 1.30 x that over AMQP 0-9-1: 0.50", false,
		},
		{"idle", []Run{crowded}, "FAIL aim idle-10k: at most 40.00 KiB for an idle connection: 41.00", false},
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	slow := ran(paced1K, peer.Parley, 0, 1000)
	slow.P50, slow.Disk = 400*time.Microsecond, &diskTimes{P50: 200 * time.Microsecond}
	cheap := ran(persistent1K, peer.Parley, 0, 100_000)
	testCases := []verdictCase{
		{
			"met",
			[]Run{ran(transient16, peer.Parley, 0, 1e6), ran(transient16, peer.RabbitMQ, 0, 1e5)},
			"PASS gate transient-16: at least 10.00 x rabbitmq: 10.00 (10.00 to 10.00, 1 runs)", false,
		},
		{
			"missed",
			[]Run{ran(transient16, peer.Parley, 0, 9e5), ran(transient16, peer.RabbitMQ, 0, 1e5)},
			"FAIL gate transient-16: at least 10.00 x rabbitmq: 9.00", true,
		},
		{
			"an aim missed fails nothing",
			[]Run{ran(transient16, peer.Parley, 0, 4e5), ran(transient16, peer.NATS, 0, 1e6)},
			"FAIL aim transient-16: at least 0.50 x nats: 0.40", false,
		},
		{
			"without RabbitMQ",
			[]Run{ran(transient16, peer.Parley, 0, 1e6)},
			"open gate transient-16: at least 10.00 x rabbitmq: not measured", false,
		},
		{
			"persistent, against the synced",
			[]Run{cheap, ran(persistent1K, peer.JetStreamSync, 0, 10_000)},
			"FAIL gate persistent-1k: at least 15.00 x jetstream-sync: 10.00", true,
		},
		{"persistent, rate", []Run{cheap}, "PASS aim persistent-1k: at least 80,000 messages a second: 100,000", false},
		{"persistent, processor", []Run{cheap}, "PASS aim persistent-1k: broker CPU at most 12.00 us: 10.00", false},
		{"by the disk", []Run{slow}, "FAIL aim paced-1k: publish to confirm at most 1.50 x the disk's own fdatasync, p50: 2.00", false},
	}
	testCases = append(testCases, newerVerdicts()...)
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

// deepRun is a backlog that meets every gate.
func deepRun() Deep {
	return Deep{
		Queues: 1, PerQueue: 1000, RSSBefore: 10 << 20, RSSAfter: 20 << 20, RSSPeak: 30 << 20,
		Publish: load.Moved{Messages: 1000, Elapsed: time.Second},
		Drain:   load.Moved{Messages: 1000, Elapsed: 2 * time.Second},
		Restart: time.Second, RestartKill: 2 * time.Second, DiskFull: 900 << 20, DiskEmpty: 100 << 20,
	}
}

func TestBacklogGates(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name   string
		change func(*Deep)
		line   string
	}{
		{"memory", func(d *Deep) { d.RSSAfter = 80 << 20 }, "growth at most 64 MiB: 70 MiB"},
		{"restart", func(d *Deep) { d.Restart = 4 * time.Second }, "restart at most 3s: 4s"},
		{"never restarted", func(d *Deep) { d.Restart = 0 }, "restart at most 3s: 0s"},
		{"incomplete", func(d *Deep) { d.Drain.Messages = 999 }, "complete and in order: 999 of 1,000"},
		{"out of order", func(d *Deep) { d.Error = "reordered" }, "complete and in order: 1,000 of 1,000"},
		{"disk", func(d *Deep) { d.DiskEmpty = 900 << 20 }, "afterwards at most 384 MiB: 900 MiB"},
	}
	r := reportOf()
	r.Backlogs = []Deep{deepRun()}
	if err := r.failure(); err != nil {
		t.Errorf("a backlog that is all right: %v", err)
	}
	if lines := r.verdicts(); len(lines) != 4 || !strings.HasPrefix(lines[0], "PASS gate backlog 1 queue x 1,000") {
		t.Errorf("verdicts %q", lines)
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := deepRun()
			tc.change(&d)
			r := reportOf()
			r.Backlogs = []Deep{d}
			all := strings.Join(r.verdicts(), "\n")
			if !strings.Contains(all, "FAIL gate backlog 1 queue x 1,000: ") || !strings.Contains(all, tc.line) {
				t.Errorf("no %q in\n%s", tc.line, all)
			}
			if r.failure() == nil {
				t.Error("the call has not failed")
			}
		})
	}
}

func TestBacklogTable(t *testing.T) {
	t.Parallel()
	r := reportOf()
	many := deepRun()
	many.Queues, many.PerQueue, many.Error = 10_000, 5, "no progress"
	r.Backlogs = []Deep{deepRun(), many}
	text := r.markdown()
	for _, want := range []string{
		"| | 1 queue x 1,000 | 10,000 queues x 5 |",
		"| published a second | **1,000** |",
		"| growth, MiB | **10** |",
		"| restart after SIGKILL, s | **2.00** |",
		"| drained a second | **500** |",
		"-work backlog -backlog 1x1000,10000x5`",
		"Failed: backlog 10,000 queues x 5: no progress",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	got, err := parseBacklogs("1x200000,100x1000")
	want := []load.Backlog{
		{Queues: 1, PerQueue: 200_000, BodyBytes: 100}, {Queues: 100, PerQueue: 1000, BodyBytes: 100},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "5", "ax1", "1x", "0x5", "1x5,"} {
		if _, err := parseBacklogs(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestSyncsAreShownForAThousandMessages(t *testing.T) {
	t.Parallel()
	r := reportOf(ran(persistent1K, peer.Parley, 0, 10), ran(persistent1K, peer.JetStream, 0, 10),
		ran(persistent1K, peer.RabbitMQ, 0, 10), ran(persistent1K, peer.RabbitQuorum, 0, 10))
	r.Syncs = []Syncs{
		{Work: persistent1K, Peer: peer.Parley, Messages: 4000, Calls: map[string]uint64{"fsync": 4, "fdatasync": 10}},
		{Work: persistent1K, Peer: peer.JetStream, Messages: 4000},
		{Work: persistent1K, Peer: peer.RabbitMQ, Messages: 10, Error: "it hung"},
		{Work: transient16, Peer: peer.RabbitQuorum, Messages: 10},
	}
	text := r.markdown()
	for _, want := range []string{
		"| syncs per 1,000 messages | 2.50 fdatasync, 1.00 fsync | not counted | not counted | none |",
		"Failed: persistent-1k, rabbitmq, below strace: it hung",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestPacedTable(t *testing.T) {
	t.Parallel()
	r := ran(paced1K, peer.Parley, 0, 1000)
	r.P50, r.Sent, r.Sending = 300*time.Microsecond, 1000, time.Second
	r.Disk = &diskTimes{P50: 200 * time.Microsecond, P99: time.Millisecond, PacedP50: 250 * time.Microsecond}
	behind := r
	behind.Peer, behind.Sending = peer.JetStreamSync, 2*time.Second
	text := reportOf(r, behind).markdown()
	for _, want := range []string{
		"| published a second | **1,000** | **500** |",
		"| publish to confirm, p50 us | **300** |",
		"| the disk's fdatasync, p50 us | **200** |",
		"| the disk's fdatasync at this rate, p50 us | **250** |",
		"| publish to confirm by the disk's fdatasync, p50 | **1.50** |",
		"| the same by that at this rate | **1.20** |",
		"jetstream-sync did not keep up",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "parley did not keep up") {
		t.Errorf("parley has kept up:\n%s", text)
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
	if text := r.markdown(); !strings.Contains(text, "Failed: request-1, nats, round 1: 3 were lost and more") {
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
		"parley 1, nats 1.",
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
	page := func(a, b string) string {
		return "# Title\n" + beginMark("a") + "\n" + a + endMark("a") + "\nby hand\n" +
			beginMark("b") + b + endMark("b") + "\n"
	}
	got, err := replaceMarked(page("old\n", "other"), "a", "new\n")
	if want := page("new\n", "other"); err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", beginMark("a"), endMark("a") + beginMark("a"), beginMark("b") + endMark("b")} {
		if _, err := replaceMarked(bad, "a", "x"); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// TestAPartIsWrittenAlone lets two calls measure one work each: neither touches the other's.
func TestAPartIsWrittenAlone(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(root, "docs", "performance.md")
	var text string
	for _, w := range allWorks() {
		text += beginMark(w.name) + "\n" + endMark(w.name) + "\n"
	}
	if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	o := Options{Root: root, Machine: "m"}
	for _, r := range []*report{
		reportOf(ran(transient16, peer.Parley, 0, 111_000)),
		reportOf(ran(transient1K, peer.Parley, 0, 222_000)),
		reportOf(ran(transient1K, peer.Parley, 0, 333_000)),
	} {
		if err := r.write(o); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for want, present := range map[string]bool{"111,000": true, "222,000": false, "333,000": true} {
		if strings.Contains(string(got), want) != present {
			t.Errorf("%s in the page: %v, want %v\n%s", want, !present, present, got)
		}
	}
	var all results
	text2, err := os.ReadFile(filepath.Join(root, "bench", "results", "m.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text2, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Parts) != 2 || all.Parts[transient16].Runs[0].Messages != 111_000 ||
		len(all.Parts[transient1K].Runs) != 1 || all.Parts[transient1K].Runs[0].Messages != 333_000 {
		t.Errorf("results %s", text2)
	}
}

// TestThePageHasAPlaceForEveryWork looks at the page itself.
func TestThePageHasAPlaceForEveryWork(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range allWorks() {
		if _, err := replaceMarked(string(page), w.name, ""); err != nil {
			t.Error(err)
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
	if o.FileSystem == "" || !filepath.IsAbs(o.Data) || len(o.Backlogs) != 2 {
		t.Errorf("defaults: data in %q on %q, backlogs %v", o.Data, o.FileSystem, o.Backlogs)
	}
	o, err = parseFlags([]string{"-work", "request-64,transient-16", "-seconds", "1.5"})
	if err != nil || o.Write || len(o.Works) != 2 || o.Works[0].name != request64 ||
		o.Measure != 1500*time.Millisecond {
		t.Errorf("a part: %+v, %v", o, err)
	}
	for _, bad := range [][]string{
		{"-runs", "0"},
		{"-seconds", "0.5"},
		{"-work", "juggling"},
		{"-write", "maybe"},
		{"-backlog", "many"},
		{"-data", "/no/such/place"},
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
	r.Profiles[transient16] = want
	if text := r.markdown(); !strings.Contains(text, "```\n"+want+"```\n") {
		t.Errorf("no profile in\n%s", text)
	}
}

// A work that is done once says so, has its figures, and its peers speak what it asks for.
func TestWorksOfOneRoundAndOverStomp(t *testing.T) {
	t.Parallel()
	run := ran(declare10K, peer.Parley, 0, 20_000)
	run.Elapsed = 4 * time.Second
	works, err := parseWorks(declare10K + "," + stomp16 + "," + idle10K)
	if err != nil {
		t.Fatal(err)
	}
	once, stomp, idle := works[0], works[1], works[2]
	section := reportOf(run).section(once)
	for _, want := range []string{"One round.", "| seconds | **4.00** |", "| operations a second | **5,000** |"} {
		if !strings.Contains(section, want) {
			t.Errorf("no %q in\n%s", want, section)
		}
	}
	if once.rounds(5) != 1 || stomp.rounds(5) != 5 || !idle.once {
		t.Error("rounds are not bounded as they should be")
	}
	for name, want := range map[string]load.Protocol{
		peer.Parley: load.STOMP, peer.ParleyAMQP: load.AMQP, peer.ActiveMQ: load.STOMP,
		peer.RabbitStomp: load.STOMP,
	} {
		if got := stomp.protocolOf(name); got != want {
			t.Errorf("%s speaks %s", name, got)
		}
	}
	if got := once.protocolOf(peer.Parley); got != load.AMQP {
		t.Errorf("declarations over %s", got)
	}
	if warmupOf(peer.ActiveMQ) <= warmupOf(peer.Parley) {
		t.Error("a Java program gets no time to be compiled in")
	}
	run = ran(idle10K, peer.Parley, 0, 10_000)
	run.Idle = &load.Idle{
		Connections: 10_000, Connecting: 2 * time.Second, Bytes: 10_000 * 20 << 10,
		ConsumingBytes: 10_000 * 22 << 10,
	}
	section = reportOf(run).section(idle)
	for _, want := range []string{
		"| KiB for each idle connection | **20.00** |", "a consumer | **22.00** |",
		"| connections a second | **5,000** |",
	} {
		if !strings.Contains(section, want) {
			t.Errorf("no %q in\n%s", want, section)
		}
	}
}

// TestConversions reads what the program of the codecs prints, and judges the worst of it.
func TestConversions(t *testing.T) {
	t.Parallel()
	const lines = `{"work":"to-thrift","size":"1 KiB","peer":"parley","json":915,"nanos":[2000,2200,2100],"allocs":0}
{"work":"to-thrift","size":"1 KiB","peer":"dynamicgo","version":"v0.8.0","json":915,"nanos":[1000,1100,1050],"allocs":0}
{"work":"to-thrift","size":"1 KiB","peer":"Kitex","version":"v0.16.1","json":915,"nanos":[9000,9000,9000],"allocs":137}
{"work":"to-json","size":"1 KiB","peer":"parley","json":915,"nanos":[3000,3000,3000],"allocs":0}
{"work":"to-json","size":"1 KiB","peer":"Kitex","json":915,"nanos":[2700,2700,2700],"allocs":196}
`
	list, err := parseConversions([]byte(lines))
	if err != nil {
		t.Fatal(err)
	}
	r := &report{Wanted: 3, works: []work{convertWork()}, Conversions: list}
	text := r.markdown()
	for _, want := range []string{
		"Codecs: parley, dynamicgo v0.8.0, Kitex v0.16.1.",
		"| JSON to Thrift, 1 KiB, us | **2.10** (2.00, 2.20) | **1.05** (1.00, 1.10), **0.50 x** | **9.00**",
		"| allocations | 0 | 0 | 137 |",
		"FAIL gate transcode: ahead of Kitex in every conversion, at least 1.00 x: 0.90",
		"PASS aim transcode: at least 0.50 x dynamicgo in every conversion: 0.50",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	if r.failure() == nil {
		t.Error("a gate that is missed does not fail")
	}
	if _, err := parseConversions([]byte("{}\nnot JSON")); err == nil {
		t.Error("what is no line passes")
	}
}

// TestConversionsThatDoNotBuild leave everything as it was, and say why.
func TestConversionsThatDoNotBuild(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "bench", "transcode")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod": "module broken\n", "main.go": "package main\n\nfunc main() { nothing() }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := &engine{opts: Options{Root: root, Works: []work{convertWork()}}, dir: t.TempDir(), progress: io.Discard}
	r := newReport(e.opts)
	if err := e.conversions(t.Context(), nil, r); err != nil {
		t.Fatal(err)
	}
	if len(r.Missing) != 1 || !strings.Contains(r.Missing[0], "undefined: nothing") || r.measured(convertWork()) {
		t.Errorf("missing are %q", r.Missing)
	}
}
