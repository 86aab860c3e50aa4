// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/trace"
)

// visit is one HTTP request under way.
type visit struct {
	door   *Door
	w      http.ResponseWriter
	r      *http.Request
	peer   auth.Peer
	client *client // once the caller is known
	trace  trace.Context
	status int // of the answer, once it is given
}

func (d *Door) newVisit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{door: d, w: w, r: r, peer: peerOf(r)}
	var ok bool
	if v.trace, ok = trace.Parse(r.Header.Get("Traceparent")); !ok {
		v.trace = trace.New(false)
	}
	return v
}

// traceID returns the id under which logs and problems speak of this request.
func (v *visit) traceID() string { return v.trace.Trace.String() }

// public serves what needs no user.
func (d *Door) public(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := d.newVisit(w, r)
		if err := h(v); err != nil {
			v.fail(err)
		}
	})
}

// private serves what needs a user: it finds out who calls, and holds the client meanwhile.
func (d *Door) private(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := d.newVisit(w, r)
		if err := d.admit(r.Context(), v); err != nil {
			v.fail(err)
			return
		}
		defer v.client.release()
		if err := h(v); err != nil {
			v.fail(err)
		}
	})
}

// admit finds out who calls and opens the client.
func (d *Door) admit(ctx context.Context, v *visit) error {
	if d.isDraining() {
		return problemf(wordDraining, "the hub stops")
	}
	if v.r.ContentLength > int64(d.options.BodyBytes) {
		return problemf(wordTooLarge, "the body is larger than %d bytes", d.options.BodyBytes)
	}
	user, err := d.identify(ctx, v)
	if err != nil {
		return err
	}
	vhost := v.path("v")
	if vhost == "" {
		vhost = "/"
	}
	v.client, err = d.client(clientKey{user: user, vhost: vhost})
	return err
}

// base returns the prefix of this visit's links: /v1, or /v1/vhosts/{v}.
func (v *visit) base() string {
	if vhost := v.path("v"); vhost != "" {
		return "/v1/vhosts/" + url.PathEscape(vhost)
	}
	return "/v1"
}

// work calls fn with a session of the client.
func (v *visit) work(fn func(w *worker) error) error {
	w, err := v.client.worker()
	if err != nil {
		return err
	}
	defer v.client.done(w)
	return fn(w)
}

// reply answers with a status and JSON.
func (v *visit) reply(status int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/json")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	v.status = status
	v.w.WriteHeader(status)
	_, err = v.w.Write(append(data, '\n'))
	return ignoreWrite(err)
}

// noContent answers 204.
func (v *visit) noContent() error {
	v.status = http.StatusNoContent
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}

// flag reads a yes-or-no query parameter.
func (v *visit) flag(name string) (bool, error) {
	switch text := v.r.URL.Query().Get(name); text {
	case "", "0", "false":
		return false, nil
	case "1", "true":
		return true, nil
	default:
		return false, badRequest("%s must be 1 or 0", name)
	}
}
