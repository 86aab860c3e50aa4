// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
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
	cmd, err := root.ExecuteContextC(ctx)
	code := exitCode(ctx, err)
	a.report(cmd, err, code)
	return code
}

// report prints an error: a line for what failed and one for what to do.
func (a *app) report(cmd *cobra.Command, err error, code int) {
	if err == nil || code == exitInterrupted {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(a.notes, "parley: %s\n", line)
	}
	if _, usage := errors.AsType[usageError](err); usage {
		fmt.Fprintf(a.notes, "        see: %s --help\n", cmd.CommandPath())
	} else if hint := advice(err); hint != "" {
		fmt.Fprintf(a.notes, "        %s\n", hint)
	}
	if a.verbose {
		if e, ok := errors.AsType[*parley.Error](err); ok {
			fmt.Fprintf(a.notes, "        code %s, exit %d\n", e.Code, code)
			if len(e.Details) > 0 {
				fmt.Fprintf(a.notes, "        %s\n", e.Details)
			}
		}
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "parley",
		Short: "Processes talk, whichever protocol each of them speaks",
		Long: "parley is a message hub and its command line. `parley serve` runs the hub; the other\n" +
			"verbs talk through one. Every flag can be set as PARLEY_CLI_NAME in the environment.",
		SilenceErrors: true, SilenceUsage: true,
		Version:           versionLine(),
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.fromEnv(cmd) },
		Args:              noArgs,
		RunE:              showHelp,
	}
	root.SetFlagErrorFunc(flagFault)
	root.SetVersionTemplate("{{.Version}}\n")
	f := root.PersistentFlags()
	f.StringVar(&a.url, "url", parley.DefaultURL, "the hub's `URL`: parley://USER:PASSWORD@HOST:PORT/VHOST")
	f.StringVarP(&a.format, "output", "o", "auto",
		"`FORMAT` of what is printed: auto, table, jsonl, json, raw or tmpl=TEMPLATE; auto is a\n"+
			"table on a terminal, else jsonl")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "say more on standard error")
	completeWords(root, "output", "auto", "table", "jsonl", "json", "raw")
	addHelp(root)
	for group, verbs := range map[string][]*cobra.Command{
		groupTalk: {
			a.callCommand(), a.resultCommand(), a.gatherCommand(), a.sendCommand(), a.pubCommand(),
			a.subCommand(), a.replyCommand(), a.lineCommand(),
		},
		groupHub: {
			a.serveCommand(), a.configCommand(), a.contractCommand(), a.logCommand(),
			a.exportCommand(), a.importCommand(),
		},
	} {
		for _, verb := range verbs {
			verb.GroupID = group
			root.AddCommand(verb)
		}
	}
	root.AddCommand(a.versionCommand())
	completeNames(root)
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
	if err := checkNumbers(cmd); err != nil {
		return err
	}
	return checkFormat(a.format)
}

// checkNumbers refuses negative numbers and times, which no flag takes, and 0 where it is not the
// default: a time without an end, or no limit.
func checkNumbers(cmd *cobra.Command) error {
	var fault error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		text := f.Value.String()
		switch f.Value.Type() {
		case "int", "float64", "duration":
		default:
			return
		}
		if strings.HasPrefix(text, "-") {
			fault = usagef("--%s %s is negative", f.Name, text)
		} else if (text == "0" || text == "0s") && f.DefValue != text {
			fault = usagef("--%s must be more than 0", f.Name)
		}
	})
	return fault
}

// dial connects to the hub.
func (a *app) dial(ctx context.Context, opts ...parley.Option) (*parley.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	c, err := parley.Dial(ctx, a.url, append([]parley.Option{parley.WithLogger(a.logger())}, opts...)...)
	if err != nil {
		return nil, dialError{err}
	}
	return c, nil
}

// beside returns the address of another door, which a flag may name: else it is at the usual port of the
// hub that --url names.
func (a *app) beside(flag, scheme, port string) string {
	if flag != "" {
		return flag
	}
	host := "127.0.0.1"
	if hub, err := url.Parse(a.url); err == nil && hub.Hostname() != "" {
		host = hub.Hostname()
	}
	return scheme + net.JoinHostPort(host, port)
}

// dialError is an error of connecting to the hub.
type dialError struct{ err error }

func (e dialError) Error() string { return e.err.Error() }
func (e dialError) Unwrap() error { return e.err }

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
		return unknownCommand(cmd, args[0])
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
