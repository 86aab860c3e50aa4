// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os/exec"
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
