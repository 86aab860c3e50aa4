// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/parley-ipc/parley/test/harness"
)

const (
	// leaseWaitMS is how long a worker's POST waits for a message.
	leaseWaitMS = 5_000
	// leaseMS is how long a worker may take; a killed worker's message comes back
	// after it.
	leaseMS = 2_000
	// maxAnswerBytes bounds what a test reads of one answer.
	maxAnswerBytes = 1 << 20
)

// restPeer is an HTTP client. A service is a worker that leases messages and
// answers them.
type restPeer struct {
	client *http.Client
	base   string
	// life ends the long polls and streams.
	life   context.Context //nolint:containedctx // the peer's own, ended by Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func dialREST(_ context.Context, hub *harness.Hub) (Peer, error) {
	return newREST(hub, &http.Transport{}), nil
}

// DialH2C opens a REST peer whose requests share one TCP connection: HTTP/2 with
// prior knowledge.
func DialH2C(_ context.Context, hub *harness.Hub) (Peer, error) {
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	return newREST(hub, &http.Transport{Protocols: protocols}), nil
}

func newREST(hub *harness.Hub, transport *http.Transport) *restPeer {
	life, cancel := context.WithCancel(context.Background())
	return &restPeer{
		client: &http.Client{Transport: transport}, base: hub.URL("/v1"), life: life, cancel: cancel,
	}
}

// exchange is one HTTP exchange.
type exchange struct {
	method, path string
	body         string
	headers      map[string]string
	want         []int // statuses that are no failure
}

// response is a read answer.
type response struct {
	status   int
	location string
	path     string // that answered, after redirects
	body     string
}

// do performs x and reads the answer.
func (p *restPeer) do(ctx context.Context, x exchange) (response, error) {
	target := x.path
	if strings.HasPrefix(target, "/v1/") {
		target = strings.TrimSuffix(p.base, "/v1") + target
	} else {
		target = p.base + target
	}
	req, err := http.NewRequestWithContext(ctx, x.method, target, strings.NewReader(x.body))
	if err != nil {
		return response{}, fmt.Errorf("make the request: %w", err)
	}
	req.SetBasicAuth("guest", "guest")
	for k, v := range x.headers {
		req.Header.Set(k, v)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return response{}, fmt.Errorf("%s %s: %w", x.method, x.path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes))
	if err != nil {
		return response{}, fmt.Errorf("read the answer of %s %s: %w", x.method, x.path, err)
	}
	got := response{
		status: res.StatusCode, location: res.Header.Get("Location"),
		path: res.Request.URL.Path, body: string(body),
	}
	if slices.Contains(x.want, res.StatusCode) {
		return got, nil
	}
	return got, failureOf(res, got.body)
}

// failureOf reads an answer that is an error: RFC 9457 when the hub made it,
// anything when the service did.
func failureOf(res *http.Response, body string) *Failure {
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	f := &Failure{
		Form:   "HTTP " + strconv.Itoa(res.StatusCode) + " " + kind,
		Status: res.StatusCode, Body: body,
	}
	var problem struct {
		Code   string `json:"code"`
		Status int    `json:"status"`
	}
	if kind == "application/problem+json" && json.Unmarshal([]byte(body), &problem) == nil {
		f.Code = problem.Code
	}
	return f
}

// formHeaders are the headers of a message that is sent with a context, and others.
func formHeaders(ctx context.Context, others ...string) map[string]string {
	f := formOf(ctx)
	headers := map[string]string{"Content-Type": cmp.Or(f.contentType, plain)}
	if f.operation != "" {
		headers["Parley-Type"] = f.operation
	}
	for pair := range slices.Chunk(others, 2) {
		headers[pair[0]] = pair[1]
	}
	return headers
}

func (p *restPeer) Call(
	ctx context.Context, service, body string, timeout time.Duration,
) (string, error) {
	answer, err := p.do(ctx, exchange{
		method: cmp.Or(methodOf(ctx), http.MethodPost),
		path:   "/services/" + url.PathEscape(service) + "/do", body: body,
		headers: formHeaders(ctx,
			"grpc-timeout", strconv.FormatInt(timeout.Milliseconds(), 10)+"m"),
		want: []int{http.StatusOK},
	})
	return answer.body, err
}

func (p *restPeer) Send(ctx context.Context, queue, body string) error {
	_, err := p.do(ctx, exchange{
		method: http.MethodPost, path: "/queues/" + url.PathEscape(queue) + "/messages",
		body: body, headers: formHeaders(ctx), want: []int{http.StatusCreated},
	})
	return err
}

func (p *restPeer) Publish(ctx context.Context, topic, body string) error {
	_, err := p.do(ctx, exchange{
		method: http.MethodPost, path: "/topics/" + url.PathEscape(topic) + "/messages",
		body: body, headers: formHeaders(ctx), want: []int{http.StatusCreated},
	})
	return err
}

func (p *restPeer) Ask(ctx context.Context, service, body string) (string, error) {
	res, err := p.do(ctx, exchange{
		method: http.MethodPost, path: "/services/" + url.PathEscape(service) + "/do", body: body,
		headers: formHeaders(ctx, "Prefer", "respond-async"),
		want:    []int{http.StatusAccepted},
	})
	if err != nil {
		return "", err
	}
	return res.location, nil
}

func (p *restPeer) Collect(ctx context.Context, ticket string) (string, error) {
	for {
		// The client follows the 303 to the stored answer by itself.
		res, err := p.do(ctx, exchange{
			method: http.MethodGet, path: ticket, headers: map[string]string{"Prefer": "wait=5"},
			want: []int{http.StatusOK},
		})
		if err != nil {
			return "", err
		}
		if strings.HasSuffix(res.path, "/response") {
			return res.body, nil
		}
	}
}

func (p *restPeer) Gather(ctx context.Context, topic, body string, rule Rule) (*Gathered, error) {
	ask := map[string]any{"body": body, "timeout_ms": rule.Total.Milliseconds()}
	f := formOf(ctx)
	if f.contentType == typeJSON {
		ask["body"] = json.RawMessage(body)
	}
	if rule.All {
		ask["all"] = true
	}
	if rule.Count > 0 {
		ask["max"] = rule.Count
	}
	if rule.Sentinel {
		ask["sentinel"] = true
	}
	if rule.Stall > 0 {
		ask["stall_ms"] = rule.Stall.Milliseconds()
	}
	question, err := json.Marshal(ask)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	answer, err := p.do(ctx, exchange{
		method: http.MethodPost, path: "/topics/" + url.PathEscape(topic) + "/gather",
		body: string(question), headers: formHeaders(withForm(ctx, f.operation)),
		want: []int{http.StatusOK},
	})
	if err != nil {
		return nil, err
	}
	var got struct {
		Replies []struct {
			Instance string          `json:"instance"`
			Body     json.RawMessage `json:"body"`
		} `json:"replies"`
		Complete bool     `json:"complete"`
		Missing  []string `json:"missing"`
	}
	if err := json.Unmarshal([]byte(answer.body), &got); err != nil {
		return nil, fmt.Errorf("read %s: %w", answer.body, err)
	}
	out := &Gathered{Answers: map[string]string{}, Complete: got.Complete, Missing: got.Missing}
	for _, r := range got.Replies {
		out.Answers[r.Instance] = textOf(ctx, r.Body, nil)
	}
	return out, nil
}

// leased is one message under a lease.
type leased struct {
	Lease      string  `json:"lease"`
	Attempt    int     `json:"attempt"`
	Body       *string `json:"body"`
	BodyBase64 string  `json:"body_b64"`
	ReplyTo    string  `json:"reply_to"`
}

func (m *leased) text() string {
	if m.Body != nil {
		return *m.Body
	}
	raw, err := base64.StdEncoding.DecodeString(m.BodyBase64)
	if err != nil {
		return "bad base64: " + m.BodyBase64
	}
	return string(raw)
}

// lease takes one message, nil when none came within the wait.
func (p *restPeer) lease(ctx context.Context, queue string, waitMS int) (*leased, error) {
	res, err := p.do(ctx, exchange{
		method: http.MethodPost, path: "/queues/" + url.PathEscape(queue) + "/leases",
		body:    fmt.Sprintf(`{"max":1,"wait_ms":%d,"lease_ms":%d}`, waitMS, leaseMS),
		headers: map[string]string{"Content-Type": typeJSON},
		want:    []int{http.StatusOK, http.StatusNoContent},
	})
	if err != nil || res.status == http.StatusNoContent {
		return nil, err
	}
	var got struct {
		Messages []leased `json:"messages"`
	}
	if err := json.Unmarshal([]byte(res.body), &got); err != nil {
		return nil, fmt.Errorf("read the leases of %s: %w", res.body, err)
	}
	if len(got.Messages) != 1 {
		return nil, fmt.Errorf("asked for one message, got %s", res.body)
	}
	return &got.Messages[0], nil
}

// settle answers a leased message, which acknowledges it in the same step, or
// only acknowledges it.
func (p *restPeer) settle(ctx context.Context, m *leased, r Reply) error {
	path := "/leases/" + url.PathEscape(m.Lease)
	if r.Silent || m.ReplyTo == "" {
		_, err := p.do(ctx, exchange{
			method: http.MethodDelete, path: path, want: []int{http.StatusNoContent},
		})
		return err
	}
	headers := map[string]string{"Content-Type": cmp.Or(r.ContentType, plain)}
	if r.Error != "" {
		headers["Parley-Header-Parley-Error"] = r.Error
		headers["Parley-Header-Parley-Error-Message"] = r.Body
		headers["Parley-Header-Http-Status"] = strconv.Itoa(ErrorStatus)
	}
	_, err := p.do(ctx, exchange{
		method: http.MethodPost, path: path + "/reply", body: r.Body, headers: headers,
		want: []int{http.StatusCreated},
	})
	return err
}

func (p *restPeer) Serve(ctx context.Context, service string, h Handler) error {
	if err := p.declare(ctx, service, `{}`); err != nil {
		return err
	}
	return p.work(ctx, service, h)
}

func (p *restPeer) declare(ctx context.Context, queue, spec string) error {
	_, err := p.do(ctx, exchange{
		method: http.MethodPut, path: "/queues/" + url.PathEscape(queue), body: spec,
		headers: map[string]string{"Content-Type": typeJSON},
		want:    []int{http.StatusCreated, http.StatusOK},
	})
	return err
}

// work leases and answers until the peer is closed. The first lease does not
// wait: when it is back the hub knows that somebody attends to the queue.
func (p *restPeer) work(ctx context.Context, queue string, h Handler) error {
	first, err := p.lease(ctx, queue, 0)
	if err != nil {
		return err
	}
	p.wg.Go(func() {
		m := first
		for p.life.Err() == nil {
			if m != nil {
				r := h(p.life, Request{Body: m.text(), Redelivered: m.Attempt > 1})
				if err := p.settle(p.life, m, r); err != nil && p.life.Err() == nil {
					fmt.Println("peers: settle:", err) //nolint:forbidigo // shows with the test's output
				}
			}
			var err error
			if m, err = p.lease(p.life, queue, leaseWaitMS); err != nil {
				return
			}
		}
	})
	return nil
}

func (p *restPeer) Join(ctx context.Context, topic, name string, h Handler) error {
	if err := p.declareBound(ctx, topic, name); err != nil {
		return err
	}
	return p.work(ctx, name, h)
}

// declareBound declares a queue and binds it to a topic.
func (p *restPeer) declareBound(ctx context.Context, topic, name string) error {
	if err := p.declare(ctx, name, `{"durable":false}`); err != nil {
		return err
	}
	spec, err := json.Marshal(map[string]string{
		"source": topicExchange, "destination_queue": name, "binding_key": topic,
	})
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	_, err = p.do(ctx, exchange{
		method: http.MethodPost, path: "/bindings", body: string(spec),
		headers: map[string]string{"Content-Type": typeJSON},
		want:    []int{http.StatusNoContent},
	})
	return err
}

func (p *restPeer) Subscribe(_ context.Context, topic string, f func(string)) error {
	req, err := http.NewRequestWithContext(p.life, http.MethodGet,
		p.base+"/topics/"+url.PathEscape(topic)+"/stream", http.NoBody)
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	req.SetBasicAuth("guest", "guest")
	req.Header.Set("Accept", "text/event-stream")
	res, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", topic, err)
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		return fmt.Errorf("subscribe to %s: %s", topic, res.Status)
	}
	p.wg.Go(func() {
		defer res.Body.Close()
		_ = events(res.Body, f)
	})
	return nil
}

// events reads server-sent events and hands the data of each to f.
func events(r io.Reader, f func(string)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 4096), maxAnswerBytes)
	data := make([]string, 0, 1)
	for lines.Scan() {
		line := bytes.TrimSuffix(lines.Bytes(), []byte("\r"))
		field, value, _ := strings.Cut(string(line), ":")
		switch {
		case len(line) == 0:
			if len(data) > 0 {
				f(strings.Join(data, "\n"))
			}
			data = data[:0]
		case field == "data":
			data = append(data, strings.TrimPrefix(value, " "))
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("read events: %w", err)
	}
	return nil
}

// Strays implements Peer: HTTP has one answer to a request.
func (p *restPeer) Strays() int { return 0 }

func (p *restPeer) Close() {
	p.cancel()
	p.wg.Wait()
	p.client.CloseIdleConnections()
}
