// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"
)

const (
	headBytes    = 64 << 10  // of a body that are read into a buffer that grows
	blockBytes   = 256 << 10 // of a block for the rest
	bodiesFactor = 16        // bodies of the largest size that may be under way at once
	jsonDepthMax = 64        // nesting of a JSON body (security.md)
	bodyTime     = 30 * time.Second
	bodyRate     = 1 << 10 // bytes a second that a body must come with, after bodyTime
)

// bodyReader reads a body under two bounds besides its size. It has a time, and then a deadline
// that moves on with the bytes that come, so that a client which sends one byte a minute does not
// hold a connection for ever. And all bodies under way have a budget together.
type bodyReader struct {
	v       *visit
	body    io.Reader
	control *http.ResponseController
	start   time.Time
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	d := r.v.door
	allowed := d.bodyTime + time.Duration(r.v.held/bodyRate)*time.Second
	// Not every ResponseWriter has deadlines; those of a test do not.
	_ = r.control.SetReadDeadline(r.start.Add(allowed))
	n, err := r.body.Read(p)
	r.v.held += int64(n)
	if d.bodies.Add(int64(n)) > d.bodiesMax {
		return n, problemf("overloaded", "too many large bodies are on their way")
	}
	return n, err
}

// body reads the whole body, up to the door's limit: 413 beyond it, also for chunked bodies.
func (v *visit) body() ([]byte, error) {
	control := http.NewResponseController(v.w)
	limited := http.MaxBytesReader(v.w, v.r.Body, int64(v.door.options.BodyBytes))
	data, err := readBlocks(&bodyReader{v: v, body: limited, control: control, start: time.Now()})
	if err == nil {
		_ = control.SetReadDeadline(time.Time{})
		return data, nil
	}
	return nil, v.bodyFault(control, err)
}

// smallBody reads a body whose length is known into a buffer that holds it.
func (v *visit) smallBody(buf []byte) error {
	control := http.NewResponseController(v.w)
	// Not every ResponseWriter has deadlines; those of a test do not.
	_ = control.SetReadDeadline(time.Now().Add(v.door.bodyTime))
	if _, err := io.ReadFull(v.r.Body, buf); err != nil {
		return v.bodyFault(control, err)
	}
	_ = control.SetReadDeadline(time.Time{})
	_ = v.r.Body.Close() // it has ended: net/http need not look for more of it
	return nil
}

// wholeBody reads a body, in one piece of memory where its length is known and small.
func (v *visit) wholeBody() ([]byte, error) {
	n := v.r.ContentLength
	if n < 0 || n > wholeBytes {
		return v.body()
	}
	body := make([]byte, n)
	return body, v.smallBody(body)
}

// bodyFault says what was wrong with a body, and lets its connection end.
func (v *visit) bodyFault(control *http.ResponseController, err error) error {
	// net/http would read on to the end of the body, at the client's pace.
	_ = control.SetReadDeadline(time.Now())
	v.w.Header().Set("Connection", "close")
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &problem{word: wordSlow, detail: "the body came too slowly", cause: err}
	}
	return &problem{word: wordBadRequest, detail: "the body could not be read", cause: err}
}

// blockPool holds buffers of blockBytes.
var blockPool = sync.Pool{New: func() any { return new([blockBytes]byte) }}

// readBlocks reads to the end. A small body grows as it comes; what is longer is collected in
// pooled blocks and put together once, so that large bodies, and those that turn out to be too
// large, leave no trail of ever larger buffers behind.
func readBlocks(r io.Reader) ([]byte, error) {
	head, err := io.ReadAll(io.LimitReader(r, headBytes))
	if err != nil || len(head) < headBytes {
		return head, err
	}
	var blocks []*[blockBytes]byte
	defer func() {
		for _, b := range blocks {
			blockPool.Put(b)
		}
	}()
	total := len(head)
	for at := blockBytes; err == nil; {
		if at == blockBytes {
			b, _ := blockPool.Get().(*[blockBytes]byte)
			blocks, at = append(blocks, b), 0
		}
		var n int
		n, err = r.Read(blocks[len(blocks)-1][at:])
		at += n
		total += n
	}
	if !errors.Is(err, io.EOF) { // io.ErrUnexpectedEOF is a body that was cut off
		return nil, err
	}
	out := append(make([]byte, 0, total), head...)
	for _, b := range blocks {
		out = append(out, b[:min(blockBytes, total-len(out))]...)
	}
	return out, nil
}

// decode reads a JSON body into what `into` points to. An empty body leaves it as it is, when it
// may be empty.
func (v *visit) decode(into any, mayBeEmpty bool) error {
	if !acceptsJSON(v.r.Header.Get("Content-Type")) {
		return problemf(wordMediaType, "this route takes application/json")
	}
	if err := v.unpacked(); err != nil {
		return err
	}
	data, err := v.body()
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		if mayBeEmpty {
			return nil
		}
		return badRequest("a JSON body is needed")
	}
	if err := checkJSON(data); err != nil {
		return badRequest("the body is not JSON: %v", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if !parsePrefer(v.r.Header).lenient { // RFC 7240 handling=lenient
		d.DisallowUnknownFields()
	}
	if err := d.Decode(into); err != nil {
		return jsonFault(err)
	}
	return nil
}

// unpacked refuses a packed body where this door reads it (RFC 9110 §15.5.16). Where it passes bodies on
// they may be packed.
func (v *visit) unpacked() error {
	packed := v.r.Header.Get("Content-Encoding")
	if packed == "" || strings.EqualFold(packed, "identity") {
		return nil
	}
	return problemf(wordMediaType, "the hub reads what comes here, and takes no packed bodies (%.40q)",
		packed)
}

// jsonFault says what a decoder refused, in words of JSON: the client knows nothing of Go's types.
func jsonFault(err error) *problem {
	e, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return badRequest("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	p := badRequest("%s must be %s, not %s", cmp.Or(e.Field, "the body"), jsonWant(e.Type), e.Value)
	if e.Field != "" {
		p.pointer = "/" + strings.ReplaceAll(e.Field, ".", "/") // no member here has one in its name
	}
	return p
}

// jsonWant says what JSON a type is read from.
func jsonWant(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Uint8:
		return "a whole number from 0 to 255"
	default:
		return "a whole number"
	}
}

// acceptsJSON reports whether a body of this type is read as JSON: JSON itself, no type at all, and
// what curl -d says when it is not told otherwise.
func acceptsJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (isJSON(t) || t == "application/x-www-form-urlencoded")
}

// isJSON reports whether a media type, without parameters, is JSON.
func isJSON(t string) bool { return t == "application/json" || strings.HasSuffix(t, "+json") }

var (
	errJSONDepth     = errors.New("it nests too deep")
	errJSONDuplicate = errors.New("a member stands twice")
	errJSONTrailing  = errors.New("something follows the value")
)

// checkJSON checks that data is one JSON value, nests at most jsonDepthMax deep and names no member
// twice: of two, each reader would take another.
func checkJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var stack []jsonLevel
	for {
		token, err := d.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if stack, err = pushToken(stack, token); err != nil {
			return err
		}
		if len(stack) == 0 {
			break
		}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errJSONTrailing
	}
	return nil
}

// jsonLevel is an open array, or an open object with the names seen in it.
type jsonLevel struct {
	names map[string]struct{} // nil in an array
	value bool                // a name has been read, its value comes
}

func pushToken(stack []jsonLevel, token json.Token) ([]jsonLevel, error) {
	delimiter, isDelimiter := token.(json.Delim)
	if isDelimiter && (delimiter == '}' || delimiter == ']') {
		return stack[:len(stack)-1], nil
	}
	if n := len(stack); n > 0 && stack[n-1].names != nil {
		top := &stack[n-1]
		if !top.value {
			name, _ := token.(string)
			if _, twice := top.names[name]; twice {
				return stack, errJSONDuplicate
			}
			top.names[name] = struct{}{}
			top.value = true
			return stack, nil
		}
		top.value = false
	}
	if !isDelimiter {
		return stack, nil
	}
	if len(stack) == jsonDepthMax {
		return stack, errJSONDepth
	}
	level := jsonLevel{}
	if delimiter == '{' {
		level.names = map[string]struct{}{}
	}
	return append(stack, level), nil
}
