// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// methods lists every method, filled with values that differ from zero.
func methods(t *testing.T) []Method {
	t.Helper()
	var all []Method
	for class := range uint32(100) {
		for id := range uint32(130) {
			m, err := NewMethod(MethodID(class<<16 | id))
			if err != nil {
				continue
			}
			fillMethod(t, m)
			all = append(all, m)
		}
	}
	return all
}

func fillMethod(t *testing.T, m Method) {
	t.Helper()
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case string:
			f.SetString("text " + v.Type().Field(i).Name)
		case []byte:
			f.SetBytes([]byte("octets " + v.Type().Field(i).Name))
		case bool:
			f.SetBool(i%2 == 0)
		case uint8, uint16, uint32, uint64:
			f.SetUint(uint64(i) + 200)
		case Table:
			f.Set(reflect.ValueOf(Table{{"k", int32(i)}, {"void", nil}}))
		default:
			t.Fatalf("%T has a field of type %s", m, f.Type())
		}
	}
}

func TestMethodRoundTrip(t *testing.T) {
	t.Parallel()
	all := methods(t)
	if len(all) != 66 {
		t.Errorf("%d methods", len(all))
	}
	for _, m := range all {
		t.Run(m.ID().String(), func(t *testing.T) {
			t.Parallel()
			raw := m.AppendFrame([]byte("before"), 9)
			r := NewReader(bytes.NewReader(raw[len("before"):]))
			f, err := r.Next()
			if err != nil || f.Channel != 9 || f.Type != FrameMethod {
				t.Fatalf("%+v, %v", f, err)
			}
			id, args, err := f.SplitMethod()
			if err != nil || id != m.ID() {
				t.Fatalf("id %v, %v", id, err)
			}
			got, err := NewMethod(id)
			if err != nil {
				t.Fatal(err)
			}
			if err := got.Decode(args); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, m) {
				t.Errorf("got  %+v\nwant %+v", got, m)
			}
			wantStrict(t, got, args)
		})
	}
}

// wantStrict: arguments that are cut anywhere or too long are a 502, never a panic.
func wantStrict(t *testing.T, m Method, args []byte) {
	t.Helper()
	for n := range len(args) {
		var e *Error
		if err := m.Decode(args[:n]); !errors.As(err, &e) || e.Code != SyntaxError {
			t.Fatalf("%d of %d octets: %v", n, len(args), err)
		}
	}
	if err := m.Decode(append(slices.Clip(args), 0)); err == nil {
		t.Error("an octet too many passes")
	}
}

// TestMethodOctets pins the layout against octets written by hand from the specification.
func TestMethodOctets(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		m    Method
		want string
	}{
		{
			&QueueDeclare{Queue: "q", Durable: true, AutoDelete: true},
			"\x01\x00\x01\x00\x00\x00\x0d\x00\x32\x00\x0a\x00\x00\x01q\x0a\x00\x00\x00\x00\xce",
		},
		{
			&BasicPublish{Exchange: []byte("x"), RoutingKey: []byte("key"), Mandatory: true},
			"\x01\x00\x01\x00\x00\x00\x0d\x00\x3c\x00\x28\x00\x00\x01x\x03key\x01\xce",
		},
		{
			&BasicNack{DeliveryTag: 258, Requeue: true},
			"\x01\x00\x01\x00\x00\x00\x0d\x00\x3c\x00\x78\x00\x00\x00\x00\x00\x00\x01\x02\x02\xce",
		},
		{
			&ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072, Heartbeat: 60},
			"\x01\x00\x01\x00\x00\x00\x0c\x00\x0a\x00\x1f\x07\xff\x00\x02\x00\x00\x00\x3c\xce",
		},
		{
			&ConnectionOpen{VirtualHost: "/"},
			"\x01\x00\x01\x00\x00\x00\x08\x00\x0a\x00\x28\x01/\x00\x00\xce",
		},
		{&ChannelOpenOk{}, "\x01\x00\x01\x00\x00\x00\x08\x00\x14\x00\x0b\x00\x00\x00\x00\xce"},
	}
	for _, tc := range testCases {
		if got := string(tc.m.AppendFrame(nil, 1)); got != tc.want {
			t.Errorf("%v:\ngot  % x\nwant % x", tc.m.ID(), got, tc.want)
		}
	}
}

func TestUnknownMethod(t *testing.T) {
	t.Parallel()
	const id = MethodID(60<<16 | 99)
	var e *Error
	if _, err := NewMethod(id); !errors.As(err, &e) || e.Code != CommandInvalid {
		t.Fatalf("got %v", err)
	}
	if id.String() != "method(60,99)" || IDQueueDeclareOk.String() != "queue.declare-ok" {
		t.Errorf("got %v, %v", id, IDQueueDeclareOk)
	}
}

// TestSecA5ShortString: 255 octets pass; more are cut, for the length is one octet.
func TestSecA5ShortString(t *testing.T) {
	t.Parallel()
	for _, n := range []int{254, 255, 256} {
		m := BasicPublish{RoutingKey: []byte(strings.Repeat("k", n))}
		var got BasicPublish
		if err := got.Decode(m.Append(nil)); err != nil {
			t.Fatal(err)
		}
		if len(got.RoutingKey) != min(n, MaxShortString) {
			t.Errorf("%d octets come back as %d", n, len(got.RoutingKey))
		}
	}
}

// TestTableArgument: a bad table in a method is the table's own 502.
func TestTableArgument(t *testing.T) {
	t.Parallel()
	args := (&QueueDeclare{Arguments: Table{{"a", nil}}}).Append(nil)
	args[len(args)-1] = 'Z'
	var m QueueDeclare
	var e *Error
	if err := m.Decode(args); !errors.As(err, &e) || e.Text != "field table: malformed field" {
		t.Fatalf("got %v", err)
	}
}

func TestReplyCodes(t *testing.T) {
	t.Parallel()
	soft := []ReplyCode{
		ContentTooLarge, NoRoute, NoConsumers, AccessRefused, NotFound, ResourceLocked,
		PreconditionFailed,
	}
	for _, c := range soft {
		if c.Hard() {
			t.Errorf("%v closes the connection", c)
		}
	}
	hard := []ReplyCode{
		ConnectionForced, InvalidPath, FrameError, SyntaxError, CommandInvalid, ChannelError,
		UnexpectedFrame, ResourceError, NotAllowed, NotImplemented, InternalError,
	}
	names := map[string]bool{}
	for _, c := range hard {
		if !c.Hard() {
			t.Errorf("%v closes the channel only", c)
		}
		names[c.String()] = true
	}
	if len(names) != len(hard) || NotFound.String() != "NOT_FOUND" || ReplyCode(1).String() != "1" {
		t.Errorf("names: %v", names)
	}
}
