// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/parley-ipc/parley/internal/broker"
)

// Webhooks posts messages and results to URLs of others (rest.md, Webhooks). Errors are the heart's.
type Webhooks interface {
	// Put keeps a push subscription, JSON, and lets it run; its target has consented.
	Put(ctx context.Context, c *broker.Connection, name string, definition []byte) (bool, error)
	// Show and List return JSON without secrets.
	Show(c *broker.Connection, name string) ([]byte, error)
	List(c *broker.Connection) ([]byte, error)
	Delete(c *broker.Connection, name string) error
	// Consent asks a target whether it takes results of requests of c's user.
	Consent(ctx context.Context, c *broker.Connection, callback string) error
	// Grant takes the consent of a subscription's target, which knows a token, and the rate it grants.
	Grant(token, rate string) error
}

// webhooks returns who posts.
func (d *Door) webhooks() (Webhooks, error) {
	if d.options.Webhooks == nil {
		return nil, problemf(wordNotFound, "this hub posts to nobody")
	}
	return d.options.Webhooks, nil
}

// putSubscription is PUT /subscriptions/{name}.
func (d *Door) putSubscription(v *visit) error {
	hooks, err := d.webhooks()
	if err != nil {
		return err
	}
	var definition json.RawMessage
	if err := v.decode(&definition, false); err != nil {
		return err
	}
	created, err := hooks.Put(v.r.Context(), v.client.conn, v.path("name"), definition)
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return jsonFault(e)
	}
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	shown, err := hooks.Show(v.client.conn, v.path("name"))
	if err != nil {
		return err
	}
	return v.reply(status, json.RawMessage(shown))
}

// getSubscription is GET /subscriptions/{name}.
func (d *Door) getSubscription(v *visit) error {
	hooks, err := d.webhooks()
	if err != nil {
		return err
	}
	shown, err := hooks.Show(v.client.conn, v.path("name"))
	if err != nil {
		return err
	}
	return v.reply(http.StatusOK, json.RawMessage(shown))
}

// listSubscriptions is GET /subscriptions.
func (d *Door) listSubscriptions(v *visit) error {
	hooks, err := d.webhooks()
	if err != nil {
		return err
	}
	shown, err := hooks.List(v.client.conn)
	if err != nil {
		return err
	}
	return v.reply(http.StatusOK, json.RawMessage(shown))
}

// deleteSubscription is DELETE /subscriptions/{name}; an absent one too.
func (d *Door) deleteSubscription(v *visit) error {
	hooks, err := d.webhooks()
	if err != nil {
		return err
	}
	err = hooks.Delete(v.client.conn, v.path("name"))
	if p := problemOf(err); err != nil && p.word != wordNotFound {
		return err
	}
	return v.noContent()
}

// grant is GET and POST /webhooks/consents/{token}, by which the target of a subscription consents that
// did not do so at once. It needs no user: the token is known to who was asked. That GET changes
// something is what CloudEvents wants, for people with a browser (webhook §4.1.3).
func (d *Door) grant(v *visit) error {
	hooks, err := d.webhooks()
	switch {
	case err != nil:
		return err
	case !d.visits.enter():
		return problemf(wordDraining, "the hub stops")
	}
	defer d.visits.leave()
	if v.r.Method != http.MethodHead {
		if err := hooks.Grant(v.path("token"), v.r.Header.Get("WebHook-Allowed-Rate")); err != nil {
			return err
		}
	}
	return v.noContent()
}

// callback returns the URL to which the result of a request is to be posted, if the client names one
// and its target takes it.
func (v *visit) callback() (string, error) {
	to := v.r.Header.Get("Parley-Callback")
	if to == "" {
		return "", nil
	}
	hooks, err := v.door.webhooks()
	if err != nil {
		return "", badRequest("this hub does not support Parley-Callback")
	}
	return to, hooks.Consent(v.r.Context(), v.client.conn, to)
}
