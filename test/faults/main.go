// SPDX-License-Identifier: Apache-2.0

// Command faults runs the fault programme of the durable log for a given time, or proves that the
// programme sees the bugs that internal/check can seed.
//
//	go run ./faults -for 30m    every row, sharing the time; a line a row in -results
//	go run ./faults -proof      each seeded bug has to fail the rows named for it
//
// It runs the tests of the rows with `go test`; docs/reliability.md says what they show.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// suite is tests of one package.
type suite struct {
	module, pkg, tests string // module: the directory below the checkout
	flags              []string
}

func store(tests string) suite { return suite{".", "./internal/store", tests, nil} }

func durability(tests string) suite { return suite{"test", "./durability", tests, nil} }

// runner runs suites in a checkout.
type runner struct {
	root string
	out  io.Writer
}

func main() {
	var (
		programme = flag.Duration("for", time.Minute, "how long the programme runs")
		results   = flag.String("results", "test/durability/results.tsv", "where each row's line goes")
		only      = flag.String("only", "", "only the rows or bugs that match")
		proof     = flag.Bool("proof", false, "prove that seeded bugs are caught")
	)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	ok, err := run(ctx, settings{*programme, *results, *only, *proof})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	programme     time.Duration
	results, only string
	proof         bool
}

func run(ctx context.Context, s settings) (ok bool, err error) {
	only, err := regexp.Compile(s.only)
	if err != nil {
		return false, err
	}
	top, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return false, fmt.Errorf("git: %w", err)
	}
	r := &runner{root: strings.TrimSpace(string(top)), out: os.Stdout}
	if s.proof {
		return r.prove(ctx, only)
	}
	return r.programme(ctx, s, only)
}

// outcome is what came of a suite.
type outcome struct {
	failed        bool
	cycles, seeds int
	skips         int
	violations    int
	properties    []string
	notes         []string
	output        []byte
	took          time.Duration
	none          bool // nothing ran: all was skipped
}

// notesKept is how many notes of a suite are shown, the last ones.
const notesKept = 3

var (
	countLine = regexp.MustCompile(`faults: cycles=(\d+) seeds=(\d+)`)
	// errorLine is what a test says, with the properties that it names.
	errorLine = regexp.MustCompile(`(?m)^\s+\w+_test\.go:\d+: .*$`)
	property  = regexp.MustCompile(`\bP[1-9]\b`)
	// noteLine is what a test wants to be read with its row.
	noteLine = regexp.MustCompile(`_test\.go:\d+: note: (.*)`)
	noStart  = regexp.MustCompile(`the hub does not start`)
)

// test runs a suite with tags (or none) and flags of the test binary.
func (r *runner) test(ctx context.Context, s suite, env, flags []string) outcome {
	args := append([]string{"test", "-count=1", "-v", "-run", s.tests}, flags...)
	// The package comes before the flags of its own.
	at := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "-for=") })
	if at < 0 {
		at = len(args)
	}
	args = slices.Insert(args, at, s.pkg)
	args = append(args, s.flags...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(r.root, s.module)
	cmd.Env = append(os.Environ(), env...)
	// The tests end their hubs and unmount their disks when they are asked to end.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	started := time.Now()
	b, err := cmd.CombinedOutput()
	return read(b, err != nil, time.Since(started))
}

// read finds out what a suite's output says.
func read(b []byte, failed bool, took time.Duration) outcome {
	o := outcome{failed: failed, output: b, took: took}
	for _, m := range countLine.FindAllSubmatch(b, -1) {
		o.cycles += number(m[1])
		o.seeds += number(m[2])
	}
	for _, m := range noteLine.FindAllSubmatch(b, -1) {
		o.notes = append(o.notes, string(m[1]))
	}
	o.notes = o.notes[max(0, len(o.notes)-notesKept):]
	o.skips = bytes.Count(b, []byte("--- SKIP: "))
	o.none = !failed && !bytes.Contains(b, []byte("--- PASS: "))
	if !failed {
		return o
	}
	for _, line := range errorLine.FindAll(b, -1) {
		found := property.FindAllString(string(line), -1)
		if noStart.Match(line) {
			found = append(found, "no start")
		}
		if len(found) > 0 {
			o.violations++
			o.properties = append(o.properties, found...)
		}
	}
	o.violations = max(o.violations, 1)
	slices.Sort(o.properties)
	o.properties = slices.Compact(o.properties)
	return o
}

func number(b []byte) int {
	n := 0
	for _, c := range b {
		n = 10*n + int(c-'0')
	}
	return n
}

// report returns what the tests of a suite said, where its whole output is kept, and the end of that
// without what hubs logged.
func (o *outcome) report() string {
	const said, lines = 20, 40
	var b strings.Builder
	for _, line := range errorLine.FindAll(o.output, said) {
		b.Write(line)
		b.WriteByte('\n')
	}
	file, err := os.CreateTemp("", "parley-faults-*.log")
	if err == nil {
		_, err = file.Write(o.output)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		fmt.Fprintln(&b, "the whole output is lost:", err)
	} else {
		fmt.Fprintln(&b, "the whole output is in", file.Name())
	}
	var kept []string
	for line := range strings.Lines(string(o.output)) {
		if !strings.Contains(line, " level=") && !strings.HasPrefix(line, "=== ") &&
			!strings.Contains(line, ": end of the output of ") {
			kept = append(kept, line)
		}
	}
	b.WriteString(strings.Join(kept[max(0, len(kept)-lines):], ""))
	return b.String()
}
