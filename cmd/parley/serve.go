// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley"
	"github.com/parley-ipc/parley/hub"
	"github.com/parley-ipc/parley/internal/config"
)

// pprofHeaderTimeout bounds a request's head on the profiling listener.
const pprofHeaderTimeout = 5 * time.Second

type serveFlags struct {
	file, data, sync, listen, pprof string

	dev, demo, listenAll bool
}

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a hub",
		Long: "Run a hub until SIGINT or SIGTERM, which drain it; a second one ends it at once.\n" +
			"Without a file it listens on loopback with its default ports. Each key of the file is\n" +
			"also a variable: doors.amqp.listen is PARLEY_DOORS__AMQP__LISTEN. The order is default,\n" +
			"file, environment, flag; the last one wins. SIGHUP reads them again: limits.memory_bytes\n" +
			"changes at once, and the log names what waits for a restart.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), cmd, &f) },
	}
	f.addConfig(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.dev, "dev", false, "keep everything in memory, and start the demo services")
	flags.BoolVar(&f.demo, "demo", false, "start demo services, each over another protocol")
	flags.StringVar(&f.pprof, "pprof", "", "serve profiles at http://`ADDR`/debug/pprof/")
	return cmd
}

// addConfig adds the flags that are configuration, which the verb config has too.
func (f *serveFlags) addConfig(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "config", "c", "", "configuration `FILE` (YAML)")
	flags.StringVar(&f.data, "data", "", "data `DIR`; default $XDG_STATE_HOME/parley, else ~/.local/state/parley")
	flags.StringVar(&f.listen, "listen", "", "one `ADDR` for all doors, beside their own")
	flags.BoolVar(&f.listenAll, "listen-all", false, "listen on all addresses, not loopback only")
	flags.StringVar(&f.sync, "sync", "", "when a confirm is given: `always, interval or off`")
	completeWords(cmd, "sync", "always", "interval", "off")
}

func (a *app) serve(ctx context.Context, cmd *cobra.Command, f *serveFlags) error {
	if f.dev && cmd.Flags().Changed("data") {
		return usagef("--dev keeps everything in memory, and --data on disk")
	}
	o, err := a.options(cmd, f)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if a.verbose {
		level = slog.LevelDebug
	}
	o.Logger = slog.New(slog.NewTextHandler(a.notes, &slog.HandlerOptions{Level: level}))
	if _, set := a.lookup("GOGC"); !set {
		defer collectSeldom()()
	}
	h, err := hub.New(o)
	if err != nil {
		return usageError{err}
	}
	if f.pprof != "" {
		stop, err := servePprof(ctx, f.pprof, o.Logger)
		if err != nil {
			return fmt.Errorf("pprof: %w", err)
		}
		defer stop()
	}
	hangup, ignore := hangups()
	defer ignore()
	if err := h.Start(ctx); err != nil {
		return err
	}
	var demo *demo
	if f.demo || f.dev {
		if demo, err = startDemo(ctx, h, o.Logger); err != nil {
			return errors.Join(demoFault(err), h.Shutdown(context.WithoutCancel(ctx)))
		}
		demo.introduce(a.notes)
	}
	r, err := newReloader(h, a.sources(cmd, f), o.Logger)
	if err != nil {
		return errors.Join(err, h.Shutdown(context.WithoutCancel(ctx)))
	}
	if err := r.attend(ctx, hangup); err != nil {
		return err
	}
	o.Logger.Info("stopping; a second signal ends at once")
	if demo != nil {
		demo.stop()
	}
	return h.Shutdown(context.WithoutCancel(ctx))
}

// demoFault says why the demo services are not there; they log in as anybody on this machine may.
func demoFault(err error) error {
	if errors.Is(err, parley.CodeUnauthenticated) {
		return usagef("the demo services are guest with the password guest, and this hub lets no guest in")
	}
	return fmt.Errorf("demo: %w", err)
}

// sources are file, environment and flags.
func (a *app) sources(cmd *cobra.Command, f *serveFlags) config.Sources {
	s := config.Sources{File: f.file, Environ: a.environ()}
	s.Defaults = func(o *hub.Options) {
		o.Data = a.stateDirectory()
		if f.listenAll {
			openDoors(&o.Doors)
		}
	}
	for _, flag := range []struct{ name, path, value string }{
		{"data", "data", f.data},
		{"sync", "sync", f.sync},
		{"listen", "listen", f.listen},
		{"listen-all", "listen_all", fmt.Sprint(f.listenAll)},
	} {
		if cmd.Flags().Changed(flag.name) {
			s.Flags = append(s.Flags, config.Setting{
				Path: flag.path, Value: flag.value, Origin: "--" + flag.name,
			})
		}
	}
	return s
}

// options reads the configuration.
func (a *app) options(cmd *cobra.Command, f *serveFlags) (hub.Options, error) {
	o, err := config.Load(a.sources(cmd, f))
	if err != nil {
		return o, err
	}
	switch {
	case f.dev:
		o.Data = ""
	case o.Data == "":
		if o.Data = a.stateDirectory(); o.Data == "" {
			return o, usagef("no data directory: neither --data nor HOME is set; --dev keeps all in memory")
		}
	}
	return o, nil
}

// openDoors makes the doors listen on all addresses that are open by default.
func openDoors(d *hub.Doors) {
	for _, door := range []*hub.Door{
		&d.AMQP, &d.STOMP, &d.WebSTOMP, &d.REST, &d.Management, &d.Thrift, &d.Line,
	} {
		if _, port, err := net.SplitHostPort(door.Listen); err == nil {
			door.Listen = ":" + port
		}
	}
}

// stateDirectory is where a hub without configuration keeps its data (XDG base directories).
func (a *app) stateDirectory() string {
	if dir, ok := a.lookup("XDG_STATE_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "parley")
	}
	if home, ok := a.lookup("HOME"); ok && home != "" {
		return filepath.Join(home, ".local", "state", "parley")
	}
	return ""
}

// servePprof serves profiles until the returned function is called.
func servePprof(ctx context.Context, addr string, logger *slog.Logger) (func(), error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	s := &http.Server{Handler: mux, ReadHeaderTimeout: pprofHeaderTimeout}
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("pprof ended", "error", err)
		}
	}()
	logger.Info("pprof open", "address", l.Addr().String())
	return func() { _ = s.Close() }, nil
}
