// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley"
)

// operation is how the command line sees every operation: bytes in, bytes out.
type operation = parley.Op[[]byte, []byte]

// opHelp explains the argument OP.
const opHelp = "OP is SERVICE.OPERATION, SERVICE/OPERATION, or SERVICE alone.\n"

func newOperation(name string) (operation, error) {
	op := parley.NewOp[[]byte, []byte](name)
	if op.Service() == "" {
		return op, usagef("%q names no service", name)
	}
	return op, nil
}

func (a *app) callCommand() *cobra.Command {
	var m messageFlags
	var timeout time.Duration
	var async bool
	cmd := &cobra.Command{
		Use:   "call OP [BODY]",
		Short: "Ask a service and wait for the answer",
		Long: "Ask a service and print its answer. With --async, print an ID instead, with which\n" +
			"`parley result` fetches the answer later.\n" + opHelp + bodyHelp,
		Example: `  parley call greeter.SayHello '{"name":"Ada"}'`,
		Args:    argsUpTo(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
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
			conn, err := a.dial(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			if async {
				pending, err := op.Start(ctx, conn, body, opts...)
				if err != nil {
					return fmt.Errorf("call %s: %w", args[0], err)
				}
				_, err = fmt.Fprintln(a.out, pending.ID)
				return err
			}
			answer, err := op.Call(ctx, conn, body, append(opts, parley.OnProgress(a.progress))...)
			if err != nil {
				return fmt.Errorf("call %s: %w", args[0], err)
			}
			return a.printer().answer(answer)
		},
	}
	m.add(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", parley.DefaultTimeout, "how long to wait")
	cmd.Flags().BoolVar(&async, "async", false, "do not wait; print the request's ID")
	return cmd
}

// progress shows how far the service is.
func (a *app) progress(p parley.Progress) { a.note("progress %s", p) }

func (a *app) resultCommand() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "result ID",
		Short: "Fetch the answer to a request that was started with call --async",
		Long: "Fetch the answer to a request, once, from any machine. Nothing is lost when it is not\n" +
			"there within --wait: ask again. What the service tells of its progress is shown on\n" +
			"standard error.",
		Args: argsUpTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			conn, err := a.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			answer, err := parley.Resume[[]byte](conn, args[0]).OnProgress(a.progress).Wait(ctx)
			if err != nil {
				return fmt.Errorf("result: %w", err)
			}
			return a.printer().answer(answer)
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", parley.DefaultTimeout, "how long to wait for it")
	return cmd
}
