// SPDX-License-Identifier: Apache-2.0

// Command thriftserver answers a call of `string echo(1: string text)` with its own text, by Apache's
// Go library: framed transport, binary protocol, a goroutine for each connection.
//
// Its processor does what the one does that the compiler generates, which for each call starts a
// goroutine that looks every 5 ms whether the caller is still there.
//
//	thriftserver LISTEN
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "thriftserver:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%d arguments, want an address", len(args))
	}
	socket, err := thrift.NewTServerSocket(args[0])
	if err != nil {
		return err
	}
	server := thrift.NewTSimpleServer4(echo{}, socket,
		thrift.NewTFramedTransportFactoryConf(
			thrift.NewTBufferedTransportFactory(bufferBytes), &thrift.TConfiguration{}),
		thrift.NewTBinaryProtocolFactoryConf(&thrift.TConfiguration{}))
	return server.Serve()
}

// bufferBytes is what the server reads and writes at once.
const bufferBytes = 8 << 10

// echo is the processor of the one method.
type echo struct{}

// ProcessorMap implements thrift.TProcessor.
func (echo) ProcessorMap() map[string]thrift.TProcessorFunction { return nil }

// AddToProcessorMap implements thrift.TProcessor.
func (echo) AddToProcessorMap(string, thrift.TProcessorFunction) {}

// Process implements thrift.TProcessor.
func (echo) Process(ctx context.Context, in, out thrift.TProtocol) (bool, thrift.TException) {
	name, _, seq, err := in.ReadMessageBegin(ctx)
	if err != nil {
		return false, thrift.WrapTException(err)
	}
	text, err := readText(ctx, in)
	if err := errors.Join(err, in.ReadMessageEnd(ctx)); err != nil {
		return false, thrift.WrapTException(err)
	}
	ctx, stop := watch(ctx, in.Transport())
	defer stop()
	err = errors.Join(out.WriteMessageBegin(ctx, name, thrift.REPLY, seq), writeText(ctx, out, text),
		out.WriteMessageEnd(ctx), out.Flush(ctx))
	return err == nil, thrift.WrapTException(err)
}

// watch cancels the context of a call when its caller is gone, until it is stopped.
func watch(ctx context.Context, t thrift.TTransport) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	done, stop := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		tick := time.NewTicker(thrift.ServerConnectivityCheckInterval)
		defer tick.Stop()
		for {
			select {
			case <-done.Done():
				return
			case <-tick.C:
				if !t.IsOpen() {
					cancel()
					return
				}
			}
		}
	}()
	return ctx, func() { stop(); cancel() }
}

// readText reads the arguments.
func readText(ctx context.Context, in thrift.TProtocol) (text string, err error) {
	if _, err := in.ReadStructBegin(ctx); err != nil {
		return "", err
	}
	for {
		_, kind, id, err := in.ReadFieldBegin(ctx)
		if err != nil {
			return "", err
		}
		switch {
		case kind == thrift.STOP:
			return text, in.ReadStructEnd(ctx)
		case id == 1 && kind == thrift.STRING:
			text, err = in.ReadString(ctx)
		default:
			err = in.Skip(ctx, kind)
		}
		if err := errors.Join(err, in.ReadFieldEnd(ctx)); err != nil {
			return "", err
		}
	}
}

// writeText writes the result.
func writeText(ctx context.Context, out thrift.TProtocol, text string) error {
	if err := out.WriteStructBegin(ctx, "echo_result"); err != nil {
		return err
	}
	if err := out.WriteFieldBegin(ctx, "success", thrift.STRING, 0); err != nil {
		return err
	}
	if err := out.WriteString(ctx, text); err != nil {
		return err
	}
	return errors.Join(out.WriteFieldEnd(ctx), out.WriteFieldStop(ctx), out.WriteStructEnd(ctx))
}
