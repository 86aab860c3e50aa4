// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

// TestConfirmedByEveryDoor: a confirm, a RECEIPT and a 201 all mean that the message outlives the
// hub, and it comes back to a consumer of another protocol.
func TestConfirmedByEveryDoor(t *testing.T) {
	const each = 20
	binary, dir := harness.Build(t), t.TempDir()
	hub := harness.Start(t, binary, harness.Options{Dir: dir})
	ch := channel(t, dial(t, hub))
	if _, err := ch.QueueDeclare("doors", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var want []string
	for _, p := range peers.Protocols() {
		peer, err := p.Dial(ctx, hub)
		if err != nil {
			t.Fatal(err)
		}
		for i := range each {
			body := fmt.Sprintf("%s %d", p.Name, i)
			if err := peer.Send(ctx, "doors", body); err != nil {
				t.Fatalf("%s: %v", p.Name, err)
			}
			want = append(want, body)
		}
		defer peer.Close()
	}
	hub.Kill()
	hub = harness.Start(t, binary, harness.Options{Dir: dir})
	if got := take(t, channel(t, dial(t, hub)), "doors", len(want)); !slices.Equal(got, want) {
		t.Errorf("after the kill:\n%s\nwant\n%s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

// take gets n messages without acknowledging them.
func take(t *testing.T, ch *amqp.Channel, queue string, n int) (bodies []string) {
	t.Helper()
	for range n {
		d, ok, err := ch.Get(queue, false)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return bodies
		}
		bodies = append(bodies, string(d.Body))
	}
	return bodies
}

// TestStructureSurvives: what was declared durable is there after a kill right behind the answer,
// with its arguments; what was not is gone.
func TestStructureSurvives(t *testing.T) {
	binary, dir := harness.Build(t), t.TempDir()
	hub := harness.Start(t, binary, harness.Options{Dir: dir})
	ch := channel(t, dial(t, hub))
	args := amqp.Table{"x-max-length": int32(2), "x-dead-letter-exchange": "dead"}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(ch.ExchangeDeclare("dead", "fanout", true, false, false, false, nil))
	must(ch.ExchangeDeclare("topics", "topic", true, false, false, false, nil))
	_, err := ch.QueueDeclare("graves", true, false, false, false, nil)
	must(err)
	_, err = ch.QueueDeclare("work", true, false, false, false, args)
	must(err)
	_, err = ch.QueueDeclare("transient", false, false, false, false, nil)
	must(err)
	must(ch.QueueBind("graves", "", "dead", false, nil))
	must(ch.QueueBind("work", "a.*.c", "topics", false, nil))
	hub.Kill()

	hub = harness.Start(t, binary, harness.Options{Dir: dir})
	ch = channel(t, dial(t, hub))
	_, err = ch.QueueDeclare("work", true, false, false, false, args)
	must(err)
	must(ch.Confirm(false))
	for i := range 3 {
		confirm, err := ch.PublishWithDeferredConfirm("topics", "a.b.c", true, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: fmt.Append(nil, i)})
		must(err)
		if !confirm.Wait() {
			t.Fatal("refused")
		}
	}
	if got := take(t, ch, "graves", 1); !slices.Equal(got, []string{"0"}) {
		t.Errorf("dead letters: %v", got)
	}
	if _, err := ch.QueueDeclarePassive("transient", false, false, false, false, nil); err == nil {
		t.Error("a transient queue came back")
	}
}

// TestCleanStopKeepsFlags: after a stop in order only what was delivered before is redelivered.
func TestCleanStopKeepsFlags(t *testing.T) {
	binary, dir := harness.Build(t), t.TempDir()
	hub := harness.Start(t, binary, harness.Options{Dir: dir})
	ch := channel(t, dial(t, hub))
	if _, err := ch.QueueDeclare("flags", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := ch.PublishWithContext(t.Context(), "", "flags", true, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, Body: fmt.Append(nil, i),
		}); err != nil {
			t.Fatal(err)
		}
	}
	take(t, ch, "flags", 1)
	hub.Stop(t)
	hub = harness.Start(t, binary, harness.Options{Dir: dir})
	ch = channel(t, dial(t, hub))
	for i := range 3 {
		d, ok, err := ch.Get("flags", false)
		if err != nil || !ok || string(d.Body) != fmt.Sprint(i) || d.Redelivered != (i == 0) {
			t.Errorf("message %d: %q, redelivered %t, %v", i, d.Body, d.Redelivered, err)
		}
	}
}

// TestRefusesToStart: a data directory that another hub holds, and one that is damaged, are named.
func TestRefusesToStart(t *testing.T) {
	binary, dir := harness.Build(t), t.TempDir()
	hub := harness.Start(t, binary, harness.Options{Dir: dir})
	if out, code := serve(t, binary, dir); code == 0 ||
		!strings.Contains(out, fmt.Sprintf("held by process %d", hub.Pid())) {
		t.Errorf("a second hub on the same directory: exit code %d, %s", code, out)
	}
	ch := channel(t, dial(t, hub))
	if _, err := ch.QueueDeclare("a", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("b", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	hub.Kill()
	segment := filepath.Join(dir, "wal", "0000000000000001.wal")
	f, err := os.OpenFile(segment, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0xff}, 4096+70); err != nil {
		t.Fatal(err)
	}
	if out, code := serve(t, binary, dir); code == 0 || !strings.Contains(out, segment) ||
		!strings.Contains(out, "offset 4096") {
		t.Errorf("a damaged log: exit code %d, %s", code, out)
	}
}

// serve runs a hub that is expected to end by itself.
func serve(t *testing.T, binary, dir string) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "serve", "--data", dir)
	for _, door := range []string{"AMQP", "STOMP", "WEBSTOMP", "REST", "MANAGEMENT"} {
		cmd.Env = append(cmd.Env, "PARLEY_DOORS__"+door+"__LISTEN=127.0.0.1:0")
	}
	b, err := cmd.CombinedOutput()
	if err == nil {
		return string(b), 0
	}
	return string(b), cmd.ProcessState.ExitCode()
}
