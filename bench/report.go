// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-ipc/parley/bench/internal/peer"
	"github.com/parley-ipc/parley/bench/internal/stat"
)

// report is what one call has found out; its exported part is the results file.
type report struct {
	Machine  Machine   `json:"machine"`
	Date     time.Time `json:"date"`
	Commit   string    `json:"commit"`
	Seconds  float64   `json:"seconds"`
	Wanted   int       `json:"wantedRuns"`
	CutShort bool      `json:"cutShort"`
	Missing  []string  `json:"missing,omitempty"`
	Runs     []Run     `json:"runs"`
	Profile  string    `json:"profile,omitempty"` // of parley at the first work

	works []work
	peers []string
}

func newReport(o Options) *report {
	return &report{
		Machine: thisMachine(),
		Date:    time.Now().UTC().Truncate(time.Second),
		Seconds: o.Measure.Seconds(),
		Wanted:  o.Runs,
		works:   o.Works,
		peers:   o.Peers,
	}
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
	own := r.values(work, peer.Parley, rate)
	theirs := r.values(work, other, rate)
	var a, b []float64
	for round, v := range own {
		if w, ok := theirs[round]; ok {
			a, b = append(a, v), append(b, w)
		}
	}
	return stat.Summarise(stat.Ratios(a, b))
}

func rate(r Run) float64         { return r.Rate() }
func brokerMicros(r Run) float64 { return r.BrokerMicros() }
func loadMicros(r Run) float64   { return r.LoadMicros() }
func peakMiB(r Run) float64      { return float64(r.PeakRSS) / (1 << 20) }
func p50Micros(r Run) float64    { return float64(r.P50) / float64(time.Microsecond) }
func p99Micros(r Run) float64    { return float64(r.P99) / float64(time.Microsecond) }

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
		list = append(list, server)
	}
	return list
}

// markdown returns the tables with what a reader needs to repeat them.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Machine: %s. Date: %s. Brokers: %s. %d rounds of %v s after %v of warm-up",
		r.Machine, r.Date.Format(time.DateOnly), strings.Join(r.servers(), ", "), r.Wanted,
		r.Seconds, warmup)
	b.WriteString("; medians, in brackets lowest and highest.\n")
	if r.CutShort {
		b.WriteString("\nThe time budget ended the call early: the last rounds are missing.\n")
	}
	for _, m := range r.Missing {
		fmt.Fprintf(&b, "\n%s.\n", m)
	}
	for _, w := range r.works {
		r.workTable(&b, w)
	}
	if r.Profile != "" {
		fmt.Fprintf(&b, "\n### Where parley's time goes: %s\n\n", r.works[0].title)
		fmt.Fprintf(&b, "`cd bench && go run . -peers parley -work %s -profile DIR`, then `go tool "+
			"pprof -top`\n\n```\n%s```\n", r.works[0].name, r.Profile)
	}
	return b.String()
}

// workTable appends one work's table.
func (r *report) workTable(b *strings.Builder, w work) {
	var names []string
	for _, name := range r.peers {
		if r.roundOf(w.name, name) > 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### %s\n\n", w.title)
	fmt.Fprintf(b, "`cd bench && go run . -work %s -runs %d -seconds %v`\n\n",
		w.name, r.Wanted, r.Seconds)
	fmt.Fprintf(b, "| | %s |\n|---|%s\n", strings.Join(names, " | "),
		strings.Repeat("---|", len(names)))
	row := func(title string, cell func(name string) string) {
		fmt.Fprintf(b, "| %s |", title)
		for _, name := range names {
			fmt.Fprintf(b, " %s |", cell(name))
		}
		b.WriteString("\n")
	}
	figures := func(figure func(Run) float64, format func(float64) string) func(string) string {
		return func(name string) string { return spread(r.summary(w.name, name, figure), format) }
	}
	row(w.unit+" a second", figures(rate, thousands))
	row("broker CPU, us each", figures(brokerMicros, decimals))
	row("broker peak RSS, MiB", figures(peakMiB, whole))
	row("generator CPU, us each", figures(loadMicros, decimals))
	if w.latency != "" {
		row(w.latency+", p50 us", figures(p50Micros, whole))
		row(w.latency+", p99 us", figures(p99Micros, whole))
	}
	if slices.Contains(names, peer.Parley) && len(names) > 1 {
		row("parley's rate by this one's", func(name string) string {
			if name == peer.Parley {
				return ""
			}
			return spread(r.ratio(w.name, name), decimals)
		})
	}
	if w.note != "" {
		fmt.Fprintf(b, "\n%s\n", w.note)
	}
	for _, line := range r.warnings(w, names) {
		fmt.Fprintf(b, "\n%s\n", line)
	}
}

// warnings says where the generator used more processor time than the broker, and what failed.
func (r *report) warnings(w work, names []string) []string {
	var lines []string
	for _, name := range names {
		own, broker := r.summary(w.name, name, loadMicros), r.summary(w.name, name, brokerMicros)
		if broker.Runs > 0 && own.Median > broker.Median {
			lines = append(lines, fmt.Sprintf("Warning: with %s the generator used more processor "+
				"time than the broker (%.2f and %.2f us): it may be what limits.",
				name, own.Median, broker.Median))
		}
	}
	for _, run := range r.Runs {
		if run.Work == w.name && run.Error != "" {
			lines = append(lines, fmt.Sprintf("Failed: %s, round %d: %s", run.Peer, run.Round+1,
				oneLine(run.Error)))
		}
	}
	return lines
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
