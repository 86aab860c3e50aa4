// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	. "github.com/parley-ipc/parley/test/interop/thrift/go/thrifttest"
)

// handler implements ThriftTest and SecondService.
type handler struct{ second float64 }

func (*handler) TestVoid(context.Context) error { return nil }

func (*handler) TestString(_ context.Context, v string) (string, error) { return v, nil }

func (*handler) TestBool(_ context.Context, v bool) (bool, error) { return v, nil }

func (*handler) TestByte(_ context.Context, v int8) (int8, error) { return v, nil }

func (*handler) TestI32(_ context.Context, v int32) (int32, error) { return v, nil }

func (*handler) TestI64(_ context.Context, v int64) (int64, error) { return v, nil }

func (*handler) TestDouble(_ context.Context, v float64) (float64, error) { return v, nil }

func (*handler) TestBinary(_ context.Context, v []byte) ([]byte, error) { return v, nil }

func (*handler) TestStruct(_ context.Context, v *Xtruct) (*Xtruct, error) { return v, nil }

func (*handler) TestNest(_ context.Context, v *Xtruct2) (*Xtruct2, error) { return v, nil }

func (*handler) TestMap(_ context.Context, v map[int32]int32) (map[int32]int32, error) {
	return v, nil
}

func (*handler) TestStringMap(_ context.Context, v map[string]string) (map[string]string, error) {
	return v, nil
}

func (*handler) TestSet(_ context.Context, v []int32) ([]int32, error) { return v, nil }

func (*handler) TestList(_ context.Context, v []int32) ([]int32, error) { return v, nil }

func (*handler) TestEnum(_ context.Context, v Numberz) (Numberz, error) { return v, nil }

func (*handler) TestTypedef(_ context.Context, v UserId) (UserId, error) { return v, nil }

func (*handler) TestMapMap(context.Context, int32) (map[int32]map[int32]int32, error) {
	return mapMap(), nil
}

func mapMap() map[int32]map[int32]int32 {
	m := map[int32]map[int32]int32{-4: {}, 4: {}}
	for i := range int32(4) {
		m[-4][-i-1], m[4][i+1] = -i-1, i+1
	}
	return m
}

func (*handler) TestInsanity(
	_ context.Context, v *Insanity,
) (map[UserId]map[Numberz]*Insanity, error) {
	return map[UserId]map[Numberz]*Insanity{
		1: {Numberz_TWO: v, Numberz_THREE: v}, 2: {Numberz_SIX: NewInsanity()},
	}, nil
}

func (*handler) TestMulti(
	_ context.Context, small int8, middle int32, large int64, _ map[int16]string, _ Numberz, _ UserId,
) (*Xtruct, error) {
	return &Xtruct{StringThing: "Hello2", ByteThing: small, I32Thing: middle, I64Thing: large}, nil
}

const (
	firstCode, secondCode = 1001, 2002

	declared, second, undeclared = "Xception", "Xception2", "TException"
)

func (*handler) TestException(_ context.Context, arg string) error {
	switch arg {
	case declared:
		return &Xception{ErrorCode: firstCode, Message: arg}
	case undeclared:
		return errors.New("an error that the IDL does not have")
	default:
		return nil
	}
}

func (*handler) TestMultiException(_ context.Context, kind, text string) (*Xtruct, error) {
	switch kind {
	case declared:
		return nil, &Xception{ErrorCode: firstCode, Message: "This is an Xception"}
	case second:
		return nil, &Xception2{
			ErrorCode: secondCode, StructThing: &Xtruct{StringThing: "This is an Xception2"},
		}
	default:
		return &Xtruct{StringThing: text}, nil
	}
}

// TestOneway prints a line once it has slept.
func (h *handler) TestOneway(ctx context.Context, seconds int32) error {
	select {
	case <-time.After(time.Duration(float64(seconds) * h.second * float64(time.Second))):
	case <-ctx.Done():
	}
	fmt.Println("oneway", seconds)
	return nil
}

func (*handler) SecondtestString(_ context.Context, v string) (string, error) {
	return fmt.Sprintf("testString(%q)", v), nil
}
