// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"cmp"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
)

// typeForm is what browsers send, and curl -d when it is not told otherwise.
const typeForm = "application/x-www-form-urlencoded"

// agreed is what a contract says of a call that has come.
type agreed struct {
	method *contract.Method
	// route is the annotated one by which it came; nil: POST and the method's name.
	route *contract.Route
	// body are the arguments, of the type contentType.
	body        []byte
	contentType string
}

// agree looks up the contract of the service that is called, reads the arguments and checks them. Without
// a contract nothing has changed, and v.agreed is nil (rest.md, Contracts).
func (d *Door) agree(v *visit) error {
	if d.options.Registry == nil {
		return nil
	}
	service := v.path("svc")
	known := d.options.Registry.Operations(v.client.key.vhost, service)
	if known == nil {
		return nil
	}
	a := &agreed{}
	parameters, err := a.find(v, known)
	if err != nil {
		return err
	}
	if a.body, err = v.wholeBody(); err != nil {
		return err
	}
	a.contentType = v.r.Header.Get("Content-Type")
	if !isThrift(a.contentType) {
		if err := v.unpacked(); err != nil {
			return err
		}
	}
	switch {
	case a.route != nil:
		err = a.bind(v, parameters)
	case a.contentType != typeJSON && !isThrift(a.contentType): // the first is quick, and usual
		err = a.isJSON()
	}
	if err != nil {
		return err
	}
	if a.contentType == typeJSON && !d.wantsThrift(v.client.key.vhost, service) {
		err := contract.CheckArguments(a.method, a.body, parsePrefer(v.r.Header).lenient)
		if err != nil {
			return argumentProblem(err)
		}
	}
	v.agreed = a
	return nil
}

// agreeGather checks what a gather asks of a service that has a contract.
func (d *Door) agreeGather(v *visit, operation string, m *broker.Message) error {
	if d.options.Registry == nil {
		return nil
	}
	vhost, service := v.client.key.vhost, v.path("svc")
	known := d.options.Registry.Operations(vhost, service)
	if known == nil {
		return nil
	}
	method := known.Method([]byte(operation))
	if method == nil {
		return problemf("no-method", "the contract of '%s' has no method %.100q", service, operation)
	}
	p, err := m.Properties()
	t, _, wrong := mime.ParseMediaType(p.ContentType)
	if err != nil || wrong != nil || !isJSON(t) || d.wantsThrift(vhost, service) {
		return err
	}
	if err := contract.CheckArguments(method, m.Body, parsePrefer(v.r.Header).lenient); err != nil {
		return argumentProblem(err)
	}
	return nil
}

// wantsThrift reports whether a service takes Thrift, so that who converts for it checks what it gets.
func (d *Door) wantsThrift(vhost, service string) bool {
	return d.options.WantsThrift != nil && d.options.WantsThrift(vhost, service)
}

// find returns which method is called.
func (a *agreed) find(v *visit, known *contract.Operations) (parameters []string, err error) {
	path, verb := v.servicePath(), v.r.Method
	var allow []string
	a.route, parameters, allow = known.Route(verb, path)
	if a.route == nil && verb == http.MethodHead {
		a.route, parameters, _ = known.Route(http.MethodGet, path)
	}
	if a.route != nil {
		a.method = a.route.Method
		return parameters, nil
	}
	name, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err == nil {
		a.method = known.Method([]byte(name))
	}
	switch {
	case a.method != nil && verb == http.MethodPost:
		return nil, nil
	case a.method != nil:
		allow = append(allow, http.MethodPost)
	case len(allow) == 0:
		return nil, problemf("no-method", "the contract of '%s' has no method %.100q", v.path("svc"),
			strings.TrimPrefix(path, "/"))
	}
	p := problemf(wordMethod, "this method is not called by %.20q", verb)
	slices.Sort(allow)
	p.allow = strings.Join(slices.Compact(allow), ", ")
	return nil, p
}

// isJSON takes a body that is JSON, or that nobody has said the type of.
func (a *agreed) isJSON() error {
	if !acceptsJSON(a.contentType) {
		return problemf(wordMediaType, "the contract's methods take application/json")
	}
	a.contentType = typeJSON
	return nil
}

// bind makes the arguments of a call by an annotated route.
func (a *agreed) bind(v *visit, parameters []string) error {
	r := v.r
	q := contract.Request{
		Verb: r.Method, Parameters: parameters, Query: r.URL.Query(), Body: a.body,
		Lenient: parsePrefer(r.Header).lenient,
		Header:  r.Header.Values,
		Cookie: func(name string) (values []string) {
			for _, c := range r.CookiesNamed(name) {
				values = append(values, c.Value)
			}
			return values
		},
	}
	if q.Verb == http.MethodHead {
		q.Verb = http.MethodGet
	}
	t, _, err := mime.ParseMediaType(a.contentType)
	switch {
	case a.route.TakesRaw() || len(a.body) == 0:
	case err == nil && t == typeForm && !looksLikeJSON(a.body):
		if q.Form, err = url.ParseQuery(string(a.body)); err != nil {
			return badRequest("the form cannot be read")
		}
	default:
		if err := a.isJSON(); err != nil {
			return err
		}
		if err := checkJSON(a.body); err != nil {
			return badRequest("the body is not JSON: %v", err)
		}
	}
	if a.body, err = a.route.Arguments(&q); err != nil {
		return argumentProblem(err)
	}
	a.contentType = typeJSON
	return nil
}

// looksLikeJSON tells what curl -d calls a form from a form: that has no brace before its first name.
func looksLikeJSON(body []byte) bool {
	text := strings.TrimLeft(string(body[:min(len(body), 64)]), " \t\r\n")
	return strings.HasPrefix(text, "{")
}

// argumentProblem says what is wrong with arguments, and where.
func argumentProblem(err error) error {
	p := badRequest("%v", err)
	if at, ok := errors.AsType[*contract.ConvertError](err); ok {
		p.detail, p.pointer = at.Text, at.Path
		if at.Cause != nil && at.Text == "" {
			p.detail = at.Cause.Error()
		}
	}
	return p
}

// isThrift reports whether a body is one of Thrift, which passes as it is.
func isThrift(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil &&
		(strings.HasPrefix(t, "application/vnd.apache.thrift") || t == "application/x-thrift")
}

// operation is what the service is asked to do: the method, or the one of which a request is made.
func (a *agreed) operation() string {
	if a.method.Request != "" {
		return a.method.Request
	}
	return a.method.Name
}

// hasNoAnswer reports whether nobody answers the method: it is sent, or published.
func (a *agreed) hasNoAnswer() bool { return a.method.Oneway || a.method.Publish != "" }

// sendCall sends a call that nobody answers, as a message of the service or on a topic: 202 when it is
// safe (rest.md, The description).
func (d *Door) sendCall(v *visit) error {
	to := target{exchange: "", key: v.path("svc"), mandatory: true}
	to.location = "/queues/" + url.PathEscape(to.key) + "/messages/"
	if key := v.agreed.method.Publish; key != "" {
		to = target{exchange: d.options.TopicExchange, key: key, mandatory: false}
		to.location = "/topics/" + url.PathEscape(key) + "/messages/"
	}
	p, err := v.callProperties()
	if err != nil {
		return err
	}
	m, err := to.message(&p, v.agreed.body)
	if err != nil {
		return err
	}
	once := broker.OnceParams{MessageID: p.MessageID}
	once.Key, once.Fingerprint, err = v.idempotency(m.Body)
	if err != nil {
		return err
	}
	routed := 0
	err = v.work(func(w *worker) error {
		if once.Key != "" {
			first, err := w.publishOnce(m, to.params(), once)
			if err != nil {
				return err
			}
			routed, p.MessageID = first.Routed, first.MessageID
			return w.Sync()
		}
		sent, err := w.send(m, to.params())
		if err != nil {
			return err
		}
		routed = sent.routed
		return sent.confirmed(v)
	})
	if err != nil {
		if e := problemOf(err); e.word == "unroutable" {
			return problemf("no-service", "no service '%s'", to.key)
		}
		return err
	}
	v.w.Header().Set("Location", v.base()+to.location+url.PathEscape(p.MessageID))
	return v.reply(http.StatusAccepted, routedBody{Routed: routed})
}

// answerAgreed gives an answer, whose fields go where the annotated route says by which the call came.
func (v *visit) answerAgreed(a *answer) error {
	if v.agreed == nil || v.agreed.route == nil || v.agreed.route.Outputs == nil ||
		a.properties.Set&broker.HasContentEncoding != 0 {
		return v.answer(a)
	}
	return v.answerBy(v.agreed.route, a)
}

// answerBy gives the answer of a call by an annotated route whose result says where its fields go.
func (v *visit) answerBy(r *contract.Route, a *answer) error {
	status, err := a.status()
	t, _, _ := mime.ParseMediaType(a.properties.ContentType)
	if err != nil || status != http.StatusOK || !isJSON(t) || a.problem(v.door.problems) != nil {
		return v.answer(a) // an error, or what cannot be taken apart
	}
	made, err := r.Answer(a.body)
	if err != nil {
		return &problem{
			word: wordBadReply, detail: "the service's answer is not what its contract says", cause: err,
		}
	}
	h := v.w.Header()
	if made.Raw {
		a.properties.ContentType = unknownType
	}
	a.headersOut(h)
	for _, header := range made.Headers {
		name, value := http.CanonicalHeaderKey(header[0]), header[1]
		if token(name) && fieldValue(value) && (passesBack(name) || name == "Content-Type" && made.Raw) {
			h.Set(name, value)
		}
	}
	for _, cookie := range made.Cookies {
		v.setCookie(cookie[0], cookie[1])
	}
	v.status = status
	if made.Status != 0 {
		v.status = made.Status
	}
	v.w.WriteHeader(v.status)
	if v.status == http.StatusNoContent || v.status == http.StatusNotModified {
		return nil
	}
	return v.write(made.Body)
}

// setCookie sets a cookie that goes back to this service alone, and that no page reads: other services
// have the same origin. A name or a value that no cookie has is left out.
func (v *visit) setCookie(name, value string) {
	c := http.Cookie{
		Name: name, Value: value, Path: v.base() + "/services/" + url.PathEscape(v.path("svc")),
		HttpOnly: true, Secure: v.r.TLS != nil, SameSite: http.SameSiteLaxMode,
	}
	if c.Valid() == nil {
		http.SetCookie(v.w, &c)
	}
}

// thrown completes the problem that an exception is: a service answers it as a problem, or, where the
// contract declares it, by its name and with its fields.
func (v *visit) thrown(a *answer, p *problem) {
	t, _, _ := mime.ParseMediaType(a.properties.ContentType)
	if isJSON(t) && json.Valid(a.body) {
		var said problemBody
		switch {
		case t != typeProblem:
			if v.agreed != nil && declared(v.agreed.method, p.exception) != nil {
				p.data = a.body
			}
		case json.Unmarshal(a.body, &said) == nil:
			p.exception, p.data = cmp.Or(said.Exception, p.exception), said.Data
			p.detail = cmp.Or(p.detail, said.Detail)
		}
	}
	if v.agreed != nil {
		if f := declared(v.agreed.method, p.exception); f != nil {
			p.status = contract.StatusOf(f)
		}
	}
	if status, err := a.status(); err == nil && status >= http.StatusBadRequest {
		p.status = status
	}
}

// declared returns the exception of that name that a method throws, or nil.
func declared(m *contract.Method, name string) *contract.Field {
	for _, f := range m.Function.Throws.Fields {
		if s := f.Type.True().Struct; s != nil && s.Name == name {
			return f
		}
	}
	return nil
}
