// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"

	"github.com/apache/thrift/lib/go/thrift"

	. "github.com/parley-ipc/parley/test/interop/thrift/go/thrifttest"
)

// serve answers ThriftTest, also under its name, and SecondService under its name.
func serve(o options) error {
	h := &handler{second: o.second}
	test := NewThriftTestProcessor(h)
	test.AddToProcessorMap("testUuid", uuidFunction{})
	all := thrift.NewTMultiplexedProcessor()
	all.RegisterDefault(test)
	all.RegisterProcessor("ThriftTest", test)
	all.RegisterProcessor("SecondService", NewSecondServiceProcessor(h))
	conf := &thrift.TConfiguration{}
	protocols, err := o.form.protocols(conf)
	if err != nil {
		return err
	}
	if o.form.transport == "http" {
		server := &http.Server{
			Addr:              o.addr,
			ReadHeaderTimeout: patience,
			Handler:           http.HandlerFunc(thrift.NewThriftHandlerFunc(all, protocols, protocols)),
		}
		return server.ListenAndServe()
	}
	transports, err := o.form.transports(conf)
	if err != nil {
		return err
	}
	socket, err := thrift.NewTServerSocket(o.addr)
	if err != nil {
		return err
	}
	return thrift.NewTSimpleServer4(all, socket, transports, protocols).Serve()
}
