// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// handler answers one request; an error becomes a problem.
type handler func(v *visit) error

// route is one row of the table of routes; its pattern stands behind /v1 and behind
// /v1/vhosts/{v}.
type route struct {
	method  string // empty is any
	pattern string
	// types are what the answer may be; none: there is no body, or it is not this door's own.
	types  string
	handle handler
}

// typeJSON is the type of this door's own answers.
const typeJSON = "application/json"

// webSocketPath is where STOMP over WebSocket is, as RabbitMQ's.
const webSocketPath = "/ws"

func (d *Door) table() []route {
	return []route{
		{"GET", "/queues", typeJSON, d.listQueues},
		{"PUT", "/queues/{q}", typeJSON, d.putQueue},
		{"GET", "/queues/{q}", typeJSON, d.getQueue},
		{"DELETE", "/queues/{q}", "", d.deleteQueue},
		{"POST", "/queues/{q}/messages", typeJSON, d.sendToQueue},
		{"DELETE", "/queues/{q}/messages", typeJSON, d.purgeQueue},
		{"POST", "/queues/{q}/leases", "", d.lease},
		{"GET", "/queues/{q}/stream", typeEvents, d.streamEvents},

		{"GET", "/exchanges", typeJSON, d.listExchanges},
		{"PUT", "/exchanges/{x}", "", d.putExchange},
		{"GET", "/exchanges/{x}", typeJSON, d.getExchange},
		{"DELETE", "/exchanges/{x}", "", d.deleteExchange},
		{"POST", "/exchanges/{x}/messages", typeJSON, d.publishToExchange},

		{"GET", "/bindings", typeJSON, d.listBindings},
		{"POST", "/bindings", "", d.bind},
		{"DELETE", "/bindings", "", d.unbind},

		{"POST", "/topics/{t}/messages", typeJSON, d.publishToTopic},
		{"POST", "/topics/{t}/gather", gatherTypes, d.gatherTopic},
		{"GET", "/topics/{t}/stream", typeEvents, d.streamEvents},

		{"POST", "/leases/batch", typeJSON, d.settleBatch},
		{"DELETE", "/leases/{id}", "", d.acknowledge},
		{"PATCH", "/leases/{id}", typeJSON, d.changeLease},
		{"POST", "/leases/{id}/reply", typeJSON, d.reply},
		{"POST", "/leases/{id}/progress", "", d.progress},

		{"", "/services/{svc}/{path...}", "", d.service},
		{"GET", "/services", typeJSON, d.listServices},
		{"GET", "/services/{svc}/openapi.json", typeJSON, d.showServiceOpenAPI},
		{"PUT", "/services/{svc}/instances/{id}", typeJSON, d.putInstance},
		{"PATCH", "/services/{svc}/instances/{id}", typeJSON, d.patchInstance},
		{"DELETE", "/services/{svc}/instances/{id}", "", d.deleteInstance},
		{"POST", "/services/{svc}/{method}/gather", gatherTypes, d.gatherService},

		{"GET", "/contracts", typeJSON, d.listContracts},
		{"PUT", "/contracts/{name}", typeJSON, d.putContract},
		{"GET", "/contracts/{name}", typeJSON, d.getContract},
		{"DELETE", "/contracts/{name}", "", d.deleteContract},

		{"GET", "/subscriptions", typeJSON, d.listSubscriptions},
		{"PUT", "/subscriptions/{name}", typeJSON, d.putSubscription},
		{"GET", "/subscriptions/{name}", typeJSON, d.getSubscription},
		{"DELETE", "/subscriptions/{name}", "", d.deleteSubscription},

		{"GET", "/requests/{id}", requestTypes, d.getRequest},
		{"DELETE", "/requests/{id}", "", d.cancelRequest},
		{"GET", "/requests/{id}/response", "", d.getResponse},
	}
}

// routes builds the mux. Wildcards are whole segments, so actions are sub-resources.
func (d *Door) routes() *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(pattern string, h http.Handler) {
		mux.Handle(pattern, h)
		d.patterns = append(d.patterns, pattern)
	}
	known := operations()
	for _, r := range d.table() {
		for _, prefix := range [...]string{"/v1", "/v1/vhosts/{v}"} {
			pattern := prefix + r.pattern
			if r.method != "" {
				pattern = r.method + " " + pattern
			}
			if o := known[r.method+" "+r.pattern]; o.takes != nil {
				d.takes[pattern] = strings.Join(o.takes.types, ", ")
			}
			handle(pattern, d.private(r.types, r.handle))
		}
	}
	for pattern, h := range d.publicRoutes() {
		handle(pattern, h)
		if method, path, _ := strings.Cut(pattern, " "); alsoBelow(path) {
			handle(method+" /v1"+path, h)
		}
	}
	return mux
}

// alsoBelow reports whether a public route is at /v1 too, where who knows the prefix alone looks.
func alsoBelow(path string) bool { return path == "/{$}" || path == "/openapi.json" }

// publicRoutes are those below no virtual host, by their patterns; but for that of Thrift they need no
// user.
func (d *Door) publicRoutes() map[string]http.Handler {
	out := map[string]http.Handler{
		"GET /{$}":             d.public(typeJSON, d.links),
		"GET /healthz":         d.public(typeJSON, d.healthz),
		"GET /readyz":          d.public(typeJSON, d.readyz),
		"GET /problems/{code}": d.public("text/html", d.problemPage),
		"GET /openapi.json":    d.public(typeJSON, d.showOpenAPI),

		"GET /v1/webhooks/consents/{token}":  d.public("", d.grant),
		"POST /v1/webhooks/consents/{token}": d.public("", d.grant),
	}
	if d.options.WebSocket != nil {
		out["GET "+webSocketPath] = d.options.WebSocket
	}
	if page := d.options.MetricsPage; page != nil {
		out["GET /metrics"] = page
	}
	if d.options.Thrift != nil {
		out["POST "+thriftPath] = d.private("", d.thrift)
		out["POST "+thriftPath+"/{svc}"] = d.private("", d.thrift)
	}
	return out
}

// serve is the door's handler: the mux, with problems where it has plain texts.
func (d *Door) serve(w http.ResponseWriter, r *http.Request) {
	requestCame(r)
	h := w.Header()
	h["X-Content-Type-Options"] = d.nosniff
	// The connection's last answer had a deadline of its own.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	if d.cors(w, r) {
		return
	}
	if len(r.RequestURI) > targetBytesMax {
		d.refuse(w, r, problemf(wordURITooLong, "the target is longer than %d bytes",
			targetBytesMax))
		return
	}
	if r.Method == http.MethodConnect {
		h.Set("Connection", "close")
		d.refuse(w, r, problemf(wordMethod, "the hub is no proxy"))
		return
	}
	// The mux would redirect a path that is not clean, and loses the method's body in doing so.
	escaped := r.URL.EscapedPath()
	if !strings.HasPrefix(escaped, "/") || cleaned(escaped) != escaped {
		d.refuse(w, r, problemf(wordNotFound, "there is no such route"))
		return
	}
	if service, rest, ok := serviceRoute(r, escaped); ok {
		v := d.newVisit(w, r)
		v.service, v.rest, r.Pattern = service, rest, servicePrefix+"{svc}/{path...}"
		d.answer(v, "", d.service) //nolint:contextcheck // the visit has the request
		return
	}
	r = markSlashes(r, escaped)
	match, pattern := d.mux.Handler(r)
	if pattern != "" {
		d.mux.ServeHTTP(w, r)
		return
	}
	probe := probeWriter{header: http.Header{}}
	match.ServeHTTP(&probe, r)
	switch allow := probe.header.Get("Allow"); {
	case probe.status != http.StatusMethodNotAllowed:
		d.refuse(w, r, problemf(wordNotFound, "there is no such route"))
	case r.Method == http.MethodOptions,
		r.Method == http.MethodHead && strings.Contains(allow, http.MethodPost):
		// What may be sent here, and how much (rest.md, Messages); nothing is changed.
		h.Set("Allow", allow+", OPTIONS")
		h.Set("Parley-Max-Body-Bytes", strconv.Itoa(d.options.BodyBytes))
		if types := d.acceptPost(r); types != "" {
			h.Set("Accept-Post", types)
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		p := problemf(wordMethod, "this route does not take %.20q", r.Method)
		p.allow = allow
		d.refuse(w, r, p)
	}
}

// acceptPost returns the types that POST takes at the request's target (W3C LDP, Accept-Post).
func (d *Door) acceptPost(r *http.Request) string {
	post := r.WithContext(r.Context())
	post.Method = http.MethodPost
	_, pattern := d.mux.Handler(post)
	return d.takes[pattern]
}

// servicePrefix is where the services of the default virtual host are.
const servicePrefix = "/v1/services/"

// serviceRoute tells calls to services of the default virtual host from all other requests without
// the mux, whose cost they would notice. What it is not sure of it leaves to the mux.
func serviceRoute(r *http.Request, escaped string) (service, rest string, ok bool) {
	const prefix = servicePrefix
	if len(escaped) <= len(prefix) || escaped[:len(prefix)] != prefix || r.URL.RawPath != "" ||
		strings.IndexByte(escaped, '%') >= 0 {
		return "", "", false
	}
	service, rest, ok = strings.Cut(escaped[len(prefix):], "/")
	if !ok || service == "" || strings.HasPrefix(rest, "instances/") ||
		strings.HasSuffix(rest, "/gather") || strings.HasSuffix(rest, ".json") {
		return "", "", false
	}
	return service, rest, true
}

// refuse answers a request that reaches no route.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, p *problem) {
	v := d.newVisit(w, r)
	v.fail(p)
	v.done(r.Context())
}

// slashMark stands in a path value for a segment that is a slash itself, as in
// /v1/vhosts/%2F/queues: the mux takes such a segment for the end of the path. No name has a NUL in
// it.
const slashMark = "\x00slash"

// markSlashes returns a request whose segments "%2F" are marked.
func markSlashes(r *http.Request, escaped string) *http.Request {
	if !strings.Contains(escaped, "/%2") {
		return r
	}
	segments := strings.Split(escaped, "/")
	marked := false
	for i, s := range segments {
		if s == "%2F" || s == "%2f" {
			segments[i], marked = url.PathEscape(slashMark), true
		}
	}
	if !marked {
		return r
	}
	at := *r.URL
	at.RawPath = strings.Join(segments, "/")
	decoded, err := url.PathUnescape(at.RawPath)
	if err != nil { // it was decoded once already
		return r
	}
	at.Path = decoded
	out := r.WithContext(r.Context())
	out.URL = &at
	return out
}

// target returns the path as it came, escaped.
func (v *visit) target() string {
	return strings.ReplaceAll(v.r.URL.EscapedPath(), url.PathEscape(slashMark), "%2F")
}

// path returns a wildcard's value.
func (v *visit) path(name string) string {
	if v.service != "" {
		switch name {
		case "svc":
			return v.service
		case "path":
			return v.rest
		}
		return ""
	}
	return strings.ReplaceAll(v.r.PathValue(name), slashMark, "/")
}

// cleaned is path.Clean that keeps a final slash.
func cleaned(p string) string {
	c := path.Clean(p)
	if c != "/" && strings.HasSuffix(p, "/") {
		c += "/"
	}
	return c
}

// probeWriter learns what the mux would say to a request that no pattern takes.
type probeWriter struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (p *probeWriter) Header() http.Header { return p.header }

// Write implements http.ResponseWriter; the text is dropped.
func (p *probeWriter) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements http.ResponseWriter.
func (p *probeWriter) WriteHeader(status int) { p.status = status }
