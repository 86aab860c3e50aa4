// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley"
)

// portLine is where a hub listens for lines when nobody says otherwise.
const portLine = "7070"

func (a *app) lineCommand() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "line",
		Short: "Connect standard input and output to the door for lines of JSON",
		Long: "Connect standard input and output to the hub's door for JSON objects, one a line. At the\n" +
			"end of the input it waits for the answers to what was asked.",
		Example: `  echo '{"op":"call","id":1,"service":"greeter","method":"SayHello","body":{"name":"Ann"}}' | parley line
  parley line --line unix:/run/parley/line.sock`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.bridge(cmd.Context(), a.beside(address, "", portLine))
		},
	}
	cmd.Flags().StringVar(&address, "line", "",
		"the door, `HOST:PORT` or unix:PATH; default port 7070 of the host in --url")
	return cmd
}

// bridge copies both ways until the hub ends the connection.
func (a *app) bridge(ctx context.Context, address string) error {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	} else if _, _, err := net.SplitHostPort(address); err != nil {
		return usagef("--line %q is not HOST:PORT or unix:PATH", address)
	}
	dialer := net.Dialer{Timeout: connectTimeout}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return &parley.Error{Code: parley.CodeUnreachable, Message: err.Error()}
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// It ends with the input, or with the process: a read of a terminal cannot be ended.
	go func() {
		_, _ = io.Copy(conn, a.in) // the hub's side of it is seen below
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	_, err = io.Copy(a.out, conn)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
