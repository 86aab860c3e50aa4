// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-ipc/parley/bench/internal/load"
	"github.com/parley-ipc/parley/bench/internal/peer"
	"github.com/parley-ipc/parley/bench/internal/stat"
)

// report is what one call has found out; its exported part goes into the results file.
type report struct {
	Machine    Machine           `json:"machine"`
	FileSystem string            `json:"fileSystem"` // below the brokers' data
	Date       time.Time         `json:"date"`
	Commit     string            `json:"commit"`
	Seconds    float64           `json:"seconds"`
	Wanted     int               `json:"wantedRuns"`
	CutShort   bool              `json:"cutShort"`
	Missing    []string          `json:"missing,omitempty"`
	Runs       []Run             `json:"runs,omitempty"`
	Syncs      []Syncs           `json:"syncs,omitempty"`
	Backlogs   []Deep            `json:"backlogs,omitempty"`
	Profiles   map[string]string `json:"profiles,omitempty"` // of parley, by work
	// Conversions are those of bodies, which no broker takes part in.
	Conversions []conversion `json:"conversions,omitempty"`

	works    []work
	peers    []string
	backlogs []load.Backlog // what the deep work was asked for
}

func newReport(o Options) *report {
	return &report{
		Machine:    thisMachine(),
		FileSystem: o.FileSystem,
		Date:       time.Now().UTC().Truncate(time.Second),
		Seconds:    o.Measure.Seconds(),
		Wanted:     o.Runs,
		Profiles:   map[string]string{},
		works:      o.Works,
		peers:      o.Peers,
		backlogs:   o.Backlogs,
	}
}

// part returns what the report holds about one work.
func (r *report) part(w work) *report {
	p := *r
	p.works = []work{w}
	p.Runs, p.Syncs, p.Backlogs, p.Profiles = nil, nil, nil, nil
	for _, run := range r.Runs {
		if run.Work == w.name {
			p.Runs = append(p.Runs, run)
		}
	}
	for _, s := range r.Syncs {
		if s.Work == w.name {
			p.Syncs = append(p.Syncs, s)
		}
	}
	if w.kind == deep {
		p.Backlogs = r.Backlogs
	}
	if w.kind != converted {
		p.Conversions = nil
	}
	if text, ok := r.Profiles[w.name]; ok {
		p.Profiles = map[string]string{w.name: text}
	}
	return &p
}

// measured reports whether anything about a work is there to be shown.
func (r *report) measured(w work) bool {
	p := r.part(w)
	return len(p.Runs) > 0 || len(p.Backlogs) > 0 || len(p.Conversions) > 0
}

// roundOf returns the number of runs that a peer has done at a work.
func (r *report) roundOf(work, name string) int {
	n := 0
	for _, run := range r.Runs {
		if run.Work == work && run.Peer == name {
			n++
		}
	}
	return n
}

// values returns one figure of every good run of a peer at a work, by round.
func (r *report) values(work, name string, figure func(Run) float64) map[int]float64 {
	out := map[int]float64{}
	for _, run := range r.Runs {
		if run.Work == work && run.Peer == name && run.Error == "" {
			out[run.Round] = figure(run)
		}
	}
	return out
}

// summary returns median and spread of a figure.
func (r *report) summary(work, name string, figure func(Run) float64) stat.Summary {
	return stat.Summarise(slices.Collect(maps.Values(r.values(work, name, figure))))
}

// ratio compares parley's throughput with a peer's, round by round.
func (r *report) ratio(work, other string) stat.Summary {
	return paired(r.values(work, peer.Parley, rate), r.values(work, other, rate))
}

// ratioToBest compares parley's throughput with the better one of two peers, round by round.
func (r *report) ratioToBest(work string, others [2]string) stat.Summary {
	one, two := r.values(work, others[0], rate), r.values(work, others[1], rate)
	best := map[int]float64{}
	for round, v := range one {
		if w, ok := two[round]; ok {
			best[round] = max(v, w)
		}
	}
	return paired(r.values(work, peer.Parley, rate), best)
}

// paired divides one's figures by the other's of the same rounds.
func paired(own, theirs map[int]float64) stat.Summary {
	var a, b []float64
	for round, v := range own {
		if w, ok := theirs[round]; ok {
			a, b = append(a, v), append(b, w)
		}
	}
	return stat.Summarise(stat.Ratios(a, b))
}

func rate(r Run) float64          { return r.Rate() }
func brokerMicros(r Run) float64  { return r.BrokerMicros() }
func serviceMicros(r Run) float64 { return r.ServiceMicros() }
func loadMicros(r Run) float64    { return r.LoadMicros() }
func seconds(r Run) float64       { return r.Elapsed.Seconds() }
func publishRate(r Run) float64   { return r.PublishRate() }
func peakMiB(r Run) float64       { return float64(r.PeakRSS) / (1 << 20) }
func p50Micros(r Run) float64     { return micros(r.P50) }
func p99Micros(r Run) float64     { return micros(r.P99) }

// ofIdle returns a figure of idle connections; of a run without them, zero.
func ofIdle(r Run, figure func(load.Idle) float64) float64 {
	if r.Idle == nil {
		return 0
	}
	return figure(*r.Idle)
}

func idleKiB(r Run) float64 {
	return ofIdle(r, func(i load.Idle) float64 { idle, _ := i.EachKiB(); return idle })
}

func consumingKiB(r Run) float64 {
	return ofIdle(r, func(i load.Idle) float64 { _, consuming := i.EachKiB(); return consuming })
}

func connectRate(r Run) float64 {
	return ofIdle(r, func(i load.Idle) float64 {
		return float64(i.Connections) / max(i.Connecting.Seconds(), 1e-9)
	})
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// diskFigure returns a figure of the disk's own times; of a run without them, zero.
func diskFigure(figure func(diskTimes) time.Duration) func(Run) float64 {
	return func(r Run) float64 {
		if r.Disk == nil {
			return 0
		}
		return micros(figure(*r.Disk))
	}
}

func diskP50(d diskTimes) time.Duration      { return d.P50 }
func diskP99(d diskTimes) time.Duration      { return d.P99 }
func diskPacedP50(d diskTimes) time.Duration { return d.PacedP50 }

// byDisk returns the time from publish to confirm by one of the disk's own, of the same run.
func byDisk(figure func(diskTimes) time.Duration) func(Run) float64 {
	return func(r Run) float64 {
		own := diskFigure(figure)(r)
		if own == 0 {
			return 0
		}
		return p50Micros(r) / own
	}
}

// servers returns what each measured peer calls itself.
func (r *report) servers() []string {
	var list []string
	for _, name := range r.peers {
		i := slices.IndexFunc(r.Runs, func(x Run) bool { return x.Peer == name && x.Server != "" })
		if i < 0 {
			continue
		}
		server := r.Runs[i].Server
		if name == peer.Parley && r.Commit != "" {
			server += " (" + r.Commit + ")"
		}
		if !slices.Contains(list, server) {
			list = append(list, server)
		}
	}
	if len(list) == 0 && len(r.Backlogs) > 0 {
		list = append(list, strings.TrimSpace("parley "+r.Commit))
	}
	return list
}

// markdown returns the tables of all works that were measured.
func (r *report) markdown() string {
	var parts []string
	for _, w := range r.works {
		if r.measured(w) {
			parts = append(parts, r.section(w))
		}
	}
	return strings.Join(parts, "\n")
}

// maxErrorBytes is how much of an error the document shows; the results file has all of it.
const maxErrorBytes = 300

// oneLine makes an error fit into a line.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxErrorBytes {
		text = text[:maxErrorBytes] + "…"
	}
	return text
}

func spread(s stat.Summary, format func(float64) string) string {
	switch s.Runs {
	case 0:
		return "failed"
	case 1:
		return "**" + format(s.Median) + "**"
	default:
		return fmt.Sprintf("**%s** (%s, %s)", format(s.Median), format(s.Min), format(s.Max))
	}
}

func decimals(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }

func whole(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }

// thousands prints a number with commas.
func thousands(v float64) string {
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
