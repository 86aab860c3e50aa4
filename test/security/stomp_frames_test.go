// SPDX-License-Identifier: Apache-2.0

package security

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// stompFrameAttacks are the rows about headers and bodies that lie.
func stompFrameAttacks() []attack {
	send := "SEND\ndestination:/queue/s\n"
	return []attack{
		{"S1 headers without end", func(t *testing.T, g *ground) {
			var many strings.Builder
			for n := range 100_000 {
				fmt.Fprintf(&many, "h%d:v\n", n)
			}
			volley(t, 20, func() {
				answered(t, dialQuick(t, g.STOMP), []byte(connect+send+many.String()), "Frame too large")
			})
		}},
		stompRow("S2 two content-lengths", send+"content-length:1\ncontent-length:3\n\nxyz\x00",
			`invalid content-length "3"`),
		{"S2 content-length larger than the body", holdHalf(send + "content-length:1000000\n\nxyz\x00")},
		{"S3 no NUL", holdHalf(send + "\nxyz")},
		stompRow("S3 NUL in a body without content-length", send+"\nab\x00cd\x00", "ERROR"),
		{"S4 line breaks for a 1.0 client", injected},
		stompRow("S4 raw CR in a value", send+"a:b\rc\n\nx\x00", "malformed header line"),
		{"S4 raw escapes of a 1.0 client", injecting},
		stompRow("S5 selector of 20,000 parentheses", "SUBSCRIBE\nid:1\ndestination:/topic/s5\nselector:"+
			strings.Repeat("(", 20_000)+"a LIKE '%%%%%%%%'\n\n\x00", "message:Invalid selector"),
		stompRow("S5 selector that is nested", "SUBSCRIBE\nid:1\ndestination:/topic/s5\nselector:"+
			strings.Repeat("(", 65)+"a"+strings.Repeat(")", 65)+"\n\n\x00", "message:Invalid selector"),
		{"S5 pattern that backtracks", backtracking},
		{"S6 too many frames in a transaction", func(t *testing.T, g *ground) {
			raw := connect + "BEGIN\ntransaction:t\n\n\x00" +
				strings.Repeat(send+"transaction:t\n\nx\x00", 1025)
			volley(t, 40, func() {
				answered(t, dialQuick(t, g.STOMP), []byte(raw), "Too many actions in transaction (limit 1024)")
			})
		}},
		{"S6 too many bytes in transactions", func(t *testing.T, g *ground) {
			frame := send + "transaction:t\n\n" + strings.Repeat("x", 1<<20) + "\x00"
			raw := []byte(connect + "BEGIN\ntransaction:t\n\n\x00" + strings.Repeat(frame, 65))
			for range 2 {
				answered(t, dialQuick(t, g.STOMP), raw, "Too many bytes in transactions (limit 67108864)")
			}
		}},
		{"S7 heart-beat", func(t *testing.T, g *ground) {
			head, _, _ := strings.Cut(connect, "\n\n")
			for beat, want := range map[string]string{
				"1,1": "heart-beat:1000,1000", "2147483648,1": "Invalid heart-beat header",
				"x": "Invalid heart-beat header", "-1,0": "Invalid heart-beat header",
			} {
				raw := head + "\nheart-beat:" + beat + "\n\n\x00"
				volley(t, 40, func() { answered(t, dialQuick(t, g.STOMP), []byte(raw), want) })
			}
		}},
		stompRow("S7 destination of 1 MB",
			"SEND\ndestination:/queue/"+strings.Repeat("x", 1<<20)+"\n\n\x00", "Frame too large"),
		stompRow("S7 destination that is not UTF-8", "SEND\ndestination:/queue/\xff\xfe\n\nx\x00",
			"is not a valid queue destination"),
		stompRow("command of 33 octets", strings.Repeat("A", 33)+"\n\n\x00", "Bad command"),
	}
}

// holdHalf leaves connections in the middle of a frame: nobody may be held up by them.
func holdHalf(half string) func(*testing.T, *ground) {
	return func(t *testing.T, g *ground) {
		const held = 200
		var open []net.Conn
		for range held {
			conn := dial(t, g.STOMP)
			if _, err := io.WriteString(conn, connect+half); err != nil {
				t.Fatal(err)
			}
			open = append(open, conn)
		}
		answered(t, dial(t, g.STOMP),
			[]byte(connect+"SEND\ndestination:/queue/s\nreceipt:r\n\nx\x00"), "receipt-id:r")
		for _, conn := range open {
			_ = conn.Close()
		}
	}
}

// injecting is what a client without escapes sends: what others read as a line break is two octets.
func injecting(t *testing.T, g *ground) {
	evil := []byte("CONNECT\nlogin:guest\npasscode:guest\n\n\x00SUBSCRIBE\ndestination:/topic/s4b\n\n\x00" +
		"SEND\ndestination:/topic/s4b\nevil:a\\nSEND\\c\\r\\t\n\nbody\x00")
	young := dial(t, g.STOMP)
	_, err := io.WriteString(young, connect+"SUBSCRIBE\nid:1\ndestination:/topic/s4b\nreceipt:r\n\n\x00")
	if err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(young)
	for text := ""; !strings.Contains(text, "RECEIPT"); {
		if text, err = answers.ReadString(0); err != nil {
			t.Fatal(err)
		}
	}
	volley(t, 40, func() {
		answered(t, dialQuick(t, g.STOMP), evil, "\nevil:a\\nSEND\\c\\r\\t\n")
	})
	for range 40 {
		text, err := answers.ReadString(0)
		if err != nil || !strings.Contains(text, "\nevil:a\\\\nSEND\\\\c\\\\r\\\\t\n") {
			t.Fatalf("a client of 1.2 got %q, %v", text, err)
		}
	}
	_ = young.Close()
}

// backtracking has many messages looked at by a pattern that would take for ever if it went back.
func backtracking(t *testing.T, g *ground) {
	raw := connect + "SUBSCRIBE\nid:1\ndestination:/topic/s5b\nselector:a LIKE '" +
		strings.Repeat("%a", 120) + "b'\n\n\x00" +
		strings.Repeat("SEND\ndestination:/topic/s5b\na:"+strings.Repeat("a", 8<<10)+"\n\n\x00", 100) +
		"BEGIN\ntransaction:t\nreceipt:r\n\n\x00"
	volley(t, 8, func() { answered(t, dialQuick(t, g.STOMP), []byte(raw), "receipt-id:r") })
}

// injected sends a value with a line break to a subscriber whose version has no escapes.
func injected(t *testing.T, g *ground) {
	old := dial(t, g.STOMP)
	_, err := io.WriteString(old, "CONNECT\nlogin:guest\npasscode:guest\n\n\x00"+
		"SUBSCRIBE\ndestination:/topic/s4\nreceipt:r\n\n\x00")
	if err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(old)
	frame := func() string {
		text, err := answers.ReadString(0)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for !strings.Contains(frame(), "RECEIPT") {
	}
	evil := connect + "SEND\ndestination:/topic/s4\nevil:a\\nMESSAGE\\n\\nb\nfine:yes\n\nbody\x00"
	volley(t, 40, func() {
		answered(t, dialQuick(t, g.STOMP), []byte(evil+"SEND\ndestination:/topic/none\nreceipt:r\n\n\x00"),
			"receipt-id:r")
	})
	for range 40 {
		text := strings.TrimLeft(frame(), "\n")
		if strings.Count(text, "MESSAGE") != 1 || strings.Contains(text, "evil") ||
			!strings.Contains(text, "\nfine:yes\n") || !strings.HasSuffix(text, "\n\nbody\x00") {
			t.Fatalf("the subscriber got %q", text)
		}
	}
	_ = old.Close()
}
