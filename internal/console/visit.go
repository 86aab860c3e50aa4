// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/parley-ipc/parley/internal/auth"
)

// Bounds of bodies.
const (
	// smallBodyBytes bounds the body of most requests.
	smallBodyBytes = 1 << 20
	// largeBodyBytes bounds messages and definitions, as in RabbitMQ.
	largeBodyBytes = 20_000_000
)

// visit is one HTTP request under way.
type visit struct {
	console *Console
	w       http.ResponseWriter
	r       *http.Request
	peer    auth.Peer
	route   *route
	values  map[string]string // of the names in the route's pattern
	user    auth.User         // empty on a public route
}

// object is a JSON object; encoding sorts its members.
type object map[string]any

// serve answers a request: it finds the row of the table, then who calls, then what they may.
func (c *Console) serve(rows routes, w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-cache")
	v := &visit{console: c, w: w, r: r, peer: peerOf(r)}
	if err := v.answer(r.Context(), rows); err != nil {
		v.fail(err)
	}
	c.options.Logger.DebugContext(r.Context(), "request", "door", Name, "peer", v.peer.String(),
		"user", v.user.Name, "route", v.pattern())
}

func (v *visit) answer(ctx context.Context, rows routes) error {
	if len(v.r.RequestURI) > targetBytesMax {
		return &fault{
			status: http.StatusRequestURITooLong, word: "uri_too_long",
			reason: "the target is longer than " + strconv.Itoa(targetBytesMax) + " bytes",
		}
	}
	var err error
	v.route, v.values, err = rows.match(v.r.Method, v.r.URL.EscapedPath())
	if err != nil {
		f, ok := errors.AsType[*fault](err)
		if ok && f.allow != "" && v.r.Method == http.MethodOptions {
			v.w.Header().Set("Allow", f.allow)
			v.w.WriteHeader(http.StatusOK)
			return nil
		}
		return err
	}
	if v.route.role != public {
		if err := v.identify(ctx); err != nil {
			return err
		}
		if !v.route.role.allows(&v.user) {
			return notAuthorised(v.route.role.refusal())
		}
		if err := v.checkVHost(); err != nil {
			return err
		}
	}
	return v.route.handle(v)
}

func (v *visit) pattern() string {
	if v.route == nil {
		return ""
	}
	return v.route.method + " " + v.route.pattern
}

// fail answers with an error.
func (v *visit) fail(err error) {
	f := faultOf(err)
	if f.cause != nil {
		v.console.options.Logger.Error("request failed", "door", Name, "peer", v.peer.String(),
			"route", v.pattern(), "error", err)
	}
	h := v.w.Header()
	switch f.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Basic realm="RabbitMQ Management"`)
	case http.StatusMethodNotAllowed:
		h.Set("Allow", f.allow)
	case http.StatusRequestURITooLong, http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close")
	}
	_ = v.reply(f.status, object{"error": f.word, "reason": f.reason})
}

// reply answers with a status and JSON.
func (v *visit) reply(status int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	v.w.WriteHeader(status)
	_, err = v.w.Write(data)
	return ignoreWrite(err)
}

// ok answers 200 with JSON.
func (v *visit) ok(body any) error { return v.reply(http.StatusOK, body) }

// ignoreWrite drops the error of a write: the client is gone, and there is nobody to tell.
func ignoreWrite(error) error { return nil }

// made answers a PUT: 201 when there was no such thing before, else 204.
func (v *visit) made(created bool) error {
	if created {
		v.w.WriteHeader(http.StatusCreated)
		return nil
	}
	return v.noContent()
}

func (v *visit) noContent() error {
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}

// body reads the request's body, bounded while it streams.
func (v *visit) body(limitBytes int64) ([]byte, error) {
	if v.r.ContentLength > limitBytes {
		return nil, tooLarge(limitBytes)
	}
	data, err := io.ReadAll(http.MaxBytesReader(v.w, v.r.Body, limitBytes))
	if _, over := errors.AsType[*http.MaxBytesError](err); err != nil && !over {
		return nil, badRequest("the body cannot be read")
	}
	return data, err
}

// holdLarge waits for room for a large body or answer; the function gives it back.
func (v *visit) holdLarge() (func(), error) {
	select {
	case v.console.large <- struct{}{}:
		return func() { <-v.console.large }, nil
	case <-v.r.Context().Done():
		return nil, unavailable("too many large requests at a time")
	}
}

// read decodes a small JSON body into a value; no body leaves it as it is.
func (v *visit) read(into any) error {
	data, err := v.body(smallBodyBytes)
	if err != nil {
		return err
	}
	return decode(data, into)
}

func decode(data []byte, into any) error {
	if len(data) == 0 {
		return nil
	}
	err := json.Unmarshal(data, into)
	if f, ok := errors.AsType[*fault](err); ok { // of a type of this package
		return f
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return badRequest("%s must not be a %s", wrong.Field, wrong.Value)
	}
	if err != nil {
		return badRequest("not_json")
	}
	return nil
}

// name returns the value of a name in the route's pattern.
func (v *visit) name(of string) string { return v.values[of] }
