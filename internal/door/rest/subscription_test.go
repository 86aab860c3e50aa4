// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"slices"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

// hooks are webhooks that keep subscriptions only.
type hooks struct {
	kept     map[string]string
	consents []string
	refuse   error
}

func (k *hooks) Put(
	_ context.Context, _ *broker.Connection, name string, definition []byte,
) (bool, error) {
	_, had := k.kept[name]
	if k.refuse == nil {
		k.kept[name] = string(definition)
	}
	return !had, k.refuse
}

func (k *hooks) Show(_ *broker.Connection, name string) ([]byte, error) {
	if value, ok := k.kept[name]; ok {
		return []byte(value), nil
	}
	return nil, &broker.Error{Code: broker.CodeNotFound}
}

func (k *hooks) List(*broker.Connection) ([]byte, error) { return []byte(`{"items":[]}`), nil }

func (k *hooks) Delete(_ *broker.Connection, name string) error {
	_, err := k.Show(nil, name)
	delete(k.kept, name)
	return err
}

func (k *hooks) Grant(token, rate string) error {
	k.consents = append(k.consents, token+" "+rate)
	return k.refuse
}

func (k *hooks) Consent(_ context.Context, _ *broker.Connection, callback string) error {
	k.consents = append(k.consents, callback)
	return k.refuse
}

func TestSubscriptionRoutes(t *testing.T) {
	t.Parallel()
	k := &hooks{kept: map[string]string{}}
	h := newHub(t, func(o *Options) { o.Webhooks = k })
	const path = "/v1/subscriptions/s"
	h.do("GET", path, "").problem(404, "not-found")
	h.do("PUT", path, `{"a":1}`).want(201)
	h.do("PUT", path, `{"a":2}`).want(200)
	h.do("PUT", path, `{"a":2,"a":3}`).problem(400, "bad-request")
	h.do("PUT", path, ``).problem(400, "bad-request")
	if r := h.do("GET", path, "").want(200); string(r.body) != "{\"a\":2}\n" {
		t.Errorf("subscription %s", r.body)
	}
	h.do("GET", "/v1/subscriptions", "").want(200)
	k.refuse = &broker.Error{Code: broker.CodeInequivalent, Text: "no consent"}
	h.do("PUT", path, `{}`).problem(409, "conflict")
	h.do("DELETE", path, "").want(204)
	h.do("DELETE", path, "").want(204)
	newHub(t).do("GET", "/v1/subscriptions", "").problem(404, "not-found")
}

// CloudEvents webhook §4.1.3: consent comes by GET, from a browser, or by POST, without a user of the
// hub; looking does not consent.
func TestConsentRoute(t *testing.T) {
	t.Parallel()
	k := &hooks{}
	h := newHub(t, func(o *Options) { o.Webhooks, o.Guest = k, noGuest })
	const path = "/v1/webhooks/consents/token"
	h.do("HEAD", path, "").want(204)
	if len(k.consents) != 0 {
		t.Errorf("HEAD consented: %q", k.consents)
	}
	h.do("GET", path, "").want(204)
	h.do("POST", path, "", "WebHook-Allowed-Rate: 120").want(204)
	k.refuse = &broker.Error{Code: broker.CodeNotFound, Text: "no"}
	h.do("POST", path, "").problem(404, "not-found")
	if want := []string{"token ", "token 120", "token "}; !slices.Equal(k.consents, want) {
		t.Errorf("consents %q, want %q", k.consents, want)
	}
}

// rest.md, Webhooks: the target of a callback is asked before the request is stored, and never for a call
// that is answered inline.
func TestCallbackHeader(t *testing.T) {
	t.Parallel()
	k := &hooks{}
	h := newHub(t, func(o *Options) { o.Webhooks = k })
	h.queue("svc")
	const to = "Parley-Callback: https://ci.example/done"
	h.do("POST", "/v1/services/svc/do", "x", to).problem(400, "bad-request")
	h.do("POST", "/v1/queues/svc/messages", "x", to).problem(400, "bad-request")
	k.refuse = &broker.Error{Code: broker.CodeForbidden, Text: "no"}
	h.do("POST", "/v1/services/svc/do", "x", to, "Prefer: respond-async").problem(403, "forbidden")
	if n := h.stats("svc").Ready; n != 0 || len(k.consents) != 1 {
		t.Errorf("%d messages, consents %q", n, k.consents)
	}
	k.refuse = nil
	r := h.do("POST", "/v1/services/svc/do", "x", to, "Prefer: respond-async").want(202)
	contains(t, r.body, `"callback":{"url":"https://ci.example/done","state":"pending"}`)
	if m := h.one("svc"); m.Headers["parley-callback"] != nil {
		t.Errorf("headers %v", m.Headers)
	}
	newHub(t).do("POST", "/v1/services/svc/do", "x", to, "Prefer: respond-async").
		problem(400, "bad-request")
}
