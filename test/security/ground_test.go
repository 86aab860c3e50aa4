// SPDX-License-Identifier: Apache-2.0

package security

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/parley-ipc/parley/test/harness"
)

const (
	// secret is the password that attackers use; no log may show it.
	secret = "hunter2-never-in-a-log"
	// maxGrowthKiB is how much an attack may leave behind in resident memory.
	maxGrowthKiB = 64 << 10
	// slack is how many descriptors and goroutines may differ: the canary's own come and go.
	slack = 8
	// latencyFloor is what the p99 of a row may reach in any case: a row lasts a tenth of a second,
	// so this is one late message beside compilers and other tests. Above it twice the baseline counts.
	latencyFloor = time.Second
	// settleWait is how long the hub may take to let go of what an attack held: the lingering
	// close of a failed handshake takes 3 s.
	settleWait = 15 * time.Second
	// attackWait bounds one exchange with the hub.
	attackWait = 15 * time.Second
	maxAnswer  = 1 << 20 // bytes read of one answer
	maxLogLine = 1 << 10 // what an attacker sent is cut and quoted
)

// ground is the hub under attack.
type ground struct {
	*harness.Hub
	pprof    string
	certs    *certificates
	canary   *canary
	baseline time.Duration
}

// attack is one row: what is sent, through which door, and what has to come back.
type attack struct {
	row string
	run func(*testing.T, *ground)
}

// state is what must return after an attack.
type state struct{ rssKiB, descriptors, goroutines int }

func (g *ground) state(t *testing.T) state {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.Pid()))
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	var s state
	if _, rest, ok := strings.Cut(string(text), "VmRSS:"); ok {
		s.rssKiB, _ = strconv.Atoi(strings.Fields(rest)[0])
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	s.descriptors = len(fds)
	s.goroutines = g.goroutines(t)
	return s
}

func (g *ground) goroutines(t *testing.T) int {
	t.Helper()
	res, err := http.Get("http://" + g.pprof + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var n int
	if _, err := fmt.Fscanf(res.Body, "goroutine profile: total %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// hold makes attacks and holds the hub to the rules.
func (g *ground) hold(t *testing.T, attack func()) {
	t.Helper()
	before := g.state(t)
	g.canary.lap()
	attack()
	p99 := g.canary.lap()
	if limit := max(2*g.baseline, latencyFloor); p99 > limit {
		t.Errorf("the canary's p99 rose to %v (limit %v)", p99, limit)
	}
	var after state
	err := harness.Poll(settleWait, func() error {
		if _, err := harness.Heap(t.Context(), g.pprof); err != nil { // at rest it collects every two minutes
			return err
		}
		after = g.state(t)
		switch {
		case after.descriptors > before.descriptors+slack:
			return fmt.Errorf("%d descriptors, %d before", after.descriptors, before.descriptors)
		case after.goroutines > before.goroutines+slack:
			return fmt.Errorf("%d goroutines, %d before", after.goroutines, before.goroutines)
		case after.rssKiB-before.rssKiB > maxGrowthKiB: // what a flood took goes back a little later
			return fmt.Errorf("%d KiB resident, %d before", after.rssKiB, before.rssKiB)
		}
		return nil
	})
	if err != nil {
		t.Error("not let go: ", err)
	}
	g.canary.check(t)
	log := g.Output()
	for _, word := range []string{secret, "panic", "goroutine 1 ["} {
		if strings.Contains(log, word) {
			t.Errorf("the log shows %q:\n%s", word, log)
		}
	}
	for line := range strings.SplitSeq(log, "\n") {
		raw := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) })
		if raw >= 0 || len(line) > maxLogLine {
			t.Errorf("a line of the log has %d bytes, raw ones from %d: %.200q", len(line), raw, line)
		}
	}
}

// dial opens a connection that the attack closes.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, attackWait)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(attackWait)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // most are closed by then
	return conn
}

// refused sends bytes and expects an answer that holds want, and then the end of the connection.
func refused(t *testing.T, conn net.Conn, send []byte, want string) {
	t.Helper()
	answer := exchange(t, conn, send, func([]byte) bool { return false })
	if !bytes.Contains(answer, []byte(want)) {
		t.Errorf("answer %.300q lacks %q", answer, want)
	}
}

// answered is refused for many attacks in a row: it leaves when it has seen the answer, since the
// hub goes on reading for some seconds so that its last word arrives.
func answered(t *testing.T, conn net.Conn, send []byte, want string) {
	t.Helper()
	seen := func(answer []byte) bool { return bytes.Contains(answer, []byte(want)) }
	if answer := exchange(t, conn, send, seen); !seen(answer) {
		t.Errorf("answer %.300q lacks %q", answer, want)
	}
}

// exchange sends bytes and reads until enough, or until the hub ends the connection.
func exchange(t *testing.T, conn net.Conn, send []byte, enough func([]byte) bool) (answer []byte) {
	t.Helper()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = conn.Write(send) // the hub may close before it has read all
	}()
	defer func() {
		_ = conn.Close()
		<-sent
	}()
	buf := make([]byte, 16<<10)
	for len(answer) < maxAnswer && !enough(answer) {
		n, err := conn.Read(buf)
		answer = append(answer, buf[:n]...)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
			return answer
		default:
			t.Errorf("the connection did not end: %v; got %.300q", err, answer)
			return answer
		}
	}
	return answer
}

func TestUnderCanary(t *testing.T) {
	pprof := harness.FreeAddr(t)
	g := &ground{pprof: pprof, certs: newCertificates(t)}
	g.Hub = harness.Start(t, harness.Build(t), harness.Options{
		Args: []string{"--pprof", pprof, "-c", configuration(t, g.certs)},
	})
	g.canary = startCanary(t, g.Hub)
	const warmUp = 2 * time.Second
	timer := time.NewTimer(warmUp)
	defer timer.Stop()
	<-timer.C // the baseline needs time to be one
	g.baseline = g.canary.lap()
	t.Logf("baseline p99 %v", g.baseline)
	var patient []attack
	for _, a := range attacks() {
		if a.waits() {
			patient = append(patient, a)
			continue
		}
		t.Run(a.row, func(t *testing.T) { // one at a time: they share the canary
			g.hold(t, func() { a.run(t, g) })
		})
	}
	g.hold(t, func() { // all at once, within the limits of one
		var rows sync.WaitGroup
		for _, a := range patient {
			rows.Go(func() { t.Run(a.row, func(t *testing.T) { a.run(t, g) }) })
		}
		rows.Wait()
	})
	g.canary.end(t)
}

// waits reports whether a row waits more than it works: for a limit of time, or for the end of a
// connection whose last word has to arrive.
func (a attack) waits() bool {
	switch a.row {
	case "A1 before tune", "A1 and the connection ends", "A8 drip", "A8 silence", "A12 SASL",
		"H4 slow headers":
		return true
	}
	return strings.HasPrefix(a.row, "H3 ") && a.row != rowSocketCommands
}

// attacks are all of them.
func attacks() []attack {
	return slices.Concat(
		amqpAttacks(), amqpValueAttacks(), amqpLimitAttacks(), stompAttacks(), stompFrameAttacks(),
		tlsAttacks(), webAttacks(), restAttacks(), restFramingAttacks(), restStreamAttacks(),
		webhookAttacks(), lineAttacks(), thriftAttacks(),
	)
}

// TestRows: each row of the doors that are attacked here has an attack.
func TestRows(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	for _, a := range attacks() {
		number, _, _ := strings.Cut(a.row, " ")
		there[number] = true
	}
	// H7 and H12 are about the console, other rows of L about what every door does.
	rows := []string{"H8", "H9", "H10", "H11", "L5", "L8"}
	for letter, last := range map[string]int{"A": 13, "S": 7, "L": 1, "H": 6, "T": 8} {
		for n := 1; n <= last; n++ {
			rows = append(rows, letter+strconv.Itoa(n))
		}
	}
	for _, row := range rows {
		if !there[row] {
			t.Errorf("no row %s", row)
		}
	}
}
