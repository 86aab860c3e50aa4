// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	. "github.com/parley-ipc/parley/test/interop/thrift/go/thrifttest"
)

// This file and handler.go are of the program for Kitex too, with what its tool generates.

// patience bounds connecting, and each call.
const patience = 20 * time.Second

// A check is a call, and what is wrong with its answer.
type check struct {
	name string
	run  func(context.Context, ThriftTest) error
}

// passes makes the call and prints its name.
func (k check) passes(c ThriftTest) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := k.run(ctx, c); err != nil {
		return fmt.Errorf("%s: %w", k.name, err)
	}
	fmt.Println(k.name)
	return nil
}

// passAll makes all checks on one client; tame leaves out what the TJSON of Python does not get across.
func passAll(c ThriftTest, tame bool) error {
	if !tame {
		if err := wild().passes(c); err != nil {
			return err
		}
	}
	for _, k := range slices.Concat(echoes(text(tame)), others()) {
		if err := k.passes(c); err != nil {
			return err
		}
	}
	return nil
}

// An answer is what a call returned.
type answer[T any] struct {
	got T
	err error
}

func answered[T any](got T, err error) answer[T] { return answer[T]{got, err} }

func (a answer[T]) is(want T) error {
	if a.err == nil && !reflect.DeepEqual(a.got, want) {
		return fmt.Errorf("got %v, want %v", a.got, want)
	}
	return a.err
}

// throws wants an exception.
func throws[E error](err error, want E) error {
	got, ok := errors.AsType[E](err)
	if !ok || !reflect.DeepEqual(got, want) {
		return fmt.Errorf("got %T %v, want %T %v", err, err, want, want)
	}
	return nil
}

// several joins checks of one method.
func several(checks ...error) error { return errors.Join(checks...) }

// text has every kind of character, and more of them than any buffer. What this library escapes as
// \u003c and so on, Python does not read at the end of a buffer.
func text(tame bool) string {
	s := "Afrikaans, العربية, Ελληνικά, 日本語, 𝒳🚕, \t\r\n\"\\ "
	if !tame {
		s += "<>&"
	}
	return strings.Repeat(s, 400)
}

func octets() []byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return all
}

func xtruct(s string, n int8) *Xtruct {
	return &Xtruct{StringThing: s, ByteThing: n, I32Thing: int32(n) << 20, I64Thing: int64(n) << 50}
}

// echoes are the methods that answer with their argument.
func echoes(text string) []check {
	return []check{
		{"testVoid", func(ctx context.Context, c ThriftTest) error { return c.TestVoid(ctx) }},
		{"testString", func(ctx context.Context, c ThriftTest) error {
			return several(answered(c.TestString(ctx, text)).is(text), answered(c.TestString(ctx, "")).is(""))
		}},
		{"testBool", func(ctx context.Context, c ThriftTest) error {
			return several(answered(c.TestBool(ctx, true)).is(true), answered(c.TestBool(ctx, false)).is(false))
		}},
		{"testByte", func(ctx context.Context, c ThriftTest) error {
			return several(answered(c.TestByte(ctx, -128)).is(-128), answered(c.TestByte(ctx, 127)).is(127))
		}},
		{"testI32", func(ctx context.Context, c ThriftTest) error {
			return several(answered(c.TestI32(ctx, -1)).is(-1),
				answered(c.TestI32(ctx, math.MaxInt32)).is(math.MaxInt32))
		}},
		{"testI64", func(ctx context.Context, c ThriftTest) error {
			return several(answered(c.TestI64(ctx, -1<<35)).is(-1<<35),
				answered(c.TestI64(ctx, math.MaxInt64)).is(math.MaxInt64))
		}},
		{"testDouble", func(ctx context.Context, c ThriftTest) error {
			const small = -0.000341012439638598279
			return several(answered(c.TestDouble(ctx, small)).is(small),
				answered(c.TestDouble(ctx, math.MaxFloat64)).is(math.MaxFloat64))
		}},
		{"testBinary", func(ctx context.Context, c ThriftTest) error {
			return answered(c.TestBinary(ctx, octets())).is(octets())
		}},
		{"testStruct", func(ctx context.Context, c ThriftTest) error {
			v := xtruct("Zero", -3)
			return answered(c.TestStruct(ctx, v)).is(v)
		}},
		{"testNest", func(ctx context.Context, c ThriftTest) error {
			v := &Xtruct2{ByteThing: 1, StructThing: xtruct("Zero", 1), I32Thing: 5}
			return answered(c.TestNest(ctx, v)).is(v)
		}},
		{"testMap", func(ctx context.Context, c ThriftTest) error {
			v := map[int32]int32{-1: 2, 0: 0, math.MinInt32: math.MaxInt32}
			return several(answered(c.TestMap(ctx, v)).is(v),
				answered(c.TestMap(ctx, map[int32]int32{})).is(map[int32]int32{}))
		}},
		{"testStringMap", func(ctx context.Context, c ThriftTest) error {
			v := map[string]string{"a": "2", "b": "", "": "blah", "über": text}
			return answered(c.TestStringMap(ctx, v)).is(v)
		}},
		{"testSet", func(ctx context.Context, c ThriftTest) error {
			v := []int32{-2, -1, 0, 1, math.MaxInt32}
			got, err := c.TestSet(ctx, v)
			slices.Sort(got)
			return answered(got, err).is(v)
		}},
		{"testList", func(ctx context.Context, c ThriftTest) error {
			v := make([]int32, 300)
			for i := range v {
				v[i] = int32(150-i) << 20
			}
			return several(answered(c.TestList(ctx, v)).is(v),
				answered(c.TestList(ctx, []int32{})).is([]int32{}))
		}},
		{"testEnum", func(ctx context.Context, c ThriftTest) error {
			return several(answered(c.TestEnum(ctx, Numberz_ONE)).is(Numberz_ONE),
				answered(c.TestEnum(ctx, Numberz_EIGHT)).is(Numberz_EIGHT))
		}},
		{"testTypedef", func(ctx context.Context, c ThriftTest) error {
			const v = UserId(309858235082523)
			return answered(c.TestTypedef(ctx, v)).is(v)
		}},
	}
}

// others are the methods that do more.
func others() []check {
	return []check{
		{"testMapMap", func(ctx context.Context, c ThriftTest) error {
			return answered(c.TestMapMap(ctx, 1)).is(mapMap())
		}},
		{"testInsanity", insanity},
		{"testMulti", func(ctx context.Context, c ThriftTest) error {
			return answered(c.TestMulti(ctx, 42, 4242, 424242<<20, map[int16]string{-1: "one"},
				Numberz_FIVE, 7)).is(&Xtruct{
				StringThing: "Hello2", ByteThing: 42, I32Thing: 4242, I64Thing: 424242 << 20,
			})
		}},
		{"testException Xception", func(ctx context.Context, c ThriftTest) error {
			return throws(c.TestException(ctx, declared), &Xception{ErrorCode: firstCode, Message: declared})
		}},
		{"testException TException", func(ctx context.Context, c ThriftTest) error {
			if err := c.TestException(ctx, undeclared); !isInternal(err) {
				return fmt.Errorf("got %T %v", err, err)
			}
			return nil
		}},
		{"testException", func(ctx context.Context, c ThriftTest) error {
			return c.TestException(ctx, "success")
		}},
		{"testMultiException Xception", func(ctx context.Context, c ThriftTest) error {
			_, err := c.TestMultiException(ctx, declared, "ignored")
			return throws(err, &Xception{ErrorCode: firstCode, Message: "This is an Xception"})
		}},
		{"testMultiException Xception2", func(ctx context.Context, c ThriftTest) error {
			_, err := c.TestMultiException(ctx, second, "ignored")
			return throws(err, &Xception2{
				ErrorCode: secondCode, StructThing: &Xtruct{StringThing: "This is an Xception2"},
			})
		}},
		{"testMultiException", func(ctx context.Context, c ThriftTest) error {
			return answered(c.TestMultiException(ctx, "success", "foobar")).is(&Xtruct{StringThing: "foobar"})
		}},
		{"testOneway", oneway},
	}
}

// wild has values that the TJSON of Python does not write as JSON.
func wild() check {
	return check{"wild values", func(ctx context.Context, c ThriftTest) error {
		return several(answered(c.TestString(ctx, "\x00\x1f")).is("\x00\x1f"),
			answered(c.TestDouble(ctx, math.Inf(-1))).is(math.Inf(-1)))
	}}
}

func insanity(ctx context.Context, c ThriftTest) error {
	v := &Insanity{
		UserMap: map[Numberz]UserId{Numberz_FIVE: 5, Numberz_EIGHT: 1 << 40},
		Xtructs: []*Xtruct{xtruct("Goodbye4", 4), xtruct("Hello2", 2)},
	}
	got, err := c.TestInsanity(ctx, v)
	if err != nil {
		return err
	}
	empty := got[2][Numberz_SIX]
	if len(got[2]) != 1 || empty == nil || len(empty.UserMap)+len(empty.Xtructs) != 0 {
		return fmt.Errorf("got %v", got)
	}
	delete(got, 2)
	return answered(got, nil).is(map[UserId]map[Numberz]*Insanity{1: {Numberz_TWO: v, Numberz_THREE: v}})
}

// oneway wants control back before the service is done, and the connection of use after it.
func oneway(ctx context.Context, c ThriftTest) error {
	const seconds, most = 2, 3 * time.Second
	start := time.Now()
	if err := c.TestOneway(ctx, seconds); err != nil {
		return err
	}
	if took := time.Since(start); took > most {
		return fmt.Errorf("it took %v", took)
	}
	return answered(c.TestString(ctx, "after")).is("after")
}
