// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// rest.md, Webhooks: the handshake comes first, and each post carries what it has to.
func TestPost(t *testing.T) {
	t.Parallel()
	h, to := newHub(t, nil), newTarget(t, nil)
	h.queue("q")
	h.send("", "q", "hello", func(m *broker.Message) { m.Type = []byte("greeted") })
	h.put("s", "q", map[string]any{
		"url": to.URL + "/in?token=x", "secret": "whsec_c2VjcmV0", "authorization": "Bearer x",
	})
	asked := <-to.handshakes
	if asked.Get("WebHook-Request-Origin") != "test" || asked.Get("WebHook-Request-Rate") != "" {
		t.Errorf("handshake %v", asked)
	}
	g := to.next(t)
	for name, want := range map[string]string{
		"WebHook-Request-Origin": "test", "Parley-Attempt": "1", "Authorization": "Bearer x",
		"Cloudevents_specversion": "1.0", "Cloudevents_type": "greeted",
		"Cloudevents_source": "/vhosts/%2F/exchanges/amq.default", "Cloudevents_subject": "q",
	} {
		if got := g.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{
		"Cloudevents_id", "Traceparent", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature",
	} {
		if g.header.Get(name) == "" {
			t.Errorf("no %s", name)
		}
	}
	if g.body != "hello" {
		t.Errorf("body %q", g.body)
	}
	h.eventually("it is settled", func() bool { return h.waiting("q") == 0 })
	h.eventually("it is counted", func() bool { return h.status("s").Taken == 1 })
	data, err := h.pusher.Show(h.conn, "s")
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"token", "whsec", "Bearer"} {
		if strings.Contains(string(data), secret) {
			t.Errorf("shown: %s", data)
		}
	}
	if list, err := h.pusher.List(h.conn); err != nil || !strings.Contains(string(list), `"name":"s"`) {
		t.Errorf("list %s, %v", list, err)
	}
}

// rest.md, Webhooks: what the answers mean for a message, and how often it is posted.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		answer   http.HandlerFunc
		posts    int
		dead     int
		flag     bool
		disabled bool
	}{
		{name: "200", answer: answerWith(200), posts: 1},
		{name: "202", answer: answerWith(202), posts: 1},
		{name: "redirect", answer: answerWith(302, "Location", "/elsewhere"), posts: 3, dead: 1},
		{name: "bad request", answer: answerWith(400), posts: 1, dead: 1},
		{name: "format", answer: answerWith(415), posts: 1, dead: 1, flag: true},
		{name: "error", answer: answerWith(500), posts: 3, dead: 1},
		{name: "gone", answer: answerWith(410), posts: 1, disabled: true},
		{name: "hangs up", answer: hangUp, posts: 3, dead: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, to := newHub(t, nil), newTarget(t, c.answer)
			h.queue("q")
			h.send("", "q", "m")
			h.put("s", "q", map[string]any{"url": to.URL, "retry": quick(3)})
			for i := range c.posts {
				g := to.next(t)
				if g.attempt() != i+1 {
					t.Errorf("attempt %d is said to be %d", i+1, g.attempt())
				}
			}
			if c.disabled {
				h.eventually("it is disabled", func() bool {
					return h.status("s").State == stateDisabled
				})
				if h.pusher.inState(stateDisabled) != 1 || h.pusher.inState(stateActive) != 0 {
					t.Error("it is counted in another state")
				}
				if n := h.waiting("q"); n != 1 {
					t.Errorf("%d messages in the queue", n)
				}
				return
			}
			h.eventually("it is settled", func() bool { return h.waiting("q") == 0 })
			h.eventually("it is dead", func() bool { return h.waiting("q.dead") == c.dead })
			h.eventually("it is counted", func() bool {
				s := h.status("s")
				return s.DeadLettered == uint64(c.dead) && s.FormatRefused == c.flag
			})
			if len(to.got) != 0 {
				t.Errorf("%d posts more", len(to.got))
			}
		})
	}
}

// rest.md, Webhooks: Retry-After is obeyed, for the whole subscription, and does not count as an attempt.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			h, to := newHub(t, nil), newTarget(t, answerWith(status, "Retry-After", "1"))
			h.queue("q")
			for i := range 5 {
				h.send("", "q", fmt.Sprint(i))
			}
			h.put("s", "q", map[string]any{"url": to.URL, "retry": quick(1)})
			first := to.next(t)
			h.eventually("it pauses", func() bool { return h.status("s").State == statePaused })
			to.answers(nil)
			second := to.next(t)
			if d := second.at.Sub(first.at); d < time.Second || d > 1100*time.Millisecond {
				t.Errorf("posted again after %v, want 1 s within 10 %%", d)
			}
			if second.attempt() != 1 || second.body != first.body {
				t.Errorf("attempt %d of %q after %q", second.attempt(), second.body, first.body)
			}
			h.eventually("all are settled", func() bool { return h.waiting("q") == 0 })
			if n := h.waiting("q.dead"); n != 0 {
				t.Errorf("%d dead letters", n)
			}
		})
	}
}

// rest.md, Webhooks: the posts under way are bounded by the window, which grows up to max_inflight.
func TestInflight(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int64
	proceed := make(chan struct{})
	to := newTarget(t, func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		<-proceed
		now.Add(-1)
		w.WriteHeader(http.StatusOK)
	})
	h := newHub(t, nil)
	h.queue("q")
	const messages = 40
	for i := range messages {
		h.send("", "q", fmt.Sprint(i))
	}
	h.put("s", "q", map[string]any{"url": to.URL, "max_inflight": 4})
	to.next(t)
	if s := h.status("s"); s.Window != 1 || s.Inflight != 1 {
		t.Errorf("it begins with %+v", s)
	}
	for window := 2; window <= 4; window *= 2 {
		proceed <- struct{}{}
		h.eventually("it grows", func() bool { return now.Load() == int64(window) })
	}
	close(proceed)
	h.eventually("all are settled", func() bool { return h.waiting("q") == 0 })
	if n := most.Load(); n > 4 || n < 2 {
		t.Errorf("%d posts at once", n)
	}
	if s := h.status("s"); s.Window != 4 {
		t.Errorf("window %d", s.Window)
	}
}

// rest.md, Webhooks: the rate that the target grants is obeyed.
func TestRate(t *testing.T) {
	t.Parallel()
	h, to := newHub(t, nil), newTarget(t, nil)
	to.rate = "600" // one each 100 ms
	h.queue("q")
	for i := range 5 {
		h.send("", "q", fmt.Sprint(i))
	}
	began := time.Now() // the first post may take its time, and the last not
	h.put("s", "q", map[string]any{"url": to.URL, "rate": 6_000})
	if asked := <-to.handshakes; asked.Get("WebHook-Request-Rate") != "6000" {
		t.Errorf("handshake %v", asked)
	}
	var last got
	for range 5 {
		last = to.next(t)
	}
	if d := last.at.Sub(began); d < 400*time.Millisecond {
		t.Errorf("5 posts in %v", d)
	}
	if s := h.status("s"); s.AllowedRate != 600 {
		t.Errorf("status %+v", s)
	}
}

// rest.md, CloudEvents: batches go only to who asked for them, up to the maximum.
func TestFormats(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	post := func(format string, batch int) (list []got) {
		to := newTarget(t, nil)
		h.queue(format)
		for i := range 4 {
			h.send("", format, fmt.Sprint(i))
		}
		push := map[string]any{"url": to.URL, "format": format, "max_inflight": 1}
		if batch > 0 {
			push["batch_max"] = batch
		}
		h.put(format, format, push)
		h.eventually("all are settled", func() bool { return h.waiting(format) == 0 })
		close(to.got)
		for g := range to.got {
			list = append(list, g)
		}
		return list
	}
	for _, g := range post("plain", 0) {
		if len(g.body) != 1 || g.header.Values("Plain") == nil {
			t.Errorf("plain %q, %v", g.body, g.header)
		}
	}
	for _, g := range post("structured", 0) {
		if g.header.Get("Content-Type") != typeEvent || !strings.HasPrefix(g.body, "{") {
			t.Errorf("structured %q, %v", g.body, g.header)
		}
	}
	var data []string
	for _, g := range post("batch", 3) {
		var events []map[string]string
		if err := json.Unmarshal([]byte(g.body), &events); err != nil || len(events) > 3 ||
			g.header.Get("Content-Type") != typeBatch {
			t.Errorf("batch %q, %v, %v", g.body, g.header, err)
		}
		for _, e := range events {
			data = append(data, e["data"])
		}
	}
	slices.Sort(data)
	if !slices.Equal(data, []string{"0", "1", "2", "3"}) {
		t.Errorf("events %q", data)
	}
}

// rest.md, Webhooks: the answer to a message with a reply address is its reply.
func TestReply(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	to := newTarget(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("answer"))
	})
	h.queue("svc")
	h.put("s", "svc", map[string]any{"url": to.URL})
	h.eventually("it is attached", func() bool { return h.status("s").State == stateActive })
	call := func() (body, status, fault string) {
		t.Helper()
		s := h.session()
		defer s.Close()
		m := &broker.Message{Body: []byte("question")}
		m.CorrelationID = []byte("c")
		done := make(chan struct{})
		_, err := s.Call(broker.CallParams{
			Service: "svc", Message: m, Done: func(m *broker.Message, e *broker.Error) {
				defer close(done)
				if e != nil {
					fault = e.Text
					return
				}
				body = string(m.Body) + " " + string(m.ContentType) + " " + string(m.CorrelationID)
				p, err := m.Properties()
				if err != nil {
					fault = err.Error()
				}
				status, _ = p.Headers.Text("http-status")
				fault, _ = p.Headers.Text(broker.HeaderError)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Flush()
		<-done
		return body, status, fault
	}
	if body, status, fault := call(); body != "answer text/plain c" || status != "201" || fault != "" {
		t.Errorf("answer %q, status %q, fault %q", body, status, fault)
	}
	to.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = w.Write([]byte("what is it"))
	})
	if _, _, fault := call(); fault != "bad-reply" {
		t.Errorf("fault %q", fault)
	}
}

// A topic's subscription has a queue of its own, which goes with it.
func TestTopic(t *testing.T) {
	t.Parallel()
	h, to := newHub(t, nil), newTarget(t, answerWith(404))
	h.define("s", map[string]any{
		"source": map[string]any{"topic": "price.*", "dead_letter": "grave"},
		"push":   map[string]any{"url": to.URL},
	})
	h.eventually("it is active", func() bool { return h.status("s").State == stateActive })
	h.send("amq.topic", "price.tea", "3")
	h.send("amq.topic", "weather", "rain")
	if g := to.next(t); g.body != "3" {
		t.Errorf("posted %q", g.body)
	}
	h.eventually("it is dead", func() bool { return h.waiting("grave") == 1 })
	if err := h.pusher.Delete(h.conn, "s"); err != nil {
		t.Fatal(err)
	}
	v, _ := h.broker.VirtualHost("/")
	if _, ok := v.Queue(queuePrefix + "s"); ok {
		t.Error("the queue is still there")
	}
	if err := h.pusher.Delete(h.conn, "s"); !errors.Is(err, &broker.Error{Code: broker.CodeNotFound}) {
		t.Errorf("deleted again: %v", err)
	}
}

// rest.md, Webhooks: nobody is posted to who has not consented, and a changed URL is asked anew.
func TestHandshake(t *testing.T) {
	t.Parallel()
	h, to := newHub(t, nil), newTarget(t, nil)
	h.queue("q")
	put := func(c *broker.Connection, name, queue, url string) error {
		_, err := h.pusher.Put(t.Context(), c, name, fmt.Appendf(nil,
			`{"source":{"queue":%q},"push":{"url":%q}}`, queue, url))
		return err
	}
	is := func(err error, code broker.Code) {
		t.Helper()
		if !errors.Is(err, &broker.Error{Code: code}) {
			t.Errorf("error %v, want code %v", err, code)
		}
	}
	to.consent = "somebody.else"
	is(put(h.conn, "s", "q", to.URL), broker.CodeInequivalent)
	to.consent = "test"
	is(put(h.conn, "s", "none", to.URL), broker.CodeNotFound)
	is(put(h.conn, "s", "q", "file:///etc/passwd"), broker.CodeBadRequest)
	is(put(h.conn, strings.Repeat("s", nameBytesMax+1), "q", to.URL), broker.CodeBadRequest)
	is(put(h.connect("guest"), "s", "q", to.URL), broker.CodeForbidden)
	h.send("", "q", "m")
	if len(to.got) != 0 {
		t.Error("posted without consent")
	}
	for len(to.handshakes) > 0 {
		<-to.handshakes
	}
	if err := put(h.conn, "s", "q", to.URL); err != nil {
		t.Fatal(err)
	}
	<-to.handshakes
	if to.next(t).body != "m" {
		t.Error("not posted")
	}
	if err := put(h.conn, "s", "q", to.URL+"/other"); err != nil {
		t.Fatal(err)
	}
	<-to.handshakes
	h.send("", "q", "n")
	if to.next(t).body != "n" {
		t.Error("not posted to the new URL")
	}
	if _, err := h.pusher.Show(h.connect("guest"), "s"); err == nil {
		t.Error("a user without the tag sees subscriptions")
	}
}

// security.md H10: what a name resolves to is looked at when it is dialled, and a redirect is not
// followed.
func TestSecH10Dial(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil, func(r *Rules) { r.Networks = nil })
	to := newTarget(t, nil)
	_, port, _ := strings.Cut(to.Listener.Addr().String(), ":")
	h.queue("q")
	for _, host := range []string{"localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"} {
		_, err := h.pusher.Put(t.Context(), h.conn, "s", fmt.Appendf(nil,
			`{"source":{"queue":"q"},"push":{"url":"http://%s:%s/"}}`, host, port))
		if err == nil || !strings.Contains(err.Error(), "own networks") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if len(to.got)+len(to.handshakes) != 0 {
		t.Error("the target was reached")
	}
}

func TestSecH10Redirect(t *testing.T) {
	t.Parallel()
	h, inside := newHub(t, nil), newTarget(t, nil)
	to := newTarget(t, answerWith(307, "Location", inside.URL))
	h.queue("q")
	h.send("", "q", "m")
	h.put("s", "q", map[string]any{"url": to.URL, "retry": quick(2)})
	h.eventually("it is dead", func() bool { return h.waiting("q.dead") == 1 })
	if len(inside.got) != 0 {
		t.Error("the redirect was followed")
	}
}

// A hub that is started again goes on where it was: attempts go on counting, and what was disabled
// stays so.
func TestRestart(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: realClock{}})
	to, closed := newTarget(t, answerWith(500)), newTarget(t, answerWith(410))
	h := newHub(t, log)
	h.queue("q")
	h.queue("p")
	h.send("", "q", "m")
	h.send("", "p", "m")
	h.put("s", "q", map[string]any{
		"url": to.URL, "retry": map[string]any{"attempts": 4, "first_ms": 60_000},
	})
	h.put("closed", "p", map[string]any{"url": closed.URL})
	if g := to.next(t); g.attempt() != 1 {
		t.Errorf("attempt %d", g.attempt())
	}
	h.eventually("it waits", func() bool { return h.status("s").Waiting == 1 })
	h.eventually("it is disabled", func() bool { return h.status("closed").State == stateDisabled })
	h.stop()
	<-to.handshakes
	for want := 2; want <= 4; want++ {
		h = newHub(t, log)
		<-to.handshakes
		if g := to.next(t); g.attempt() != want {
			t.Errorf("attempt %d, want %d", g.attempt(), want)
		}
		if want < 4 {
			h.eventually("it waits", func() bool { return h.status("s").Waiting == 1 })
			h.stop()
		}
	}
	h.eventually("it is dead", func() bool { return h.waiting("q.dead") == 1 })
	if s := h.status("closed"); s.State != stateDisabled || s.Reason == "" {
		t.Errorf("status %+v", s)
	}
	if len(closed.got) != 1 || h.waiting("p") != 1 {
		t.Errorf("%d posts, %d in the queue", len(closed.got), h.waiting("p"))
	}
	to.answers(nil)
	h.put("closed", "p", map[string]any{"url": to.URL}) // it is allowed again
	to.next(t)
	h.eventually("it is settled", func() bool { return h.waiting("p") == 0 })
}

// rest.md, Calls: the result of a request goes to its callback, whose target has consented, also from
// the next process, and is tried again.
func TestCallback(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: realClock{}})
	to := newTarget(t, answerWith(503, "Retry-After", "0"))
	h := newHub(t, log, func(r *Rules) { r.Callbacks = []string{"https://ci.example"} })
	h.queue("svc")
	if err := h.pusher.Consent(t.Context(), h.connect("guest"), to.URL); !errors.Is(err,
		&broker.Error{Code: broker.CodeForbidden}) {
		t.Errorf("a user's own callback: %v", err)
	}
	if err := h.pusher.Consent(t.Context(), h.conn, "http://10.0.0.1/"); err == nil {
		t.Error("an address of a private network was taken")
	}
	if err := h.pusher.Consent(t.Context(), h.conn, to.URL); err != nil {
		t.Fatal(err)
	}
	<-to.handshakes
	s := h.session()
	m := &broker.Message{Body: []byte("question")}
	m.Persistent = true
	q, err := s.Request(broker.RequestParams{Service: "svc", Message: m, Callback: to.URL})
	if err != nil {
		t.Fatal(err)
	}
	sink := newSink()
	service, err := h.conn.OpenSession(sink)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.Consume(broker.ConsumerParams{Queue: "svc"}); err != nil {
		t.Fatal(err)
	}
	<-sink.wake
	list, _ := sink.take()
	h.send("", list[0].properties.ReplyTo, "answer")
	for attempt := 1; attempt < 3; attempt++ {
		g := to.next(t)
		if g.attempt() != 1 || g.body != "answer" || g.header.Get("Parley-Request") != q.ID ||
			g.header.Get("Parley-Request-State") != "done" || g.header.Get("Parley-Status") != "200" ||
			g.header.Get("Content-Type") != "text/plain" {
			t.Errorf("posted %q, %v", g.body, g.header)
		}
	}
	h.stop()
	to.answers(nil)
	h = newHub(t, log)
	<-to.handshakes
	var last got
	for last = to.next(t); len(to.got) > 0; {
		last = to.next(t)
	}
	if last.body != "answer" {
		t.Errorf("posted %q", last.body)
	}
	found, err := h.session().FindRequest(q.ID)
	if err != nil {
		t.Fatal(err)
	}
	h.eventually("it is done", func() bool {
		_, state := found.Callback()
		return state == broker.CallbackDone
	})
}

// CloudEvents webhook §4: where targets can reach the hub, consent may come later, with a rate, and
// outlives the hub.
func TestConsentLater(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: realClock{}})
	public := func(r *Rules) { r.PublicURL = "https://hub.example" }
	h, to := newHub(t, log, public), newTarget(t, nil)
	to.consent = ""
	h.queue("q")
	h.send("", "q", "m")
	h.put("s", "q", map[string]any{"url": to.URL, "format": "plain"})
	asked := <-to.handshakes
	token, ok := strings.CutPrefix(asked.Get("WebHook-Request-Callback"), "https://hub.example"+consentPath)
	if !ok || len(token) < 20 {
		t.Fatalf("handshake %v", asked)
	}
	h.eventually("it waits", func() bool {
		s := h.status("s")
		return s.State == stateStarting && s.Reason != ""
	})
	data, err := h.pusher.Show(h.conn, "s")
	if err != nil || strings.Contains(string(data), token) {
		t.Errorf("shown %s, %v", data, err)
	}
	h.stop()
	h = newHub(t, log, public)
	h.eventually("it waits again", func() bool { return h.pusher.asked(token) != nil })
	for _, c := range [][2]string{{"", ""}, {token + "x", ""}, {token, "many"}, {token, "0"}} {
		if err := h.pusher.Grant(c[0], c[1]); err == nil {
			t.Errorf("%q was granted", c)
		}
	}
	if len(to.got)+len(to.handshakes) != 0 {
		t.Error("posted, or asked again, without consent")
	}
	if err := h.pusher.Grant(token, "120"); err != nil {
		t.Fatal(err)
	}
	if to.next(t).body != "m" {
		t.Error("not posted")
	}
	h.eventually("the rate is kept", func() bool { return h.status("s").AllowedRate == 120 })
	if err := h.pusher.Grant(token, ""); err == nil {
		t.Error("it was granted twice")
	}
	h.stop()
	h = newHub(t, log, public)
	h.send("", "q", "n")
	if to.next(t).body != "n" || len(to.handshakes) != 0 {
		t.Error("the consent did not outlive the hub")
	}
	to.consent = "somebody.else" // that is an answer
	if _, err := h.pusher.Put(t.Context(), h.conn, "other", fmt.Appendf(nil,
		`{"source":{"queue":"q"},"push":{"url":%q}}`, to.URL)); err == nil {
		t.Error("a target that refuses was taken")
	}
}

// security.md H10: a user who is no administrator any more has nothing posted any more, and what the
// hub holds goes back.
func TestSecH10Demoted(t *testing.T) {
	t.Parallel()
	h, to := newHub(t, nil), newTarget(t, answerWith(500))
	h.queue("q")
	h.put("s", "q", map[string]any{"url": to.URL, "retry": map[string]any{"first_ms": 60_000}})
	h.send("", "q", "m")
	to.next(t)
	h.eventually("it waits", func() bool { return h.status("s").Waiting == 1 })
	h.demoted.Store(true)
	h.send("", "q", "n")
	find := func() status { return h.pusher.find(subscriptionKey{"/", "s"}).now() }
	h.eventually("it fails", func() bool { return find().State == stateFailing })
	v, _ := h.broker.VirtualHost("/")
	q, _ := v.Queue("q")
	h.eventually("both are back", func() bool { return q.Stats().Ready == 2 })
	if len(to.got) != 0 {
		t.Errorf("%d posts", len(to.got))
	}
	to.answers(nil)
	h.demoted.Store(false)
	to.next(t)
	to.next(t)
}

// A subscription whose queue is deleted waits for another; one whose virtual host is deleted ends.
func TestQueueGone(t *testing.T) {
	t.Parallel()
	h, to := newHub(t, nil), newTarget(t, nil)
	h.queue("q")
	h.put("s", "q", map[string]any{"url": to.URL})
	h.eventually("it is active", func() bool { return h.status("s").State == stateActive })
	s := h.session()
	defer s.Close()
	if _, err := s.DeleteQueue(broker.DeleteParams{Name: "q"}); err != nil {
		t.Fatal(err)
	}
	h.eventually("it fails", func() bool { return h.status("s").State == stateFailing })
	h.queue("q")
	h.send("", "q", "m")
	to.next(t)

	if _, err := h.broker.AddVirtualHost("v"); err != nil {
		t.Fatal(err)
	}
	c, err := h.broker.Open(broker.ConnectionParams{Name: "v", User: administrator, VHost: "v"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.pusher.Put(t.Context(), c, "s", fmt.Appendf(nil,
		`{"source":{"topic":"a"},"push":{"url":%q}}`, to.URL))
	if err != nil {
		t.Fatal(err)
	}
	key := subscriptionKey{"v", "s"}
	h.eventually("it runs", func() bool {
		r := h.pusher.find(key)
		return r != nil && r.now().State == stateActive
	})
	c.Close()
	if err := h.broker.DeleteVirtualHost("v"); err != nil {
		t.Fatal(err)
	}
	h.eventually("it ends", func() bool { return h.pusher.find(key) == nil })
}
