// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/parley-ipc/parley/bench/internal/peer"
	"github.com/parley-ipc/parley/bench/internal/stat"
)

// The gate and the aims, all at 16 B transient within one call.
const (
	gateRabbitMQ = 10.0 // times RabbitMQ's throughput; below it the call fails
	aimNATS      = 0.5  // of NATS core's throughput
	aimMicros    = 1.5  // broker CPU per message
)

// verdict is one comparison with what was wanted.
type verdict struct {
	text string
	gate bool
	ok   bool
}

// judge compares the medians with gate and aims; what was not measured is left out.
func (r *report) judge() []verdict {
	var out []verdict
	add := func(v verdict, s stat.Summary) {
		if s.Runs > 0 {
			out = append(out, v)
		}
	}
	rabbit := r.ratio(transient16, peer.RabbitMQ)
	add(verdict{
		text: fmt.Sprintf("16 B transient at least %.0f x RabbitMQ: %.2f x (%.2f to %.2f)",
			gateRabbitMQ, rabbit.Median, rabbit.Min, rabbit.Max),
		gate: true,
		ok:   rabbit.Median >= gateRabbitMQ,
	}, rabbit)
	nats := r.ratio(transient16, peer.NATS)
	add(verdict{
		text: fmt.Sprintf("16 B transient at least %.1f x NATS core: %.2f x (%.2f to %.2f)",
			aimNATS, nats.Median, nats.Min, nats.Max),
		ok: nats.Median >= aimNATS,
	}, nats)
	cpu := r.summary(transient16, peer.Parley, brokerMicros)
	add(verdict{
		text: fmt.Sprintf("16 B transient at most %.1f us of broker CPU: %.2f (%.2f to %.2f)",
			aimMicros, cpu.Median, cpu.Min, cpu.Max),
		ok: cpu.Median <= aimMicros,
	}, cpu)
	return out
}

// verdicts returns a line for the gate and for each aim.
func (r *report) verdicts() []string {
	var lines []string
	gated := false
	for _, v := range r.judge() {
		kind, result := "aim ", "missed"
		if v.gate {
			kind, gated = "gate", true
		}
		if v.ok {
			result = "met"
		}
		lines = append(lines, fmt.Sprintf("%s %-6s %s", kind, result, v.text))
	}
	if !gated {
		lines = append(lines, "gate not evaluated: it needs parley and RabbitMQ at "+transient16)
	}
	return lines
}

// failure returns why the call as a whole has failed: a run that did, or the gate.
func (r *report) failure() error {
	var errs []error
	for _, run := range r.Runs {
		if run.Error != "" {
			errs = append(errs, fmt.Errorf("%s %s round %d: %s",
				run.Work, run.Peer, run.Round+1, oneLine(run.Error)))
		}
	}
	for _, v := range r.judge() {
		if v.gate && !v.ok {
			errs = append(errs, errors.New("gate missed: "+v.text))
		}
	}
	return errors.Join(errs...)
}
