// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
)

// hooks are a hub that may post to this machine, and a target in a process of its own.
type hooks struct {
	*harness.Hub

	binary, address, file string
	target                *harness.Process
}

func startHooks(t *testing.T) *hooks {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "parley.yaml")
	text := "webhooks:\n  networks: [\"127.0.0.0/8\"]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h := &hooks{
		binary: harness.BuildHelper(t, "crash/target"), address: harness.FreeAddr(t),
		file: filepath.Join(dir, "posts"),
	}
	h.start(t)
	h.Hub = harness.Start(t, harness.Build(t), harness.Options{Args: []string{"-c", config}})
	return h
}

// start starts the target.
func (h *hooks) start(t *testing.T) {
	t.Helper()
	h.target = harness.Run(t, "target", exec.Command(h.binary, "-listen", h.address, "-file", h.file))
	if err := harness.Accepts(h.target, h.address, testWait); err != nil {
		t.Fatal(err)
	}
}

// do sends a request to the hub and returns what it answers; headers are names and values.
func (h *hooks) do(
	t *testing.T, method, path string, body any, want int, headers ...string,
) []byte {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, h.URL(path), bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		t.Fatalf("%s %s: %s %s, %v", method, path, res.Status, answer, err)
	}
	return answer
}

// subscribe has a queue posted to a path of the target.
func (h *hooks) subscribe(t *testing.T, name, queue, path string, more map[string]any) {
	t.Helper()
	push := map[string]any{"url": "http://" + h.address + path, "format": "plain"}
	maps.Copy(push, more)
	h.do(t, http.MethodPut, "/v1/subscriptions/"+name, map[string]any{
		"source": map[string]any{"queue": queue}, "push": push,
	}, http.StatusCreated)
}

// state returns a member of how a subscription is.
func (h *hooks) state(t *testing.T, name, member string) any {
	t.Helper()
	var out map[string]any
	data := h.do(t, http.MethodGet, "/v1/subscriptions/"+name, nil, http.StatusOK)
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out[member]
}

// post is a line of the target's file.
type post struct {
	Body, Attempt string
	At            time.Time
}

// posts reads what the target got.
func (h *hooks) posts(t *testing.T) (list []post) {
	t.Helper()
	data, err := os.ReadFile(h.file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var p post
		if err := json.Unmarshal(line, &p); err != nil {
			t.Fatalf("line %q: %v", line, err) // a line is one write
		}
		list = append(list, p)
	}
	return list
}

// load publishes messages of a number each, with confirms, until it is told to end. It connects again
// to a hub that went away.
type load struct {
	mu        sync.Mutex
	confirmed []string
	work      sync.WaitGroup
}

func (l *load) run(ctx context.Context, url, queue string) {
	for n := 0; ctx.Err() == nil; {
		conn, err := amqp.Dial(url)
		if err != nil {
			continue // the hub is being started
		}
		n = l.publish(ctx, conn, queue, n)
		_ = conn.Close() // it may be gone
	}
}

// publish returns the number of the message with which to go on.
func (l *load) publish(ctx context.Context, conn *amqp.Connection, queue string, n int) int {
	ch, err := conn.Channel()
	if err != nil || ch.Confirm(false) != nil {
		return n
	}
	for ; ctx.Err() == nil; n++ {
		body := fmt.Sprint(n)
		done, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, false, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)})
		if err != nil {
			return n + 1
		}
		if ok, err := done.WaitContext(ctx); err != nil || !ok {
			return n + 1
		}
		l.mu.Lock()
		l.confirmed = append(l.confirmed, body)
		l.mu.Unlock()
	}
	return n
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.confirmed)
}

// TestWebhookTargetKilled kills the target several times under load, and the hub once: every message
// that was confirmed is posted, attempts are counted, and none is given up (rest.md).
func TestWebhookTargetKilled(t *testing.T) {
	t.Parallel()
	const each = 300 // messages between two kills
	h := startHooks(t)
	h.do(t, http.MethodPut, "/v1/queues/q", nil, http.StatusCreated)
	h.subscribe(t, "s", "q", "/204", map[string]any{
		"retry": map[string]any{"attempts": 100, "first_ms": 20, "max_ms": 200},
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var l load
	l.work.Go(func() { l.run(ctx, h.AMQPURL(), "q") })
	more := func() {
		t.Helper()
		want := l.count() + each
		if err := harness.Poll(testWait, func() error {
			if n := l.count(); n < want {
				return fmt.Errorf("%d messages, want %d", n, want)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		more()
		h.target.Kill()
		more() // nobody takes them
		h.start(t)
	}
	more()
	h.Kill()
	h.Hub = h.Again(t)
	more()
	stop()
	l.work.Wait()
	attempts := map[string]bool{}
	err := harness.Poll(testWait, func() error {
		got := map[string]bool{}
		for _, p := range h.posts(t) {
			got[p.Body], attempts[p.Attempt] = true, true
		}
		for _, body := range l.confirmed {
			if !got[body] {
				return fmt.Errorf("message %s of %d was not posted", body, len(l.confirmed))
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if !attempts["1"] || !attempts["2"] {
		t.Errorf("attempts %v", attempts)
	}
	if n := h.state(t, "s", "dead_lettered"); n != 0.0 {
		t.Errorf("%v dead letters", n)
	}
	t.Logf("%d messages, %d posts", len(l.confirmed), len(h.posts(t)))
}

// TestWebhookRetryAfter obeys Retry-After within 10 % (rest.md).
func TestWebhookRetryAfter(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"429", "503"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			h := startHooks(t)
			h.do(t, http.MethodPut, "/v1/queues/q", nil, http.StatusCreated)
			for range 3 {
				h.do(t, http.MethodPost, "/v1/queues/q/messages", "m", http.StatusCreated)
			}
			h.subscribe(t, "s", "q", "/"+status+"/2", nil)
			var list []post
			if err := harness.Poll(testWait, func() error {
				if list = h.posts(t); len(list) < 4 {
					return fmt.Errorf("%d posts", len(list))
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			const asked = 2 * time.Second
			d := list[1].At.Sub(list[0].At)
			t.Logf("posted again after %v", d)
			if d < asked*9/10 || d > asked*11/10 {
				t.Errorf("posted again after %v, want %v within 10 %%", d, asked)
			}
			for _, p := range list {
				if p.Attempt != "1" {
					t.Errorf("attempt %s", p.Attempt) // the wait is none
				}
			}
		})
	}
}

// TestWebhookGone disables the subscription when its target is gone, and it still is after the hub was
// killed; the message is back in its queue (rest.md).
func TestWebhookGone(t *testing.T) {
	t.Parallel()
	h := startHooks(t)
	h.do(t, http.MethodPut, "/v1/queues/q", nil, http.StatusCreated)
	h.do(t, http.MethodPost, "/v1/queues/q/messages", "m", http.StatusCreated)
	h.subscribe(t, "s", "q", "/410", nil)
	disabled := func() {
		t.Helper()
		if err := harness.Poll(testWait, func() error {
			if state := h.state(t, "s", "state"); state != "disabled" {
				return fmt.Errorf("state %v", state)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		answer := h.do(t, http.MethodGet, "/v1/queues/q", nil, http.StatusOK)
		if !strings.Contains(string(answer), `"message_count":1`) {
			t.Errorf("queue %s", answer)
		}
	}
	disabled()
	h.Kill()
	h.Hub = h.Again(t)
	disabled()
	if n := len(h.posts(t)); n != 1 {
		t.Errorf("%d posts", n)
	}
}

// TestWebhookCallback kills the hub while a request with a callback waits for its answer, and again
// when it has it, while nobody listens there: the result is posted by the third (rest.md, Calls).
func TestWebhookCallback(t *testing.T) {
	t.Parallel()
	h := startHooks(t)
	h.do(t, http.MethodPut, "/v1/queues/svc", nil, http.StatusCreated)
	h.do(t, http.MethodPost, "/v1/services/svc/do", "question", http.StatusAccepted,
		"Prefer", "respond-async", "Parley-Callback", "http://"+h.address+"/204")
	h.target.Kill()
	h.Kill()
	h.Hub = h.Again(t)
	var leased struct{ Messages []struct{ Lease string } }
	data := h.do(t, http.MethodPost, "/v1/queues/svc/leases", map[string]any{"wait_ms": 10_000},
		http.StatusOK)
	if err := json.Unmarshal(data, &leased); err != nil || len(leased.Messages) != 1 {
		t.Fatalf("leased %s, %v", data, err)
	}
	h.do(t, http.MethodPost, "/v1/leases/"+leased.Messages[0].Lease+"/reply", "answer",
		http.StatusCreated)
	h.Kill()
	h.start(t)
	h.Hub = h.Again(t)
	if err := harness.Poll(testWait, func() error {
		if list := h.posts(t); len(list) == 0 || list[0].Body != `"answer"` {
			return fmt.Errorf("posts %v", list)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
