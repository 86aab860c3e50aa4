// SPDX-License-Identifier: Apache-2.0

// Command bench measures parley beside RabbitMQ, ActiveMQ and NATS: the same work, the same load
// generator, the same machine, one broker at a time, in alternation.
//
// It builds and starts each broker by itself (internal/peer), loads it from this process
// (internal/load), and reports medians with their spread: messages a second, the broker's
// processor time per message, its peak memory, the generator's own processor time, latencies
// where they mean something, how often the broker made its writes durable. Parley alone also gets a
// deep backlog. Figures of different days or machines do not compare; ratios within one call do.
//
// Each work has its table in docs/performance.md and its part of results/MACHINE.json. A call of
// everything writes all of them; a part of it prints only, or with -write yes writes the tables of
// the works that it has measured and leaves the others.
//
//	go run . -peers parley,rabbitmq,nats -work all -runs 5 -seconds 5
//	go run . -work persistent-1k,paced-1k -write yes
//	go run . -work backlog -backlog 1x200000,100x1000
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

	"github.com/parley-ipc/parley/bench/internal/disk"
	"github.com/parley-ipc/parley/bench/internal/load"
	"github.com/parley-ipc/parley/bench/internal/peer"
)

// Bounds of the flags.
const (
	maxRuns    = 50
	maxSeconds = 60
	warmup     = time.Second
	javaWarmup = 8 * time.Second // a Java program is compiled while it runs
)

// Options is what the flags say.
type Options struct {
	Peers   []string
	Works   []work
	Runs    int           // rounds over all works and peers; 1 to maxRuns
	Measure time.Duration // of one run; 1 s to maxSeconds
	Budget  time.Duration // no run is begun that would probably end after it
	Profile string        // directory for parley's processor profile, or empty
	Trace   bool          // count syncs with strace
	Write   bool          // write the measured works' tables and results
	Machine string        // name of the results file, without its extension
	Root    string        // directory of the main module
	Program string        // a parley to measure in place of the one built from Root, or empty
	Data    string        // directory for the brokers' data
	// FileSystem is what Data lies on.
	FileSystem string
	Backlogs   []load.Backlog // of the deep work
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
	dir, err := os.MkdirTemp(opts.Data, "parley-bench-")
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
	for _, line := range rep.Missing {
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
	var o Options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	peers := fs.String("peers", strings.Join(allPeers(), ","), "brokers to measure")
	works := fs.String("work", "all", "works to do: all, or of "+strings.Join(workNames(), ","))
	fs.IntVar(&o.Runs, "runs", 5, "rounds")
	seconds := fs.Float64("seconds", 5, "length of one measurement")
	fs.DurationVar(&o.Budget, "budget", 90*time.Minute, "time for everything")
	fs.StringVar(&o.Profile, "profile", "", "write parley's CPU profiles into `dir`")
	fs.BoolVar(&o.Trace, "strace", true, "count the brokers' syncs with strace")
	write := fs.String("write", "auto", "write the tables of what is measured into "+
		"docs/performance.md, and results: yes, no, or auto (when everything is measured)")
	fs.StringVar(&o.Machine, "machine", defaultMachine(), "name of the results file")
	root := fs.String("root", "..", "directory of the main module")
	fs.StringVar(&o.Program, "parley", "",
		"measure this `program` in place of the one built from root")
	data := fs.String("data", "",
		"`dir` for the brokers' data; by default a temporary directory that is on a disk")
	backlogs := fs.String("backlog", "1x10000000,10000x1000",
		"backlogs of the work "+backlog+", as QUEUESxMESSAGES")
	if err := fs.Parse(args); err != nil {
		return Options{}, err
	}
	if o.Runs < 1 || o.Runs > maxRuns {
		return Options{}, fmt.Errorf("runs: %d is not in 1..%d", o.Runs, maxRuns)
	}
	if *seconds < 1 || *seconds > maxSeconds {
		return Options{}, fmt.Errorf("seconds: %v is not in 1..%d", *seconds, maxSeconds)
	}
	o.Measure = time.Duration(*seconds * float64(time.Second))
	o.Peers = strings.Split(*peers, ",")
	var err error
	if o.Works, err = parseWorks(*works); err != nil {
		return Options{}, err
	}
	if o.Backlogs, err = parseBacklogs(*backlogs); err != nil {
		return Options{}, err
	}
	if o.Root, err = filepath.Abs(*root); err != nil {
		return Options{}, err
	}
	if err := o.place(*data); err != nil {
		return Options{}, err
	}
	o.Write, err = o.shouldWrite(*write)
	return o, err
}

// place chooses where the brokers keep their data. A disk is wanted, because in memory a sync is
// free; a directory that is given is taken as it is, and the tables say what it is on.
func (o *Options) place(given string) (err error) {
	if o.Data, err = filepath.Abs(given); err != nil {
		return err
	}
	if given == "" {
		if o.Data, err = disk.Place(os.TempDir(), "/var/tmp", o.Root); err != nil {
			return fmt.Errorf("data: %w: give a directory", err)
		}
	}
	o.FileSystem, err = disk.FileSystem(o.Data)
	return err
}

// shouldWrite decides whether tables are written: by itself only when all of them would be.
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

func allPeers() []string {
	return []string{
		peer.Parley, peer.ParleyAMQP, peer.RabbitMQ, peer.RabbitQuorum, peer.RabbitStomp, peer.ActiveMQ,
		peer.NATS, peer.JetStream, peer.JetStreamSync, peer.Nginx, peer.HAProxy, peer.ReverseProxy,
		peer.ApacheThrift,
	}
}
