// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

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
	// service and rest are what serviceRoute found; the mux has the others' values.
	service, rest string
	agreed        *agreed // what a contract says of the call; nil without one

	status int   // of the answer, once it is given
	held   int64 // bytes of the body that count against the door's budget
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
func (d *Door) public(types string, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := d.newVisit(w, r)
		defer v.done(r.Context())
		if err := v.checkAccept(types); err != nil {
			v.fail(err)
			return
		}
		if err := h(v); err != nil {
			v.fail(err)
		}
	})
}

// done gives back what the request held, and counts and logs it: with its route, but neither its
// query, which may hold secrets, nor anything of its body.
func (v *visit) done(ctx context.Context) {
	v.door.bodies.Add(-v.held)
	if v.status == 0 {
		v.status = http.StatusOK
	}
	if class := v.status / 100; class < len(v.door.answers) {
		v.door.answers[class].Inc()
	}
	log := v.door.options.Logger
	if !log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	var key clientKey
	if v.client != nil {
		key = v.client.key
	}
	log.DebugContext(ctx, "request", "door", Name, "peer", v.peer.String(), "vhost", key.vhost,
		"user", key.user, "route", v.r.Pattern, "queue", v.path("q"), "service", v.path("svc"),
		"operation", v.path("method"), "status", v.status, "trace_id", v.traceID())
}

// checkAccept refuses a request whose Accept takes none of a route's types, before it does
// anything.
func (v *visit) checkAccept(types string) error {
	lines := v.r.Header.Values("Accept")
	if len(lines) == 0 || types == "" {
		return nil
	}
	for part := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		t, parameters, _ := strings.Cut(part, ";")
		t = strings.ToLower(strings.TrimSpace(t))
		if strings.ReplaceAll(parameters, " ", "") == "q=0" {
			continue
		}
		for have := range strings.SplitSeq(types, " ") {
			group, _, _ := strings.Cut(have, "/")
			if t == "" || t == "*/*" || t == have || t == group+"/*" {
				return nil
			}
		}
	}
	return problemf(wordNotAccept, "this route answers with %s",
		strings.ReplaceAll(types, " ", ", "))
}

// private serves what needs a user: it finds out who calls, and holds the client meanwhile.
func (d *Door) private(types string, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.answer(d.newVisit(w, r), types, h) //nolint:contextcheck // the visit has the request
	})
}

// answer is private for a visit.
func (d *Door) answer(v *visit, types string, h handler) {
	ctx := v.r.Context()
	defer v.done(ctx)
	// What is under way may end: leases are still settled and answered.
	ends := strings.Contains(v.r.Pattern, "/leases/")
	if (d.isDraining() && !ends) || !d.visits.enter() {
		v.fail(problemf(wordDraining, "the hub stops"))
		return
	}
	defer d.visits.leave()
	if err := d.admit(ctx, v); err != nil {
		v.fail(err)
		return
	}
	defer v.client.release()
	if err := v.checkAccept(types); err != nil {
		v.fail(err)
		return
	}
	if err := h(v); err != nil {
		v.fail(err)
	}
}

// admit finds out who calls and opens the client.
func (d *Door) admit(ctx context.Context, v *visit) error {
	// What a service is sent may be longer: it passes through.
	through := v.path("svc") != "" || v.r.URL.Path == thriftPath
	if v.r.ContentLength > int64(d.options.BodyBytes) && !through {
		return problemf(wordTooLarge, "the body is larger than %d bytes", d.options.BodyBytes)
	}
	user, err := d.identify(ctx, v)
	if err != nil {
		return err
	}
	if err := d.admitRate(v, user); err != nil {
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
	return v.write(append(data, '\n'))
}

// write writes a body. A client that takes it in at less than bodyRate loses its connection.
func (v *visit) write(data []byte) error {
	v.giveTime(len(data))
	_, err := v.w.Write(data)
	return ignoreWrite(err)
}

// giveTime bounds how long the rest of the answer, so many bytes, may take.
func (v *visit) giveTime(n int) {
	allowed := streamWriteTime + time.Duration(n/bodyRate)*time.Second
	// Not every ResponseWriter has deadlines; those of a test do not.
	_ = http.NewResponseController(v.w).SetWriteDeadline(time.Now().Add(allowed))
}

// noContent answers 204.
func (v *visit) noContent() error {
	v.status = http.StatusNoContent
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}

// isSafe reports whether the request's method changes nothing (RFC 9110 §9.2.1).
func (v *visit) isSafe() bool {
	switch v.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
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

// instance returns the name of who consumes: what the client calls itself in Parley-Instance, or
// one of its own. A gather names its instances so.
func (v *visit) instance() (string, error) {
	name := v.r.Header.Get("Parley-Instance")
	switch {
	case name == "":
		return "http-" + newID(), nil
	case len(name) > nameBytesMax || !utf8.ValidString(name) || !fieldValue(name):
		return "", badRequest("Parley-Instance must be text of up to %d bytes", nameBytesMax)
	}
	return name, nil
}
