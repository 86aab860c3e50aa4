// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/parley-ipc/parley/test/harness"
)

const (
	// envOn turns the tests on; they need clients that `make interop` installs.
	envOn = "TEST_INTEROP"
	// envReport names a file that gets what a test has to say beside its verdict, which a runner
	// does not show otherwise.
	envReport = "TEST_INTEROP_REPORT"
	// commandWait bounds one command of a client, interpreters' start included.
	commandWait = 30 * time.Second
	// python is Debian's: the clients are packages of it, not of another python3.
	python = "/usr/bin/python3"
)

// TestMain checks that no goroutine outlives the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A client is a script; those that clients lists have the six commands.
type client struct {
	name    string
	command []string
	env     []string // KEY=value, beside where the hub's doors are
}

func clients() []client {
	return []client{
		{"pika", []string{python, "python/pika_peer.py"}, nil},
		{"stomp.py", []string{python, "python/stomp_peer.py"}, nil},
		{"amqplib", []string{"node", "node/amqplib_peer.js"}, nil},
		{"stompjs", []string{"node", "node/stompjs_peer.js"}, nil},
		{"curl", []string{"sh", "curl/curl_peer.sh"}, nil},
		{"urllib", []string{python, "python/urllib_peer.py"}, nil},
		{"fetch", []string{"node", "node/fetch_peer.js"}, nil},
		{"nc", []string{"bash", "line/line_peer.sh"}, []string{"LINE_BY=nc"}},
		{"bash", []string{"bash", "line/line_peer.sh"}, []string{"LINE_BY=bash"}},
	}
}

// report logs a line, and adds it to the report.
func report(t *testing.T, line string) {
	t.Helper()
	t.Log(line)
	name := os.Getenv(envReport)
	if name == "" {
		return
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintln(file, line)
	if err = errors.Join(err, file.Close()); err != nil {
		t.Error(err)
	}
}

// startHub starts a hub with env added to its environment, or skips.
func startHub(t *testing.T, env ...string) *harness.Hub {
	t.Helper()
	skipUnlessOn(t)
	return harness.Start(t, harness.Build(t), harness.Options{Env: env})
}

func skipUnlessOn(t *testing.T) {
	t.Helper()
	if os.Getenv(envOn) == "" {
		t.Skipf("needs clients of other languages: run `make interop`, or set %s=1", envOn)
	}
}

// cmd prepares a command of c.
func (c client) cmd(ctx context.Context, t *testing.T, hub *harness.Hub, args ...string) *exec.Cmd {
	t.Helper()
	all := append(slices.Clone(c.command), args...)
	cmd := exec.CommandContext(ctx, all[0], all[1:]...)
	cmd.Env = append(os.Environ(), "HUB_HOST=127.0.0.1")
	cmd.Env = append(cmd.Env, c.env...)
	for name, addr := range map[string]string{
		"HUB_AMQP": hub.AMQP, "HUB_STOMP": hub.STOMP, "HUB_REST": hub.REST,
		"HUB_MANAGEMENT": hub.Management, "HUB_LINE": hub.Line,
	} {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, name+"="+port)
	}
	return cmd
}

// run runs a command of c to its end and returns its lines.
func (c client) run(t *testing.T, hub *harness.Hub, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandWait)
	defer cancel()
	return output(t, c.name, c.cmd(ctx, t, hub, args...))
}

// output runs cmd and returns the lines of its standard output.
func output(t *testing.T, name string, cmd *exec.Cmd) []string {
	t.Helper()
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, cmd.Args, err, out.String(), complaint.String())
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// begin starts a command of c that says `ready` and waits for that.
func (c client) begin(t *testing.T, hub *harness.Hub, args ...string) *harness.Lines {
	t.Helper()
	p := harness.RunLines(t, c.name+" "+strings.Join(args, " "), c.cmd(t.Context(), t, hub, args...))
	if line := p.Line(t); line != "ready" {
		t.Fatalf("%s %q says %q", c.name, args, line)
	}
	return p
}

// ended fails when p does not end by itself, having done what it was told.
func ended(t *testing.T, p *harness.Lines, name string) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(commandWait):
		t.Errorf("%s does not end: %s", name, p.Output())
	}
}

// TestClients lets each client talk to itself through the hub.
func TestClients(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	for _, c := range clients() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			queue := "interop-" + c.name
			c.run(t, hub, "send", queue, "one", "two", "three")
			got := c.run(t, hub, "consume", queue, "3")
			// A receipt may come behind the first message.
			got = slices.DeleteFunc(got, func(s string) bool { return s == "ready" })
			if want := []string{"one", "two", "three"}; !slices.Equal(got, want) {
				t.Errorf("consumed %q", got)
			}
			mustBeEmpty(t, hub, queue)

			topic := "interop." + strings.ReplaceAll(c.name, ".", "-")
			one := c.begin(t, hub, "subscribe", topic, "1")
			two := c.begin(t, hub, "subscribe", topic, "1")
			c.run(t, hub, "publish", topic, "news")
			for _, subscriber := range []*harness.Lines{one, two} {
				if line := subscriber.Line(t); line != "news" {
					t.Errorf("a subscriber got %q", line)
				}
			}
		})
	}
}

// mustBeEmpty fails when the queue still holds a message: what was consumed must
// have been acknowledged.
func mustBeEmpty(t *testing.T, hub *harness.Hub, queue string) {
	t.Helper()
	mustHold(t, hub, queue, 0)
}

// mustHold fails when the queue does not come to hold count messages, and no consumer.
func mustHold(t *testing.T, hub *harness.Hub, queue string, count int) {
	t.Helper()
	conn, err := amqp.Dial(hub.AMQPURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	err = harness.Poll(commandWait/3, func() error {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err == nil && (q.Messages != count || q.Consumers > 0) {
			err = fmt.Errorf("%d messages, %d consumers", q.Messages, q.Consumers)
		}
		return err
	})
	if err != nil {
		t.Errorf("%s, which should hold %d: %v", queue, count, err)
	}
}

// TestAcrossDoors lets every client call a service of every client, and send to
// and publish for the next one.
func TestAcrossDoors(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	all := clients()
	for i, service := range all {
		t.Run(service.name, func(t *testing.T) {
			t.Parallel()
			name := "answers-" + service.name
			server := service.begin(t, hub, "serve", name, fmt.Sprint(len(all)))
			for _, caller := range all {
				got := caller.run(t, hub, "call", name, "hello from "+caller.name)
				want := service.name + " heard hello from " + caller.name
				if len(got) != 1 || got[0] != want {
					t.Errorf("%s got %q, want %q", caller.name, got, want)
				}
			}
			ended(t, server, service.name)
			mustBeEmpty(t, hub, name)

			next := all[(i+1)%len(all)]
			queue := "from-" + service.name
			service.run(t, hub, "send", queue, "over there")
			if got := next.run(t, hub, "consume", queue, "1"); !slices.Contains(got, "over there") {
				t.Errorf("%s consumed %q", next.name, got)
			}
			topic := "over." + strings.ReplaceAll(service.name, ".", "-")
			subscriber := next.begin(t, hub, "subscribe", topic, "1")
			service.run(t, hub, "publish", topic, "over there")
			if line := subscriber.Line(t); line != "over there" {
				t.Errorf("%s got %q", next.name, line)
			}
		})
	}
}
