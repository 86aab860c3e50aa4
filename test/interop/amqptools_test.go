// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
)

// toolURL is how amqp-tools take an address: with a slash at the end the vhost
// would be the empty one.
func toolURL(hub *harness.Hub) string { return "--url=amqp://guest:guest@" + hub.AMQP }

// tool runs one of Debian's amqp-tools.
func tool(t *testing.T, hub *harness.Hub, name string, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandWait)
	defer cancel()
	args = append([]string{toolURL(hub)}, args...)
	return output(t, name, exec.CommandContext(ctx, name, args...))
}

// TestAMQPTools sends, consumes, publishes and subscribes with Debian's
// amqp-tools, alone and with curl at the other end.
func TestAMQPTools(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	curl := clients()[slices.IndexFunc(clients(), func(c client) bool { return c.name == "curl" })]

	const queue = "interop-amqp-tools"
	if got := tool(t, hub, "amqp-declare-queue", "-d", "-q", queue); got[0] != queue {
		t.Errorf("declared %q", got)
	}
	want := []string{"one", "two", "three"}
	for _, body := range want {
		tool(t, hub, "amqp-publish", "-p", "-r", queue, "-b", body+"\n")
	}
	if got := tool(t, hub, "amqp-consume", "-q", queue, "-c", "3", "cat"); !slices.Equal(got, want) {
		t.Errorf("consumed %q", got)
	}
	mustBeEmpty(t, hub, queue)

	tool(t, hub, "amqp-publish", "-r", queue, "-C", "text/plain", "-b", "to curl")
	if got := curl.run(t, hub, "consume", queue, "1"); !slices.Contains(got, "to curl") {
		t.Errorf("curl consumed %q", got)
	}
	curl.run(t, hub, "send", queue, "from curl")
	if got := tool(t, hub, "amqp-get", "-q", queue); !slices.Equal(got, []string{"from curl"}) {
		t.Errorf("amqp-get got %q", got)
	}
	tool(t, hub, "amqp-publish", "-r", queue, "-b", "left behind")
	if got := tool(t, hub, "amqp-delete-queue", "-q", queue); !slices.Equal(got, []string{"1"}) {
		t.Errorf("amqp-delete-queue says %q", got)
	}
	if got := tool(t, hub, "amqp-declare-queue", "-q", ""); !strings.HasPrefix(got[0], "amq.gen-") {
		t.Errorf("declared %q", got)
	}

	var subscribers []*harness.Lines
	for i := range 2 {
		name := fmt.Sprintf("interop-amqp-tools-%d", i)
		cmd := exec.CommandContext(t.Context(), "amqp-consume", toolURL(hub),
			"-q", name, "-e", "amq.topic", "-r", "interop.tools.#", "-c", "1", "cat")
		subscribers = append(subscribers, harness.RunLines(t, "amqp-consume", cmd))
		mustHaveConsumer(t, hub, name)
	}
	tool(t, hub, "amqp-publish", "-e", "amq.topic", "-r", "interop.tools.news", "-b", "news\n")
	for _, subscriber := range subscribers {
		if line := subscriber.Line(t); line != "news" {
			t.Errorf("a subscriber got %q", line)
		}
		ended(t, subscriber, "amqp-consume")
	}
}

// mustHaveConsumer waits until amqp-consume, which prints nothing before its
// first message, has declared and bound its queue and consumes from it.
func mustHaveConsumer(t *testing.T, hub *harness.Hub, queue string) {
	t.Helper()
	conn, err := amqp.Dial(hub.AMQPURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = harness.Poll(commandWait, func() error {
		ch, err := conn.Channel() // an absent queue closes it
		if err != nil {
			return err
		}
		defer ch.Close()
		q, err := ch.QueueDeclarePassive(queue, false, false, false, false, nil)
		if err == nil && q.Consumers == 0 {
			err = errors.New("nobody consumes")
		}
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", queue, err)
	}
}
