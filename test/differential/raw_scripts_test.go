// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"strings"
)

// rawScripts is the list of scripts about what no client library does.
func rawScripts() []amqpScript {
	return []amqpScript{
		{"raw header", scriptRawHeader},
		{"raw login", scriptRawLogin},
		{"raw tune", scriptRawTune},
		{"raw open", scriptRawOpen},
		{"raw channels", scriptRawChannels},
		{"raw methods", scriptRawMethods},
		{"raw content", scriptRawContent},
		{"raw frames", scriptRawFrames},
		{"raw nowait", scriptRawNowait},
		{"raw consumers", scriptRawConsumers},
		{"raw start", scriptRawStart},
		{"raw handshake", scriptRawHandshake},
		{"raw limits", scriptRawLimits},
		{"raw heartbeat", scriptRawHeartbeat},
		{"raw connection", scriptRawConnection},
		{"raw return", scriptRawReturn},
		{"raw names", scriptRawNames},
		{"raw fields", scriptRawFields},
	}
}

func scriptRawHeader(r *amqpRun) {
	for _, h := range []string{
		protocolHeader, "AMQP\x01\x01\x00\x09", "AMQP\x09\x00\x09\x01",
		"GET / HTTP/1.1\r\n\r\n", "XXXXXXXX",
	} {
		w := r.wire()
		_, _ = w.conn.Write([]byte(h))
		w.note(fmt.Sprintf("%q", h))
		if h != protocolHeader && h != "AMQP\x01\x01\x00\x09" {
			w.note(fmt.Sprintf("after %q", h))
		}
	}
}

func scriptRawLogin(r *amqpRun) {
	for _, tc := range []struct{ step, mechanism, response string }{
		{"PLAIN", "PLAIN", plainLogin},
		{"AMQPLAIN", "AMQPLAIN", "\x05LOGINS\x00\x00\x00\x05guest\x08PASSWORDS\x00\x00\x00\x05guest"},
		{"unknown mechanism", "STRANGE", ""},
		{"mechanism not offered", "EXTERNAL", ""},
		{"wrong password", "PLAIN", "\x00guest\x00wrong"},
		{"malformed", "PLAIN", "guest"},
	} {
		w := r.wire()
		w.connect()
		w.startOK(tc.mechanism, tc.response)
		w.note(tc.step)
	}
	// With the capability the client is told why.
	w := r.wire()
	w.connect()
	capabilities := "\x0ccapabilitiesF" + string(args{}.long("\x1cauthentication_failure_closet\x01"))
	w.method(0, 10, 11, args{}.long(capabilities).short("PLAIN").long("\x00guest\x00wrong").
		short("en_US"))
	w.note("wrong password, told")
}

func scriptRawTune(r *amqpRun) {
	for _, tc := range []struct {
		step      string
		channels  uint16
		frame     uint32
		heartbeat uint16
	}{
		{"as offered", 2047, 131072, 60},
		{"smaller", 10, 4096, 0},
		{"no frame limit", 2047, 0, 0},
		{"frame too small", 2047, 4095, 0},
		{"frame too large", 2047, 131073, 0},
		{"no channel limit", 0, 131072, 0},
		{"too many channels", 5000, 131072, 0},
	} {
		w := r.wire()
		w.connect()
		w.startOK("PLAIN", plainLogin)
		w.tuneOK(tc.channels, tc.frame, tc.heartbeat)
		w.open("/")
		w.note(tc.step + ": offer")
		w.note(tc.step)
	}
}

func scriptRawOpen(r *amqpRun) {
	for _, vhost := range []string{"/", "", "nowhere", "%2f"} {
		w := r.wire()
		w.connect()
		w.startOK("PLAIN", plainLogin)
		_ = w.read()
		w.tuneOK(2047, 131072, 0)
		w.open(vhost)
		w.note(fmt.Sprintf("vhost %q", vhost))
	}
}

func scriptRawChannels(r *amqpRun) {
	w := r.ready()
	w.method(1, 20, 10, args{}.short(""))
	w.note("open twice")
	w = r.ready()
	w.method(7, 50, 30, args{}.u16(0).short("q").u8(0))
	w.note("method before open")
	w = r.ready()
	w.method(7, 20, 40, args{}.u16(200).short("").u16(0).u16(0))
	w.note("close of a closed channel")
	w = r.ready()
	w.method(7, 20, 41, nil)
	w.method(1, 50, 10, args{}.u16(0).short("rch.q").u8(1<<2).long(""))
	w.note("close-ok of a closed channel")
	w = r.ready()
	w.method(0, 20, 10, args{}.short(""))
	w.note("open channel 0")
	// After the server's channel.close everything but close-ok is discarded.
	w = r.ready()
	w.method(1, 50, 30, args{}.u16(0).short("rch.none").u8(0))
	w.note("purge of an absent queue")
	w.method(1, 50, 30, args{}.u16(0).short("rch.none").u8(0))
	w.publish("rch.none")
	w.header(60, 3)
	w.frame(frameBody, 1, []byte("abc"))
	w.method(1, 20, 41, nil)
	w.channel(1)
	w.method(1, 20, 40, args{}.u16(200).short("bye").u16(0).u16(0))
	w.note("close")
	w.channel(1)
	w.method(0, 10, 50, args{}.u16(200).short("bye").u16(0).u16(0))
	w.note("close the connection")
}

func scriptRawMethods(r *amqpRun) {
	for _, tc := range []struct {
		step      string
		class, id uint16
		args      args
	}{
		{"unknown class", 99, 10, nil},
		{"unknown method", 50, 99, nil},
		{"access.request", 30, 10, args{}.short("/data").u8(0)},
		{"a server's method", 50, 11, args{}.short("q").u32(0).u32(0)},
		{"basic.recover-async", 60, 100, args{}.u8(1)},
		{"recover-async without requeue", 60, 100, args{}.u8(0)},
		{"channel.flow", 20, 20, args{}.u8(1)},
		{"connection method on a channel", 10, 40, args{}.short("/").short("").u8(0)},
		{"arguments cut off", 50, 10, args{}.u16(0).u8(20)},
		{"short string too long", 50, 30, args{}.u16(0).u8(200)},
		{"tx.commit", 90, 20, nil},
		{"exchange.delete absent", 40, 20, args{}.u16(0).short("rm.none").u8(0)},
		{"queue.unbind absent", 50, 50, args{}.u16(0).short("rm.none").short("amq.direct").
			short("k").long("")},
		{"basic.qos with a size", 60, 10, args{}.u32(10).u16(1).u8(0)},
		{"basic.get absent", 60, 70, args{}.u16(0).short("rm.none").u8(0)},
		{"name with line ends", 50, 10, args{}.u16(0).short("rm\r\n.q").u8(1 << 2).long("")},
	} {
		w := r.ready()
		w.method(1, tc.class, tc.id, tc.args)
		if tc.step == "basic.recover-async" {
			// It has no answer of its own.
			w.method(1, 50, 10, args{}.u16(0).short("rm.sync").u8(1<<2).long(""))
		}
		w.note(tc.step)
	}
}

func scriptRawContent(r *amqpRun) {
	for _, tc := range []struct {
		step string
		do   func(*wire)
	}{
		{"header without a method", func(w *wire) { w.header(60, 0) }},
		{"body without a method", func(w *wire) { w.frame(frameBody, 1, []byte("x")) }},
		{"body without a header", func(w *wire) {
			w.publish("rc.q")
			w.frame(frameBody, 1, []byte("x"))
		}},
		{"header of another class", func(w *wire) {
			w.publish("rc.q")
			w.header(50, 1)
		}},
		{"method instead of a header", func(w *wire) {
			w.publish("rc.q")
			w.publish("rc.q")
		}},
		{"method instead of a body", func(w *wire) {
			w.publish("rc.q")
			w.header(60, 5)
			w.publish("rc.q")
		}},
		{"more than announced", func(w *wire) {
			w.publish("rc.q")
			w.header(60, 2)
			w.frame(frameBody, 1, []byte("xyz"))
		}},
		{"heart-beat in between", func(w *wire) {
			w.publish("rc.q")
			w.frame(frameHeartbeat, 0, nil)
			w.header(60, 2)
			w.frame(frameHeartbeat, 0, nil)
			w.frame(frameBody, 1, []byte("x"))
			w.frame(frameBody, 1, nil)
			w.frame(frameBody, 1, []byte("y"))
			w.method(1, 60, 70, args{}.u16(0).short("rc.q").u8(1))
		}},
		{"no body", func(w *wire) {
			w.publish("rc.q")
			w.header(60, 0)
			w.method(1, 60, 70, args{}.u16(0).short("rc.q").u8(1))
		}},
	} {
		w := r.ready()
		w.declare("rc.q")
		tc.do(w)
		w.note(tc.step)
		_ = w.conn.Close()
		// The queue is the connection's: wait until both are gone.
		pollGone(r.channel(), "rc.q")
	}
}

func scriptRawFrames(r *amqpRun) {
	for _, tc := range []struct {
		step string
		raw  args
	}{
		{"unknown type", args{}.u8(9).u16(1).long("").u8(frameEnd)},
		{"bad end", args{}.u8(frameMethod).u16(1).long("\x00\x14\x00\x14\x01").u8(0)},
		{"heart-beat on a channel", args{}.u8(frameHeartbeat).u16(1).long("").u8(frameEnd)},
		{"heart-beat with a payload", args{}.u8(frameHeartbeat).u16(0).long("x").u8(frameEnd)},
		{"method without its numbers", args{}.u8(frameMethod).u16(1).long("\x00").u8(frameEnd)},
		{"too large", args{}.u8(frameBody).u16(1).long(strings.Repeat("x", 131072+1)).u8(frameEnd)},
	} {
		w := r.ready()
		_, _ = w.conn.Write(tc.raw)
		if tc.step == "heart-beat with a payload" {
			w.method(1, 50, 10, args{}.u16(0).short("rf.sync").u8(1<<2).long(""))
		}
		w.note(tc.step)
	}
}

func scriptRawNowait(r *amqpRun) {
	w := r.ready()
	const exclusive, nowait = 1 << 2, 1 << 4
	w.method(1, 50, 10, args{}.u16(0).short("rn.q").u8(exclusive|nowait).long(""))
	w.method(1, 40, 10, args{}.u16(0).short("rn.x").short("fanout").u8(nowait).long(""))
	w.method(1, 50, 20, args{}.u16(0).short("rn.q").short("rn.x").short("").u8(1).long(""))
	w.method(1, 40, 30, args{}.u16(0).short("rn.x").short("amq.direct").short("rn").u8(1).long(""))
	w.method(1, 60, 20, args{}.u16(0).short("rn.q").short("tag").u8(1<<3|1<<1).long(""))
	w.method(1, 60, 40, args{}.u16(0).short("amq.direct").short("rn").u8(0))
	w.header(60, 2)
	w.frame(frameBody, 1, []byte("hi"))
	w.note("delivered, after nothing else")
	w.note("its header")
	w.note("its body")
	w.method(1, 60, 30, args{}.short("tag").u8(1))
	w.method(1, 50, 30, args{}.u16(0).short("rn.q").u8(1))
	w.method(1, 40, 40, args{}.u16(0).short("rn.x").short("amq.direct").short("rn").u8(1).long(""))
	w.method(1, 50, 40, args{}.u16(0).short("rn.q").u8(1<<2))
	w.method(1, 40, 20, args{}.u16(0).short("rn.x").u8(1<<1))
	w.method(1, 50, 10, args{}.u16(0).short("rn.q").u8(1).long(""))
	w.note("gone, after nothing else")
	w.method(1, 20, 41, nil)
	w.channel(1)
	w.method(1, 50, 10, args{}.u16(0).short("amq.no").u8(exclusive|nowait).long(""))
	w.note("an error is told all the same")
}

func scriptRawConsumers(r *amqpRun) {
	w := r.ready()
	w.declare("rcon.q")
	consume := func(tag string) {
		w.method(1, 60, 20, args{}.u16(0).short("rcon.q").short(tag).u8(1<<1).long(""))
	}
	consume("")
	w.note("made-up tag")
	consume("mine")
	w.note("own tag")
	consume("mine")
	w.note("tag used twice")
	w = r.ready()
	w.method(1, 60, 30, args{}.short("never").u8(0))
	w.note("cancel of an unknown tag")
	w.declare("rcon.r")
	w.method(1, 60, 20, args{}.u16(0).short("rcon.r").short("c").u8(1<<1).long(""))
	w.note("consume")
	w.method(1, 50, 40, args{}.u16(0).short("rcon.r").u8(0))
	// Without the capability a client is not told that its consumer is gone.
	w.note("delete")
	w.declare("rcon.s")
}
