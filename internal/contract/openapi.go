// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// openAPIVersion is that of the document (OpenAPI Specification 3.1.1, JSON Schema 2020-12).
	openAPIVersion = "3.1.1"
	// openAPIBytes bounds a document: defaults and types may be large when they are written out. It is
	// reckoned while the document is made, which takes some six times as much meanwhile.
	openAPIBytes = 16 << 20
	// operationBytes and schemaBytes are what an operation and a schema take at least.
	operationBytes = 1 << 10
	schemaBytes    = 64
	// documentsMost is how many documents are kept, of a service of the IDL under several names.
	documentsMost = 16
	// problemName is the component of problems (RFC 9457); no name of the IDL has a - in it.
	problemName = "parley-Problem"
)

// documents are those that were asked for.
type documents struct {
	mu   sync.Mutex
	made map[[2]string][]byte
}

// OpenAPI describes a service of the hub by what the IDL says: each method by its name, and by its
// annotated routes. Base is the path of the service at the hub. The document is the same octets for the
// same IDL; the caller must not change it.
func (o *Operations) OpenAPI(service, base string) ([]byte, error) {
	key := [2]string{service, base}
	o.documents.mu.Lock()
	defer o.documents.mu.Unlock()
	if out := o.documents.made[key]; out != nil {
		return out, nil
	}
	out, err := o.document(service, base)
	if err != nil {
		return nil, err
	}
	if o.documents.made == nil {
		o.documents.made = map[[2]string][]byte{}
	}
	if len(o.documents.made) < documentsMost {
		o.documents.made[key] = out
	}
	return out, nil
}

func (o *Operations) document(service, base string) ([]byte, error) {
	d := description{schemas: newSchemas(o.Contract), paths: Schema{}, shapes: map[string]*Route{}}
	for _, r := range o.AllRoutes() {
		d.route(r)
	}
	for _, m := range o.sorted {
		d.method(m)
	}
	components := d.schemas.components()
	if d.schemas.left < 0 {
		return nil, fmt.Errorf("the description of %s has more than %d bytes", service, openAPIBytes)
	}
	info := Schema{"title": service, "version": "1"}
	if about := strings.TrimSpace(o.Service.Doc); about != "" {
		info["description"] = about
	} else if about = strings.TrimSpace(o.Contract.Program.Doc); about != "" {
		info["description"] = about
	}
	components[problemName] = problemSchema()
	return json.Marshal(Schema{ // which sorts the members
		"openapi": openAPIVersion, "info": info,
		"servers":  []any{Schema{"url": base}},
		"security": []any{Schema{"basic": []any{}}, Schema{}},
		"paths":    d.paths,
		"components": Schema{
			"schemas":         components,
			"securitySchemes": Schema{"basic": Schema{"type": "http", "scheme": "basic"}},
		},
	})
}

// problemSchema is a problem (RFC 9457) with the hub's own members (rest.md, Problems).
func problemSchema() Schema {
	text := Schema{"type": "string"}
	return Schema{
		"type": "object", "required": []string{"code", "status", "title", "type"},
		"properties": Schema{
			"type": text, "title": text, "detail": text, "instance": text, "code": text,
			"status":         Schema{"type": "integer"},
			"exception":      text,
			"data":           Schema{},
			"pointer":        Schema{"type": "string", "description": "Where in the request it is (RFC 6901)."},
			"retry_after_ms": Schema{"type": "integer"},
			"trace_id":       text,
		},
		"description": "RFC 9457; match on the code.",
	}
}

// description is a document in the making.
type description struct {
	schemas *schemas
	paths   Schema
	// shapes are routes by their paths without the names of parameters: two routes of one shape have one
	// path in the document.
	shapes map[string]*Route
}

// put adds an operation, unless there is one: an annotated route may be where a method is called anyway.
func (d *description) put(path, verb string, operation Schema) {
	item, _ := d.paths[path].(Schema)
	if item == nil {
		item = Schema{}
		d.paths[path] = item
	}
	if verb = strings.ToLower(verb); item[verb] == nil {
		item[verb] = operation
	}
}

// operation is what all operations of a method have.
func (d *description) operation(m *Method, id string) Schema {
	out := Schema{"operationId": id}
	doc := strings.TrimSpace(m.Function.Doc)
	d.schemas.spend(operationBytes + len(id) + len(doc))
	summary, rest, _ := strings.Cut(doc, "\n")
	if summary != "" {
		out["summary"] = summary
	}
	if rest = strings.TrimSpace(rest); rest != "" {
		out["description"] = rest
	}
	if m.Idempotent {
		out["x-parley-idempotent"] = true
	}
	if m.Timeout > 0 {
		out["x-parley-timeout-ms"] = m.Timeout.Milliseconds()
	}
	return out
}

// method describes POST and the name of a method.
func (d *description) method(m *Method) {
	out := d.operation(m, m.Name)
	if d.schemas.left < 0 {
		return
	}
	args := m.Function.Arguments
	if len(args.Fields) > 0 {
		body := d.schemas.fields(args.FieldsByID())
		body["additionalProperties"] = false
		out["requestBody"] = Schema{
			"required": body["required"] != nil, "content": jsonContent(body),
		}
	}
	out["responses"] = d.responses(m, nil)
	d.put("/"+m.Name, "POST", out)
}

func jsonContent(schema Schema) Schema { return Schema{"application/json": Schema{"schema": schema}} }

// responses describes the answers of a method.
func (d *description) responses(m *Method, r *Route) Schema {
	out := Schema{"default": Schema{
		"description": "Any other problem.", "content": problemContent(problemRef()),
	}}
	switch {
	case m.Oneway || m.Publish != "":
		out["202"] = Schema{
			"description": "It is sent; nobody answers.",
			"content": jsonContent(Schema{
				"type": "object", "required": []string{"routed"},
				"properties": Schema{"routed": Schema{"type": "integer", "minimum": 0}},
			}),
		}
	case m.Function.Returns.True().Kind == KindVoid:
		out["204"] = Schema{"description": "It is done."}
	case r != nil && r.Outputs != nil:
		d.mapped(out, r)
	default:
		out["200"] = Schema{
			"description": "The result.",
			"content":     jsonContent(d.schemas.of(m.Function.Returns, jsConv(m.Function.Annotations))),
		}
	}
	d.thrown(out, m)
	return out
}

func problemRef() Schema { return Schema{"$ref": "#/components/schemas/" + problemName} }

func problemContent(schema Schema) Schema {
	return Schema{"application/problem+json": Schema{"schema": schema}}
}

// thrown adds the declared exceptions, by their statuses.
func (d *description) thrown(out Schema, m *Method) {
	byStatus := map[int][]any{}
	names := map[int][]string{}
	for _, f := range m.Function.Throws.FieldsByID() {
		s := f.Type.True().Struct
		if !d.schemas.spend(8*schemaBytes + 2*len(s.Name)) { // it is seven objects
			return
		}
		status := StatusOf(f)
		names[status] = append(names[status], "`"+s.Name+"`")
		byStatus[status] = append(byStatus[status], Schema{"allOf": []any{
			problemRef(), Schema{"required": []string{"exception"}, "properties": Schema{
				"code": Schema{"const": "exception"}, "exception": Schema{"const": s.Name},
				"data": d.schemas.ref(s, s.Name, s.Program),
			}},
		}})
	}
	for status, list := range byStatus {
		schema, _ := list[0].(Schema)
		if len(list) > 1 {
			schema = Schema{"oneOf": list}
		}
		out[strconv.Itoa(status)] = Schema{
			"description": "It throws " + strings.Join(names[status], " or ") + ".",
			"content":     problemContent(schema),
		}
	}
}

// mapped describes a result whose fields go to different places.
func (d *description) mapped(out Schema, r *Route) {
	answer, status := Schema{"description": "The result."}, "200"
	headers, members, raw := Schema{}, Schema{}, false
	for i := range r.Outputs {
		o := &r.Outputs[i]
		switch o.Place {
		case PlaceHeader:
			headers[o.Name] = Schema{"schema": d.schemas.field(o.Field)}
		case PlaceCookie:
			headers["Set-Cookie"] = Schema{"schema": Schema{"type": "string"}}
		case PlaceStatus:
			status = "2XX"
		case PlaceRaw:
			raw = true
		case PlaceNone:
		case PlaceBody, PlaceDefault, PlaceQuery, PlacePath, PlaceForm:
			members[o.Name] = d.schemas.field(o.Field)
		}
	}
	if raw {
		answer["content"] = Schema{"*/*": Schema{}}
	} else {
		answer["content"] = jsonContent(Schema{"type": "object", "properties": members})
	}
	if len(headers) > 0 {
		answer["headers"] = headers
	}
	out[status] = answer
}

// route describes an annotated route.
func (d *description) route(r *Route) {
	path, names := d.shape(r)
	verbs := []string{r.Verb}
	if r.Verb == AnyVerb {
		verbs = []string{"DELETE", "GET", "PATCH", "POST", "PUT"}
	}
	for _, verb := range verbs {
		id := r.Method.Name + "." + strings.ToLower(verb)
		if r.number > 1 {
			id += "." + strconv.Itoa(r.number)
		}
		out := d.operation(r.Method, id)
		if d.schemas.left < 0 {
			return
		}
		d.inputs(out, r, verb, names)
		out["responses"] = d.responses(r.Method, r)
		d.put(path, verb, out)
	}
}

// shape returns the path of a route, and how its parameters are called there: as in the first route of
// that shape.
func (d *description) shape(r *Route) (path string, names []string) {
	var b strings.Builder
	for _, s := range r.segments {
		b.WriteByte('/')
		if s.kind == segmentText {
			b.WriteString(s.text)
		} else {
			b.WriteString("{}")
		}
	}
	first := d.shapes[b.String()]
	if first == nil {
		d.shapes[b.String()], first = r, r
	}
	return first.Path, first.Parameters
}

// inputs describes where the arguments of a route come from.
func (d *description) inputs(out Schema, r *Route, verb string, names []string) {
	var parameters []any
	bound := map[string]bool{}
	form, raw := false, false
	body, needed := Schema{}, []string{}
	for i := range r.Inputs {
		in := &r.Inputs[i]
		required := in.Field.Required == Required && len(in.Places) == 1
		for _, p := range in.Places {
			place := p.Place
			if place == PlaceDefault {
				place = PlaceBody
				if queryByDefault(verb) {
					place = PlaceQuery
				}
			}
			if !d.schemas.spend(schemaBytes + len(p.Name)) {
				return
			}
			name, where := p.Name, ""
			switch place {
			case PlaceQuery:
				where = "query"
			case PlaceHeader:
				where = "header"
			case PlaceCookie:
				where = "cookie"
			case PlacePath:
				where, required = "path", true
				name = names[slices.Index(r.Parameters, p.Name)]
				bound[name] = true
			case PlaceRaw:
				raw = true
			case PlaceForm, PlaceBody:
				form = form || place == PlaceForm
				body[p.Name] = d.schemas.field(in.Field)
				if required {
					needed = append(needed, p.Name)
				}
			case PlaceDefault, PlaceStatus, PlaceNone:
			}
			if where != "" && !reservedHeader(where, name) {
				parameters = append(parameters, d.parameter(in.Field, where, name, required))
			}
		}
	}
	for _, name := range names {
		if !bound[name] {
			parameters = append(parameters, Schema{
				"name": name, "in": "path", "required": true, "schema": Schema{"type": "string"},
			})
		}
	}
	if len(parameters) > 0 {
		out["parameters"] = parameters
	}
	switch {
	case raw:
		out["requestBody"] = Schema{"content": Schema{"*/*": Schema{}}}
	case len(body) > 0:
		schema := Schema{"type": "object", "properties": body}
		if len(needed) > 0 {
			schema["required"] = needed
		}
		content := jsonContent(schema)
		if form {
			content["application/x-www-form-urlencoded"] = Schema{"schema": schema}
		}
		out["requestBody"] = Schema{"content": content}
	}
}

// reservedHeader reports whether OpenAPI says of a header that it is no parameter.
func reservedHeader(where, name string) bool {
	return where == "header" && (strings.EqualFold(name, "Accept") ||
		strings.EqualFold(name, "Content-Type") || strings.EqualFold(name, "Authorization"))
}

// parameter describes a field outside of the body. Structs and maps are JSON there.
func (d *description) parameter(f *Field, where, name string, required bool) Schema {
	out := Schema{"name": name, "in": where}
	if required {
		out["required"] = true
	}
	if about := strings.TrimSpace(f.Doc); about != "" {
		d.schemas.spend(len(about))
		out["description"] = about
	}
	schema := d.schemas.of(f.Type, jsConv(f.Annotations))
	switch f.Type.True().Kind {
	case KindStruct, KindMap:
		out["content"] = jsonContent(schema)
	case KindVoid, KindBool, KindI8, KindI16, KindI32, KindI64, KindDouble, KindString, KindBinary,
		KindUUID, KindSet, KindList, KindEnum, KindTypedef:
		out["schema"] = schema
	}
	return out
}
