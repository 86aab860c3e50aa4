// SPDX-License-Identifier: Apache-2.0

// Command transcode measures the conversion between JSON and Thrift's binary protocol: parley, Kitex's
// codec for generic calls with JSON (which is what a gateway built on Kitex runs), the same with
// dynamicgo below it, and dynamicgo alone. Same IDL, same bytes; what each writes is read back and
// compared before anything is measured.
//
// All run in this process, one conversion at a time, in alternation. What counts is processor time,
// the garbage collector's included, so that other programs on the machine disturb little. It prints a
// line of JSON for each work, size and peer. `make bench BENCH_ARGS='-work transcode'` runs it and
// writes the table of docs/performance.md.
//
// Kitex and dynamicgo are built for few versions of Go, and dynamicgo links into the runtime by name:
// where this does not build, the table is left as it is.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// Bounds of the flags.
const (
	maxRuns    = 50
	maxSeconds = 60
)

// Measured is a line of the output.
type Measured struct {
	Work string `json:"work"` // "to-thrift", "to-thrift-backwards", "to-json"
	Size string `json:"size"` // of the JSON, in words
	Peer string `json:"peer"` // as it is shown
	// Version is that of the module, empty for parley.
	Version string    `json:"version,omitempty"`
	JSON    int       `json:"json"`   // octets of the body
	Nanos   []float64 `json:"nanos"`  // of processor time for a conversion, by run
	Allocs  float64   `json:"allocs"` // of a conversion
}

// task is one conversion that is measured.
type task struct {
	out *Measured
	do  func() error
}

func main() {
	runs := flag.Int("runs", 5, "runs of each, in alternation")
	seconds := flag.Float64("seconds", 0.3, "processor time of a run")
	flag.Parse()
	if err := run(os.Stdout, *runs, *seconds); err != nil {
		fmt.Fprintln(os.Stderr, "transcode:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, runs int, seconds float64) error {
	if runs < 1 || runs > maxRuns || seconds <= 0 || seconds > maxSeconds {
		return errors.New("-runs or -seconds is out of bounds")
	}
	tasks, err := allTasks()
	if err != nil {
		return err
	}
	for range runs {
		for _, t := range tasks {
			if err := t.measure(time.Duration(seconds * float64(time.Second))); err != nil {
				return fmt.Errorf("%s, %s, %s: %w", t.out.Peer, t.out.Work, t.out.Size, err)
			}
		}
	}
	enc := json.NewEncoder(out)
	for _, t := range tasks {
		if err := enc.Encode(t.out); err != nil {
			return err
		}
	}
	return nil
}

// allTasks returns what is measured, peers next to each other.
func allTasks() ([]task, error) {
	all, err := peers()
	if err != nil {
		return nil, err
	}
	var tasks []task
	for _, s := range sizes() {
		text, err := s.body()
		if err != nil {
			return nil, err
		}
		back, err := backwards(text)
		if err != nil {
			return nil, err
		}
		for _, work := range []string{"to-thrift", "to-thrift-backwards", "to-json"} {
			for _, p := range all {
				do, in := p.toThrift, text
				switch work {
				case "to-thrift-backwards":
					in = back
				case "to-json":
					made, err := p.toThrift(text)
					if err != nil {
						return nil, fmt.Errorf("%s: %w", p.name, err)
					}
					do, in = p.toJSON, bytes.Clone(made)
				}
				tasks = append(tasks, task{
					out: &Measured{
						Work: work, Size: s.name, Peer: p.name, Version: p.version, JSON: len(text),
					},
					do: func() error {
						_, err := do(in)
						return err
					},
				})
			}
		}
	}
	return tasks, nil
}

// versionOf returns the version of a module that is linked in, empty where that is not known.
func versionOf(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, module := range info.Deps {
		if module.Path == path {
			return module.Version
		}
	}
	return ""
}

// measure converts for so much processor time.
func (t *task) measure(length time.Duration) error {
	const batch = 64
	runtime.GC() // of those before
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, err := processor()
	if err != nil {
		return err
	}
	for n := 0; ; {
		for range batch {
			if err := t.do(); err != nil {
				return err
			}
		}
		n += batch
		now, err := processor()
		if err != nil {
			return err
		}
		if took := now - start; took >= length {
			runtime.ReadMemStats(&after)
			t.out.Nanos = append(t.out.Nanos, float64(took.Nanoseconds())/float64(n))
			t.out.Allocs = float64((after.Mallocs - before.Mallocs) / uint64(n))
			return nil
		}
	}
}

// processor returns the processor time of this process so far.
func processor() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
