// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

const (
	// wholeBytes is up to which size a body is read before anything else happens, so that a client
	// that sends slowly holds no slot of the service, and that the call may be tried again.
	wholeBytes = 64 << 10
	// copyBytes is the buffer through which a body passes.
	copyBytes = 32 << 10
	// bodyStall is how long a body that is passed on may stand still.
	bodyStall = time.Minute
)

// passage is a call to a service that the hub calls itself, on the goroutine of the request: head and
// body go through as they come, and so do those of the answer (rest.md, Calls).
type passage struct {
	v       *visit
	call    broker.EndpointCall
	message broker.Message
	named   []string // headers that Connection names
	scratch []byte
	values  []string                      // those of the answer's headers
	give    func(name, value string) bool // adds a header of the answer; made once
	buf     [copyBytes]byte
}

//nolint:gochecknoglobals // a pool
var passages = sync.Pool{New: func() any {
	p := new(passage)
	p.give = func(name, value string) bool {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if passesThrough(name) && fieldValue(value) {
			p.add(name, value)
		}
		return true
	}
	return p
}}

// pass calls the service without a queue, if it can be, and answers. With done false the call is for
// the service's queue; body is what was read for it already, and the rest is to be read.
func (d *Door) pass(v *visit, timeout time.Duration) (done bool, body []byte, err error) {
	operation := v.operation()
	if len(operation) > nameBytesMax {
		return false, nil, badRequest("the method's name is longer than %d bytes", nameBytesMax)
	}
	if hops(v.r.Header["Via"]) >= hopsMost {
		return false, nil, badRequest("the request has passed through %d hubs", hopsMost)
	}
	p, _ := passages.Get().(*passage)
	defer p.free()
	p.v = v
	if p.call.Upgrade = v.upgrade(); p.call.Upgrade != "" {
		if err := d.enterStream(v.client.key.user); err != nil {
			return false, nil, err
		}
		defer d.leaveStream(v.client.key.user)
	}
	whole := v.r.ContentLength >= 0 && v.r.ContentLength <= wholeBytes &&
		v.r.Header["Expect"] == nil
	small := whole && v.r.ContentLength <= copyBytes
	switch {
	case v.agreed != nil: // it was read, and checked
		whole, small, body = true, false, v.agreed.body
	case small:
		body = p.buf[:v.r.ContentLength] // it is free until the answer comes
		if err := v.smallBody(body); err != nil {
			return false, nil, err
		}
	case whole:
		if body, err = v.body(); err != nil {
			return false, nil, err
		}
	}
	p.message.Type = append(p.message.Type[:0], operation...)
	var direct broker.Direct
	err = v.work(func(w *worker) (err error) {
		direct, err = w.Direct(v.path("svc"), &p.message)
		return err
	})
	switch {
	case err != nil:
		return false, nil, err
	case direct.Taken():
	case direct.Attached && p.call.Upgrade != "":
		return false, nil, problemf("overloaded", "all slots of the service are taken, and a"+
			" connection that is to switch protocols does not wait")
	case direct.Attached && !whole:
		return false, nil, problemf("overloaded", "all slots of the service are taken, and a body"+
			" of more than %d bytes does not wait", wholeBytes)
	case small:
		return false, append(make([]byte, 0, len(body)), body...), nil
	default:
		return false, body, nil
	}
	defer direct.End()
	p.message.Body = body
	p.call.Message, p.call.Head, p.call.Streams, p.call.Answers = &p.message, p, true, true
	p.call.Deadline, p.call.Attempt = d.options.Broker.Now().Add(timeout), 1
	if !whole {
		p.stream()
	}
	reply, err := direct.Call(v.r.Context(), &p.call)
	if err != nil {
		return true, nil, err
	}
	return true, nil, p.answer(reply)
}

// hopsMost bounds how often a request passes through hubs: a service may lead back to one.
const hopsMost = 8

// hops counts the hubs that a request has passed through.
func hops(list []string) (n int) {
	for _, line := range list {
		n += strings.Count(line, via)
	}
	return n
}

// free gives the passage back to its pool.
func (p *passage) free() {
	p.v, p.named, p.values = nil, p.named[:0], nil
	p.call = broker.EndpointCall{}
	p.message.Body = nil
	passages.Put(p)
}

// operation is the last word of a path that has one word.
func (v *visit) operation() string {
	if v.agreed != nil {
		return v.agreed.operation()
	}
	if path := v.path("path"); !strings.Contains(path, "/") {
		return path
	}
	return ""
}

// stream lets the body of the request go through as it comes.
func (p *passage) stream() {
	r := p.v.r
	p.call.Length, p.call.Trailer = r.ContentLength, p.trailer()
	p.call.Body = &passingBody{
		body: r.Body, control: http.NewResponseController(p.v.w),
	}
	// The service may answer while it still reads. HTTP/2 can do that anyway.
	_ = http.NewResponseController(p.v.w).EnableFullDuplex()
}

// trailer returns the trailers that the request announces and that go on.
func (p *passage) trailer() map[string][]string {
	all := p.v.r.Trailer
	for name := range all {
		if p.outward(name) != name {
			return nil // one that would not go on as a header: none does
		}
	}
	return all
}

// passingBody reads the body of a request that is passed on. It may be long, but not stand still.
type passingBody struct {
	body    io.Reader
	control *http.ResponseController
	mu      sync.Mutex
	ended   bool // all of it was read
}

// Read implements io.Reader.
func (b *passingBody) Read(p []byte) (int, error) {
	// Not every ResponseWriter has deadlines; those of a test do not.
	_ = b.control.SetReadDeadline(time.Now().Add(bodyStall))
	n, err := b.body.Read(p)
	if errors.Is(err, io.EOF) {
		b.mu.Lock()
		b.ended = true
		_ = b.control.SetReadDeadline(time.Time{})
		b.mu.Unlock()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = &problem{word: wordSlow, detail: "the body came too slowly", cause: err}
	}
	return n, err
}

// Close makes a read under way return: nobody wants the rest. The connection is of no use then.
func (b *passingBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		_ = b.control.SetReadDeadline(time.Unix(1, 0))
	}
	return nil
}

// Get implements broker.Head.
func (p *passage) Get(name string) string {
	switch name {
	case "http-method":
		return p.v.calledBy()
	case "http-path":
		return p.v.calledAt()
	case "http-query":
		return p.v.calledWith()
	case "Content-Type", "content-type":
		if p.v.agreed != nil {
			return p.v.agreed.contentType
		}
	}
	return p.v.r.Header.Get(name)
}

// Each implements broker.Head: what goes on of the request's headers, and where it comes from.
func (p *passage) Each(yield func(name, value string) bool) {
	h := p.v.r.Header
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			p.named = append(p.named, textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)))
		}
	}
	for name, values := range h {
		if name == "Te" && acceptsTrailers(values) && !yield(name, "trailers") {
			return
		}
		name := p.outward(name)
		if name == "" {
			continue
		}
		if name == "Content-Type" && p.v.agreed != nil {
			continue
		}
		for _, value := range values {
			if !yield(name, value) {
				return
			}
		}
	}
	if a := p.v.agreed; a != nil && !yield("Content-Type", a.contentType) {
		return
	}
	yield("Forwarded", p.forwarded())
}

// acceptsTrailers reports whether a header TE says that its sender understands trailers.
func acceptsTrailers(lines []string) bool {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), "trailers") {
				return true
			}
		}
	}
	return false
}

// outward returns how a header of the request is called on its way on, "" when it does not go on.
func (p *passage) outward(name string) string {
	switch name {
	case "Content-Type", "Content-Encoding", "Traceparent", "Tracestate", "Parley-Correlation-Id",
		"Parley-Message-Id", "Parley-App-Id", "Parley-Type",
		"Parley-Attempt": // of a hub before this one
		return name
	case "Forwarded":
		return ""
	}
	if own, ok := strings.CutPrefix(name, headerPrefix); ok {
		if name = textproto.CanonicalMIMEHeaderKey(own); strings.HasPrefix(name, "Parley-") {
			return ""
		}
	}
	if ownHeader(name) || strings.HasPrefix(name, "Parley-") || strings.HasPrefix(name, "Proxy-") ||
		strings.HasPrefix(name, "Sec-") &&
			(p.call.Upgrade == "" || !strings.HasPrefix(name, "Sec-Websocket-")) {
		return ""
	}
	if slices.Contains(p.named, name) {
		return ""
	}
	return name
}

// forwarded says where the request comes from (RFC 7239), behind what others said.
func (p *passage) forwarded() string {
	r := p.v.r
	b := p.scratch[:0]
	for _, line := range r.Header["Forwarded"] {
		b = append(append(b, line...), ", "...)
	}
	b = append(b, `for="[`...)
	at := len(b)
	b = p.v.peer.AppendTo(b)
	if bytes.IndexByte(b[at:], ':') >= 0 { // an address of IPv6 has brackets and quotes (RFC 7239 §6)
		b = append(b, `]"`...)
	} else {
		b = append(b[:at-len(`"[`)], b[at:]...)
	}
	if !strings.ContainsAny(r.Host, "\"\\\r\n") && r.Host != "" {
		b = append(append(append(b, `;host="`...), r.Host...), '"')
	}
	if r.TLS != nil {
		b = append(b, ";proto=https"...)
	} else {
		b = append(b, ";proto=http"...)
	}
	p.scratch = b
	return string(b)
}

// answer passes the service's answer on.
func (p *passage) answer(reply *broker.Reply) error {
	defer reply.Stream.Close()
	v := p.v
	status, err := strconv.Atoi(reply.Head.Get(headerStatus))
	if status == http.StatusSwitchingProtocols {
		return p.tunnel(reply)
	}
	if err != nil || status < 200 || status > 599 {
		return problemf(wordBadReply, "the service answered with an unusable status")
	}
	h := v.w.Header()
	p.values = make([]string, 0, 8) // one piece of memory for nearly all of them
	reply.Head.Each(p.give)
	p.add("Via", via)
	if status == http.StatusOK && reply.Length == 0 && v.answersNothing() {
		status = http.StatusNoContent
	}
	bodyless := status == http.StatusNoContent || status == http.StatusNotModified
	if reply.Length >= 0 && !bodyless {
		p.add("Content-Length", strconv.FormatInt(reply.Length, 10))
	}
	if h["Content-Type"] == nil && reply.Length != 0 {
		p.add("Content-Type", unknownType)
	}
	v.status = status
	v.w.WriteHeader(status)
	if bodyless || v.r.Method == http.MethodHead {
		return nil
	}
	if err := p.copy(reply); err != nil {
		v.door.options.Logger.Debug("answer broken off", "door", Name, "peer", v.peer.String(),
			"service", v.path("svc"), "trace_id", v.traceID(), "error", err)
		// Half an answer must not look like a whole one: this ends the connection or the stream.
		panic(http.ErrAbortHandler) //nolint:forbidigo // there is no other way to say it
	}
	return nil
}

// add adds a header of the answer.
func (p *passage) add(name, value string) {
	h := p.v.w.Header()
	if h[name] != nil {
		h[name] = append(h[name], value)
		return
	}
	p.values = append(p.values, value)
	n := len(p.values)
	h[name] = p.values[n-1 : n : n]
}

// via is how the hub names itself in what passes through it (RFC 9110 §7.6.3).
const via = "1.1 parley"

// copy passes the body of an answer on. Where nobody knows how long it is, each part of it at once.
func (p *passage) copy(reply *broker.Reply) error {
	control := http.NewResponseController(p.v.w)
	if reply.Length < 0 { // the head too: it may be a while until something follows
		if err := control.Flush(); err != nil {
			return err
		}
	}
	for {
		n, err := reply.Stream.Read(p.buf[:])
		if isClosed(p.v.client.gone) { // what streams may last for ever, and its user is not let in any more
			return problemf(wordDraining, "the hub ended the connection")
		}
		if n > 0 {
			p.v.giveTime(n)
			if _, failed := p.v.w.Write(p.buf[:n]); failed != nil {
				return failed
			}
			if reply.Length < 0 {
				if failed := control.Flush(); failed != nil {
					return failed
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			p.trailers(reply)
			return nil
		case err != nil:
			return err
		}
	}
}

// trailers passes on the fields behind the body of an answer (RFC 9110 §6.5).
func (p *passage) trailers(reply *broker.Reply) {
	behind, ok := reply.Stream.(broker.Trailer)
	if !ok || reply.Length >= 0 {
		return
	}
	for name, values := range behind.Trailer() {
		for _, value := range values {
			if token(name) && passesBack(name) && fieldValue(value) {
				p.v.w.Header().Add(http.TrailerPrefix+name, value)
			}
		}
	}
}

// passesThrough reports whether a header of an answer that is passed on is the service's to set.
func passesThrough(name string) bool {
	return name == "Content-Type" || name == "Content-Encoding" || passesBack(name)
}
