// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/harness"
)

// restWait bounds the tests over HTTP, which kill the hub several times.
const restWait = 2 * time.Minute

// reborn is a hub that is killed and started again.
type reborn struct {
	mu  sync.Mutex
	hub *harness.Hub
}

func (r *reborn) url(path string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hub.URL(path)
}

// kill ends the hub's process and starts another on what it had on disk.
func (r *reborn) kill(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hub.Kill()
	r.hub = r.hub.Again(t)
}

// send sends one message under a key, and gives up in the middle now and then; it reports whether the
// hub said that the message is safe.
func (r *reborn) send(ctx context.Context, path, key, body string) bool {
	patience := time.Duration(1+rand.IntN(50)) * time.Millisecond // some are too short
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url(path), strings.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("Idempotency-Key", strconv.Quote(key))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err == nil && res.StatusCode == http.StatusCreated
}

// request answers a request that has to succeed.
func (r *reborn) request(t *testing.T, method, path, body string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url(path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= http.StatusBadRequest {
		t.Fatalf("%s %s: %s %s, %v", method, path, res.Status, data, err)
	}
	return data
}

// TestSendOnceUnderKills: senders give up and try again with the same keys, and the hub is killed again
// and again; in the end each message is there, and once (rest.md).
func TestSendOnceUnderKills(t *testing.T) {
	t.Parallel()
	const senders, messages, kills = 4, 100, 3
	r := &reborn{hub: harness.Start(t, harness.Build(t), harness.Options{})}
	ctx, cancel := context.WithTimeout(t.Context(), restWait)
	defer cancel()
	r.request(t, http.MethodPut, "/v1/queues/once", "")
	var sending sync.WaitGroup
	sent := make(chan struct{}, senders*messages)
	for s := range senders {
		sending.Go(func() {
			for i := range messages {
				id := fmt.Sprintf("%d-%d", s, i)
				for !r.send(ctx, "/v1/queues/once/messages", id, id) {
					if ctx.Err() != nil {
						t.Errorf("%s was never safe", id)
						return
					}
				}
				sent <- struct{}{}
			}
		})
	}
	for range kills {
		for range senders * messages / (kills + 1) {
			<-sent
		}
		r.kill(t)
	}
	sending.Wait()
	seen := map[string]int{}
	for {
		data := r.request(t, http.MethodPost, "/v1/queues/once/leases", `{"max":100}`)
		if len(data) == 0 {
			break
		}
		var got struct{ Messages []struct{ Body string } }
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		for _, m := range got.Messages {
			seen[m.Body]++
		}
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", id, n)
		}
	}
	if len(seen) != senders*messages {
		t.Errorf("%d of %d messages are there", len(seen), senders*messages)
	}
}

// TestStreamOverKills: a client of a durable topic that comes back with Last-Event-ID sees each message
// once and in order, though the hub is killed again and again (rest.md).
func TestStreamOverKills(t *testing.T) {
	t.Parallel()
	const messages, each = 60, 7
	r := &reborn{hub: harness.Start(t, harness.Build(t), harness.Options{})}
	const path = "/v1/topics/numbers/stream?name=over-kills"
	last, sent := "", 0
	for seen := 0; seen < messages; {
		ctx, cancel := context.WithTimeout(t.Context(), restWait)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 * each { // more than is read before the end
			if sent < messages {
				sent++
				r.request(t, http.MethodPost, "/v1/topics/numbers/messages", strconv.Itoa(sent))
			}
		}
		id, lines := "", bufio.NewScanner(res.Body)
		for read := 0; read < each && seen < messages && lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				id = value
			case "event":
				t.Errorf("event %s", value)
			case "data":
				seen++
				read++
				if last = id; value != strconv.Itoa(seen) {
					t.Fatalf("event %q, want %d", value, seen)
				}
			}
		}
		r.kill(t)
		cancel()
		_ = res.Body.Close()
	}
}
