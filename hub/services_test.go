// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley"
	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/store"
)

// greeter is an HTTP service that knows nothing of the hub.
func greeter(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/base/SayHello":
			var ask struct{ Name string }
			if err := json.Unmarshal(body, &ask); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"Text":"Hello, %s!"}`, ask.Name)
		case "/base/echo":
			w.Header().Set("X-Echo", r.Method+" "+r.URL.RawQuery+" "+r.Header.Get("X-Ask"))
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write(body)
		case "/base/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		default:
			http.Error(w, "no such page", http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func start(t *testing.T, o Options) *Hub {
	t.Helper()
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return h
}

// head is the head of an answer.
type head struct {
	StatusCode int
	Header     http.Header
}

// ask sends a request to the REST door and returns its answer, read to its end.
func ask(
	t *testing.T, h *Hub, method, path, body string, headers ...string,
) (answered head, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+h.Addr("rest").String()+path,
		strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return head{answer.StatusCode, answer.Header}, string(data)
}

type hello struct{ Name string }

type greeting struct{ Text string }

// TestHTTPService: a service of the configuration that speaks HTTP is called through REST, and by
// clients of AMQP.
func TestHTTPService(t *testing.T) {
	t.Parallel()
	server := greeter(t)
	o := doors()
	o.Services = map[string]Service{"greeter": {Members: map[string]Instance{
		"one": {URL: server.URL + "/base"}, "two": {URL: server.URL + "/base"},
	}}}
	h := start(t, o)

	r, body := ask(t, h, "PUT", "/v1/services/greeter/echo?a=b%20c", "some text", "X-Ask: yes",
		"Prefer: wait=9")
	if r.StatusCode != http.StatusAccepted || body != "some text" ||
		r.Header.Get("X-Echo") != "PUT a=b%20c yes" || r.Header.Get("Preference-Applied") != "wait=9" {
		t.Errorf("echo: %d %q %v", r.StatusCode, body, r.Header)
	}
	r, _ = ask(t, h, "GET", "/v1/services/greeter/moved", "")
	if r.StatusCode != http.StatusFound || r.Header.Get("Location") != "/elsewhere" {
		t.Errorf("a redirect: %d %v", r.StatusCode, r.Header)
	}
	r, body = ask(t, h, "GET", "/v1/services/greeter/absent", "")
	if r.StatusCode != http.StatusNotFound || body != "no such page\n" {
		t.Errorf("the service's own error: %d %q", r.StatusCode, body)
	}

	_, body = ask(t, h, "POST", "/v1/services/greeter/SayHello/gather",
		`{"body":{"Name":"all"},"timeout_ms":5000}`, "Content-Type: application/json")
	if strings.Count(body, "Hello, all!") != 2 || !strings.Contains(body, `"complete":true`) ||
		!strings.Contains(body, `"one"`) || !strings.Contains(body, `"two"`) {
		t.Errorf("a gather: %s", body)
	}

	conn, err := parley.Dial(t.Context(), "amqp://guest:guest@"+h.Addr("amqp").String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	op := parley.NewOp[hello, greeting]("greeter.SayHello")
	for range 3 {
		got, err := op.Call(t.Context(), conn, hello{Name: "Ada"})
		if err != nil || got.Text != "Hello, Ada!" {
			t.Fatalf("over AMQP: %+v, %v", got, err)
		}
	}
	if _, err = parley.NewOp[hello, greeting]("greeter.Absent").Call(t.Context(), conn,
		hello{}); err == nil || !strings.Contains(err.Error(), "exception") {
		t.Errorf("an error over AMQP: %v", err)
	}
}

// TestServiceLoops: a call that comes back to the hub is nobody's there, and one that has passed
// through hubs too often is refused.
func TestServiceLoops(t *testing.T) {
	t.Parallel()
	h := start(t, doors())
	url := fmt.Sprintf(`{"url":"http://%s/v1/services/loop"}`, h.Addr("rest"))
	r, body := ask(t, h, "PUT", "/v1/services/loop/instances/self", url)
	if r.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", r.StatusCode, body)
	}
	r, body = ask(t, h, "GET", "/v1/services/loop/x", "")
	if r.StatusCode != http.StatusUnauthorized { // who calls is not passed on
		t.Errorf("%d %s", r.StatusCode, body)
	}
	r, body = ask(t, h, "GET", "/v1/services/loop/x", "",
		"Via: "+strings.Repeat("1.1 parley, ", 7)+"1.1 parley")
	if r.StatusCode != http.StatusBadRequest || !strings.Contains(body, "8 hubs") {
		t.Errorf("%d %s", r.StatusCode, body)
	}
}

// TestInstances: administrators attach servers at run time, for a time or for good (rest.md, Services).
func TestInstances(t *testing.T) {
	t.Parallel()
	server := greeter(t)
	log := keptLog{store.NewMemory(store.MemoryOptions{Retain: true})}
	o := doors()
	open := func() *Hub {
		h, err := newHub(o, func(*Hub) (boundLog, error) { return log, nil })
		if err == nil {
			err = h.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := open()
	if err := h.Users().Put(User{Name: "bob", Permissions: map[string]Permission{
		"/": auth.AllPermissions(),
	}}); err != nil {
		t.Fatal(err)
	}
	if err := h.Users().SetPassword(t.Context(), "bob", auth.NewSecret("secret")); err != nil {
		t.Fatal(err)
	}
	const at = "/v1/services/shop/instances/"
	good := fmt.Sprintf(`{"url":%q}`, server.URL+"/base")
	for _, tc := range []struct {
		method, path, body string
		status             int
		headers            []string
	}{
		{"PUT", at + "a", good, http.StatusForbidden, []string{"Authorization: Basic Ym9iOnNlY3JldA=="}},
		{"PUT", at + "a", `{"url":"file:///etc/passwd"}`, http.StatusBadRequest, nil},
		{"PUT", at + "a", `{"url":"http://169.254.169.254/"}`, http.StatusBadRequest, nil},
		{"PUT", at + "a", `{"url":"http://h/","protocol":"thrift"}`, http.StatusBadRequest, nil},
		{"PATCH", at + "a", `{"draining":true}`, http.StatusNotFound, nil},
		{"DELETE", at + "a", "", http.StatusNoContent, nil},
		{"GET", "/v1/services/shop/echo", "", http.StatusNotFound, nil},
		{"PUT", at + "a", good, http.StatusCreated, nil},
		{"PUT", at + "a", good, http.StatusOK, nil},
		{"POST", "/v1/services/shop/echo", "x", http.StatusAccepted, nil},
		{"PATCH", at + "a", `{"draining":true}`, http.StatusOK, nil},
		{"POST", "/v1/services/shop/echo", "x", http.StatusServiceUnavailable, nil},
		{"PATCH", at + "a", `{"draining":false}`, http.StatusOK, nil},
		{"POST", "/v1/services/shop/echo", "x", http.StatusAccepted, nil},
		{"PUT", at + "b", strings.Replace(good, "}", `,"ttl_s":3600}`, 1), http.StatusCreated, nil},
	} {
		r, body := ask(t, h, tc.method, tc.path, tc.body, tc.headers...)
		if r.StatusCode != tc.status {
			t.Fatalf("%s %s %s: %d %s", tc.method, tc.path, tc.body, r.StatusCode, body)
		}
	}
	names := func() string {
		var list struct {
			Services []struct {
				Name      string
				Instances []struct{ ID, State string }
			}
		}
		_, body := ask(t, h, "GET", "/v1/services", "")
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(list.Services)
	}
	if got := names(); got != "[{shop [{a healthy} {b healthy}]}]" {
		t.Errorf("services %s", got)
	}
	if err := h.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	h = open()
	if got := names(); got != "[{shop [{a healthy}]}]" { // b has to say again that it is there
		t.Errorf("after a restart: services %s", got)
	}
	if r, _ := ask(t, h, "POST", "/v1/services/shop/echo", "x"); r.StatusCode != http.StatusAccepted {
		t.Errorf("after a restart: %d", r.StatusCode)
	}
	if r, _ := ask(t, h, "DELETE", at+"a", ""); r.StatusCode != http.StatusNoContent {
		t.Errorf("remove: %d", r.StatusCode)
	}
	r, _ := ask(t, h, "POST", "/v1/services/shop/echo", "x")
	if r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("without a server: %d", r.StatusCode)
	}
	if err := h.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	h = open()
	r, _ = ask(t, h, "POST", "/v1/services/shop/echo", "x")
	if r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("without a server, after a restart: %d", r.StatusCode)
	}
	if err := h.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestServiceDrains: a call under way ends before the hub does.
func TestServiceDrains(t *testing.T) {
	t.Parallel()
	open, came := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(came)
		<-open
		_, _ = io.WriteString(w, "done")
	}))
	defer server.Close()
	o := doors()
	o.Drain = 5 * time.Second
	o.Services = map[string]Service{"slow": {Members: map[string]Instance{"one": {URL: server.URL}}}}
	h := start(t, o)
	got := make(chan string, 1)
	go func() {
		_, body := ask(t, h, "GET", "/v1/services/slow/x", "")
		got <- body
	}()
	<-came
	stopped := make(chan error, 1)
	go func() { stopped <- h.Shutdown(t.Context()) }()
	for h.Ready() {
		time.Sleep(time.Millisecond)
	}
	close(open)
	if body := <-got; body != "done" {
		t.Errorf("the call got %q", body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// streamer is a service whose answers come bit by bit.
func streamer(t *testing.T, gone chan<- string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		switch r.URL.Path {
		case "/echo": // each part as it comes
			_ = control.EnableFullDuplex()
			_ = control.Flush()
			part := make([]byte, 1<<10)
			for {
				n, err := r.Body.Read(part)
				_, _ = w.Write(part[:n])
				_ = control.Flush()
				if err != nil {
					return
				}
			}
		case "/count":
			n, err := io.Copy(io.Discard, r.Body)
			_, _ = fmt.Fprintf(w, "%d %v", n, err)
		case "/broken":
			_, _ = io.WriteString(w, "half")
			_ = control.Flush()
			panic(http.ErrAbortHandler) //nolint:forbidigo // there is no other way to break it off
		default:
			_, _ = io.WriteString(w, "waiting")
			_ = control.Flush()
			<-r.Context().Done()
			gone <- r.URL.Path
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// TestServiceStreams: bodies go through as they come, both ways, however long they are (rest.md, Calls).
func TestServiceStreams(t *testing.T) {
	t.Parallel()
	gone := make(chan string, 8)
	o := doors()
	server := streamer(t, gone)
	o.Services = map[string]Service{"stream": {Members: map[string]Instance{"one": {URL: server.URL}}}}
	h := start(t, o)
	url := "http://" + h.Addr("rest").String() + "/v1/services/stream"
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	send := func(ctx context.Context, path string, body io.Reader) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, body)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}

	body, in := io.Pipe()
	answer := send(t.Context(), "/echo", body)
	back := make([]byte, 1<<10)
	for i := range 3 {
		part := strings.Repeat(string(rune('a'+i)), 1<<10)
		if _, err := io.WriteString(in, part); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(answer.Body, back); err != nil || string(back) != part {
			t.Fatalf("part %d came back as %.10q, %v", i, back, err)
		}
	}
	_ = in.Close()
	if rest, err := io.ReadAll(answer.Body); err != nil || len(rest) > 0 {
		t.Errorf("%d bytes more, %v", len(rest), err)
	}
	_ = answer.Body.Close()

	const long = 40 << 20 // more than what the door keeps of a body
	answer = send(t.Context(), "/count", io.LimitReader(zeros{}, long))
	text, err := io.ReadAll(answer.Body)
	if want := fmt.Sprintf("%d <nil>", long); err != nil || string(text) != want {
		t.Errorf("a long body: %q, %v", text, err)
	}
	_ = answer.Body.Close()

	answer = send(t.Context(), "/broken", strings.NewReader("x"))
	if text, err := io.ReadAll(answer.Body); err == nil {
		t.Errorf("half an answer looks whole: %q", text)
	}
	_ = answer.Body.Close()

	ctx, cancel := context.WithCancel(t.Context())
	answer = send(ctx, "/left", strings.NewReader("x"))
	if _, err := io.ReadFull(answer.Body, back[:len("waiting")]); err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = answer.Body.Close()
	select {
	case path := <-gone:
		if path != "/left" {
			t.Errorf("%s ended", path)
		}
	case <-time.After(10 * time.Second):
		t.Error("the service does not hear that the caller is gone")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestServiceRefusals: no slot for a stream, nobody to be reached, no time (rest.md, Problems).
func TestServiceRefusals(t *testing.T) {
	t.Parallel()
	gone := make(chan string, 8)
	server := streamer(t, gone)
	nobody := httptest.NewServer(nil)
	nobody.Close()
	o := doors()
	o.Services = map[string]Service{
		"narrow": {
			Members: map[string]Instance{"one": {URL: server.URL}}, Pool: Pool{InFlight: 1},
		},
		"absent": {Members: map[string]Instance{"one": {URL: nobody.URL}}},
	}
	h := start(t, o)
	r, body := ask(t, h, "POST", "/v1/services/absent/x", "x")
	if r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "no-instance") ||
		r.Header.Get("Retry-After") == "" {
		t.Errorf("nobody listens: %d %s", r.StatusCode, body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"http://"+h.Addr("rest").String()+"/v1/services/narrow/hold", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(first)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	r, body = ask(t, h, "POST", "/v1/services/narrow/x", strings.Repeat("x", 100<<10))
	if r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "overloaded") {
		t.Errorf("a stream without a slot: %d %s", r.StatusCode, body)
	}
	r, body = ask(t, h, "POST", "/v1/services/narrow/x", "x", "Parley-Timeout-Ms: 100")
	if r.StatusCode != http.StatusGatewayTimeout || !strings.Contains(body, "deadline") {
		t.Errorf("a call that waits for too long: %d %s", r.StatusCode, body)
	}
	waits := make(chan string, 1)
	go func() {
		_, body := ask(t, h, "POST", "/v1/services/narrow/count", "later")
		waits <- body
	}()
	cancel() // the slot is free
	if body := <-waits; body != "5 <nil>" {
		t.Errorf("the call that waited got %q", body)
	}
}
