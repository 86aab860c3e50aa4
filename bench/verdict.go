// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-ipc/parley/bench/internal/peer"
	"github.com/parley-ipc/parley/bench/internal/stat"
)

// Gates and aims of the backlog.
const (
	maxGrowthBytes = 64 << 20
	maxRestart     = 3 * time.Second
)

// criterion is something that is wanted of parley's median at one work. A gate that is missed fails
// the call; an aim is reported.
type criterion struct {
	work   string
	gate   bool
	text   string // with a place for what is wanted
	want   float64
	atMost bool // rather than at least
	format func(float64) string
	figure func(*report) stat.Summary
}

// criteria returns all of them.
func criteria() []criterion {
	list := []criterion{
		timesPeer(transient16, true, 10, peer.RabbitMQ),
		timesPeer(transient16, false, 0.5, peer.NATS),
		atMost(transient16, "broker CPU at most %s us", 1.5, brokerMicros),
	}
	for _, name := range []string{persistent1K, persistent4x4} {
		list = append(list,
			timesPeer(name, true, 5, peer.RabbitMQ),
			timesPeer(name, true, 15, peer.JetStreamSync),
			criterion{
				work: name, text: "at least %s messages a second", want: 80_000, format: thousands,
				figure: func(r *report) stat.Summary { return r.summary(name, peer.Parley, rate) },
			},
			atMost(name, "broker CPU at most %s us", 12, brokerMicros),
		)
	}
	for _, name := range []string{
		topic10K, fanout100, body1M, declare10K, reverseAcks, priority10,
	} {
		ahead := timesPeer(name, false, 1, peer.RabbitMQ)
		ahead.text = "ahead of " + peer.RabbitMQ + " in the same run, more than %s x"
		list = append(list, ahead)
	}
	list = append(list, stompCriteria()...)
	list = append(list, timesPeer(proxy1K, true, 1, peer.ReverseProxy),
		timesPeer(proxy1K, false, 1.5, peer.ReverseProxy), timesPeer(proxy1K, false, 0.6, peer.Nginx))
	for _, name := range []string{thrift1K, thriftOne} {
		list = append(list, criterion{
			work: name, text: "broker CPU at most %s x that of Apache's server, called directly", want: 1,
			atMost: true, format: decimals, figure: byPeer(name, peer.ApacheThrift, brokerMicros),
		})
	}
	list = append(list, convertCriteria()...)
	list = append(list, atMost(idle10K, "at most %s KiB for an idle connection", 40, idleKiB))
	return append(list, atMost(paced1K, "publish to confirm at most %s x the disk's own fdatasync, p50",
		1.5, byDisk(diskP50)))
}

// timesPeer wants a multiple of a peer's throughput.
func timesPeer(work string, gate bool, want float64, other string) criterion {
	return criterion{
		work: work, gate: gate, text: "at least %s x " + other, want: want, format: decimals,
		figure: func(r *report) stat.Summary { return r.ratio(work, other) },
	}
}

// timesBest wants a multiple of the throughput of the better of two peers.
func timesBest(work string, gate bool, want float64, others [2]string) criterion {
	return criterion{
		work: work, gate: gate, want: want, format: decimals,
		text:   "at least %s x the better of " + others[0] + " and " + others[1],
		figure: func(r *report) stat.Summary { return r.ratioToBest(work, others) },
	}
}

// byPeer compares a figure of parley's with a peer's of the same round.
func byPeer(work, other string, figure func(Run) float64) func(*report) stat.Summary {
	return func(r *report) stat.Summary {
		return paired(r.values(work, peer.Parley, figure), r.values(work, other, figure))
	}
}

// stompCriteria are those of the works over STOMP.
func stompCriteria() []criterion {
	others := [2]string{peer.RabbitStomp, peer.ActiveMQ}
	var list []criterion
	for _, name := range []string{stomp16, stomp1K} {
		list = append(list,
			timesBest(name, true, 8, others),
			timesBest(name, false, 10, others),
			criterion{
				work: name, text: "broker CPU at most %s x that over AMQP 0-9-1", want: 1.3, atMost: true,
				format: decimals, figure: byPeer(name, peer.ParleyAMQP, brokerMicros),
			},
		)
	}
	return append(list, timesBest(stompDurable, false, 8, others))
}

// atMost aims at a small figure.
func atMost(work, text string, want float64, figure func(Run) float64) criterion {
	return criterion{
		work: work, text: text, want: want, atMost: true, format: decimals,
		figure: func(r *report) stat.Summary { return r.summary(work, peer.Parley, figure) },
	}
}

// verdict is one comparison with what was wanted.
type verdict struct {
	text string
	gate bool
	ok   bool
	open bool // what it needs was not measured
}

// judge compares the medians with gates and aims. A gate that could not be looked at stays open; an
// aim is left out then.
func (r *report) judge() []verdict {
	var out []verdict
	for _, w := range r.works {
		for _, c := range criteria() {
			if c.work != w.name || !r.measured(w) {
				continue
			}
			v := verdict{gate: c.gate, text: w.name + ": " + fmt.Sprintf(c.text, c.format(c.want))}
			s := c.figure(r)
			switch {
			case s.Runs > 0:
				v.ok = s.Median >= c.want
				if c.atMost {
					v.ok = s.Median <= c.want
				}
				v.text += fmt.Sprintf(": %s (%s to %s, %d runs)", c.format(s.Median), c.format(s.Min),
					c.format(s.Max), s.Runs)
			case c.gate:
				v.open = true
			default:
				continue
			}
			out = append(out, v)
		}
		if w.kind == deep {
			out = append(out, r.judgeBacklogs()...)
		}
	}
	return out
}

// judgeBacklogs compares the backlogs with their gates.
func (r *report) judgeBacklogs() []verdict {
	var out []verdict
	for _, d := range r.Backlogs {
		add := func(ok bool, format string, args ...any) {
			out = append(out, verdict{
				text: "backlog " + d.name() + ": " + fmt.Sprintf(format, args...), gate: true, ok: ok,
			})
		}
		total := uint64(d.Queues) * uint64(d.PerQueue)
		add(d.Publish.Messages == total && d.growth() <= maxGrowthBytes,
			"growth at most %d MiB: %.0f MiB", maxGrowthBytes>>20, d.growth()/(1<<20))
		add(d.Restart > 0 && d.Restart <= maxRestart, "restart at most %v: %v", maxRestart,
			d.Restart.Round(time.Millisecond))
		add(d.Drain.Messages == total && d.Error == "", "complete and in order: %s of %s",
			thousands(float64(d.Drain.Messages)), thousands(float64(total)))
		add(d.DiskEmpty > 0 && d.DiskEmpty <= floorBytes,
			"data directory afterwards at most %d MiB: %d MiB", floorBytes>>20, d.DiskEmpty>>20)
	}
	return out
}

// verdicts returns a line for each gate and aim.
func (r *report) verdicts() []string {
	list := r.judge()
	lines := make([]string, 0, len(list))
	for _, v := range list {
		kind, result := "aim", "FAIL"
		if v.gate {
			kind = "gate"
		}
		if v.ok {
			result = "PASS"
		}
		if v.open {
			result = "open"
		}
		line := fmt.Sprintf("%s %s %s", result, kind, v.text)
		if v.open {
			line += ": not measured"
		}
		lines = append(lines, line)
	}
	return lines
}

// failure returns why the call as a whole has failed: a run that did, or a gate.
func (r *report) failure() error {
	var errs []error
	for _, text := range r.failures() {
		errs = append(errs, errors.New(text))
	}
	for _, v := range r.judge() {
		if v.gate && !v.ok && !v.open {
			errs = append(errs, errors.New("gate missed: "+strings.TrimSpace(v.text)))
		}
	}
	return errors.Join(errs...)
}
