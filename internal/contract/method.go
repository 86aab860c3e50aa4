// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Annotations of functions and exceptions that are the hub's own.
const (
	noteIdempotent = "parley.idempotent"
	noteTimeout    = "parley.timeout"
	notePublish    = "parley.publish"
	noteGather     = "parley.gather"
	noteRequest    = "parley.request"
	noteResult     = "parley.result"
	noteStatus     = "parley.status"
)

// statusThrown is the HTTP status of a declared exception that names none: 422.
const statusThrown = 422

// maxOperations bounds the methods of all services together, inherited ones counted again: a long
// chain of services has the square of what its file has.
const maxOperations = 1 << 16

// Operations are what a service can be asked to do.
type Operations struct {
	Contract *Contract
	Service  *Service

	byName map[string]*Method
	sorted []*Method
	tree   *routeTree // nil without annotated routes

	documents documents
}

// Method returns the operation of that name, inherited ones included, or nil. It does not allocate.
func (o *Operations) Method(name []byte) *Method { return o.byName[string(name)] }

// Methods returns all of them in the order of their names. The caller must not change it.
func (o *Operations) Methods() []*Method { return o.sorted }

// Method is one operation, compiled.
type Method struct {
	Function *Function
	Name     string

	Oneway bool
	// Idempotent says that it may be retried and hedged (`parley.idempotent`).
	Idempotent bool
	// Timeout is the deadline of a call that brings none (`parley.timeout`), 0 for none.
	Timeout time.Duration
	// Publish is the routing key with which a call is published instead (`parley.publish`), empty for
	// a call. With Gather it is the topic whose subscribers are asked.
	Publish string
	// Gather says for what a scatter-gather waits: all, quorum, a number of answers, sentinel, or several
	// of them with commas between (`parley.gather`); the result is a list of an element for each. Empty
	// for a call. It asks the instances of the service, or with Publish all who listen on that topic.
	Gather string
	// Request names the method for whose call this one returns the id of a request
	// (`parley.request`), Result the method for whose request it returns what came of it
	// (`parley.result`).
	Request, Result string

	arguments *structPlan
	result    *structPlan // field 0 is the success value, if there is one; the others are thrown
	bare      int         // which argument may stand for all, -1 for none
	routes    []*Route
}

// StatusOf returns the HTTP status of a declared exception: its `parley.status`, else 422.
func StatusOf(thrown *Field) int {
	if s := thrown.Type.True().Struct; s != nil {
		if text, ok := s.Annotations.Get(noteStatus); ok {
			if status, err := strconv.Atoi(text); err == nil {
				return status
			}
		}
	}
	return statusThrown
}

// service compiles the methods of a service and of those that it extends, which have no names in
// common.
func (k *compiler) service(c *Contract, s *Service) *Operations {
	o := &Operations{Contract: c, Service: s, byName: map[string]*Method{}}
	for at := s; at != nil; at = at.Extends {
		for _, f := range at.Functions {
			if k.operations++; k.operations > maxOperations {
				k.fault(s.Pos, "the services have more than %d methods", maxOperations)
				return o
			}
			m := k.method(f)
			o.byName[f.Name] = m
			o.sorted = append(o.sorted, m)
		}
	}
	slices.SortFunc(o.sorted, func(a, b *Method) int { return cmp.Compare(a.Name, b.Name) })
	for _, m := range o.sorted {
		k.pair(o, m)
	}
	k.routes(o)
	return o
}

// method compiles a function, once for all services that have it.
func (k *compiler) method(f *Function) *Method {
	if m := k.methods[f]; m != nil {
		return m
	}
	m := &Method{Function: f, Name: f.Name, Oneway: f.Oneway, bare: -1}
	k.methods[f] = m
	m.arguments = k.structure(f.Arguments)
	m.result = k.resultOf(f)
	k.complete()
	if fields := m.arguments.fields; len(fields) == 1 && fields[0].plan.kind == KindStruct {
		m.bare = 0
	}
	k.annotate(m)
	k.routesOf(m)
	return m
}

// annotate reads what the annotations of a function say, and whether it can be.
func (k *compiler) annotate(m *Method) {
	f := m.Function
	returns := f.Returns.True()
	if text, ok := f.Annotations.Get(noteIdempotent); ok {
		idempotent, err := strconv.ParseBool(text)
		if err != nil {
			k.fault(f.Pos, "%s: expected true or false, found %q", noteIdempotent, text)
		}
		m.Idempotent = idempotent
	}
	if text, ok := f.Annotations.Get(noteTimeout); ok {
		timeout, err := time.ParseDuration(text)
		if err != nil || timeout <= 0 {
			k.fault(f.Pos, "%s: expected a duration such as 250ms, found %q", noteTimeout, text)
		}
		m.Timeout = timeout
	}
	if text, ok := f.Annotations.Get(notePublish); ok {
		if _, asks := f.Annotations.Get(noteGather); returns.Kind != KindVoid && !asks {
			k.fault(f.Pos, "%s: %s returns %s, and nothing comes back", notePublish, f.Name, f.Returns)
		}
		m.Publish = text
	}
	if text, ok := f.Annotations.Get(noteGather); ok {
		for word := range strings.SplitSeq(text, ",") { // as the heart reads it
			n, err := strconv.ParseUint(word, 10, 31)
			if word != "all" && word != "quorum" && word != "sentinel" && (err != nil || n == 0) {
				k.fault(f.Pos, "%s: expected all, quorum, sentinel or a number, found %q", noteGather, word)
			}
		}
		if returns.Kind != KindList {
			k.fault(f.Pos, "%s: %s returns %s, not a list", noteGather, f.Name, f.Returns)
		}
		m.Gather = text
	}
	m.Request, _ = f.Annotations.Get(noteRequest)
	m.Result, _ = f.Annotations.Get(noteResult)
}

// pair checks the methods that make requests of others and return what came of them.
func (k *compiler) pair(o *Operations, m *Method) {
	f := m.Function
	if m.Request != "" {
		of := o.byName[m.Request]
		switch {
		case of == nil:
			k.fault(f.Pos, "%s: there is no method %q", noteRequest, m.Request)
		case f.Returns.True().Kind != KindString:
			k.fault(f.Pos, "%s: %s returns %s, not the id, a string", noteRequest, f.Name, f.Returns)
		case !k.spend(f.Pos, f.Arguments.size()):
		case !sameFields(f.Arguments, of.Function.Arguments):
			k.fault(f.Pos, "%s: the arguments of %s are others than those of %s", noteRequest, f.Name, of.Name)
		}
	}
	if m.Result != "" {
		of := o.byName[m.Result]
		switch {
		case of == nil:
			k.fault(f.Pos, "%s: there is no method %q", noteResult, m.Result)
		case len(f.Arguments.Fields) != 1 || f.Arguments.Fields[0].Type.True().Kind != KindString:
			k.fault(f.Pos, "%s: %s does not take the id, one string", noteResult, f.Name)
		case !k.spend(f.Pos, f.Returns.nodes):
		case !sameType(f.Returns, of.Function.Returns):
			k.fault(f.Pos, "%s: %s returns another type than %s", noteResult, f.Name, of.Name)
		}
	}
}

// size is how many parts the types of the fields have, written out.
func (s *Struct) size() int {
	n := 1
	for _, f := range s.Fields {
		n += f.Type.nodes
	}
	return n
}

// sameFields reports whether two lists of fields are written alike.
func sameFields(a, b *Struct) bool {
	return slices.EqualFunc(a.FieldsByID(), b.FieldsByID(), func(x, y *Field) bool {
		return x.ID == y.ID && x.Name == y.Name && sameType(x.Type, y.Type)
	})
}
