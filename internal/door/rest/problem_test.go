// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// answered calls a service that answers with an error of a word.
func (h *hub) answered(word string) *response {
	h.tb.Helper()
	h.queue("svc")
	p := h.peer("svc")
	p.consume("svc")
	c := h.async("POST", "/v1/services/svc/do", "x")
	p.answer(p.next(), "", broker.Field{Name: broker.HeaderError, Value: word})
	return h.got(c)
}

// brokenInstances fail as a fault of the hub would.
type brokenInstances struct{ Instances }

func (brokenInstances) Put(string, string, Instance) (bool, error) { return false, errRefused }

// problemCase reaches a problem on a hub of its own.
type problemCase struct {
	change func(*Options)
	reach  func(h *hub) *response
}

// ask is a case of one request, on a hub with the queue q.
func ask(method, path, body string, headers ...string) problemCase {
	return problemCase{reach: func(h *hub) *response {
		h.queue("q")
		return h.do(method, path, body, headers...)
	}}
}

func saysWord(word string) problemCase {
	return problemCase{reach: func(h *hub) *response { return h.answered(word) }}
}

// problemCases reach every problem but those in restCases, which need more.
func problemCases() map[string]problemCase {
	const key = "Idempotency-Key: k"
	return map[string]problemCase{
		wordBadRequest: ask("PUT", "/v1/queues/x", "{"),
		wordKeyMissing: {
			change: func(o *Options) { o.KeysRequired = true },
			reach: func(h *hub) *response {
				h.queue("q")
				h.do("POST", "/v1/queues/q/messages", "x", key).want(201)
				h.do("GET", "/v1/services/q/x", "").problem(503, "no-instance")
				h.do("POST", "/v1/services/q/x", "x").problem(400, wordKeyMissing)
				h.do("POST", "/v1/queues/q/messages", "{}", "Content-Type: application/x-ndjson").
					problem(400, wordKeyMissing)
				return h.do("POST", "/v1/queues/q/messages", "x")
			},
		},
		"unauthenticated": ask("GET", "/v1/queues", "", "Authorization: Basic YTpi"),
		"forbidden":       ask("GET", "/v1/queues", "", "Origin: http://evil.example"),
		wordNotFound:      ask("GET", "/v1/queues/none", ""),
		"no-service":      ask("POST", "/v1/services/none/x", ""),
		"no-method":       saysWord("no-method"),
		"unroutable":      ask("POST", "/v1/exchanges/amq.direct/messages?key=k&mandatory=1", "x"),
		wordMethod:        ask("PATCH", "/v1/queues/q", ""),
		wordNotAccept:     ask("GET", "/v1/queues/q", "", "Accept: image/png"),
		"conflict":        ask("PUT", "/v1/queues/q", `{"durable":false}`),
		"outstanding": {reach: func(h *hub) *response {
			h.queue("svc")
			p := h.peer("svc")
			p.consume("svc")
			first := h.async("POST", "/v1/services/svc/x", "", key)
			asked := p.next()
			second := h.do("POST", "/v1/services/svc/x", "", key)
			p.answer(asked, "")
			h.got(first).want(200)
			return second
		}},
		wordLeaseGone: ask("PATCH", "/v1/leases/x", `{"extend_ms":1}`),
		"result-gone": {reach: func(h *hub) *response {
			h.queue("svc")
			at := h.do("POST", "/v1/services/svc/x", "", "Prefer: respond-async").want(202).
				header.Get("Location")
			h.do("DELETE", at, "").want(204)
			return h.do("GET", at+"/response", "")
		}},
		wordTooLarge: {
			change: func(o *Options) { o.BodyBytes = 10 },
			reach:  ask("POST", "/v1/queues/q/messages", "more than ten").reach,
		},
		wordURITooLong: ask("GET", "/v1/queues?x="+strings.Repeat("x", targetBytesMax), ""),
		wordMediaType:  ask("PUT", "/v1/queues/x", "{}", "Content-Type: text/xml"),
		"key-reused": {reach: func(h *hub) *response {
			h.queue("q")
			h.send("q", "1", key)
			return h.do("POST", "/v1/queues/q/messages", "2", key)
		}},
		wordException: saysWord("OutOfMilk"),
		"quota": {
			change: func(o *Options) { o.RequestsPerMinute = 1 },
			reach:  ask("GET", "/v1/queues", "").reach,
		},
		"queue-full": {reach: func(h *hub) *response {
			h.do("PUT", "/v1/queues/q",
				`{"arguments":{"x-max-length":0,"x-overflow":"reject-publish"}}`).want(201)
			return h.do("POST", "/v1/queues/q/messages", "x")
		}},
		wordInternal: {
			change: func(o *Options) {
				o.Instances, o.Administrator = brokenInstances{}, func(string) bool { return true }
			},
			reach: ask("PUT", "/v1/services/q/instances/x", `{"url":"http://localhost"}`).reach,
		},
		wordBadReply: {reach: func(h *hub) *response {
			h.queue("svc")
			p := h.peer("svc")
			p.consume("svc")
			c := h.async("POST", "/v1/services/svc/x", "")
			p.answer(p.next(), "", broker.Field{Name: headerStatus, Value: "99"})
			return h.got(c)
		}},
		"no-instance":  ask("POST", "/v1/services/q/x", ""),
		"breaker-open": saysWord("breaker-open"),
		"overloaded": {reach: func(h *hub) *response {
			h.door.bodiesMax = 1
			return ask("POST", "/v1/queues/q/messages", "xx").reach(h)
		}},
		wordDraining: {reach: func(h *hub) *response {
			h.door.Drain()
			return h.do("GET", "/v1/queues", "")
		}},
		"deadline": {reach: func(h *hub) *response {
			h.queue("svc")
			h.peer("svc").consume("svc")
			return h.do("POST", "/v1/services/svc/x", "", "Parley-Timeout-Ms: 10")
		}},
		"storage-quota": saysWord("storage-quota"),
	}
}

// rest.md: every problem is reached by a request, with its status, its members and what goes with
// it: Retry-After on 429 and 503, WWW-Authenticate on 401, Allow on 405.
func TestEveryProblem(t *testing.T) {
	t.Parallel()
	cases := problemCases()
	for _, k := range kinds() {
		switch k.word {
		case "alarm", wordSlow, "canceled": // TestAlarm, TestSlowAndExpectedBodies, TestCallCallerGone
			continue
		}
		c, ok := cases[k.word]
		if !ok {
			t.Errorf("nothing reaches %q", k.word)
			continue
		}
		t.Run(k.word, func(t *testing.T) {
			t.Parallel()
			var change []func(*Options)
			if c.change != nil {
				change = append(change, c.change)
			}
			r := c.reach(newHub(t, change...)).problem(k.status, k.word)
			var b problemBody
			r.json(&b)
			if b.Title != k.title || b.Instance == "" || (k.uri != "" && b.Type != k.uri) {
				t.Errorf("problem %+v", b)
			}
			retry, err := strconv.Atoi(r.header.Get("Retry-After"))
			if wants := k.status == 429 || k.status == 503; wants != (err == nil && retry > 0) {
				t.Errorf("Retry-After %q", r.header.Get("Retry-After"))
			}
			for name, status := range map[string]int{"Www-Authenticate": 401, "Allow": 405} {
				if (r.header.Get(name) != "") != (k.status == status) {
					t.Errorf("%s: %q", name, r.header.Get(name))
				}
			}
			if described := strings.Contains(r.header.Get("Link"), "describedby"); described !=
				(k.word == wordKeyMissing || k.word == "key-reused" || k.word == "outstanding") {
				t.Errorf("Link %q", r.header.Get("Link"))
			}
		})
	}
}

// rest.md, Messages: what is sent with a delay waits, alone and in a batch, and happens once with a key.
func TestSendDelay(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: realClock{}})
	h := recovered(t, log)
	h.queue("q")
	h.do("POST", "/v1/queues/none/messages", "x", "Parley-Delay-Ms: 50").problem(404, "not-found")
	start := time.Now()
	for range 2 {
		h.send("q", "late", "Parley-Delay-Ms: 300", "Idempotency-Key: k")
	}
	h.results("/v1/queues/q/messages", `{"body":"later","delay_ms":400}`, `{"body":"at once"}`,
		`{"body":"never","delay_ms":-1}`)
	after := map[string]time.Duration{
		"at once": 0, "late": 300 * time.Millisecond, "later": 400 * time.Millisecond,
	}
	for len(after) > 0 {
		m := h.one("q")
		wait, waits := after[m.text()]
		if took := time.Since(start); !waits || took < wait {
			t.Errorf("%q came after %v", m.text(), took)
		}
		delete(after, m.text())
	}
	if s := h.stats("q"); s.Ready != 0 {
		t.Errorf("queue %+v", s)
	}
	for _, path := range []string{"/v1/services/q/x", "/v1/services/q/x/gather"} {
		h.do("POST", path, "", "Parley-Delay-Ms: 1", "Content-Type: application/json").
			problem(400, "bad-request")
	}
}
