// SPDX-License-Identifier: Apache-2.0

// Command go is ThriftTest of Apache Thrift, as a server and as a client that checks every answer,
// with code that Debian's compiler generates for the test (package thrifttest, which is in no
// repository) and Apache's library.
//
// Basics: `serve` runs until it is killed; `call` makes all calls on one connection and prints the
// name of each that was answered as it should be.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

// options are the flags of both commands.
type options struct {
	addr   string
	form   form
	ca     string  // file with the authority of a hub that is called over TLS
	second float64 // how many a second of testOneway takes
	uuid   bool    // testUuid too
	tame   bool    // no wild values
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: serve|call [flags]")
	}
	var o options
	flags := flag.NewFlagSet(args[0], flag.ExitOnError)
	flags.StringVar(&o.addr, "addr", "", "host:port to listen on or to call")
	flags.StringVar(&o.form.protocol, "protocol", "binary", "binary, compact, json, header, or header-compact, which is compressed")
	flags.StringVar(&o.form.transport, "transport", "buffered", "buffered, framed, zlib or http")
	flags.StringVar(&o.ca, "ca", "", "file with the server's authority: call over TLS")
	flags.Float64Var(&o.second, "second", 1, "length of a second of testOneway")
	flags.BoolVar(&o.tame, "tame", false, "no values that the TJSON of Python does not get across")
	flags.BoolVar(&o.uuid, "uuid", false, "call testUuid too")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "serve":
		return serve(o)
	case "call":
		return call(o)
	default:
		return fmt.Errorf("no command %q", args[0])
	}
}
