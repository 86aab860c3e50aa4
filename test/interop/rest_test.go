// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"context"
	"encoding/xml"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/harness"
)

// TestDailyREST: what users of the CloudEvents SDK do.
func TestDailyREST(t *testing.T) {
	t.Parallel()
	runScripts(t, script{
		client: client{"cloudevents", []string{"node", "node/cloudevents_daily.js"}, nil},
		queues: []string{"events"},
		says: []string{
			"binary application/octet-stream", "binary application/cloudevents+json",
			"structured application/octet-stream", "structured application/cloudevents+json",
			"batch", "batched", "batched",
			"posted binary", "posted structured", "posted batch",
			"to AMQP", "from AMQP binary", "from AMQP structured",
		},
		config: "webhooks: {networks: [\"127.0.0.1\"]}\n",
	})
}

const (
	// h2spec is the conformance suite of HTTP/2; its last release is of 2020.
	h2spec = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"
	// h2specWait bounds its run: some cases wait for the hub to close.
	h2specWait = 3 * time.Minute
)

// h2specFails are the cases that fail, and why that is so.
func h2specFails() map[string]string {
	const answered = "net/http answers a malformed request with 400, which RFC 9113 §8.1.1 allows"
	const early = "the answer may be sent before the frames that are wrong are read"
	return map[string]string{
		"Sends invalid connection preface": "without TLS the port speaks HTTP/1.1 too, and" +
			" answers in that before it closes",
		"Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE": "net/http refuses a setting" +
			" that comes twice",
		"Sends a HEADERS frame that contains the connection-specific header field": answered,
		"Sends a HEADERS frame that contains the TE header field with any value other than" +
			` "trailers"`: answered,
		"Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1" +
			" on a stream": early,
		`Sends a HEADERS frame with the "content-length" header field which does not equal the` +
			" DATA frame payload length": early,
		`Sends a HEADERS frame with the "content-length" header field which does not equal the` +
			" sum of the multiple DATA frames payload length": early,
	}
}

// TestH2Spec: the REST door without TLS against the conformance suite of HTTP/2 (rest.md).
func TestH2Spec(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	dir := t.TempDir()
	install := exec.CommandContext(t.Context(), "go", "install", h2spec)
	install.Dir, install.Env = dir, append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("h2spec cannot be installed: %v\n%s", err, out)
	}
	_, port, err := net.SplitHostPort(hub.REST)
	if err != nil {
		t.Fatal(err)
	}
	results := filepath.Join(dir, "results.xml")
	ctx, cancel := context.WithTimeout(t.Context(), h2specWait)
	defer cancel()
	run := exec.CommandContext(ctx, filepath.Join(dir, "h2spec"), "-p", port, "-o", "5", "-j", results)
	out, _ := run.CombinedOutput() // its verdict counts cases that may fail
	data, err := os.ReadFile(results)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var suites struct {
		Suites []struct {
			Cases []struct {
				Name    string    `xml:"classname,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(data, &suites); err != nil {
		t.Fatal(err)
	}
	passed, known := 0, h2specFails()
	for _, s := range suites.Suites {
		for _, c := range s.Cases {
			switch {
			case c.Failure == nil && c.Error == nil:
				passed++
			case known[c.Name] == "":
				t.Errorf("h2spec: %s", c.Name)
			}
		}
	}
	if passed < 138 {
		t.Errorf("%d cases passed\n%s", passed, out)
	}
	report(t, "h2spec: "+strconv.Itoa(passed)+" cases passed")
}

// TestWrk: requests that come as fast as wrk can send them, over kept connections, are all answered,
// and every message that was answered with 201 is there.
func TestWrk(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	if _, err := exec.LookPath("wrk"); err != nil {
		t.Skip("wrk is not installed")
	}
	c := client{"curl", []string{"sh", "curl/curl_peer.sh"}, nil}
	c.run(t, hub, "send", "wrk", "first")
	script := filepath.Join(t.TempDir(), "post.lua")
	err := os.WriteFile(script, []byte(`wrk.method = "POST"
wrk.body = "hello"
wrk.headers["Content-Type"] = "text/plain"
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	load := exec.CommandContext(t.Context(), "wrk", "-t", "1", "-c", "16", "-d", "2s", "-s", script,
		hub.URL("/v1/queues/wrk/messages"))
	out, err := load.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if bytes.Contains(out, []byte("Non-2xx")) || bytes.Contains(out, []byte("Socket errors")) {
		t.Errorf("%s", out)
	}
	sent := regexp.MustCompile(`(\d+) requests in`).FindSubmatch(out)
	if sent == nil {
		t.Fatalf("%s", out)
	}
	n, err := strconv.Atoi(string(sent[1]))
	if err != nil || n < 100 {
		t.Fatalf("%d requests, %v", n, err)
	}
	// wrk leaves up to one request of each connection unread.
	const connections = 16
	purged := output(t, "curl", exec.CommandContext(t.Context(), "curl", "-s", "-X", "DELETE",
		hub.URL("/v1/queues/wrk/messages")))
	count := regexp.MustCompile(`\d+`).FindString(strings.Join(purged, ""))
	if held, err := strconv.Atoi(count); err != nil || held < n+1 || held > n+1+connections {
		t.Errorf("%d requests were answered, the queue held %q", n, purged)
	}
	report(t, "wrk: "+strconv.Itoa(n/2)+" sends a second over HTTP, 16 connections, each safe on disk")
}

// TestCurlAlone: declare, bind, send, lease, answer and delete by curl, with nothing else (rest.md).
func TestCurlAlone(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	p := harness.RunLines(t, "curl", exec.CommandContext(t.Context(), "sh", "curl/curl_alone.sh",
		hub.URL("/v1")))
	got := slices.Collect(p.All(t))
	want := []string{
		"declare 201 200", "bind 204", "publish 201", "lease hello", "acknowledge 204 204",
		"ask 202", "worker Ada", "reply 201", "answer 200 Hello, Ada", "delete 204 404",
	}
	if !slices.Equal(got, want) {
		t.Errorf("it says\n%s\nwant\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"),
			p.Output())
	}
}
