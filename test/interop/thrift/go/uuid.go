// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/apache/thrift/lib/go/thrift"
)

// Debian's compiler does not know uuid, which the library does: testUuid is written by hand.

// oneUUID is a struct with one field of type uuid: the arguments of testUuid (1), and its result (0).
type oneUUID struct {
	id    int16
	value thrift.Tuuid
}

// Write implements thrift.TStruct.
func (u *oneUUID) Write(ctx context.Context, p thrift.TProtocol) error {
	if err := p.WriteStructBegin(ctx, "oneUUID"); err != nil {
		return err
	}
	if err := p.WriteFieldBegin(ctx, "value", thrift.UUID, u.id); err != nil {
		return err
	}
	if err := p.WriteUUID(ctx, u.value); err != nil {
		return err
	}
	if err := p.WriteFieldEnd(ctx); err != nil {
		return err
	}
	if err := p.WriteFieldStop(ctx); err != nil {
		return err
	}
	return p.WriteStructEnd(ctx)
}

// Read implements thrift.TStruct.
func (u *oneUUID) Read(ctx context.Context, p thrift.TProtocol) error {
	if _, err := p.ReadStructBegin(ctx); err != nil {
		return err
	}
	for {
		_, kind, id, err := p.ReadFieldBegin(ctx)
		switch {
		case err != nil:
			return err
		case kind == thrift.STOP:
			return p.ReadStructEnd(ctx)
		case kind == thrift.UUID && id == u.id:
			u.value, err = p.ReadUUID(ctx)
		default:
			err = p.Skip(ctx, kind)
		}
		if err != nil {
			return err
		}
		if err := p.ReadFieldEnd(ctx); err != nil {
			return err
		}
	}
}

// uuidFunction answers testUuid with its argument.
type uuidFunction struct{}

// Process implements thrift.TProcessorFunction.
func (uuidFunction) Process(
	ctx context.Context, seq int32, in, out thrift.TProtocol,
) (bool, thrift.TException) {
	args := oneUUID{id: 1}
	if err := args.Read(ctx, in); err != nil {
		return false, thrift.WrapTException(err)
	}
	if err := in.ReadMessageEnd(ctx); err != nil {
		return false, thrift.WrapTException(err)
	}
	if err := out.WriteMessageBegin(ctx, "testUuid", thrift.REPLY, seq); err != nil {
		return false, thrift.WrapTException(err)
	}
	result := oneUUID{id: 0, value: args.value}
	if err := result.Write(ctx, out); err != nil {
		return false, thrift.WrapTException(err)
	}
	if err := out.WriteMessageEnd(ctx); err != nil {
		return false, thrift.WrapTException(err)
	}
	return true, thrift.WrapTException(out.Flush(ctx))
}

// callUUID calls testUuid.
func callUUID(ctx context.Context, c thrift.TClient, v thrift.Tuuid) (thrift.Tuuid, error) {
	result := oneUUID{id: 0}
	_, err := c.Call(ctx, "testUuid", &oneUUID{id: 1, value: v}, &result)
	return result.value, err
}
