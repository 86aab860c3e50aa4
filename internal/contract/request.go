// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Request is what an HTTP request by a route has.
type Request struct {
	// Verb is its HTTP method, Parameters are those of its path, as Operations.Route returns them.
	Verb       string
	Parameters []string
	// Query and Form are by name; Form is nil where the body is no form.
	Query, Form map[string][]string
	// Header and Cookie return the values of a name.
	Header, Cookie func(name string) []string
	// Body is the body, JSON unless a field takes the whole of it.
	Body []byte
	// Lenient ignores members of the body that no field takes.
	Lenient bool
}

// Arguments makes the JSON object of arguments out of a request. What is wrong with the request is a
// *ConvertError. The values are not checked against the IDL: CheckArguments does that.
func (r *Route) Arguments(q *Request) ([]byte, error) {
	if r.bodyAlone(q) {
		return q.Body, nil // bare or not, as for a call by the method's name
	}
	members, err := r.bodyMembers(q)
	switch {
	case err != nil:
		return nil, err
	case r.isPlain(members):
		return q.Body, nil
	}
	out := []byte{'{'}
	for i := range r.Inputs {
		in := &r.Inputs[i]
		value, err := r.value(q, in, members)
		if err != nil {
			return nil, err.under(in.Field.Name)
		}
		if value == nil {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(appendQuoted(out, in.Field.Name), ':'), value...)
	}
	out = append(out, '}')
	if err := unclaimed(q, members); err != nil {
		return nil, err
	}
	if r.wrapped != nil {
		out = append(append(append([]byte{'{'}, appendQuoted(nil, r.wrapped.Name)...), ':'), out...)
		out = append(out, '}')
	}
	return out, nil
}

// TakesRaw reports whether a field is the whole body, whatever its type.
func (r *Route) TakesRaw() bool {
	return slices.ContainsFunc(r.Inputs, func(in Input) bool {
		return slices.ContainsFunc(in.Places, func(p FieldPlace) bool { return p.Place == PlaceRaw })
	})
}

// bodyAlone reports whether all fields are in the body under their own names.
func (r *Route) bodyAlone(q *Request) bool {
	return q.Form == nil && !slices.ContainsFunc(r.Inputs, func(in Input) bool {
		if len(in.Places) != 1 || in.Places[0].Name != in.Field.Name {
			return true
		}
		place := in.Places[0].Place
		return place != PlaceBody && (place != PlaceDefault || queryByDefault(q.Verb))
	})
}

// isPlain reports whether the request is a call by the method's name, whose arguments are in the body by
// their names, although a route has the same path.
func (r *Route) isPlain(members map[string]json.RawMessage) bool {
	if r.wrapped == nil || r.Path != "/"+r.Method.Name || len(members) != 1 ||
		r.wrapped.Type.True().Struct.ByName(r.wrapped.Name) != nil {
		return false
	}
	_, ok := members[r.wrapped.Name]
	return ok
}

// queryByDefault reports whether fields that say nothing are in the query: the request has no body that
// means anything (RFC 9110 §9.3).
func queryByDefault(verb string) bool {
	return verb == "GET" || verb == "HEAD" || verb == "OPTIONS"
}

// bodyMembers reads the members of the body, where fields are in it.
func (r *Route) bodyMembers(q *Request) (map[string]json.RawMessage, *ConvertError) {
	if r.TakesRaw() {
		return nil, nil
	}
	if q.Form != nil || queryByDefault(q.Verb) || len(bytes.TrimSpace(q.Body)) == 0 {
		return nil, nil
	}
	return readMembers(q.Body)
}

// readMembers takes an object apart, whose members have to be there once each.
func readMembers(body []byte) (map[string]json.RawMessage, *ConvertError) {
	bad := &ConvertError{Text: "expected an object"}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, bad
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, bad
		}
		if _, again := members[name]; again {
			return nil, (&ConvertError{Text: "a second time"}).under(name)
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, bad
		}
		members[name] = value
	}
	if _, err := d.Token(); err != nil { // the brace
		return nil, bad
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, bad
	}
	return members, nil
}

// unclaimed refuses members that no field has taken.
func unclaimed(q *Request, members map[string]json.RawMessage) error {
	if q.Lenient || len(members) == 0 {
		return nil
	}
	return (&ConvertError{Text: "no such field"}).under(slices.Sorted(maps.Keys(members))[0])
}

// value returns the JSON of a field, nil when the request does not have it. It takes it out of the
// members.
func (r *Route) value(
	q *Request, in *Input, members map[string]json.RawMessage,
) ([]byte, *ConvertError) {
	for _, p := range in.Places {
		place := p.Place
		if place == PlaceDefault {
			place = PlaceBody
			switch {
			case queryByDefault(q.Verb):
				place = PlaceQuery
			case q.Form != nil:
				place = PlaceForm
			}
		}
		var values []string
		switch place {
		case PlaceQuery:
			values = q.Query[p.Name]
		case PlaceForm:
			if raw, ok := members[p.Name]; ok { // instead of the form
				delete(members, p.Name)
				return raw, nil
			}
			values = q.Form[p.Name]
		case PlaceHeader:
			values = q.Header(p.Name)
		case PlaceCookie:
			values = q.Cookie(p.Name)
		case PlacePath:
			if at := slices.Index(r.Parameters, p.Name); at < len(q.Parameters) {
				values = q.Parameters[at : at+1]
			}
		case PlaceBody:
			if raw, ok := members[p.Name]; ok {
				delete(members, p.Name)
				return raw, nil
			}
		case PlaceRaw:
			return rawValue(in.Field.Type, q.Body)
		case PlaceDefault, PlaceStatus, PlaceNone:
		}
		if len(values) > 0 {
			return textValue(nil, in.Field.Type, values)
		}
	}
	return nil, nil
}

// rawValue is the whole body as a string or binary.
func rawValue(t *Type, body []byte) ([]byte, *ConvertError) {
	if t.True().Kind == KindBinary {
		return appendQuoted(nil, base64.StdEncoding.EncodeToString(body)), nil
	}
	return textValue(nil, t, []string{string(body)})
}

// textValue appends the JSON of what stands as text in a query, a path, a header or a form. A list or
// set takes all values, anything else the first. A struct or map is JSON there.
func textValue(dst []byte, t *Type, values []string) ([]byte, *ConvertError) {
	t = t.True()
	text := values[0]
	bad := func(want string) ([]byte, *ConvertError) {
		return nil, &ConvertError{Text: fmt.Sprintf("expected %s, found %s", want, shown([]byte(text)))}
	}
	switch t.Kind {
	case KindBool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return bad("true or false")
		}
		return strconv.AppendBool(dst, b), nil
	case KindI8, KindI16, KindI32, KindI64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return bad(t.Kind.String())
		}
		return strconv.AppendInt(dst, n, 10), nil
	case KindDouble:
		n, err := strconv.ParseFloat(text, 64)
		switch {
		case text == "NaN", text == "Infinity", text == "-Infinity":
			return appendQuoted(dst, text), nil
		case err != nil || math.IsInf(n, 0) || math.IsNaN(n):
			return bad("a number")
		}
		return strconv.AppendFloat(dst, n, 'g', -1, 64), nil
	case KindEnum:
		if n, err := strconv.ParseInt(text, 10, 32); err == nil {
			return strconv.AppendInt(dst, n, 10), nil
		}
		return appendQuoted(dst, text), nil
	case KindString, KindBinary, KindUUID:
		if !utf8.ValidString(text) {
			return bad("UTF-8")
		}
		return appendQuoted(dst, text), nil
	case KindList, KindSet:
		dst = append(dst, '[')
		for i, value := range values {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err *ConvertError
			if dst, err = textValue(dst, t.Elem, []string{value}); err != nil {
				return nil, err.at(i)
			}
		}
		return append(dst, ']'), nil
	case KindMap, KindStruct:
		if !json.Valid([]byte(text)) {
			return bad("JSON")
		}
		return append(dst, text...), nil
	case KindVoid, KindTypedef:
	}
	return bad("nothing")
}

// appendQuoted appends text as a JSON string.
func appendQuoted(dst []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil { // of a string there is none
		return append(dst, `""`...)
	}
	return append(dst, quoted...)
}

// Answer is what a result becomes over HTTP.
type Answer struct {
	// Status is 0 when the result does not say.
	Status int
	// Headers and Cookies are names and values, as the service and its contract say: they may be none.
	Headers, Cookies [][2]string
	Body             []byte
	// Raw says that the body is a field of the result, and no JSON.
	Raw bool
}

// Answer makes an HTTP answer of a result, JSON, by what its fields say. Without Outputs it is the body
// as it is. An error says that the result is not what the IDL says.
func (r *Route) Answer(result []byte) (Answer, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(result, &members); err != nil || members == nil {
		return Answer{}, &ConvertError{Text: "expected an object"}
	}
	a := Answer{Body: []byte{'{'}}
	for i := range r.Outputs {
		o := &r.Outputs[i]
		value, ok := members[o.Field.Name]
		if !ok || o.Place != PlaceBody && string(value) == "null" { // which is unset
			continue
		}
		switch o.Place {
		case PlaceHeader:
			a.Headers = append(a.Headers, [2]string{o.Name, bareText(value)})
		case PlaceCookie:
			a.Cookies = append(a.Cookies, [2]string{o.Name, bareText(value)})
		case PlaceStatus:
			status, err := strconv.Atoi(bareText(value))
			if err != nil || status < 200 || status > 599 {
				return Answer{}, (&ConvertError{Text: "it is no HTTP status"}).under(o.Field.Name)
			}
			a.Status = status
		case PlaceRaw:
			a.Raw = true
			a.Body = []byte(bareText(value))
			if o.Field.Type.True().Kind == KindBinary {
				body, err := base64.StdEncoding.DecodeString(bareText(value))
				if err != nil {
					return Answer{}, (&ConvertError{Text: "it is no base64"}).under(o.Field.Name)
				}
				a.Body = body
			}
		case PlaceNone:
		case PlaceBody, PlaceDefault, PlaceQuery, PlacePath, PlaceForm:
			if a.Raw {
				continue
			}
			if len(a.Body) > 1 {
				a.Body = append(a.Body, ',')
			}
			a.Body = append(append(appendQuoted(a.Body, o.Name), ':'), value...)
		}
	}
	if !a.Raw {
		a.Body = append(a.Body, '}')
	}
	return a, nil
}

// bareText is a JSON string without its quotes, or any other value as it stands.
func bareText(value json.RawMessage) string {
	var text string
	if err := json.Unmarshal(value, &text); err == nil {
		return text
	}
	return string(bytes.TrimSpace(value))
}
