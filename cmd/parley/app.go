// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/parley-ipc/parley"
	"github.com/parley-ipc/parley/internal/config"
)

// connectTimeout bounds connecting, beside each verb's own --timeout.
const connectTimeout = 5 * time.Second

// app is one run of the command line. Everything of the process comes in here.
type app struct {
	in         io.Reader
	out, notes io.Writer
	terminal   bool
	lookup     func(string) (string, bool)
	environ    func() []string

	// flags that every verb has
	url     string
	format  string
	verbose bool
}

// run carries out a command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root() //nolint:contextcheck // every verb takes the context of its command
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.notes)
	err := root.ExecuteContext(ctx)
	code := exitCode(ctx, err)
	a.report(err, code)
	return code
}

// report prints an error: a line for what failed and one for what to do.
func (a *app) report(err error, code int) {
	var usage usageError
	switch {
	case err == nil, code == exitInterrupted:
		return
	case errors.As(err, &usage):
		fmt.Fprintf(a.notes, "parley: %v\nrun `parley --help`, or `parley VERB --help`\n", err)
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(a.notes, "parley: %s\n", line)
	}
	if hint := advice(err); hint != "" {
		fmt.Fprintf(a.notes, "        %s\n", hint)
	}
	if a.verbose {
		if e, ok := errors.AsType[*parley.Error](err); ok {
			fmt.Fprintf(a.notes, "        code %s, exit %d\n", e.Code, code)
		}
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "parley",
		Short: "Processes talk, whichever protocol each of them speaks",
		Long: "parley is a message hub and its command line. `parley serve` runs the hub; the other\n" +
			"verbs talk through one. Every flag can be set as PARLEY_CLI_NAME in the environment.\n\n" +
			exitHelp,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.fromEnv(cmd) },
		Args:              noArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	f := root.PersistentFlags()
	f.StringVar(&a.url, "url", parley.DefaultURL, "the hub: parley://USER:PASSWORD@HOST:PORT/VHOST")
	f.StringVarP(&a.format, "output", "o", "auto", "auto, table, jsonl, json, raw or tmpl=TEMPLATE")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "say more on standard error")
	root.AddCommand(
		a.serveCommand(), a.callCommand(), a.resultCommand(), a.gatherCommand(), a.sendCommand(),
		a.pubCommand(), a.subCommand(), a.replyCommand(), a.lineCommand(), a.configCommand(),
		a.contractCommand(), a.logCommand(), a.exportCommand(), a.importCommand(),
		a.versionCommand(),
	)
	return root
}

// fromEnv sets the flags that the command line does not, from PARLEY_CLI_ variables that are not
// empty.
func (a *app) fromEnv(cmd *cobra.Command) error {
	var faults []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := config.CLIPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := a.lookup(name)
		if !ok || value == "" || f.Changed || f.Name == "help" {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		}
	})
	if err := errors.Join(faults...); err != nil {
		return usageError{err}
	}
	return checkFormat(a.format)
}

// dial connects to the hub.
func (a *app) dial(ctx context.Context, opts ...parley.Option) (*parley.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return parley.Dial(ctx, a.url, append([]parley.Option{parley.WithLogger(a.logger())}, opts...)...)
}

// logger writes to standard error: warnings, and everything with --verbose.
func (a *app) logger() *slog.Logger {
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(a.notes, &slog.HandlerOptions{Level: level}))
}

func (a *app) note(format string, args ...any) { fmt.Fprintf(a.notes, format+"\n", args...) }

// usagef is a usageError.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown command or argument %q for %q", args[0], cmd.CommandPath())
	}
	return nil
}

// argsUpTo takes one argument, and at most high.
func argsUpTo(high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < 1 || len(args) > high {
			return usagef("usage: %s", cmd.UseLine())
		}
		return nil
	}
}
