// SPDX-License-Identifier: Apache-2.0

package security

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/harness"
)

// lineHello logs in, so that lines may be long.
const lineHello = `{"op":"hello","id":"h","user":"guest","password":"guest"}` + "\n"

// lineRow sends text after a login and expects an answer, and then the end.
func lineRow(row, send, want string) attack {
	return attack{row, func(t *testing.T, g *ground) {
		volley(t, repeats, func() {
			answered(t, dialQuick(t, g.Line), []byte(lineHello+send+"\n"), want)
		})
		refused(t, dial(t, g.Line), []byte(lineHello+send+"\n"), want)
	}}
}

// lineBad is lineRow for what leaves the connection open: the answers to what follows come too.
func lineBad(row, send, want string) attack {
	return attack{row, func(t *testing.T, g *ground) {
		text := []byte(lineHello + send + "\n" + `{"op":"ping","id":"after"}` + "\n")
		volley(t, repeats, func() { answered(t, dialQuick(t, g.Line), text, `{"id":"after"}`) })
		answered(t, dial(t, g.Line), text, want)
	}}
}

func lineAttacks() []attack {
	const megabyte = 1 << 20
	deep := func(open, end string, n int) string { return strings.Repeat(open, n) + strings.Repeat(end, n) }
	body := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 17*megabyte)))
	return []attack{
		{"L8 no end of line before login", func(t *testing.T, g *ground) {
			volley(t, 40, func() {
				answered(t, dialQuick(t, g.Line), []byte(strings.Repeat("x", megabyte)), `"code":"too-large"`)
			})
		}},
		{"L8 endless line", endlessLine},
		lineRow("L8 deep JSON that does not end", `{"op":"ping","body":`+strings.Repeat("[", 100_000),
			"the line is no JSON object"),
		lineBad("L8 deep JSON", `{"op":"ping","id":1,"body":`+deep("[", "]", 100_000)+"}",
			"it nests deeper than 64 levels"),
		lineBad("L8 deep headers", `{"op":"send","id":1,"queue":"q","headers":`+strings.Repeat(`{"a":`, 40)+"1"+strings.Repeat("}", 41), "headers nest deeper"),
		lineBad("L8 duplicate keys", `{"op":"ping","id":1,"op":"ping"}`, "member 'op' stands twice"),
		lineBad("L8 many unknown members", manyMembers(2_000), "unknown member 'm0'"),
		lineBad("L8 body and body_b64", `{"op":"send","id":1,"queue":"q","body":1,"body_b64":""}`,
			"'body' and 'body_b64' exclude each other"),
		lineBad("L8 numbers", `{"op":"ping","id":1,"timeout_ms":1e999999999,"body":`+
			strings.Repeat("9", 100_000)+`}`, `"id":1`),
		lineBad("L8 escapes", `{"op":"ping","id":"`+strings.Repeat(`\u0000`, 2_000)+`"}`, "an id is"),
		{"L8 body above the limit", func(t *testing.T, g *ground) {
			for range 4 {
				answered(t, dialQuick(t, g.Line),
					[]byte(lineHello+`{"op":"send","id":1,"queue":"canary","body_b64":"`+body+`"}`+"\n"),
					`"code":"too-large"`)
			}
		}},
		{"L8 half a line and silence", halfLines},
		{"L8 wrong password", func(t *testing.T, g *ground) {
			raw := `{"op":"hello","id":1,"user":"guest","password":"` + secret + `"}` + "\n"
			volley(t, 8, func() { answered(t, dialQuick(t, g.Line), []byte(raw), `"code":"unauthenticated"`) })
		}},
		{"L8 datagrams", datagrams},
		{"L5 subscriptions", func(t *testing.T, g *ground) {
			var raw strings.Builder
			raw.WriteString(lineHello)
			for n := range 1_001 {
				fmt.Fprintf(&raw, `{"op":"subscribe","id":%d,"topic":"l5"}`+"\n", n)
			}
			answered(t, dial(t, g.Line), []byte(raw.String()), `{"id":1000,"error":{"code":"quota",`)
		}},
		{"L5 unacknowledged events", lineUnsettled},
		{"L5 calls without an answer", lineCalls},
		{"L5 subscriber that never reads", lineNeverReads},
	}
}

func manyMembers(count int) string {
	var b strings.Builder
	b.WriteString(`{"op":"ping","id":1`)
	for n := range count {
		fmt.Fprintf(&b, `,"m%d":1`, n)
	}
	return b.String() + "}"
}

// endlessLine sends a line of up to 1 GB; the hub cuts it off long before.
func endlessLine(t *testing.T, g *ground) {
	conn := dial(t, g.Line)
	ended := make(chan int)
	go func() {
		part := []byte(strings.Repeat("x", 1<<20))
		n := 0
		if _, err := io.WriteString(conn, lineHello); err == nil {
			for ; n < 1<<10; n++ {
				if _, err := conn.Write(part); err != nil {
					break
				}
			}
		}
		ended <- n
	}()
	answered(t, conn, nil, `"code":"too-large"`)
	if n := <-ended; n > 128 {
		t.Errorf("%d MiB of one line were taken", n)
	}
}

// halfLines leaves connections in the middle of a line: nobody may be held up by them.
func halfLines(t *testing.T, g *ground) {
	var open []net.Conn
	for i := range 300 {
		conn := dial(t, g.Line)
		text := `{"op":"se`
		if i%2 == 0 {
			text = lineHello + text
		}
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	answered(t, dial(t, g.Line), []byte(`{"op":"ping","id":1}`+"\n"), `{"id":1}`)
	for _, conn := range open {
		_ = conn.Close()
	}
}

// datagrams are malformed, too large, and too many; none is answered.
func datagrams(t *testing.T, g *ground) {
	conn, err := net.Dial("udp", g.Line)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	valid := `{"op":"publish","id":1,"topic":"l8","body":1}`
	for range 20_000 {
		for _, text := range []string{valid, "x", `{"op":"call","id":1,"service":"greeter"}`} {
			_, _ = io.WriteString(conn, text) // the kernel may drop it
		}
	}
	for range 100 {
		_, _ = io.WriteString(conn, strings.Repeat("x", 65_507))
	}
	if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1<<10)); err == nil {
		t.Errorf("an answer of %d bytes", n)
	}
	answered(t, dial(t, g.Line), []byte(`{"op":"ping","id":1}`+"\n"), `{"id":1}`)
}

// lineUnsettled takes as many events as a session may and settles none: no more come, and others are
// served.
func lineUnsettled(t *testing.T, g *ground) {
	hoarder, other := dial(t, g.Line), dial(t, g.Line)
	lines := bufio.NewReader(hoarder)
	expect := func(r *bufio.Reader, prefix string) {
		t.Helper()
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, prefix) {
			t.Fatalf("got %.200q, %v; want %s", line, err, prefix)
		}
	}
	say := func(conn net.Conn, text string) {
		t.Helper()
		if _, err := io.WriteString(conn, text+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	say(hoarder, `{"op":"serve","id":"s","service":"l5","prefetch":65535}`)
	expect(lines, `{"id":"s"}`)
	for range unsettledCap + 10 {
		say(hoarder, `{"op":"send","service":"l5","persistent":false}`)
	}
	for range unsettledCap {
		expect(lines, `{"event":"message","sub":"s"`)
	}
	say(hoarder, `{"op":"ping","id":1}`)
	expect(lines, `{"id":1}`) // and no event before it
	theirs := bufio.NewReader(other)
	say(other, `{"op":"subscribe","id":"o","queue":"l5","ack":"auto"}`)
	expect(theirs, `{"id":"o"}`)
	for range 10 {
		expect(theirs, `{"event":"message","sub":"o"`)
	}
	_, _ = hoarder.Close(), other.Close()
}

// lineCalls leaves calls open up to the limit of a connection.
func lineCalls(t *testing.T, g *ground) {
	conn := dial(t, g.Line)
	text := lineHello + `{"op":"serve","id":"s","service":"l5.silent"}` + "\n"
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	var raw strings.Builder
	for n := range 5_000 {
		fmt.Fprintf(&raw, `{"op":"call","id":%d,"service":"l5.silent","timeout_ms":60000}`+"\n", n)
	}
	answered(t, conn, []byte(raw.String()), `"code":"overloaded"`)
}

// lineNeverReads subscribes and reads nothing: who publishes does not wait for it.
func lineNeverReads(t *testing.T, g *ground) {
	slow, fast := dial(t, g.Line), dial(t, g.Line)
	if _, err := io.WriteString(slow, `{"op":"subscribe","id":1,"topic":"l8","ack":"auto"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	line := `{"op":"publish","topic":"l8","persistent":false,"body":"` + strings.Repeat("x", 16<<10) + `"}` + "\n"
	if err := fast.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(fast, lineHello+strings.Repeat(line, 2_000)); err != nil {
		t.Errorf("a publisher waited for a subscriber that does not read: %v", err)
	}
	answered(t, fast, []byte(`{"op":"ping","id":1}`+"\n"), `{"id":1}`)
	_ = slow.Close()
}

// TestSecL6LineWatermark: at the memory watermark a client of the line door that sends is held, not
// closed; one that takes goes on; nothing is dropped, and it ends by itself. A call over Thrift is told
// of it at once.
func TestSecL6LineWatermark(t *testing.T) {
	t.Parallel()
	const before, held = 10, 2_000
	file := filepath.Join(t.TempDir(), "parley.yaml")
	h := harness.Start(t, harness.Build(t), harness.Options{Args: []string{"-c", watermark(t, file, "4GiB")}})
	move := func(limit, says string) {
		t.Helper()
		watermark(t, file, limit)
		if err := syscall.Kill(h.Pid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		err := harness.Poll(attackWait, func() error {
			if !strings.Contains(h.Output(), says) {
				return errors.New("the hub has not said: " + says)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	sender, taker := dial(t, h.Line), dial(t, h.Line)
	from, to := bufio.NewReader(sender), bufio.NewReader(taker)
	say := func(conn net.Conn, format string, args ...any) {
		if _, err := fmt.Fprintf(conn, format+"\n", args...); err != nil {
			t.Error(err)
		}
	}
	expect := func(r *bufio.Reader, want string) string {
		t.Helper()
		line, err := r.ReadString('\n')
		if err != nil || !strings.Contains(line, want) {
			t.Fatalf("got %.200q, %v; want %s", line, err, want)
		}
		return line
	}
	take := func(n int) {
		t.Helper()
		_, rest, _ := strings.Cut(expect(to, fmt.Sprintf(`"body":%d}`, n)), `"delivery":"`)
		tag, _, _ := strings.Cut(rest, `"`)
		say(taker, `{"op":"ack","delivery":"%s"}`, tag)
	}
	say(taker, `{"op":"serve","id":"s","service":"l6","prefetch":1}`)
	expect(to, `{"id":"s"}`)
	for n := range before {
		say(sender, `{"op":"send","id":%d,"service":"l6","body":%d}`, n, n)
		expect(from, fmt.Sprintf(`{"id":%d}`, n))
	}
	move("1MiB", "publishers are blocked")
	thriftCall := []byte(framed(binaryCall("\x00")))
	answered(t, dial(t, h.Thrift), thriftCall, "alarm: ")
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for n := before; n < before+held; n++ {
			say(sender, `{"op":"send","id":%d,"service":"l6","body":%d}`, n, n)
		}
	}()
	for n := range before { // whoever takes goes on
		take(n)
	}
	say(taker, `{"op":"ping","id":"p"}`)
	for line := ""; !strings.Contains(line, `{"id":"p"}`); {
		line = expect(to, "")
		if strings.Contains(line, fmt.Sprintf(`"body":%d}`, before+1)) {
			t.Error("a second message passed under the alarm")
		}
		if strings.Contains(line, `"event"`) { // whoever publishes is noticed with the first
			_, rest, _ := strings.Cut(line, `"delivery":"`)
			tag, _, _ := strings.Cut(rest, `"`)
			say(taker, `{"op":"nack","delivery":"%s","delay_ms":1}`, tag)
		}
	}
	move("4GiB", "publishers go on")
	answered(t, dial(t, h.Thrift), thriftCall, unknownMethod)
	for n := before; n < before+held; n++ {
		take(n)
		expect(from, fmt.Sprintf(`{"id":%d}`, n))
	}
	<-sent
}

// watermark writes a configuration with a memory watermark, and returns its file.
func watermark(t *testing.T, file, limit string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte("limits: {memory_bytes: "+limit+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
