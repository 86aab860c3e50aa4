// SPDX-License-Identifier: Apache-2.0

// Command bench measures parley beside RabbitMQ and NATS: the same work, the same load
// generator, the same machine, one broker at a time, in alternation.
//
// It builds and starts each broker by itself (internal/peer), loads it from this process
// (internal/load), and reports medians with their spread: messages a second, the broker's
// processor time per message, its peak memory, the generator's own processor time, latencies
// where they mean something. Figures of different days or machines do not compare; ratios within
// one call do. A call of everything writes docs/performance.md and results/MACHINE.json; a part
// of it prints only.
//
//	go run . -peers parley,rabbitmq,nats -work all -runs 5 -seconds 5
//
// Caveat: broker and generator share the processors. A warning is printed where the generator
// used more of them than the broker, because then it may be what limits.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/parley-ipc/parley/bench/internal/peer"
)

// Bounds of the flags.
const (
	maxRuns    = 50
	maxSeconds = 60
	warmup     = time.Second
)

// Options is what the flags say.
type Options struct {
	Peers   []string
	Works   []work
	Runs    int           // rounds over all works and peers; 1 to maxRuns
	Measure time.Duration // of one run; 1 s to maxSeconds
	Budget  time.Duration // no run is begun that would probably end after it
	Profile string        // directory for parley's processor profile, or empty
	Write   bool          // write the document and the results
	Machine string        // name of the results file, without its extension
	Root    string        // directory of the main module
	Program string        // a parley to measure in place of the one built from Root, or empty
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the whole program; its tables go to out.
func run(ctx context.Context, args []string, out io.Writer) error {
	opts, err := parseFlags(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "parley-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	e := &engine{opts: opts, dir: dir, progress: os.Stderr, deadline: time.Now().Add(opts.Budget)}
	rep, err := e.measure(ctx)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(out, rep.markdown()+"\n"); err != nil {
		return err
	}
	for _, line := range rep.verdicts() {
		fmt.Fprintln(out, line)
	}
	if opts.Write {
		if err := rep.write(opts); err != nil {
			return err
		}
	}
	return rep.failure()
}

// parseFlags turns the command line into options.
func parseFlags(args []string) (Options, error) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	peers := fs.String("peers", strings.Join(allPeers(), ","), "brokers to measure")
	works := fs.String("work", "all", "works to do: all, or of "+strings.Join(workNames(), ","))
	runs := fs.Int("runs", 5, "rounds")
	seconds := fs.Float64("seconds", 5, "length of one measurement")
	budget := fs.Duration("budget", 12*time.Minute, "time for everything")
	profile := fs.String("profile", "", "write parley's CPU profiles into `dir`")
	write := fs.String("write", "auto",
		"write docs/performance.md and results: yes, no, or auto (when everything is measured)")
	machine := fs.String("machine", defaultMachine(), "name of the results file")
	root := fs.String("root", "..", "directory of the main module")
	program := fs.String("parley", "", "measure this `program` in place of the one built from root")
	if err := fs.Parse(args); err != nil {
		return Options{}, err
	}
	if *runs < 1 || *runs > maxRuns {
		return Options{}, fmt.Errorf("runs: %d is not in 1..%d", *runs, maxRuns)
	}
	if *seconds < 1 || *seconds > maxSeconds {
		return Options{}, fmt.Errorf("seconds: %v is not in 1..%d", *seconds, maxSeconds)
	}
	chosen, err := parseWorks(*works)
	if err != nil {
		return Options{}, err
	}
	abs, err := filepath.Abs(*root)
	if err != nil {
		return Options{}, err
	}
	opts := Options{
		Peers:   strings.Split(*peers, ","),
		Works:   chosen,
		Runs:    *runs,
		Measure: time.Duration(*seconds * float64(time.Second)),
		Budget:  *budget,
		Profile: *profile,
		Machine: *machine,
		Root:    abs,
		Program: *program,
	}
	opts.Write, err = opts.shouldWrite(*write)
	return opts, err
}

// shouldWrite decides whether the document is written: by itself only when it would be whole.
func (o Options) shouldWrite(flagValue string) (bool, error) {
	switch flagValue {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	case "auto":
		whole := len(o.Peers) == len(allPeers()) && len(o.Works) == len(allWorks())
		return whole && o.Profile == "" && o.Program == "", nil
	default:
		return false, fmt.Errorf("write: %q is none of yes, no, auto", flagValue)
	}
}

func allPeers() []string { return []string{peer.Parley, peer.RabbitMQ, peer.NATS} }
