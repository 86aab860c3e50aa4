// SPDX-License-Identifier: Apache-2.0

// Command kitex is ThriftTest with CloudWeGo's Kitex, as a server and as a client that checks every
// answer. The program is put together by the test: handler.go and checks.go are those of Apache's library,
// and Kitex's tool generates kitex_gen.
//
// Basics: as the program for Apache's library, in ../go. A server tells the forms apart itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/cloudwego/kitex/client"
	"github.com/cloudwego/kitex/pkg/connpool"
	"github.com/cloudwego/kitex/pkg/klog"
	"github.com/cloudwego/kitex/pkg/remote"
	"github.com/cloudwego/kitex/pkg/transmeta"
	"github.com/cloudwego/kitex/server"
	"github.com/cloudwego/kitex/transport"

	. "github.com/parley-ipc/parley/test/interop/thrift/kitex/kitex_gen/thrifttest"
	"github.com/parley-ipc/parley/test/interop/thrift/kitex/kitex_gen/thrifttest/secondservice"
	"github.com/parley-ipc/parley/test/interop/thrift/kitex/kitex_gen/thrifttest/thrifttest"
)

func main() {
	klog.SetLevel(klog.LevelFatal)
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: serve|call [flags]")
	}
	flags := flag.NewFlagSet(args[0], flag.ExitOnError)
	addr := flags.String("addr", "", "host:port to listen on or to call")
	around := flags.String("transport", "ttheader", "of a client: ttheader, ttheader-framed, framed or buffered")
	flags.String("protocol", "binary", "what Kitex speaks")
	second := flags.Float64("second", 1, "length of a second of testOneway")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if args[0] == "serve" {
		return serve(*addr, &handler{second: *second})
	}
	return call(*addr, *around)
}

// serve answers ThriftTest and, to callers that name it in a header, SecondService.
func serve(addr string, h *handler) error {
	at, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return err
	}
	s := thrifttest.NewServer(h, server.WithServiceAddr(at),
		server.WithMetaHandler(transmeta.ServerTTHeaderHandler))
	if err := secondservice.RegisterService(s, h); err != nil {
		return err
	}
	return s.Run()
}

// call makes every call of ThriftTest on one connection, and with headers one of SecondService.
func call(addr, around string) error {
	forms := map[string]transport.Protocol{
		"ttheader": transport.TTHeader, "ttheader-framed": transport.TTHeaderFramed,
		"framed": transport.Framed, "buffered": transport.PurePayload,
	}
	form, ok := forms[around]
	if !ok {
		return fmt.Errorf("no transport %q", around)
	}
	options := []client.Option{
		client.WithHostPorts(addr), client.WithTransportProtocol(form), client.WithRPCTimeout(patience),
		client.WithMetaHandler(transmeta.ClientTTHeaderHandler),
		client.WithLongConnection(connpool.IdleConfig{MaxIdlePerAddress: 1, MaxIdleTimeout: time.Minute}),
	}
	c, err := thrifttest.NewClient("ThriftTest", options...)
	if err != nil {
		return err
	}
	if err := passAll(thrifttest.Plain(c), false); err != nil {
		return err
	}
	if form&transport.TTHeader == 0 {
		return nil
	}
	other, err := secondservice.NewClient("SecondService", options...)
	if err != nil {
		return err
	}
	return check{"SecondService:secondtestString", func(ctx context.Context, _ ThriftTest) error {
		return answered(other.SecondtestString(ctx, "two")).is(`testString("two")`)
	}}.passes(nil)
}

// isInternal reports whether err is what a caller gets for an exception that the IDL does not have.
func isInternal(err error) bool {
	e, ok := errors.AsType[*remote.TransError](err)
	return ok && e.TypeID() == remote.InternalError
}
