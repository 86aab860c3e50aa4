// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley"
)

func (a *app) gatherCommand() *cobra.Command {
	var m messageFlags
	var until parley.Until
	cmd := &cobra.Command{
		Use:   "gather OP [BODY]",
		Short: "Ask every instance of a service and print the answers as they come",
		Long: "Ask every instance of a service. Without flags it ends when all who were asked have\n" +
			"answered, or at the timeout. One line for each answer; who is missing is named on\n" +
			"standard error, and the exit code is 3 then.\n" + opHelp + bodyHelp,
		Example: `  parley gather quote.Price '{"sku":7}' --timeout 1s`,
		Args:    argsUpTo(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			op, err := newOperation(args[0])
			if err != nil {
				return err
			}
			body, err := a.bodyArg(args, 1)
			if err != nil {
				return err
			}
			opts, err := m.options(body)
			if err != nil {
				return err
			}
			conn, err := a.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			p := a.printer()
			var failed error
			answers := 0
			for reply, err := range op.Gather(cmd.Context(), conn, body, until, opts...) {
				if reply.From == "" && err != nil {
					return ended(err, answers, until.Replies)
				}
				answers++
				if err := p.put(gatherRow(reply, err), reply.Value); err != nil {
					return err
				}
				if err != nil && failed == nil {
					failed = err
				}
			}
			return failed
		},
	}
	m.add(cmd)
	f := cmd.Flags()
	f.IntVar(&until.Replies, "replies", 0, "end after so many answers")
	f.DurationVar(&until.Gap, "gap", 0, "end after so much silence following an answer")
	f.BoolVar(&until.Sentinel, "sentinel", false, "end at an empty answer, which is not printed")
	f.BoolVar(&until.All, "all", false, "wait for all, also with --replies")
	f.DurationVar(&until.Total, "timeout", 2*time.Second, "end it in any case")
	return cmd
}

// ended is the error that a gather ends with; where nobody is missing, fewer than asked for are there.
func ended(err error, answers, want int) error {
	if e, ok := errors.AsType[*parley.Incomplete](err); ok && len(e.Missing) == 0 && answers < want {
		return fmt.Errorf("%w: %d of %d answers", err, answers, want)
	}
	return err
}

// gatherRow is one answer, or the error that an instance answered.
func gatherRow(r parley.Reply[[]byte], err error) row {
	out := append(row{{"from", r.From}}, bodyCells(r.Value)...)
	if e, ok := errors.AsType[*parley.Error](err); ok {
		out = append(out, cell{"error", string(e.Code)}, cell{"message", e.Message})
	}
	return out
}
