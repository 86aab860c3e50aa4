// SPDX-License-Identifier: Apache-2.0

package security

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

const connect = "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\x00"

// stompRow sends text after a login and expects an ERROR with some words, and the end.
func stompRow(row, send, want string) attack {
	return attack{row, func(t *testing.T, g *ground) {
		volley(t, repeats, func() {
			answered(t, dialQuick(t, g.STOMP), []byte(connect+send), want)
		})
		refused(t, dial(t, g.STOMP), []byte(connect+send), want)
	}}
}

func stompAttacks() []attack {
	send := "SEND\ndestination:/queue/s\n"
	many := strings.Builder{}
	for n := range 1000 {
		fmt.Fprintf(&many, "h%d:v\n", n)
	}
	return []attack{
		{"S1 endless header line", func(t *testing.T, g *ground) {
			volley(t, 20, func() {
				answered(t, dialQuick(t, g.STOMP), []byte(connect+"SEND\nh:"+strings.Repeat("x", 4<<20)),
					"ERROR")
			})
		}},
		stompRow("S1 a thousand headers", send+many.String()+"\n\x00", "ERROR"),
		{"S1 before login", func(t *testing.T, g *ground) {
			volley(t, 40, func() {
				answered(t, dialQuick(t, g.STOMP), []byte("CONNECT\nh:"+strings.Repeat("x", 1<<20)), "ERROR")
			})
		}},
		stompRow("S2 content-length -1", send+"content-length:-1\n\nx\x00", "ERROR"),
		stompRow("S2 content-length 2^63", send+"content-length:9223372036854775808\n\nx\x00", "ERROR"),
		stompRow("S2 content-length 1e3", send+"content-length:1e3\n\nx\x00", "ERROR"),
		stompRow("S2 content-length too small", send+"content-length:1\n\nxyz\x00", "ERROR"),
		{"S3 frame before CONNECT", func(t *testing.T, g *ground) {
			volley(t, repeats, func() {
				answered(t, dialQuick(t, g.STOMP), []byte(send+"\nx\x00"), "You must log in using CONNECT first")
			})
		}},
		stompRow("S3 CONNECT twice", connect, "ERROR"),
		stompRow("S4 undefined escape", send+"a:\\t\n\nx\x00", "ERROR"),
		{"S6 too many transactions", func(t *testing.T, g *ground) {
			raw := connect
			for n := range 17 {
				raw += fmt.Sprintf("BEGIN\ntransaction:%d\n\n\x00", n)
			}
			volley(t, 40, func() {
				answered(t, dialQuick(t, g.STOMP), []byte(raw), "Too many concurrent transactions (limit 16)")
			})
		}},
		{"S6 too many subscriptions", func(t *testing.T, g *ground) {
			raw := strings.Builder{}
			raw.WriteString(connect)
			for n := range 1001 {
				fmt.Fprintf(&raw, "SUBSCRIBE\nid:%d\ndestination:/topic/s6\n\n\x00", n)
			}
			refused(t, dial(t, g.STOMP), []byte(raw.String()), "ERROR")
		}},
		stompRow("S7 ack of a foreign id", "ACK\nid:T_1@@session@@1\n\n\x00", "ERROR"),
		stompRow("S7 destination with dots", "SEND\ndestination:/queue/../x\n\nx\x00",
			"is not a valid queue destination"),
		stompRow("unknown command", "FROB\n\n\x00", "Bad command"),
		{"wrong passcode", func(t *testing.T, g *ground) {
			raw := "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:" + secret + "\n\n\x00"
			volley(t, 8, func() {
				answered(t, dialQuick(t, g.STOMP), []byte(raw), "Access refused for user 'guest'")
			})
		}},
		{"half a frame and silence", func(t *testing.T, g *ground) {
			var open []net.Conn
			for range 300 {
				conn := dial(t, g.STOMP)
				if _, err := conn.Write([]byte("CONN")); err != nil {
					t.Fatal(err)
				}
				open = append(open, conn)
			}
			for _, conn := range open {
				_ = conn.Close()
			}
		}},
		{"subscriber that never reads", func(t *testing.T, g *ground) {
			slow := dial(t, g.STOMP)
			if _, err := slow.Write([]byte(connect + "SUBSCRIBE\nid:1\ndestination:/topic/s8\n\n\x00")); err != nil {
				t.Fatal(err)
			}
			fast := dial(t, g.STOMP)
			frame := "SEND\ndestination:/topic/s8\n\n" + strings.Repeat("x", 16<<10) + "\x00"
			if err := fast.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := fast.Write([]byte(connect + strings.Repeat(frame, 2000))); err != nil {
				t.Errorf("a publisher waited for a subscriber that does not read: %v", err)
			}
			_, _ = slow.Close(), fast.Close()
		}},
	}
}
