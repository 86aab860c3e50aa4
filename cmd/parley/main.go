// SPDX-License-Identifier: Apache-2.0

// Command parley is the hub and its command line.
//
// `parley serve` runs a hub. Every other verb is a client of one and uses the Go SDK only: call,
// send, pub, sub, reply, gather, result. Data goes to standard output, notes and errors to standard
// error; `parley --help` lists the exit codes.
//
// Each verb is a file of this package; what they share is in app.go, body.go, output.go and exit.go.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(realMain()) }

// realMain runs the command line and returns the exit code; scripts of the tests call it too.
func realMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // the next signal ends the process at once
	}()
	a := &app{
		in: os.Stdin, out: os.Stdout, notes: os.Stderr,
		terminal: isTerminal(os.Stdout), lookup: os.LookupEnv, environ: os.Environ,
	}
	return a.run(ctx, os.Args[1:])
}

// isTerminal reports whether f is a character device: a terminal, or /dev/null, where the format
// does not matter.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
