// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// work is what reading an answer and writing another one need.
type work struct {
	reader thrift.Reader
	writer thrift.Writer
}

// answer is a reply, with what it needs in one piece of memory.
type answer struct {
	reply   broker.Reply
	message broker.Message

	status      int // 0: 200
	contentType string
	fields      []field
	body        []byte
	at          int // of body, what was read
}

var (
	_ broker.Head   = (*answer)(nil)
	_ io.ReadCloser = (*answer)(nil)
)

// Get implements broker.Head.
func (a *answer) Get(name string) string {
	switch name {
	case headerStatus:
		if a.status == 0 {
			return "200"
		}
		return strconv.Itoa(a.status)
	case "content-type":
		return a.contentType
	}
	for i := range a.fields {
		if strings.EqualFold(a.fields[i].name, name) {
			return a.fields[i].value
		}
	}
	return ""
}

// Each implements broker.Head.
func (a *answer) Each(yield func(name, value string) bool) {
	if a.contentType != "" && !yield("Content-Type", a.contentType) {
		return
	}
	for i := range a.fields {
		if isToken(a.fields[i].name) && !yield(a.fields[i].name, a.fields[i].value) {
			return
		}
	}
}

// isToken reports whether text is a token of RFC 9110 §5.6.2, as names of headers are in HTTP.
func isToken(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return text != ""
}

// Read implements io.Reader.
func (a *answer) Read(p []byte) (int, error) {
	if a.at == len(a.body) {
		return 0, io.EOF
	}
	n := copy(p, a.body[a.at:])
	a.at += n
	return n, nil
}

// Close implements io.Closer. The connection was given back when the answer was whole.
func (a *answer) Close() error { return nil }

// finish makes the reply of what is known.
func (r *request) finish(a *answer) *broker.Reply {
	if r.of.Streams {
		a.reply.Head, a.reply.Stream, a.reply.Length = a, a, int64(len(a.body))
		return &a.reply
	}
	a.message.Body = a.body
	a.message.ContentType = bytesOf(a.contentType)
	a.reply.Message = &a.message
	if a.status == 0 && len(a.fields) == 0 {
		return &a.reply // the envelope says it all
	}
	p := broker.Properties{ContentType: a.contentType, Set: broker.HasHeaders}
	if a.contentType != "" {
		p.Set |= broker.HasContentType
	}
	if a.status != 0 {
		p.Headers = append(p.Headers, broker.Field{Name: headerStatus, Value: int32(a.status)})
	}
	for _, f := range a.fields {
		p.Headers = append(p.Headers, broker.Field{Name: f.name, Value: f.value})
	}
	a.message.Format = broker.HubFormat{}
	a.message.Props, _ = broker.HubFormat{}.Append(nil, &p) // it knows every value that is in them
	return &a.reply
}

// bytesOf returns a type of a body, which nobody changes. Those of Thrift are made once.
func bytesOf(contentType string) []byte {
	switch contentType {
	case typeBinary:
		return binaryType
	case typeCompact:
		return compactType
	}
	return []byte(contentType)
}

//nolint:gochecknoglobals // never written
var binaryType, compactType = []byte(typeBinary), []byte(typeCompact)

// nothing is the answer to a call that has none.
func (r *request) nothing() *broker.Reply {
	a := &answer{}
	if r.asker.json {
		a.status = http.StatusAccepted
	} else {
		a.contentType = r.asker.contentType()
	}
	return r.finish(a)
}

var errBadReply = errors.New("thrift: the answer cannot be used")

// bad is an answer that is none: its connection is not used again.
func bad(err error, text string) (*broker.Reply, endpoint.Outcome) {
	return nil, endpoint.Outcome{
		Class: endpoint.ClassBadReply, Err: errors.Join(fmt.Errorf("%w: %s", errBadReply, text), err),
	}
}

// answer turns the message that came into the asker's reply. It borrows nothing of it.
func (r *request) answer(
	w *work, m *thrift.Message, seq int32,
) (*broker.Reply, endpoint.Outcome) {
	w.reader.Reset(m.Protocol, m.Bytes, r.kind.options.limits())
	head, err := w.reader.MessageBegin()
	switch {
	case err != nil:
		return bad(err, "no head")
	case head.Seq != seq:
		return bad(nil, fmt.Sprintf("sequence id %d instead of %d", head.Seq, seq))
	case !bytes.Equal(head.Name, r.method) && !bytes.Equal(head.Name, r.name):
		return bad(nil, fmt.Sprintf("it answers %.64q instead of %q", head.Name, r.method))
	}
	a := &answer{}
	switch m.Shape.Transport {
	case thrift.Headered, thrift.FramedHeader, thrift.KitexHeader:
		a.fields = fieldsOf(&m.Shape.Header)
	case thrift.Unframed, thrift.Framed, thrift.Zlib:
	}
	switch head.Type {
	case thrift.Reply:
		return r.result(w, m, a)
	case thrift.Exception:
		return r.exception(w, m, a)
	case thrift.Call, thrift.Oneway:
	}
	return bad(nil, "it is a "+head.Type.String())
}

// result passes on what a method returned or threw.
func (r *request) result(
	w *work, m *thrift.Message, a *answer,
) (*broker.Reply, endpoint.Outcome) {
	result, thrown, err := walkResult(&w.reader, m.Bytes)
	if err != nil {
		return bad(err, "its result cannot be read")
	}
	if thrown {
		// Nobody need ask again: the service has said what it has to say.
		a.reply.Failure, a.reply.Outcome = wordException, broker.Rejected
	} else {
		a.reply.Outcome = broker.Accepted
	}
	if status, ok := businessOf(&m.Shape.Header); ok {
		a.reply.Failure, a.reply.Outcome = wordException, broker.Rejected
		if r.asker.json {
			a.business(status, &m.Shape.Header)
			return r.finish(a), endpoint.Outcome{Class: endpoint.ClassSuccess}
		}
	}
	if r.asker.json {
		if err := r.show(m.Protocol, a, result); err != nil {
			return bad(err, "its result is not what the contract says")
		}
		return r.finish(a), endpoint.Outcome{Class: endpoint.ClassSuccess}
	}
	if err := r.rewrite(w, m, a, result); err != nil {
		return bad(err, "its result cannot be written anew")
	}
	return r.finish(a), endpoint.Outcome{Class: endpoint.ClassSuccess}
}

// walkResult returns the struct of a result, and whether it is an exception: success is field 0, and
// exceptions have ids of their own (thrift.md, Door).
func walkResult(r *thrift.Reader, body []byte) (result []byte, thrown bool, err error) {
	from := r.Offset()
	if err := r.StructBegin(); err != nil {
		return nil, false, err
	}
	for {
		f, err := r.Field()
		if err != nil {
			return nil, false, err
		}
		if f.Type == thrift.Stop {
			break
		}
		thrown = thrown || f.ID > 0
		if err := r.Skip(f.Type); err != nil {
			return nil, false, err
		}
	}
	result, err = ended(r, body, from)
	return result, thrown, err
}

// rewrite writes the answer to an asker of Thrift: the struct under the head that the asker knows.
func (r *request) rewrite(w *work, m *thrift.Message, a *answer, part []byte) error {
	a.contentType = r.asker.contentType()
	head := thrift.Head{Name: r.method, Type: thrift.Reply, Seq: r.head.Seq, Lax: r.head.Lax}
	if m.Protocol == r.asker.protocol {
		out := message{head: head, protocol: m.Protocol, args: part}
		a.body = out.append(&w.writer, make([]byte, 0, len(part)+len(head.Name)+headRoom))
		return nil
	}
	if m.Protocol == thrift.JSON || r.asker.protocol == thrift.JSON {
		return r.convertResult(w, m.Protocol, a, part)
	}
	w.reader.Reset(m.Protocol, part, r.kind.options.limits())
	w.writer.Reset(r.asker.protocol, make([]byte, 0, 2*len(part)+len(head.Name)+headRoom))
	if err := w.writer.CopyMessage(&w.reader, head); err != nil {
		return err
	}
	a.body = w.writer.Bytes()
	return nil
}

// convertResult turns a result into TJSON or out of it.
func (r *request) convertResult(w *work, from thrift.Protocol, a *answer, part []byte) error {
	if r.described == nil {
		return errBadReply // the call could not have been converted either
	}
	s, _ := scratches.Get().(*scratch)
	defer s.free()
	c := contract.Conversion{From: from, To: r.asker.protocol}
	result, err := s.transcoder.ConvertResult(nil, r.described, c, part)
	if err != nil {
		return err
	}
	out := message{
		head:     thrift.Head{Name: r.method, Type: thrift.Reply, Seq: r.head.Seq, Lax: r.head.Lax},
		protocol: r.asker.protocol, args: result,
	}
	a.body = out.append(&w.writer, make([]byte, 0, len(result)+len(r.method)+headRoom))
	return nil
}

// show writes the result as JSON: the value alone, nothing for a void method, a problem for a declared
// exception (thrift.md, JSON).
func (r *request) show(p thrift.Protocol, a *answer, result []byte) error {
	s, _ := scratches.Get().(*scratch)
	defer s.free()
	body, thrown, err := s.transcoder.ResultToJSON(make([]byte, 0, 2*len(result)+headRoom), r.described,
		p, result)
	switch {
	case err != nil:
		return err
	case thrown != nil:
		name := thrown.Name
		if s := thrown.Type.True().Struct; s != nil {
			name = s.Name
		}
		a.problem(problem{
			status: contract.StatusOf(thrown), code: wordException, exception: name, data: body,
			detail: "the service threw " + name,
		})
	case len(body) == 0:
		a.status = http.StatusNoContent
	default:
		a.contentType, a.body = typeJSON, body
	}
	return nil
}

// headRoom is what a head takes besides its name, in any protocol.
const headRoom = 32

// exception passes on what a service answers that has no result.
func (r *request) exception(
	w *work, m *thrift.Message, a *answer,
) (*broker.Reply, endpoint.Outcome) {
	var e thrift.ApplicationException
	if err := e.Read(&w.reader); err != nil {
		return bad(err, "its exception cannot be read")
	}
	v := r.kind.judge(e.Type)
	if v.class == endpoint.ClassBadReply {
		return bad(&thrift.ApplicationException{Type: e.Type, Message: bytes.Clone(e.Message)},
			"the service cannot answer")
	}
	a.reply.Failure, a.reply.Outcome = v.code, v.outcome
	if r.asker.json {
		a.problem(problem{status: v.status, code: v.code, detail: string(e.Message)})
	} else {
		a.contentType = r.asker.contentType()
		w.writer.Reset(r.asker.protocol, make([]byte, 0, len(m.Bytes)+len(r.method)+headRoom))
		e.Append(&w.writer, thrift.Head{Name: r.method, Seq: r.head.Seq, Lax: r.head.Lax})
		if err := w.writer.Err(); err != nil {
			return bad(err, "its exception cannot be written anew")
		}
		a.body = w.writer.Bytes()
	}
	return r.finish(a), endpoint.Outcome{Class: v.class}
}
