// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-ipc/parley/bench/internal/load"
	"github.com/parley-ipc/parley/bench/internal/peer"
)

// row is one line of a table, with a cell for each column.
type row struct {
	title string
	cells []string
}

// section returns everything about one work: where and how it was measured, its table, what a reader
// has to know, and the verdicts. It depends on nothing but this work's part of the report, so that
// each can be written by a call of its own.
func (r *report) section(w work) string {
	r = r.part(w)
	if w.kind == converted {
		return r.convertSection(w)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", w.title)
	fmt.Fprintf(&b, "`%s`\n\n", r.command(w))
	fmt.Fprintf(&b, "%s, data on %s. Date: %s. Brokers: %s.", r.Machine, r.FileSystem,
		r.Date.Format(time.DateOnly), strings.Join(r.servers(), ", "))
	if w.kind != deep {
		b.WriteString(" " + r.timing(w))
	}
	b.WriteString("\n\n")
	columns, rows := r.peerTable(w)
	if w.kind == deep {
		columns, rows = r.deepTable()
	}
	writeTable(&b, columns, rows)
	if w.note != "" {
		fmt.Fprintf(&b, "\n%s\n", w.note)
	}
	for _, line := range r.warnings(w) {
		fmt.Fprintf(&b, "\n%s\n", line)
	}
	if lines := r.verdicts(); len(lines) > 0 {
		fmt.Fprintf(&b, "\n- %s\n", strings.Join(lines, "\n- "))
	}
	if profile := r.Profiles[w.name]; profile != "" {
		fmt.Fprintf(&b, "\nWhere parley's time goes (`cd bench && go run . -peers parley -work %s "+
			"-profile DIR`, then `go tool pprof -top`):\n\n```\n%s```\n", w.name, profile)
	}
	return b.String()
}

// timing says how long and how often was measured.
func (r *report) timing(w work) string {
	const spread = "medians, in brackets lowest and highest."
	switch {
	case w.once:
		return "One round."
	case w.kind == fixed:
		return fmt.Sprintf("%d rounds; %s", r.Wanted, spread)
	default:
		return fmt.Sprintf("%d rounds of %v s after %v of warm-up; %s", r.Wanted, r.Seconds, warmup,
			spread)
	}
}

// command returns how to repeat one work.
func (r *report) command(w work) string {
	if w.kind == deep {
		list := make([]string, len(r.Backlogs))
		for i, d := range r.Backlogs {
			list[i] = fmt.Sprintf("%dx%d", d.Queues, d.PerQueue)
		}
		return fmt.Sprintf("cd bench && go run . -work %s -backlog %s", w.name, strings.Join(list, ","))
	}
	return fmt.Sprintf("cd bench && go run . -work %s -runs %d -seconds %v", w.name, r.Wanted, r.Seconds)
}

func writeTable(b *strings.Builder, columns []string, rows []row) {
	fmt.Fprintf(b, "| | %s |\n|---|%s\n", strings.Join(columns, " | "),
		strings.Repeat("---|", len(columns)))
	for _, line := range rows {
		fmt.Fprintf(b, "| %s | %s |\n", line.title, strings.Join(line.cells, " | "))
	}
}

// peersOf returns the peers that were measured at a work, in their usual order.
func (r *report) peersOf(w work) []string {
	var names []string
	for _, name := range r.peers {
		if r.roundOf(w.name, name) > 0 {
			names = append(names, name)
		}
	}
	return names
}

// peerTable returns the table of a work that peers were measured at, a column for each.
func (r *report) peerTable(w work) (columns []string, rows []row) {
	names := r.peersOf(w)
	add := func(title string, cell func(name string) string) {
		line := row{title: title}
		for _, name := range names {
			line.cells = append(line.cells, cell(name))
		}
		rows = append(rows, line)
	}
	figures := func(title string, figure func(Run) float64, format func(float64) string) {
		add(title, func(name string) string {
			return spread(r.summary(w.name, name, figure), format)
		})
	}
	switch w.kind {
	case paced:
		figures("published a second", publishRate, thousands)
	case fixed:
		figures("seconds", seconds, decimals)
		figures(w.unit+" a second", rate, thousands)
	case crowd:
		figures("KiB for each idle connection", idleKiB, decimals)
		figures("KiB for each with a queue and a consumer", consumingKiB, decimals)
		figures("connections a second", connectRate, thousands)
		figures("seconds for a message to each queue", seconds, decimals)
	case throughput, deep, converted:
		figures(w.unit+" a second", rate, thousands)
	}
	if w.latency != "" {
		figures(w.latency+", p50 us", p50Micros, whole)
		figures(w.latency+", p99 us", p99Micros, whole)
	}
	if w.kind == paced {
		figures("the disk's fdatasync, p50 us", diskFigure(diskP50), whole)
		figures("the disk's fdatasync, p99 us", diskFigure(diskP99), whole)
		figures("the disk's fdatasync at this rate, p50 us", diskFigure(diskPacedP50), whole)
		figures(w.latency+" by the disk's fdatasync, p50", byDisk(diskP50), decimals)
		figures("the same by that at this rate", byDisk(diskPacedP50), decimals)
	}
	figures("broker CPU, us each", brokerMicros, decimals)
	if w.thrift {
		add("CPU of the server behind it, us each", func(name string) string {
			if name == peer.ApacheThrift {
				return ""
			}
			return spread(r.summary(w.name, name, serviceMicros), decimals)
		})
	}
	figures("broker peak RSS, MiB", peakMiB, whole)
	if w.kind.compares() { // elsewhere the probe of the disk is a part of it
		figures("generator CPU, us each", loadMicros, decimals)
	}
	if w.syncs && len(r.Syncs) > 0 {
		add("syncs per 1,000 messages", r.syncsOf)
	}
	if w.kind.compares() && slices.Contains(names, peer.Parley) && len(names) > 1 {
		add("parley's rate by this one's", func(name string) string {
			if name == peer.Parley {
				return ""
			}
			return spread(r.ratio(w.name, name), decimals)
		})
	}
	return names, rows
}

// syncsOf returns what strace has counted in a peer.
func (r *report) syncsOf(name string) string {
	for _, s := range r.Syncs {
		if s.Peer == name {
			return s.perThousand()
		}
	}
	return "not counted"
}

// deepTable returns the table of the backlogs, a column for each.
func (r *report) deepTable() (columns []string, rows []row) {
	for _, d := range r.Backlogs {
		columns = append(columns, d.name())
	}
	add := func(title string, cell func(Deep) string) {
		line := row{title: title}
		for _, d := range r.Backlogs {
			line.cells = append(line.cells, cell(d))
		}
		rows = append(rows, line)
	}
	moved := func(m load.Moved, value float64, format func(float64) string) string {
		if m.Messages == 0 {
			return "failed"
		}
		return "**" + format(value) + "**"
	}
	restart := func(d time.Duration) string {
		if d == 0 {
			return "failed"
		}
		return "**" + decimals(d.Seconds()) + "**"
	}
	mib := func(bytes float64) string { return whole(bytes / (1 << 20)) }
	add("published a second", func(d Deep) string {
		return moved(d.Publish, d.Publish.Rate(), thousands)
	})
	add("publish to confirm, p50 / p99 ms", func(d Deep) string {
		return decimals(micros(d.Publish.P50)/1e3) + " / " + decimals(micros(d.Publish.P99)/1e3)
	})
	add("hub CPU, us each", func(d Deep) string {
		return moved(d.Publish, d.Publish.BrokerMicros(), decimals)
	})
	add("memory before, MiB", func(d Deep) string { return mib(float64(d.RSSBefore)) })
	add("growth, MiB", func(d Deep) string { return moved(d.Publish, d.growth(), mib) })
	add("growth at the peak, MiB", func(d Deep) string {
		return mib(float64(d.RSSPeak) - float64(d.RSSBefore))
	})
	add("data directory with the backlog, MiB", func(d Deep) string { return mib(float64(d.DiskFull)) })
	add("restart after a stop, s", func(d Deep) string { return restart(d.Restart) })
	add("restart after SIGKILL, s", func(d Deep) string { return restart(d.RestartKill) })
	add("drained a second", func(d Deep) string { return moved(d.Drain, d.Drain.Rate(), thousands) })
	add("hub CPU of the drain, us each", func(d Deep) string {
		return moved(d.Drain, d.Drain.BrokerMicros(), decimals)
	})
	add("peak memory of the drain, MiB", func(d Deep) string { return mib(float64(d.RSSPeakDrain)) })
	add("data directory afterwards, MiB", func(d Deep) string { return mib(float64(d.DiskEmpty)) })
	return columns, rows
}

// keptUp is the share of the asked rate above which a broker has kept up with it.
const keptUp = 0.95

// warnings says what is missing, where the generator used more processor time than the broker, and
// what failed.
func (r *report) warnings(w work) []string {
	var lines []string
	if r.CutShort {
		lines = append(lines, "The time budget ended the call early: the last rounds are missing.")
	}
	for _, m := range r.Missing {
		lines = append(lines, m+".")
	}
	for _, name := range r.peersOf(w) {
		if w.kind == paced && r.summary(w.name, name, publishRate).Median < keptUp*pacedPerSecond {
			lines = append(lines, fmt.Sprintf("%s did not keep up with the rate: its latency is that "+
				"of a full window.", name))
		}
		own, broker := r.summary(w.name, name, loadMicros), r.summary(w.name, name, brokerMicros)
		if w.kind.compares() && broker.Runs > 0 && own.Median > broker.Median {
			lines = append(lines, fmt.Sprintf("Warning: with %s the generator used more processor "+
				"time than the broker (%.2f and %.2f us): it may be what limits.",
				name, own.Median, broker.Median))
		}
	}
	for _, f := range r.failures() {
		lines = append(lines, "Failed: "+f)
	}
	return lines
}

// failures says what went wrong, a line each.
func (r *report) failures() []string {
	var lines []string
	for _, run := range r.Runs {
		if run.Error != "" {
			lines = append(lines, fmt.Sprintf("%s, %s, round %d: %s", run.Work, run.Peer, run.Round+1,
				oneLine(run.Error)))
		}
	}
	for _, d := range r.Backlogs {
		if d.Error != "" {
			lines = append(lines, fmt.Sprintf("backlog %s: %s", d.name(), oneLine(d.Error)))
		}
	}
	for _, s := range r.Syncs {
		if s.Error != "" {
			lines = append(lines, fmt.Sprintf("%s, %s, below strace: %s", s.Work, s.Peer,
				oneLine(s.Error)))
		}
	}
	return lines
}
