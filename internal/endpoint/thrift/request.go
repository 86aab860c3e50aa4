// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// request is a call that was read, to be sent to a member or two.
type request struct {
	kind *Kind
	of   *broker.EndpointCall

	asker   form        // how the body came, and how the answer goes
	head    thrift.Head // of a body that is Thrift; the answer has the same name and sequence id
	method  []byte      // its bare name
	name    []byte      // as the members have it
	service []byte
	args    []byte // in the members' protocol
	oneway  bool
	// described is the method as the service's contract has it, nil for none.
	described *contract.Method

	pairs      []thrift.Pair // headers that go on, where the members have room for them
	attempt    int           // a hub before this one made so many
	idempotent bool
	lenient    bool
}

// form is how a body is written.
type form struct {
	json     bool // an object of JSON
	protocol thrift.Protocol
}

// scratch is what reading a call needs for a moment.
type scratch struct {
	reader     thrift.Reader
	writer     thrift.Writer
	transcoder contract.Transcoder
}

//nolint:gochecknoglobals // a pool
var scratches = sync.Pool{New: func() any { return new(scratch) }}

// free gives it back, without what it has read and written.
func (s *scratch) free() {
	s.reader.Reset(thrift.Binary, nil, thrift.Limits{})
	s.writer.Reset(thrift.Binary, nil)
	scratches.Put(s)
}

// prepare reads a call.
func (k *Kind) prepare(of *broker.EndpointCall) (*request, error) {
	r := &request{kind: k, of: of, idempotent: of.Idempotent, service: k.name}
	if err := r.readHead(); err != nil {
		return nil, err
	}
	body, err := k.body(of)
	if err != nil {
		return nil, err
	}
	if r.asker, err = askerOf(of, body); err != nil {
		return nil, err
	}
	s, _ := scratches.Get().(*scratch)
	defer s.free()
	if r.asker.json {
		err = r.readJSON(s, body)
	} else {
		err = r.readThrift(s, body)
	}
	if err != nil {
		return nil, err
	}
	if _, ok := k.oneway[string(r.method)]; ok {
		r.oneway = true
	}
	r.name = k.wireName(r.method)
	if r.size() > k.largest {
		return nil, k.tooLarge()
	}
	return r, nil
}

// size is what the message has at most.
func (r *request) size() int { return len(r.args) + len(r.name) + headRoom }

// wireName returns a method's name as the members have it.
func (k *Kind) wireName(method []byte) []byte {
	m := k.options.Multiplex
	if m == "" || k.options.Transport == TransportTTHeader {
		return method
	}
	return append(append(append(make([]byte, 0, len(m)+1+len(method)), m...), ':'), method...)
}

// body returns the whole body of a call; one that comes as it is read is bounded by the call's time.
func (k *Kind) body(of *broker.EndpointCall) ([]byte, error) {
	limit := k.options.MessageBytes
	body := of.Message.Body
	if of.Body != nil {
		if of.Length > int64(limit) {
			return nil, k.tooLarge()
		}
		if !of.Deadline.IsZero() {
			timer := time.AfterFunc(time.Until(of.Deadline), func() { _ = of.Body.Close() })
			defer timer.Stop()
		}
		var b bytes.Buffer
		b.Grow(int(max(of.Length, 0)) + bytes.MinRead)
		var err error
		if _, err = b.ReadFrom(io.LimitReader(of.Body, int64(limit)+1)); err != nil {
			if !of.Deadline.IsZero() && !time.Now().Before(of.Deadline) {
				return nil, &broker.Error{
					Code: broker.CodeDeadline, Op: "call", Text: "the body came too slowly", Err: err,
				}
			}
			return nil, fmt.Errorf("read the body of the call: %w", err)
		}
		if of.Length >= 0 && int64(b.Len()) < of.Length {
			return nil, badRequest("the body ends too early", io.ErrUnexpectedEOF)
		}
		body = b.Bytes()
	}
	if len(body) > limit {
		return nil, k.tooLarge()
	}
	return body, nil
}

func (k *Kind) tooLarge() error {
	return &broker.Error{
		Code: broker.CodeTooLarge, Op: "call",
		Text: fmt.Sprintf("a call to '%s' has at most %d bytes", k.service.Name, k.options.MessageBytes),
	}
}

func badRequest(text string, err error) error {
	return &broker.Error{Code: broker.CodeBadRequest, Op: "call", Text: text, Err: err}
}

// askerOf says how the body of a call is written.
func askerOf(of *broker.EndpointCall, body []byte) (form, error) {
	if of.Head != nil {
		return formOf(of.Head.Get("Content-Type"), body)
	}
	switch string(of.Message.ContentType) { // the usual ones, without a copy
	case typeBinary:
		return form{protocol: thrift.Binary}, nil
	case typeCompact:
		return form{protocol: thrift.Compact}, nil
	case typeJSON:
		return form{json: true}, nil
	}
	return formOf(string(of.Message.ContentType), body)
}

// formOf says how a body is written: by its type, or where that says nothing by its first bytes.
func formOf(contentType string, body []byte) (form, error) {
	kind, params, _ := strings.Cut(contentType, ";")
	kind = strings.TrimSpace(kind)
	switch {
	case kind == "", strings.EqualFold(kind, "application/octet-stream"):
		if f, ok, _ := thrift.Detect(body); ok && f.Transport == thrift.Unframed &&
			(f.Protocol != thrift.JSON || tjson(body)) {
			return form{protocol: f.Protocol}, nil
		}
		return form{json: true}, nil
	case strings.EqualFold(kind, typeBinary):
		return form{protocol: thrift.Binary}, nil
	case strings.EqualFold(kind, typeCompact):
		return form{protocol: thrift.Compact}, nil
	case strings.EqualFold(kind, typeTJSON):
		return form{protocol: thrift.JSON}, nil
	case strings.EqualFold(kind, typeThrift):
		return named(params)
	case strings.EqualFold(kind, typeJSON), strings.EqualFold(kind, "text/plain"),
		len(kind) > len("+json") && strings.EqualFold(kind[len(kind)-len("+json"):], "+json"):
		return form{json: true}, nil
	}
	return form{}, badRequest("a Thrift service cannot be sent "+kind, nil)
}

// The types of bodies.
const (
	typeBinary  = "application/vnd.apache.thrift.binary"
	typeCompact = "application/vnd.apache.thrift.compact"
	typeTJSON   = "application/vnd.apache.thrift.json"
	typeThrift  = "application/x-thrift"
	typeJSON    = "application/json"
	typeProblem = "application/problem+json"
)

// typeOf returns the type of a body.
func (f form) contentType() string {
	switch {
	case f.json:
		return typeJSON
	case f.protocol == thrift.Compact:
		return typeCompact
	case f.protocol == thrift.JSON:
		return typeTJSON
	}
	return typeBinary
}

// named reads the parameter protocol of application/x-thrift, as Armeria writes it.
func named(params string) (form, error) {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if !strings.EqualFold(name, "protocol") {
			continue
		}
		switch value = strings.Trim(value, `"`); {
		case strings.EqualFold(value, "TBINARY"):
		case strings.EqualFold(value, "TCOMPACT"):
			return form{protocol: thrift.Compact}, nil
		case strings.EqualFold(value, "TJSON"):
			return form{protocol: thrift.JSON}, nil
		default:
			return form{}, badRequest("the protocol "+value+" is none of TBINARY, TCOMPACT, TJSON", nil)
		}
	}
	return form{protocol: thrift.Binary}, nil
}

// tjson reports whether a body begins as a message of TJSON: no array of JSON is an object of
// arguments anyway.
func tjson(body []byte) bool { return bytes.HasPrefix(body, []byte("[1,")) }

// readThrift takes the call out of a whole message.
func (r *request) readThrift(s *scratch, body []byte) error {
	k := r.kind
	s.reader.Reset(r.asker.protocol, body, k.options.limits())
	head, err := s.reader.MessageBegin()
	if err != nil {
		return badRequest("the body is no message of Thrift", err)
	}
	if head.Type != thrift.Call && head.Type != thrift.Oneway {
		return badRequest("the body is no call but "+head.Type.String(), nil)
	}
	if r.asker.protocol == thrift.JSON {
		head.Name = bytes.Clone(head.Name) // it may be in the reader's own memory
	}
	r.head, r.oneway = head, head.Type == thrift.Oneway
	_, r.method = thrift.SplitName(head.Name)
	if want := r.of.Message.Type; len(want) > 0 && !bytes.Equal(want, r.method) {
		return badRequest(fmt.Sprintf("the message calls '%s' and is said to call '%s'", r.method, want), nil)
	}
	if err := checkName(r.method); err != nil {
		return err
	}
	r.describe()
	switch {
	case r.asker.protocol == k.protocol:
		r.args, err = walk(&s.reader, body)
	case r.asker.protocol == thrift.JSON || k.protocol == thrift.JSON:
		return r.convert(s, body)
	default: // both carry their types
		s.writer.Reset(k.protocol, make([]byte, 0, len(body)+len(body)/2))
		err = s.writer.Copy(&s.reader, thrift.Struct)
		if err == nil && len(s.reader.Rest()) > 0 {
			err = errTrailing
		}
		r.args = s.writer.Bytes()
	}
	if err != nil {
		return badRequest("the arguments cannot be read", err)
	}
	return nil
}

// describe looks the method up in the service's contract, and reports whether there is a contract.
func (r *request) describe() bool {
	k := r.kind
	if k.options.Contracts == nil {
		return false
	}
	o := k.options.Contracts.Operations(k.service.VHost, k.service.Name)
	if o == nil {
		return false
	}
	if r.described = o.Method(r.method); r.described != nil {
		r.oneway = r.oneway || r.described.Oneway
		r.idempotent = r.idempotent || r.described.Idempotent
	}
	return true
}

// convert turns arguments into TJSON or out of it, which has one name for text and octets: only the
// contract knows which they are.
func (r *request) convert(s *scratch, body []byte) error {
	if r.described == nil {
		return r.undescribed()
	}
	args, err := walk(&s.reader, body)
	if err == nil {
		c := contract.Conversion{From: r.asker.protocol, To: r.kind.protocol}
		r.args, err = s.transcoder.ConvertArguments(nil, r.described, c, args)
	}
	if err != nil {
		return badRequest("the arguments cannot be read", err)
	}
	return nil
}

// undescribed is the error of a call that only a contract could convert.
func (r *request) undescribed() error {
	e := &broker.Error{Op: "call", Entity: r.kind.service.Name}
	if r.describe() {
		e.Code = broker.CodeNoMethod
		e.Text = fmt.Sprintf("the contract of '%s' has no method '%s'", r.kind.service.Name, r.method)
	} else {
		e.Code = broker.CodeMediaType
		e.Text = fmt.Sprintf("'%s' speaks Thrift and has no contract: the body can only be a message of"+
			" Thrift, in the protocol that it reads", r.kind.service.Name)
	}
	return e
}

// readJSON takes the call out of an object of arguments.
func (r *request) readJSON(s *scratch, body []byte) error {
	r.method = r.of.Message.Type
	if err := checkName(r.method); err != nil {
		return err
	}
	if r.describe(); r.described == nil {
		return r.undescribed()
	}
	s.transcoder.Lenient = r.lenient
	args, err := s.transcoder.ArgumentsFromJSON(make([]byte, 0, len(body)+headRoom), r.described,
		r.kind.protocol, body)
	s.transcoder.Lenient = false
	if err != nil {
		return badRequest(err.Error(), nil)
	}
	r.args = args
	return nil
}

func checkName(method []byte) error {
	switch {
	case len(method) == 0:
		return badRequest("the call names no method", nil)
	case len(method) > maxNameBytes:
		return badRequest(fmt.Sprintf("the method's name is longer than %d bytes", maxNameBytes), nil)
	case bytes.IndexByte(method, ':') >= 0:
		return badRequest("the method's name has a colon in it", nil)
	}
	return nil
}

var errTrailing = errors.New("thrift: bytes behind the end of the message")

// walk returns the struct of a message whose head was read, when it ends where the message does: what
// is behind it would be the next message.
func walk(r *thrift.Reader, body []byte) ([]byte, error) {
	from := r.Offset()
	if err := r.Skip(thrift.Struct); err != nil {
		return nil, err
	}
	return ended(r, body, from)
}

// ended returns the struct from an octet on that was read.
func ended(r *thrift.Reader, body []byte, from int) ([]byte, error) {
	to := r.Offset()
	if err := r.MessageEnd(); err != nil {
		return nil, err
	}
	part := body[from:to]
	if r.Protocol() != thrift.JSON {
		if len(r.Rest()) > 0 {
			return nil, errTrailing
		}
		return part, nil
	}
	if len(bytes.TrimSpace(r.Rest())) > 0 {
		return nil, errTrailing
	}
	// The comma before it belongs to the message.
	return bytes.TrimLeft(part, " \t\r\n,"), nil
}

// Traits implements endpoint.Call. The body was read, so that it can be sent again.
func (r *request) Traits() endpoint.Traits {
	return endpoint.Traits{Idempotent: r.idempotent, Attempt: r.attempt, Timed: true}
}

// number counts the attempts of all deliveries.
func (r *request) number(a endpoint.Attempt) int {
	return a.Number + int(max(r.of.Attempt, 1)) - 1
}
