// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// TestEventSource: a browser's own EventSource on a durable topic comes back by itself after the hub was
// killed, and has seen each event once and in order; its WebSocket reads and acknowledges.
func TestEventSource(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	send := func(path, body string) {
		t.Helper()
		res, err := http.Post(hub.URL(path), "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %s", path, res.Status)
		}
	}
	b := startBrowser(t)
	b.open(t, hub.URL("/healthz")) // any page of the hub's origin
	var started bool
	b.eval(t, `(() => {
		window.got = [];
		const source = new EventSource('/v1/topics/page.%23/stream?name=page');
		source.onopen = () => { window.opened = (window.opened || 0) + 1 };
		source.onmessage = (e) => window.got.push(e.data);
		source.addEventListener('gap', (e) => window.got.push('gap ' + e.data));
		return true;
	})()`, &started)
	b.until(t, "String(window.opened)", "1")
	want := ""
	for i := range 5 {
		send("/v1/topics/page.x/messages", strconv.Itoa(i))
		want += strconv.Itoa(i) + " "
	}
	b.until(t, "window.got.join(' ')", strings.TrimSpace(want))
	hub.Kill()
	hub = hub.Again(t)
	for i := 5; i < 10; i++ { // before the browser is back
		send("/v1/topics/page.x/messages", strconv.Itoa(i))
		want += strconv.Itoa(i) + " "
	}
	b.until(t, "window.got.join(' ')", strings.TrimSpace(want))
	b.until(t, "String(window.opened)", "2")

	res, err := http.DefaultClient.Do(put(t, hub.URL("/v1/queues/page")))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	send("/v1/queues/page/messages", "hello")
	b.eval(t, `(() => {
		const socket = new WebSocket('ws://' + location.host + '/v1/queues/page/stream?ack=manual');
		socket.onmessage = (e) => {
			const { message } = JSON.parse(e.data);
			window.read = message.body;
			socket.send(JSON.stringify({ ack: message.lease }));
		};
		return true;
	})()`, &started)
	b.until(t, "window.read || ''", "hello")
	b.open(t, "about:blank") // ends the socket
	mustBeEmpty(t, hub, "page")
}

func put(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
