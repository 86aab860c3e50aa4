// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// bug is a mistake of internal/check and the suites that have to see it.
type bug struct {
	tag    string
	caught []suite
}

func bugs() []bug {
	model := suite{".", "./internal/broker", "TestQueueAgainstModel", nil}
	// A kill shows such a mistake in two of three cases at worst; the first that does ends the suite.
	kills := longer(durability("TestRow02"), "-cycles=30")
	return []bug{
		{"drop_fdatasync", []suite{store("TestRow01"), durability("TestRow03")}},
		// A real power loss hits the moment between confirm and sync too seldom.
		{"confirm_before_sync", []suite{store("TestRow01")}},
		{"drop_dir_sync", []suite{store("TestRow01")}},
		{"skip_checksum", []suite{store("TestRow05")}},
		// One simulated crash in some 4,000 leaves a tail that this mistake lets come back to life.
		{"keep_torn_tail", []suite{longer(store("TestRow01"), "-seeds=15000"), store("TestRow04")}},
		{"reply_before_acks", []suite{kills}},
		{"requeue_at_tail", []suite{model, kills}},
		{"lose_redelivered", []suite{model, kills}},
		{"free_segment_early", []suite{store("TestRow01")}},
		{"swallow_no_space", []suite{durability("TestRow06")}},
		// In one of three rounds another sync than the writer's is the one that fails, which ends the hub.
		{"retry_sync", []suite{
			store("TestRow01"), store("TestRow07"), longer(durability("TestRow07"), "-for=2m"),
		}},
		{"publish_twice", []suite{kills}},
	}
}

// longer is a suite that goes on for longer than its fast tier does.
func longer(s suite, flag string) suite {
	s.flags = append(s.flags, flag)
	return s
}

const (
	proofTimeout = "-timeout=10m"
	// binaryVariable hands the tests a hub instead of letting them build one.
	binaryVariable = "TEST_PARLEY_BINARY"
)

// prove builds each bug and runs what has to see it. It reports whether all were caught.
func (r *runner) prove(ctx context.Context, only *regexp.Regexp) (bool, error) {
	dir, err := os.MkdirTemp("", "parley-proof-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintf(r.out, "%-20s %-22s %-12s %-16s %7s\n", "bug", "caught by", "", "property", "seconds")
	all := true
	for _, b := range bugs() {
		if !only.MatchString(b.tag) {
			continue
		}
		ok, err := r.proveBug(ctx, b, filepath.Join(dir, b.tag))
		if err != nil {
			return false, fmt.Errorf("%s: %w", b.tag, err)
		}
		all = all && ok
	}
	return all, nil
}

// proveBug says whether every suite that ran has seen the bug, and at least one ran.
func (r *runner) proveBug(ctx context.Context, b bug, binary string) (bool, error) {
	tags := "-tags=bug_" + b.tag
	build := exec.CommandContext(ctx, "go", "build", tags, "-o", binary, "./cmd/parley")
	build.Dir = r.root
	if out, err := build.CombinedOutput(); err != nil {
		return false, fmt.Errorf("%w\n%s", err, out)
	}
	seen, survived := 0, 0
	for _, s := range b.caught {
		var env []string
		flags := []string{tags, proofTimeout}
		if s.module == "test" {
			env, flags = []string{binaryVariable + "=" + binary}, []string{proofTimeout}
		}
		o := r.test(ctx, s, env, flags)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		word := "caught"
		switch {
		case o.none:
			word = "skipped"
		case o.failed && len(o.properties) > 0:
			seen++
		default:
			survived++
			word = "SURVIVED"
		}
		fmt.Fprintf(r.out, "%-20s %-22s %-12s %-16s %7.1f\n", b.tag, s.tests, word,
			strings.Join(o.properties, " "), o.took.Round(100*time.Millisecond).Seconds())
		if word == "SURVIVED" {
			fmt.Fprintln(r.out, o.report())
		}
	}
	return seen > 0 && survived == 0, nil
}
