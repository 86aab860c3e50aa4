// SPDX-License-Identifier: Apache-2.0

package security

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// amqpValueAttacks are the rows about values and times.
func amqpValueAttacks() []attack {
	fields := everyField()
	get := (&wire.BasicGet{Queue: "a5", NoAck: true}).AppendFrame(nil, 1)
	declare := (&wire.QueueDeclare{Queue: "a5"}).AppendFrame(nil, 1)
	return []attack{
		// The row asks for an exact round trip: the octets of the table are in the answer.
		frames("A5 every field type", append(append(declare, published("a5", fields)...), get...),
			string(fields)),
		frames("A5 unknown field type", published("a5", []byte{1, 'k', '?', 0}), "SYNTAX_ERROR"),
		frames("A5 key of 255", published(strings.Repeat("k", 255), nil), ""),
		frames("A6 channel opened twice", (&wire.ChannelOpen{}).AppendFrame(nil, 1),
			"second 'channel.open' seen"),
		frames("A6 channel method on channel 0", (&wire.ChannelOpen{}).AppendFrame(nil, 0),
			"unexpected method in connection state running"),
		{"A8 silence", heartbeatSilence},
		frames("A11 user-id of another", publishedAs("guess"),
			"user_id property set to 'guess' but authenticated user was 'guest'"),
		{"L10 unique names", uniqueNames},
	}
}

// everyField is a field table with each type and its odd values, as octets.
func everyField() []byte {
	nan := math.Float64bits(math.NaN())
	fields := [][]byte{
		[]byte("S\x00\x00\x00\x02\xff\xfe"), // not UTF-8
		binary.BigEndian.AppendUint32([]byte{'I'}, math.MaxUint32),
		binary.BigEndian.AppendUint32([]byte{'i'}, math.MaxUint32),
		{'s', 0x80, 0},
		{'u', 0xff, 0xff},
		{'b', 0x80},
		{'B', 0xff},
		binary.BigEndian.AppendUint64([]byte{'l'}, 1<<63),
		binary.BigEndian.AppendUint64([]byte{'L'}, 1<<63),
		binary.BigEndian.AppendUint64([]byte{'d'}, nan),
		binary.BigEndian.AppendUint32([]byte{'f'}, math.Float32bits(float32(math.Inf(-1)))),
		{'D', 255, 0xff, 0xff, 0xff, 0xff},
		binary.BigEndian.AppendUint64([]byte{'T'}, math.MaxUint64),
		{'t', 1},
		[]byte("x\x00\x00\x00\x02\x00\xce"),
		[]byte("A\x00\x00\x00\x03t\x00V"),
		append([]byte("F\x00\x00\x00\x07\x01k"), "S\x00\x00\x00\x00"...),
		{'V'},
	}
	var table []byte
	for i, f := range fields {
		table = append(table, 1, 'a'+byte(i))
		table = append(table, f...)
	}
	return table
}

// published is a publish to the default exchange with such headers, and an empty body.
func published(key string, headers []byte) []byte {
	b := (&wire.BasicPublish{RoutingKey: []byte(key)}).AppendFrame(nil, 1)
	head := []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0}
	head = binary.BigEndian.AppendUint32(head, uint32(len(headers)))
	b = wire.AppendFrame(b, wire.FrameHeader, 1, append(head, headers...))
	// Something is answered in any case.
	return (&wire.QueueDeclare{Exclusive: true}).AppendFrame(b, 1)
}

// publishedAs is a publish that claims to come from a user.
func publishedAs(user string) []byte {
	b := (&wire.BasicPublish{RoutingKey: []byte("nowhere")}).AppendFrame(nil, 1)
	head := []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, byte(len(user))}
	return wire.AppendFrame(b, wire.FrameHeader, 1, append(head, user...))
}

// heartbeatSilence agrees on a heartbeat of a second and says nothing any more.
func heartbeatSilence(t *testing.T, g *ground) {
	raw := []byte(wire.ProtocolHeader)
	start := wire.ConnectionStartOk{Mechanism: "PLAIN", Response: "\x00guest\x00guest", Locale: "en_US"}
	raw = start.AppendFrame(raw, 0)
	raw = (&wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072, Heartbeat: 1}).AppendFrame(raw, 0)
	raw = (&wire.ConnectionOpen{VirtualHost: "/"}).AppendFrame(raw, 0)
	begin := time.Now()
	volley(t, 4, func() {
		conn := dialQuick(t, g.AMQP)
		defer conn.Close()
		if _, err := conn.Write(raw); err != nil {
			t.Error(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("not closed by the hub: %v", err)
		}
		if took := time.Since(begin); took < 2*time.Second || took > 8*time.Second {
			t.Errorf("closed after %v, not after two missed intervals", took)
		}
	})
}

// uniqueNames uses each name once: nothing may be kept for it.
func uniqueNames(t *testing.T, g *ground) {
	const names = 20_000
	conn := dial(t, g.REST)
	answers := bufio.NewReader(conn)
	for n := range names {
		_, err := fmt.Fprintf(conn, "GET /v1/queues/none-%d HTTP/1.1\r\nHost: %s\r\nUser-Agent: agent-%d\r\n"+
			"X-Name-%d: v\r\n\r\n", n, g.REST, n, n)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		if _ = res.Body.Close(); res.StatusCode != http.StatusNotFound {
			t.Fatalf("%s for a queue that is not there", res.Status)
		}
		if n%1000 == 0 { // time limits are for an exchange
			_ = conn.SetDeadline(time.Now().Add(attackWait))
		}
	}
	_ = conn.Close()
	res, err := http.Get(g.URL("/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "none-1") || len(text) > 64<<10 {
		t.Errorf("the metrics have %d bytes and may hold names of a client", len(text))
	}
}
