// SPDX-License-Identifier: Apache-2.0

package contract

import "slices"

// Place is a part of an HTTP request or answer that a field comes from or goes to.
type Place uint8

// Places. PlaceDefault is the query where the request's method is GET, HEAD or OPTIONS, and the body
// otherwise.
const (
	PlaceDefault Place = iota
	PlaceQuery
	PlacePath
	PlaceHeader
	PlaceCookie
	PlaceForm
	PlaceBody
	PlaceRaw    // the whole body
	PlaceStatus // of the answer
	PlaceNone   // the field is not in the request, or not in the answer
)

// FieldPlace is a place, and what the field is called there.
type FieldPlace struct {
	Place Place
	Name  string
}

// Input says where a field of the arguments comes from: the first of its places that has it.
type Input struct {
	Field  *Field
	Places []FieldPlace
}

// Output says where a field of the result goes.
type Output struct {
	Field *Field
	FieldPlace
}

// placeOf returns what an annotation of a field says, if it is about HTTP.
func placeOf(key string, answer bool) (Place, bool) {
	switch key {
	case "api.header":
		return PlaceHeader, true
	case "api.cookie":
		return PlaceCookie, true
	case "api.body":
		return PlaceBody, true
	case "api.raw_body":
		return PlaceRaw, true
	case "api.none":
		return PlaceNone, true
	case "api.http_code":
		return PlaceStatus, answer
	case "api.query":
		return PlaceQuery, !answer
	case "api.path":
		return PlacePath, !answer
	case "api.form":
		return PlaceForm, !answer
	}
	return PlaceDefault, false
}

// parts is how much there is to be said of the fields of a struct.
func (s *Struct) parts() int {
	n := 1
	for _, f := range s.Fields {
		n += 1 + len(f.Annotations)
	}
	return n
}

// inputs says where the fields of a route's arguments come from, unless that is too much.
func (k *compiler) inputs(r *Route) bool {
	args := r.Method.Function.Arguments
	if len(args.Fields) == 1 {
		if s := args.Fields[0].Type.True().Struct; s != nil && s.Kind == IsStruct {
			r.wrapped, args = args.Fields[0], s
		}
	}
	if !k.spend(r.Method.Function.Pos, args.parts()) {
		return false
	}
	raw := 0
	for _, f := range args.FieldsByID() {
		in := Input{Field: f}
		for _, note := range f.Annotations {
			place, ok := placeOf(note.Key, false)
			if !ok {
				continue
			}
			p := FieldPlace{Place: place, Name: note.Value}
			if p.Name == "" || p.Name == "1" { // a flag
				p.Name = f.Name
			}
			if place == PlaceRaw {
				raw++
			}
			if place == PlacePath && !slices.Contains(r.Parameters, p.Name) {
				continue // another route of the method may have it
			}
			in.Places = append(in.Places, p)
		}
		if len(in.Places) == 0 {
			place := PlaceDefault
			if slices.Contains(r.Parameters, f.Name) {
				place = PlacePath
			}
			in.Places = []FieldPlace{{Place: place, Name: f.Name}}
		}
		k.checkRaw(f, in.Places)
		r.Inputs = append(r.Inputs, in)
	}
	if raw > 1 {
		k.fault(r.Method.Function.Pos, "api.raw_body: two fields cannot be the whole body")
	}
	return true
}

// checkRaw refuses fields that cannot be what an annotation says.
func (k *compiler) checkRaw(f *Field, places []FieldPlace) {
	for _, p := range places {
		switch kind := f.Type.True().Kind; {
		case p.Place == PlaceRaw && kind != KindString && kind != KindBinary:
			k.fault(f.Pos, "api.raw_body: %s is %s, not string or binary", f.Name, f.Type)
		case p.Place == PlaceStatus && kind != KindI16 && kind != KindI32 && kind != KindI64:
			k.fault(f.Pos, "api.http_code: %s is %s, not an integer", f.Name, f.Type)
		}
	}
}

// outputs says where the fields of a route's result go, if it is a struct that says so, unless that is
// too much.
func (k *compiler) outputs(r *Route) bool {
	s := r.Method.Function.Returns.True().Struct
	if s == nil || s.Kind != IsStruct {
		return true
	}
	if !k.spend(r.Method.Function.Pos, s.parts()) {
		return false
	}
	out := make([]Output, 0, len(s.Fields))
	moved := false
	for _, f := range s.FieldsByID() {
		o := Output{Field: f, FieldPlace: FieldPlace{Place: PlaceBody, Name: f.Name}}
		for _, note := range f.Annotations {
			place, ok := placeOf(note.Key, true)
			if !ok {
				continue
			}
			o.Place = place
			if note.Value != "" && note.Value != "1" {
				o.Name = note.Value
			}
			break
		}
		moved = moved || o.Place != PlaceBody || o.Name != f.Name
		k.checkRaw(f, []FieldPlace{o.FieldPlace})
		out = append(out, o)
	}
	if moved {
		r.Outputs = out
	}
	return true
}
