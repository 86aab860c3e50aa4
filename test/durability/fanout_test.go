// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
)

// TestFanOutWritesOnce: a message to ten durable queues is one record with one body, and each of the
// queues has it.
func TestFanOutWritesOnce(t *testing.T) {
	const queues, messages, bodyBytes = 10, 500, 4 << 10
	// overheadBytes bounds what a message costs beside its body, its settlement included.
	const overheadBytes = 512
	binary, dir := harness.Build(t), t.TempDir()
	h := harness.Start(t, binary, harness.Options{Dir: dir})
	ch := channel(t, dial(t, h))
	if err := ch.ExchangeDeclare("out", "fanout", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	for i := range queues {
		name := fmt.Sprintf("out.%d", i)
		if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		if err := ch.QueueBind(name, "", "out", false, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	for range messages {
		confirm, err := ch.PublishWithDeferredConfirm("out", "", false, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, Body: make([]byte, bodyBytes),
		})
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := confirm.WaitContext(context.Background()); err != nil || !ok {
			t.Fatalf("confirmed %t, %v", ok, err)
		}
	}
	h.Stop(t)
	for _, q := range inspect(t, binary, dir) {
		if q.Messages != messages {
			t.Errorf("%s holds %d messages", q.Queue, q.Messages)
		}
	}
	used := 0
	for _, s := range inspect(t, binary, dir, "--segments") {
		used += s.Used
	}
	each := used / messages
	t.Logf("%d bytes written for each message of %d bytes in %d queues", each, bodyBytes, queues)
	if found := len(inspect(t, binary, dir)); found != queues || each > bodyBytes+overheadBytes {
		t.Errorf("%d queues, %d bytes written for each message", found, each)
	}
}

// inspected is a line of `parley log inspect`: of a queue, or of a segment.
type inspected struct {
	Queue          string
	Messages, Used int
}

func inspect(t *testing.T, binary, dir string, flags ...string) (lines []inspected) {
	t.Helper()
	out, err := exec.Command(binary, append([]string{"log", "inspect", dir}, flags...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var line inspected
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}
