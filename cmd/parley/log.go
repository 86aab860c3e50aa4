// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley/hub"
)

func (a *app) logCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Look into a data directory, and save what is sound of a damaged one",
		Args:  noArgs,
		RunE:  showHelp,
	}
	var segments, records bool
	inspect := &cobra.Command{
		Use:   "inspect DIR",
		Short: "Show what a data directory holds: durable queues and their messages",
		Long: "Show the durable queues in a data directory and how many messages wait in each. Nothing in\n" +
			"the directory changes, and no hub may run on it meanwhile.",
		Args: argsUpTo(1),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case segments && records:
				return usagef("--segments and --records are two views; choose one")
			case records:
				return a.showRecords(args[0])
			}
			return a.showLog(args[0], segments)
		},
	}
	inspect.Flags().BoolVar(&segments, "segments", false, "show the files instead")
	inspect.Flags().BoolVar(&records, "records", false, "show every record instead")
	salvage := &cobra.Command{
		Use:   "salvage DIR NEWDIR",
		Short: "Copy what is sound in a damaged data directory into a new one",
		Long: "Copy what is sound in a data directory that a hub refuses to start on into a new directory,\n" +
			"and list what is lost. The old one stays as it is. Start the hub on the new one then: every\n" +
			"message counts as delivered before, and where acknowledgements were lost messages come back.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("usage: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.salvage(args[0], args[1]) },
	}
	cmd.AddCommand(inspect, salvage)
	return cmd
}

func (a *app) showLog(dir string, segments bool) error {
	report, err := hub.InspectLog(dir)
	if err != nil {
		return err
	}
	p := a.listPrinter()
	if !segments {
		for _, q := range report.Queues {
			r := row{
				{"vhost", q.VHost},
				{"queue", q.Name},
				{"id", int(q.ID)},
				{"messages", q.Messages},
				{"bytes", q.Bytes},
			}
			raw := fmt.Sprintf("%s %s: %d messages\n", q.VHost, q.Name, q.Messages)
			if err := p.put(r, []byte(raw)); err != nil {
				return err
			}
		}
		return p.flush()
	}
	for _, s := range report.Segments {
		r := row{
			{"segment", int(s.Number)},
			{"bytes", int(s.Bytes)},
			{"used", int(s.UsedBytes)},
			{"first", int(s.First)},
			{"last", int(s.Last)},
			{"messages", s.Messages},
			{"unsettled", s.Unsettled},
		}
		raw := fmt.Sprintf("segment %d: %d of %d messages wait\n", s.Number, s.Unsettled, s.Messages)
		if err := p.put(r, []byte(raw)); err != nil {
			return err
		}
	}
	return p.flush()
}

func (a *app) showRecords(dir string) error {
	p := a.printer()
	return hub.InspectRecords(dir, func(rec hub.LogRecord) error {
		r := row{
			{"lsn", int(rec.At)},
			{"type", rec.Type},
			{"time", time.UnixMilli(rec.TimeMS).UTC().Format(time.RFC3339Nano)},
			{"segment", int(rec.Segment)},
			{"offset", int(rec.Offset)},
			{"queues", rec.Queues},
			{"count", rec.Count},
			{"exchange", rec.Exchange},
			{"key", rec.Key},
			{"bytes", rec.Bytes},
		}
		return p.put(r, fmt.Appendf(nil, "%d %s\n", rec.At, rec.Type))
	})
}

// errLost ends a salvage that could not save everything.
var errLost = errors.New("not everything could be saved")

func (a *app) salvage(dir, to string) error {
	report, err := hub.SalvageLog(dir, to)
	if err != nil {
		return err
	}
	for _, d := range report.Damage {
		a.note("%v", d)
	}
	a.note("saved %d messages and %d queues into %s", report.Messages, report.Queues, to)
	if len(report.Damage) > 0 {
		return errLost
	}
	return nil
}
