// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// Bounds of annotated paths.
const (
	routeSegments = 32
	routeBytes    = 1024
)

// AnyVerb is the verb of a route that takes every HTTP method (`api.any`).
const AnyVerb = ""

// Route is an HTTP method and path by which a method is reached, besides POST and its name
// (CloudWeGo's mapping, thrift.md, Annotations).
type Route struct {
	// Verb is an HTTP method in upper case, or AnyVerb.
	Verb string
	// Path is the pattern as OpenAPI writes it: /orders/{id}. The rest of a path is a parameter too.
	Path string
	// Parameters are the names in the path, in its order.
	Parameters []string
	Method     *Method
	// Inputs say where the fields of the arguments come from, Outputs where those of the result go.
	// Both are by id; Outputs are nil where the result goes as it is.
	Inputs  []Input
	Outputs []Output

	number   int // among the routes of the method, from 1 on
	segments []segment
	wrapped  *Field // the only argument, a struct, whose fields the inputs are; nil: they are arguments
}

// segment is a part of a path between slashes.
type segment struct {
	text string // of a static one, or the parameter's name
	kind segmentKind
}

type segmentKind uint8

const (
	segmentText segmentKind = iota
	segmentParameter
	segmentRest // of the path, slashes too
)

// verbNotes are the annotations that make a route, with their HTTP methods.
func verbNotes() map[string]string {
	return map[string]string{
		"api.get": "GET", "api.post": "POST", "api.put": "PUT", "api.delete": "DELETE",
		"api.patch": "PATCH", "api.options": "OPTIONS", "api.head": "HEAD", "api.any": AnyVerb,
	}
}

// Routes returns the annotated routes of a method, in the order of the file. The caller must not change
// it.
func (m *Method) Routes() []*Route { return m.routes }

// Route finds the route of a service by which a request comes: an HTTP method, and the path behind the
// service's name, escaped. Without one, allow are the HTTP methods of that path, if it is a route's at
// all. Parameters are those of the path, in its order, unescaped.
func (o *Operations) Route(verb, path string) (r *Route, parameters, allow []string) {
	if o.tree == nil || !strings.HasPrefix(path, "/") || len(path) > routeBytes {
		return nil, nil, nil
	}
	parts := strings.Split(path[1:], "/")
	for i, part := range parts {
		text, err := url.PathUnescape(part)
		if err != nil {
			return nil, nil, nil
		}
		parts[i] = text
	}
	found := finding{verb: verb, parts: parts}
	found.in(o.tree, 0)
	if found.route == nil {
		slices.Sort(found.allow)
		return nil, nil, slices.Compact(found.allow)
	}
	return found.route, found.route.parameters(parts), nil
}

// parameters are those of a path that the route takes.
func (r *Route) parameters(parts []string) []string {
	var out []string
	for i, s := range r.segments {
		switch s.kind {
		case segmentText:
		case segmentParameter:
			out = append(out, parts[i])
		case segmentRest:
			out = append(out, strings.Join(parts[i:], "/"))
		}
	}
	return out
}

// routeTree finds routes by their segments. At each place what is written goes before a parameter, and
// that before the rest.
type routeTree struct {
	text      map[string]*routeTree
	parameter *routeTree
	rest      map[string]*Route // by verb
	here      map[string]*Route // whose path ends here, by verb
}

// finding is one search. It visits each node of a tree once at most: a node has one path to it.
type finding struct {
	verb  string
	parts []string
	route *Route
	allow []string
}

func (f *finding) in(t *routeTree, at int) {
	if at == len(f.parts) {
		f.of(t.here)
		return
	}
	if next := t.text[f.parts[at]]; next != nil {
		f.in(next, at+1)
	}
	if f.route == nil && t.parameter != nil && f.parts[at] != "" {
		f.in(t.parameter, at+1)
	}
	if f.route == nil {
		f.of(t.rest)
	}
}

func (f *finding) of(routes map[string]*Route) {
	if r := routes[f.verb]; r != nil {
		f.route = r
		return
	}
	if r := routes[AnyVerb]; r != nil {
		f.route = r
		return
	}
	for verb := range routes {
		f.allow = append(f.allow, verb)
	}
}

// add puts a route into the tree, and returns the one that has its place.
func (t *routeTree) add(r *Route) *Route {
	for _, s := range r.segments {
		switch s.kind {
		case segmentText:
			if t.text == nil {
				t.text = map[string]*routeTree{}
			}
			if t.text[s.text] == nil {
				t.text[s.text] = &routeTree{}
			}
			t = t.text[s.text]
		case segmentParameter:
			if t.parameter == nil {
				t.parameter = &routeTree{}
			}
			t = t.parameter
		case segmentRest:
			return put(&t.rest, r)
		}
	}
	return put(&t.here, r)
}

func put(routes *map[string]*Route, r *Route) *Route {
	if other := (*routes)[r.Verb]; other != nil {
		return other
	}
	if *routes == nil {
		*routes = map[string]*Route{}
	}
	(*routes)[r.Verb] = r
	return nil
}

// routesOf compiles the routes of a method.
func (k *compiler) routesOf(m *Method) {
	verbs := verbNotes()
	for _, note := range m.Function.Annotations {
		verb, ok := verbs[note.Key]
		switch {
		case k.parts > maxParts:
			return
		case !ok:
			continue
		}
		r := &Route{Verb: verb, Method: m, number: len(m.routes) + 1}
		if fault := r.parse(note.Value); fault != "" {
			k.fault(note.Pos, "%s: %q %s", note.Key, note.Value, fault)
			continue
		}
		if !k.inputs(r) || !k.outputs(r) {
			return
		}
		m.routes = append(m.routes, r)
	}
}

// parse reads a path of an annotation, or says what is wrong with it.
func (r *Route) parse(path string) (fault string) {
	if len(path) > routeBytes {
		return "is too long"
	}
	var pattern strings.Builder
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if len(parts) > routeSegments {
		return "has too many segments"
	}
	for i, part := range parts {
		s := segment{text: part, kind: segmentText}
		pattern.WriteByte('/')
		switch {
		case strings.HasPrefix(part, ":"):
			s = segment{text: part[1:], kind: segmentParameter}
		case strings.HasPrefix(part, "*"):
			s = segment{text: part[1:], kind: segmentRest}
			if i != len(parts)-1 {
				return "has something behind the rest"
			}
		case part == "" && i != len(parts)-1:
			return "has an empty segment"
		case strings.ContainsAny(part, "{}?#%"):
			return "has signs in it that no path has"
		}
		if s.kind != segmentText {
			if s.text == "" || strings.ContainsAny(s.text, ":*{}") || slices.Contains(r.Parameters, s.text) {
				return "has parameters without a name, or two of one name"
			}
			r.Parameters = append(r.Parameters, s.text)
			part = "{" + s.text + "}"
		}
		pattern.WriteString(part)
		r.segments = append(r.segments, s)
	}
	r.Path = pattern.String()
	return r.reserved()
}

// reserved says so when the path is one of the hub's own below a service.
func (r *Route) reserved() (fault string) {
	s := r.segments
	switch {
	case len(s) == 1 && s[0].text == "openapi.json",
		len(s) == 2 && s[0].kind == segmentText && s[0].text == "instances",
		len(s) == 2 && s[1].kind == segmentText && s[1].text == "gather":
		return "is the hub's own"
	}
	return ""
}

// routes makes the tree of a service's routes.
func (k *compiler) routes(o *Operations) {
	for _, m := range o.sorted {
		for _, r := range m.routes {
			pos := m.Function.Pos
			if own := o.byName[r.segments[0].text]; own != nil && own != m && len(r.segments) == 1 &&
				r.segments[0].kind == segmentText && (r.Verb == "POST" || r.Verb == AnyVerb) {
				k.fault(pos, "the path %s is where the method %s is called", r.Path, own.Name)
				continue
			}
			if o.tree == nil {
				o.tree = &routeTree{}
			}
			if other := o.tree.add(r); other != nil {
				k.fault(pos, "the path %s is that of the method %s too", r.Path, other.Method.Name)
			}
		}
	}
}

// AllRoutes returns the annotated routes of a service by path and verb.
func (o *Operations) AllRoutes() []*Route {
	var out []*Route
	for _, m := range o.sorted {
		out = append(out, m.routes...)
	}
	slices.SortFunc(out, func(a, b *Route) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Verb, b.Verb))
	})
	return out
}
