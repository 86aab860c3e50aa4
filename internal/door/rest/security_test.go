// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/metric"
	"github.com/parley-ipc/parley/internal/store"
)

// security.md: HTTP Basic; without credentials, the guest of a loopback listener, unless a page
// of another origin or another host name sent the request.
func TestWhoIsCalling(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	host := strings.TrimPrefix(h.server.URL, "http://")
	_, port, _ := net.SplitHostPort(host)
	testCases := []struct {
		name    string
		headers []string
		status  int
		code    string
	}{
		{"guest", nil, 200, ""},
		{"user", []string{basic("ada")}, 200, ""},
		{"wrong password", []string{"Authorization: Basic YWRhOngK"}, 401, "unauthenticated"},
		{"another scheme", []string{"Authorization: Bearer x"}, 401, "unauthenticated"},
		{"garbage", []string{"Authorization: Basic %%%"}, 401, "unauthenticated"},
		{"host localhost", []string{"Host: localhost:" + port}, 200, ""},
		{"host below localhost", []string{"Host: hub.localhost"}, 200, ""},
		{"host IPv6", []string{"Host: [::1]:" + port}, 200, ""},
		{"host rebound", []string{"Host: evil.example:" + port}, 403, "forbidden"},
		{"host like ours", []string{"Host: localhost.evil.example"}, 403, "forbidden"},
		{"host rebound, user", []string{"Host: hub.example", basic("ada")}, 200, ""},
		{"own origin", []string{"Origin: http://" + host}, 200, ""},
		{"foreign origin", []string{"Origin: http://evil.example"}, 403, "forbidden"},
		{
			"foreign origin, user",
			[]string{"Origin: http://evil.example", basic("ada")},
			403,
			"forbidden",
		},
		{"foreign port", []string{"Origin: http://127.0.0.1:1"}, 403, "forbidden"},
		{"null origin", []string{"Origin: null"}, 403, "forbidden"},
		{
			"rebound origin",
			[]string{"Origin: http://evil.example", "Host: evil.example"},
			403,
			"forbidden",
		},
		{"cross-site image", []string{"Sec-Fetch-Site: cross-site"}, 403, "forbidden"},
		{"same site, other port", []string{"Sec-Fetch-Site: same-site"}, 403, "forbidden"},
		{"typed by a person", []string{"Sec-Fetch-Site: none"}, 200, ""},
		{"through a proxy", []string{"X-Forwarded-For: 8.8.8.8"}, 401, "unauthenticated"},
		{"through a proxy, RFC 7239", []string{"Forwarded: for=8.8.8.8"}, 401, "unauthenticated"},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := h.with(t).do("GET", "/v1/queues", "", tc.headers...)
			if tc.code == "" {
				r.want(tc.status)
				return
			}
			r.problem(tc.status, tc.code)
			if got := r.header.Get("WWW-Authenticate"); (got != "") != (tc.status == 401) {
				t.Errorf("WWW-Authenticate %q with %d", got, tc.status)
			}
		})
	}
}

// security.md: the guest comes from this machine only, whatever the listener's address is.
func TestGuestFromElsewhere(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	outside := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8080}
	testCases := []struct {
		name   string
		local  net.Addr
		remote string
		status int
	}{
		{"both loopback", loopback, "127.0.0.1:5", 200},
		{"listener outside", outside, "127.0.0.1:5", 401},
		{"client outside", loopback, "192.0.2.7:5", 401},
		{"mapped loopback", loopback, "[::ffff:127.0.0.1]:5", 200},
		{"no address", loopback, "somewhere", 401},
		{"no listener", nil, "127.0.0.1:5", 401},
		{"unix", &net.UnixAddr{Name: "/run/x", Net: "unix"}, "@", 200},
	}
	for _, tc := range testCases {
		r := httptest.NewRequest(http.MethodGet, "http://localhost/v1/queues", http.NoBody)
		r.RemoteAddr = tc.remote
		if tc.local != nil {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tc.local))
		}
		w := httptest.NewRecorder()
		h.door.Handler().ServeHTTP(w, r)
		if w.Code != tc.status {
			t.Errorf("%s: status %d, want %d: %s", tc.name, w.Code, tc.status, w.Body)
		}
	}
	closed := newHub(t, func(o *Options) { o.Guest = noGuest })
	closed.do("GET", "/v1/queues", "").problem(401, "unauthenticated")
}

// A Unix socket is reached from this machine only: the guest needs no name there.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	dir, err := os.MkdirTemp("", "rest") // t.TempDir may be too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	at := filepath.Join(dir, "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", at)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.door.Serve(ctx, l) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", at)
	}
	transport := &http.Transport{DialContext: dial}
	defer transport.CloseIdleConnections()
	r, err := (&http.Client{Transport: transport}).Get("http://hub/v1/queues")
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Fatalf("status %s", r.Status)
	}
}

// rest.md, Limits: CORS is off, and with exact origins when it is on.
func TestCORS(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.AllowedOrigins = []string{"https://app.example"} })
	r := h.do("GET", "/v1/queues", "", "Origin: https://app.example").want(200)
	if r.header.Get("Access-Control-Allow-Origin") != "https://app.example" ||
		r.header.Get("Access-Control-Allow-Credentials") != "" || r.header.Get("Vary") != "Origin" {
		t.Errorf("headers %v", r.header)
	}
	r = h.do("OPTIONS", "/v1/queues/q", "", "Origin: https://app.example",
		"Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: authorization")
	if r.want(204).header.Get("Access-Control-Allow-Headers") != "authorization" {
		t.Errorf("headers %v", r.header)
	}
	r = h.do("GET", "/v1/queues", "", "Origin: https://app.example.evil").problem(403, "forbidden")
	if r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("headers %v", r.header)
	}
	off := newHub(t)
	r = off.do("OPTIONS", "/v1/queues/q", "", "Origin: https://app.example",
		"Access-Control-Request-Method: PUT")
	if r.want(204).header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("headers %v", r.header)
	}
}

// rest.md, Routes: unknown route 404, known route with another method 405 and Allow.
func TestRoutes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, path := range []string{
		"/nothing", "/v1/nothing", "/v2/queues", "/v1/queues/", "/v1/queues/a/b", "/v1//queues",
		"/v1/queues/..", "/v1/./queues", "/v1/../v1/queues", "/v1/queues/q/messages/x",
		"/problems/", "/v1/vhosts", "/v1/vhosts/x",
	} {
		h.do("GET", path, "").problem(404, "not-found")
	}
	testCases := []struct{ method, path, allow string }{
		{"POST", "/v1/queues/q", "DELETE, GET, HEAD, PUT"},
		{"GET", "/v1/queues/q/messages", "DELETE, POST"},
		{"GET", "/v1/queues/q/leases", "POST"},
		{"PUT", "/v1/leases/x", "DELETE, PATCH"},
		{"PUT", "/v1/bindings", "DELETE, GET, HEAD, POST"},
		{"PATCH", "/v1/vhosts/v/exchanges/x", "DELETE, GET, HEAD, PUT"},
		{"POST", "/healthz", "GET, HEAD"},
		{"BREW", "/v1/queues", "GET, HEAD"},
	}
	for _, tc := range testCases {
		r := h.do(tc.method, tc.path, "").problem(405, wordMethod)
		if got := r.header.Get("Allow"); got != tc.allow {
			t.Errorf("%s %s: Allow %q, want %q", tc.method, tc.path, got, tc.allow)
		}
	}
	// OPTIONS shows what a route takes.
	r := h.do("OPTIONS", "/v1/queues/q/messages", "").want(204)
	if r.header.Get("Allow") != "DELETE, POST, OPTIONS" ||
		r.header.Get("Parley-Max-Body-Bytes") != "16777216" {
		t.Errorf("OPTIONS: %v", r.header)
	}
	h.do("OPTIONS", "/v1/nothing", "").problem(404, "not-found")
	if got := r.header.Get("Accept-Post"); got != "*/*, application/x-ndjson, "+
		"application/cloudevents+json, application/cloudevents-batch+json" {
		t.Errorf("Accept-Post %q", got)
	}
	// GET, HEAD and OPTIONS never change state: consuming is POST or a stream.
	h.queue("q")
	h.send("q", "x")
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		for _, path := range []string{"", "/leases", "/messages"} {
			h.do(method, "/v1/queues/q"+path, "")
		}
	}
	if s := h.stats("q"); s.Ready != 1 || s.Unsettled != 0 {
		t.Errorf("queue %+v", s)
	}
}

// rest.md, Routes: an unacceptable Accept is 406, before anything is done.
func TestAccept(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	testCases := []struct {
		method, path, accept string
		status               int
	}{
		{"PUT", "/v1/queues/q", "text/html", 406},
		{"GET", "/v1/queues/q", "", 404}, // it was not declared
		{"PUT", "/v1/queues/q", "text/html, application/*;q=0.1", 201},
		{"PUT", "/v1/queues/q", "application/json;q=0", 406},
		{"GET", "/v1/queues/q", "*/*", 200},
		{"GET", "/v1/queues/q/stream", "application/json", 406},
		{"POST", "/v1/services/q/x/gather", "text/plain", 406},
		{"POST", "/v1/queues/q/leases", "image/png", 204},
		{"GET", "/problems/quota", "text/html", 200},
		{"GET", "/problems/quota", "image/png", 406},
	}
	for _, tc := range testCases {
		if r := h.do(tc.method, tc.path, "", "Accept: "+tc.accept); r.status != tc.status {
			t.Errorf("%s %s, Accept %q: status %d, want %d", tc.method, tc.path, tc.accept,
				r.status, tc.status)
		}
	}
}

// rest.md, Limits: a target of N, N + 1 bytes; headers above 64 KiB are 431.
func TestTargetAndHeaderLimits(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	const path = "/v1/bindings?src="
	h.do("GET", path+strings.Repeat("x", targetBytesMax-len(path)), "").want(200)
	h.do("GET", path+strings.Repeat("x", targetBytesMax-len(path)+1), "").
		problem(414, wordURITooLong)
	r := h.do("GET", "/v1/queues", "", "X-Long: "+strings.Repeat("x", 2*headerBytes))
	if r.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d, want 431", r.status)
	}
	many := make([]string, 20_000)
	for i := range many {
		many[i] = "X: y"
	}
	if r := h.do("GET", "/v1/queues", "", many...); r.status != 431 {
		t.Errorf("status %d, want 431", r.status)
	}
}

// rest.md, Problems: each problem type is a page.
func TestProblemPages(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, k := range kinds() {
		r := h.do("GET", "/problems/"+k.word, "").want(200)
		contains(t, r.body, k.word)
		if !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") ||
			r.header.Get("X-Content-Type-Options") != "nosniff" ||
			r.header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: headers %v", k.word, r.header)
		}
	}
	h.do("GET", "/problems/none", "").problem(404, "not-found")
}

// Every code of the heart is in the table, with one status.
func TestEveryCodeHasAStatus(t *testing.T) {
	t.Parallel()
	known := newCatalogue()
	for code := broker.CodeInternal; code <= broker.CodeUnauthenticated; code++ {
		k, ok := known[code.String()]
		if !ok || k.status < 400 || k.title == "" || k.page == "" {
			t.Errorf("code %d (%s): %+v", code, code, k)
		}
	}
	if len(known) != len(kinds()) {
		t.Error("a word stands twice in the table")
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	var fault error
	h := newHub(t, func(o *Options) { o.Ready = func() error { return fault } })
	h.do("GET", "/readyz", "", "Origin: http://evil.example").want(200)
	h.do("HEAD", "/healthz", "").want(200)
	fault = errRefused
	r := h.do("GET", "/readyz", "").want(503)
	contains(t, r.body, "refused")
	var first linksBody
	h.do("GET", "/", "").want(200).json(&first)
	if first.Links["listQueues"] != "/v1/queues" || first.Links["ready"] != "/readyz" ||
		len(first.Links) != len(h.door.table())+len(h.door.publicRoutes()) {
		t.Errorf("links %v", first.Links)
	}
}

// The door counts what it answers, and logs neither passwords nor queries nor bodies.
func TestCountsAndLogs(t *testing.T) {
	t.Parallel()
	var text safeBuffer
	registry := metric.NewRegistry()
	h := newHub(t, func(o *Options) {
		o.Metrics = registry
		debug := slog.HandlerOptions{Level: slog.LevelDebug}
		o.Logger = slog.New(slog.NewTextHandler(&text, &debug))
	})
	h.do("PUT", "/v1/queues/q?token=s3cret-query", "", basic("ada")).want(201)
	h.send("q", "s3cret-body")
	h.one("q")
	h.do("GET", "/v1/queues/none", "", "Authorization: Basic czNjcmV0OndvcmQ=").want(401)
	h.do("GET", "/v1/queues/none", "", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-"+
		"b7ad6b7169203331-01").want(404)
	got := map[string]float64{}
	for s := range registry.All() {
		name := s.Name
		for _, l := range s.Labels {
			name += " " + l.Value
		}
		got[name] = s.Value()
	}
	want := map[string]float64{
		"parley_http_answers_total rest 2xx": 3, "parley_http_answers_total rest 4xx": 2,
		"parley_http_answers_total rest 5xx": 0, "parley_http_leases rest": 1,
		"parley_http_streams rest": 0,
	}
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			t.Errorf("%s is %v, want %v", name, v, value)
		}
	}
	log := text.String()
	for _, secret := range []string{"s3cret", "czNjcmV0", "YWRhOmFkYQ"} {
		if strings.Contains(log, secret) {
			t.Errorf("%s is in the log:\n%s", secret, log)
		}
	}
	for _, field := range []string{
		"door=rest", "vhost=/", "user=ada", "queue=q", "status=201", "status=404",
		"trace_id=0af7651916cd43dd8448eb211c80319c", "peer=127.0.0.1", "login refused",
	} {
		if !strings.Contains(log, field) {
			t.Errorf("%s is not in the log:\n%s", field, log)
		}
	}
}

// safeBuffer is a buffer for several goroutines.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// denyAll refuses every operation.
type denyAll struct{}

func (denyAll) Allowed(string, string, auth.Action, string, string) bool { return false }
func (denyAll) MayOpen(string, string) bool                              { return true }
func (denyAll) Version() uint64                                          { return 1 }

// security.md: the heart asks for permission; every route that reaches it says 403, and lists
// show nothing.
func TestEveryRouteAsksForPermission(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{Clock: realClock{}, Log: log, Access: denyAll{}})
	log.Bind(b)
	h := serveBroker(t, b)
	testCases := []struct{ method, path, body string }{
		{"PUT", "/v1/queues/q", ""},
		{"DELETE", "/v1/queues/q", ""},
		{"POST", "/v1/queues/q/messages", "x"},
		{"DELETE", "/v1/queues/q/messages", ""},
		{"POST", "/v1/queues/q/leases", ""},
		{"GET", "/v1/queues/q/stream", ""},
		{"PUT", "/v1/exchanges/x", ""},
		{"GET", "/v1/exchanges/amq.topic", ""},
		{"DELETE", "/v1/exchanges/x", ""},
		{"POST", "/v1/exchanges/amq.topic/messages", "x"},
		{"POST", "/v1/bindings", `{"source":"amq.topic","destination_queue":"q"}`},
		{"DELETE", "/v1/bindings?src=amq.topic&dstq=q", ""},
		{"POST", "/v1/topics/t/messages", "x"},
		{"POST", "/v1/topics/t/gather", "{}"},
		{"GET", "/v1/topics/t/stream", ""},
		{"POST", "/v1/services/s/m", "x"},
	}
	for _, tc := range testCases {
		if r := h.do(tc.method, tc.path, tc.body); r.status != 403 {
			t.Errorf("%s %s: status %d, want 403: %s", tc.method, tc.path, r.status, r.body)
		}
	}
	for _, list := range []string{"queues", "exchanges", "bindings"} {
		if r := h.do("GET", "/v1/"+list, "").want(200); string(r.body) != "{\"items\":[]}\n" {
			t.Errorf("%s: %s", list, r.body)
		}
	}
}

func TestOptionsValidate(t *testing.T) {
	t.Parallel()
	_, err := New(Options{Rules: Rules{
		BodyBytes: -1, CallTimeout: -1, LeasesMax: -1, StreamsMax: -1, StreamsPerUser: -1,
		RequestsPerMinute: -1,
	}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{
		"Broker", "rest.body_bytes", "rest.call_timeout", "rest.leases", "rest.streams",
		"rest.streams_per_user", "rest.requests_per_minute",
	} {
		contains(t, []byte(err.Error()), name)
	}
}
