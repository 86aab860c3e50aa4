// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"

	"github.com/apache/thrift/lib/go/thrift"

	. "github.com/parley-ipc/parley/test/interop/thrift/go/thrifttest"
)

// call makes every call of ThriftTest on one connection, then some under the services' names.
func call(o options) error {
	conf := &thrift.TConfiguration{ConnectTimeout: patience, SocketTimeout: patience}
	transport, err := dial(o, conf)
	if err != nil {
		return err
	}
	defer transport.Close()
	factory, err := o.form.protocols(conf)
	if err != nil {
		return err
	}
	protocol := factory.GetProtocol(transport)
	named := func(service string) thrift.TClient {
		p := thrift.NewTMultiplexedProtocol(protocol, service)
		return thrift.NewTStandardClient(protocol, p)
	}
	bare := thrift.NewTStandardClient(protocol, protocol)
	c := NewThriftTestClient(bare)
	if err := passAll(c, o.tame); err != nil {
		return err
	}
	var more []check
	if o.uuid {
		more = append(more, check{"testUuid", func(ctx context.Context, _ ThriftTest) error {
			v := thrift.Tuuid{0, 1, 0x7f, 0x80, 0xff, 15: 0xfe}
			return answered(callUUID(ctx, bare, v)).is(v)
		}})
	}
	under := NewThriftTestClient(named("ThriftTest"))
	other := NewSecondServiceClient(named("SecondService"))
	more = append(more,
		check{"ThriftTest:testI32", func(ctx context.Context, _ ThriftTest) error {
			return answered(under.TestI32(ctx, -7)).is(-7)
		}},
		check{"SecondService:secondtestString", func(ctx context.Context, _ ThriftTest) error {
			return answered(other.SecondtestString(ctx, "two")).is(`testString("two")`)
		}})
	for _, k := range more {
		if err := k.passes(c); err != nil {
			return err
		}
	}
	return nil
}

// isInternal reports whether err is what a caller gets for an exception that the IDL does not have.
func isInternal(err error) bool {
	e, ok := errors.AsType[thrift.TApplicationException](err)
	return ok && e.TypeId() == thrift.INTERNAL_ERROR
}
