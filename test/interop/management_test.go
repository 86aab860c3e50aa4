// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
)

// admin runs Debian's rabbitmqadmin.
func admin(t *testing.T, hub *harness.Hub, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandWait)
	defer cancel()
	host, port, err := net.SplitHostPort(hub.Management)
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-H", host, "-P", port, "-f", "tsv"}, args...)
	out, err := exec.CommandContext(ctx, "rabbitmqadmin", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("rabbitmqadmin %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestRabbitmqadmin declares, publishes, gets, lists, moves and deletes with the tool.
func TestRabbitmqadmin(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	file := filepath.Join(t.TempDir(), "definitions.json")
	for _, step := range []struct{ line, want string }{
		{"show overview", "3.13.7\thub"},
		{"list nodes name running", "parley@"},
		{"declare vhost name=tools", "vhost declared"},
		{"declare user name=ada password=ada tags=monitoring", "user declared"},
		{"declare permission vhost=tools user=ada configure=.* write=.* read=.*", "declared"},
		{"declare exchange name=x type=topic", "exchange declared"},
		{`declare queue name=q durable=true arguments={"x-max-length":5}`, "queue declared"},
		{"declare binding source=x destination=q routing_key=a.#", "binding declared"},
		{`publish exchange=x routing_key=a.b payload=hello properties={"delivery_mode":2}`, "published"},
		{"get queue=q ackmode=ack_requeue_true", "hello"},
		{"list queues name messages", "q\t1"},
		{"get queue=q ackmode=ack_requeue_false", "True"}, // redelivered
		{"list bindings source destination routing_key", "x\tq\ta.#"},
		{"list exchanges name type", "x\ttopic"},
		{`declare policy name=p pattern=^q definition={"max-length":2} apply-to=queues`, "declared"},
		{"list queues name policy", "q\tp"},
		{"declare vhost_limit vhost=tools name=max-queues value=7", "declared"},
		{"list vhost_limits", "tools"},
		{"declare operator_policy name=o pattern=^z definition={\"max-length\":1}", "declared"},
		{"list channels", ""},
		{"list consumers", ""},
		{"list users name tags", "ada\tmonitoring"},
		{"list permissions", "tools"},
		{"export " + file, "Exported"},
		{"delete queue name=q", "queue deleted"},
		{"import " + file, "Uploaded"},
		{"list bindings source destination routing_key", "x\tq\ta.#"},
		{"purge queue name=q", "queue purged"},
		{"delete binding source=x destination_type=queue destination=q properties_key=a.%23", "deleted"},
		{"delete exchange name=x", "exchange deleted"},
		{"delete user name=ada", "user deleted"},
		{"delete vhost name=tools", "vhost deleted"},
	} {
		if got := admin(t, hub, strings.Fields(step.line)...); !strings.Contains(got, step.want) {
			t.Errorf("rabbitmqadmin %s: %q, want %q", step.line, got, step.want)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Errorf("the export: %v", err)
	}
}

// TestForcedClose ends a connection as the recovery tests of amqp091-go do: it is listed as soon as
// it is open, under the name that the client chose, and hears 320.
func TestForcedClose(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName("to be closed")
	c, err := amqp.DialConfig(hub.AMQPURL(), amqp.Config{Properties: properties})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	closed := c.NotifyClose(make(chan *amqp.Error, 1))
	line := strings.TrimSpace(admin(t, hub, "list", "connections", "name", "user_provided_name"))
	_, row, _ := strings.Cut(line, "\n")
	name, client, _ := strings.Cut(row, "\t")
	if client != "to be closed" {
		t.Fatalf("connections %q", line)
	}
	ctx, cancel := context.WithTimeout(t.Context(), commandWait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete,
		"http://"+hub.Management+"/api/connections/"+url.PathEscape(name), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("guest", "guest")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Errorf("DELETE answers %s", res.Status)
	}
	select {
	case e := <-closed:
		if e == nil || e.Code != amqp.ConnectionForced ||
			e.Reason != "CONNECTION_FORCED - Closed via management plugin" {
			t.Errorf("closed by %v", e)
		}
	case <-time.After(10 * time.Second):
		t.Error("the connection is still open")
	}
}
