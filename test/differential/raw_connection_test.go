// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// scriptRawStart looks at what a broker says of itself.
func scriptRawStart(r *amqpRun) {
	w := r.wire()
	_, _ = w.conn.Write([]byte(protocolHeader))
	_, _, payload, err := w.next()
	if err != nil {
		r.add("start", "%v", err)
		return
	}
	a := payload[4:]
	r.add("version", "%d-%d", a[0], a[1])
	a = a[2+4+binary.BigEndian.Uint32(a[2:]):] // the properties
	mechanisms := strings.Fields(string(a[4 : 4+binary.BigEndian.Uint32(a)]))
	slices.Sort(mechanisms)
	r.add("mechanisms", "%q", mechanisms)
	a = a[4+binary.BigEndian.Uint32(a):]
	r.add("locales", "%q", a[4:4+binary.BigEndian.Uint32(a)])
	properties := r.dial().Properties
	r.add("properties", "%q", slices.Sorted(maps.Keys(properties)))
	r.add("capabilities", "%s", valueText("", properties["capabilities"]))
}

// scriptRawHandshake breaks the order of the handshake.
func scriptRawHandshake(r *amqpRun) {
	for _, tc := range []struct {
		step string
		do   func(*wire)
	}{
		{"start-ok of 4096 octets", func(w *wire) { w.startOK("PLAIN", strings.Repeat("x", 4060)) }},
		{"start-ok of 9000 octets", func(w *wire) { w.startOK("PLAIN", strings.Repeat("x", 9000)) }},
		{"method on a channel", func(w *wire) { w.method(1, 20, 10, args{}.short("")) }},
		{"header frame", func(w *wire) { w.frame(frameHeader, 0, args{}.u16(60).u16(0).u64(0).u16(0)) }},
		{"tune-ok first", func(w *wire) { w.tuneOK(2047, 131072, 0) }},
		{"open first", func(w *wire) { w.open("/") }},
		{"channel.open on 0", func(w *wire) { w.method(0, 20, 10, args{}.short("")) }},
	} {
		w := r.wire()
		w.connect()
		tc.do(w)
		w.note(tc.step)
	}
	w := r.wire()
	_, _ = w.conn.Write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01"))
	w.note("TLS hello")
	w.note("after it")
}

// scriptRawLimits opens one channel too many, and sends frames about the limit.
func scriptRawLimits(r *amqpRun) {
	const most = 3
	w := r.wire()
	w.connect()
	w.startOK("PLAIN", plainLogin)
	_ = w.read()
	w.tuneOK(most, 131072, 0)
	w.open("/")
	w.note("open")
	for i := range uint16(most - 1) {
		w.channel(i + 1)
	}
	// Open channels are counted; their numbers are the client's.
	w.channel(2000)
	w.method(most+1, 20, 10, args{}.short(""))
	w.note("one channel too many")

	const limit = 131072
	for i, size := range []int{limit - 8, limit - 1, limit, limit + 1} {
		w = r.ready()
		queue := fmt.Sprintf("rl.q%d", i) // the one before goes with its connection, some time
		w.declare(queue)
		w.publish(queue)
		w.header(60, uint64(size))
		w.frame(frameBody, 1, []byte(strings.Repeat("x", size)))
		w.method(1, 60, 70, args{}.u16(0).short(queue).u8(1))
		step := fmt.Sprintf("frame of %d and 8", size)
		w.note(step)
		_ = w.conn.Close()
	}
}

// scriptRawHeartbeat is silent, and drips.
func scriptRawHeartbeat(r *amqpRun) {
	beating := func() *wire {
		w := r.wire()
		w.connect()
		w.startOK("PLAIN", plainLogin)
		_ = w.read()
		w.tuneOK(2047, 131072, 1)
		w.open("/")
		_ = w.read()
		return w
	}
	w := beating()
	kind, channel, payload, err := w.next()
	r.add("beat", "type %d channel %d, %d octets, %v", kind, channel, len(payload), err)
	begin := time.Now()
	w.note("silent client")
	took := time.Since(begin)
	r.add("after two silent checks", "%t", took > time.Second && took < 4*time.Second)

	// Any octet is a sign of life.
	w = beating()
	beat := args{}.u8(frameHeartbeat).u16(0).long("").u8(frameEnd)
	for i := range 8 {
		<-after(600 * time.Millisecond)
		_, _ = w.conn.Write(beat[i : i+1])
	}
	w.method(1, 20, 10, args{}.short(""))
	w.note("dripping client")
}

// scriptRawConnection looks at what is left of class 10.
func scriptRawConnection(r *amqpRun) {
	w := r.ready()
	w.method(0, 10, 70, args{}.long("guest").short("rotation"))
	w.note("update-secret")
	w = r.ready()
	w.method(0, 10, 31, args{}.u16(10).u32(4096).u16(0))
	w.note("tune-ok once more")
	w = r.ready()
	w.method(0, 50, 10, args{}.u16(0).short("rcn.q").u8(1<<2).long(""))
	w.note("queue.declare on channel 0")
	w = r.ready()
	long := strings.Repeat("n", 255)
	w.method(1, 50, 30, args{}.u16(0).short(long).u8(0))
	w.note("text of at most 255 octets")
	w = r.ready()
	w.publish("rcn.none")
	w.header(60, 1<<63)
	w.note("body of 2^63 octets")
	w = r.ready()
	w.publish("rcn.none")
	w.header(60, 512<<20+1)
	w.note("body above the hard limit")
}

// scriptRawReturn looks at the order of basic.return and the confirm.
func scriptRawReturn(r *amqpRun) {
	w := r.ready()
	w.method(1, 85, 10, args{}.u8(0))
	w.note("confirm.select")
	const mandatory = 1
	w.method(1, 60, 40, args{}.u16(0).short("").short("rr.none").u8(mandatory))
	w.header(60, 0)
	w.note("first the return")
	w.note("its header")
	w.note("then the confirm")
	// Errors close the channel whether or not the method was to be answered.
	w.method(1, 50, 20, args{}.u16(0).short("rr.none").short("amq.direct").short("k").u8(1).long(""))
	w.note("bind without an answer")
	w.method(1, 20, 41, nil)
	w.channel(1)
	w.method(1, 40, 20, args{}.u16(0).short("amq.direct").u8(1<<1))
	w.note("delete without an answer")
}

// scriptRawNames sends names with line ends, which brokers take out.
func scriptRawNames(r *amqpRun) {
	w := r.ready()
	w.method(1, 50, 10, args{}.u16(0).short("rnm\r\n.q").u8(1<<2).long(""))
	w.note("queue.declare")
	w.method(1, 40, 10, args{}.u16(0).short("rnm\n.x").short("fanout").u8(0).long(""))
	w.note("exchange.declare")
	w.method(1, 50, 20, args{}.u16(0).short("rnm.q\r").short("rnm\r.x").short("").u8(0).long(""))
	w.note("queue.bind")
	w.method(1, 60, 40, args{}.u16(0).short("rnm.x").short("").u8(0))
	w.header(60, 0)
	w.method(1, 60, 70, args{}.u16(0).short("rnm.q").u8(1))
	w.note("basic.publish")
	w.note("its header")
	for _, tc := range []struct {
		step      string
		class, id uint16
		args      args
	}{
		{"basic.publish to a name with line ends", 60, 40, args{}.u16(0).short("rnm\r.x").short("").u8(0)},
		{"basic.get", 60, 70, args{}.u16(0).short("rnm\n.q").u8(1)},
		{"basic.consume", 60, 20, args{}.u16(0).short("rnm\n.q").short("t").u8(1 << 1).long("")},
		{"queue.purge", 50, 30, args{}.u16(0).short("rnm\r.q").u8(0)},
		{"queue.unbind", 50, 50, args{}.u16(0).short("rnm\r.q").short("rnm\n.x").short("").long("")},
		{"exchange.bind", 40, 30, args{}.u16(0).short("amq.fanout\r").short("rnm.\nx").short("").u8(0).long("")},
	} {
		w.method(1, tc.class, tc.id, tc.args)
		if tc.id == 40 {
			w.header(60, 0)
			w.method(1, 60, 10, args{}.u32(0).u16(0).u8(0))
		}
		got := w.read()
		r.add(tc.step, "%s", got)
		if strings.Contains(got, "closed") {
			w.method(1, 20, 41, nil)
			w.channel(1)
		}
	}
	w.method(1, 50, 40, args{}.u16(0).short("rnm\r\n.q").u8(0))
	w.note("queue.delete")
	w.method(1, 40, 20, args{}.u16(0).short("\nrnm.x").u8(0))
	w.note("exchange.delete")
	w.method(1, 40, 10, args{}.u16(0).short("rnm.x").short("fanout").u8(1).long(""))
	w.note("exchange gone")
}

// rawField is a field table's value with its type's letter.
type rawField struct{ step, field string }

// rawFields lists a value of each type (RabbitMQ's letters), and some that are none.
func rawFields() []rawField {
	u32 := func(v uint32) string { return string(args{}.u32(v)) }
	u64 := func(v uint64) string { return string(args{}.u64(v)) }
	long := func(s string) string { return string(args{}.long(s)) }
	return []rawField{
		{"t bool", "t\x01"},
		{"b int8", "b\x80"},
		{"B uint8", "B\xff"},
		{"s int16", "s\x80\x00"},
		{"u uint16", "u\xff\xff"},
		{"I int32", "I" + u32(1<<31)},
		{"i uint32", "i" + u32(1<<32-1)},
		{"l int64", "l" + u64(1<<63)},
		{"L int64", "L" + u64(1<<64-1)},
		{"f float", "f" + u32(0x3FC00000)},
		{"f no number", "f" + u32(0x7FC00000)},
		{"d double", "d" + u64(0x7FEFFFFFFFFFFFFF)},
		{"d no number", "d" + u64(0x7FF8000000000000)},
		{"D decimal", "D\xff" + u32(1<<32-1)},
		{"S long string", "S" + long("text \x00\xff")},
		{"x bytes", "x" + long("\x00\xff")},
		{"T timestamp", "T" + u64(1<<64-1)},
		{"V void", "V"},
		{"A array", "A" + long("t\x01A"+long("V")+"F"+long("\x01kt\x00"))},
		{"A empty", "A" + long("")},
		{"F table", "F" + long("\x01aF"+long("\x01bS"+long("deep")))},
		{"F empty", "F" + long("")},
		{"unknown type", "Z\x01"},
		{"cut short", "S" + u32(200) + "x"},
	}
}

// scriptRawFields publishes every field type and looks at the octets that come out.
func scriptRawFields(r *amqpRun) {
	for i, f := range rawFields() {
		w := r.ready()
		queue := fmt.Sprintf("rfl.q%d", i)
		w.declare(queue)
		w.publish(queue)
		const headers = 1 << 13
		properties := args{}.u16(headers).long("\x01k" + f.field)
		w.frame(frameHeader, 1, append(args{}.u16(60).u16(0).u64(0), properties...))
		w.method(1, 60, 70, args{}.u16(0).short(queue).u8(1))
		got := w.read()
		if got == "channel 1 60.71" {
			_, _, payload, err := w.next()
			if err == nil {
				got = fmt.Sprintf("%q, as sent: %t", payload[12:], string(payload[12:]) == string(properties))
			}
		}
		r.add(f.step, "%s", got)
		_ = w.conn.Close()
	}
}
