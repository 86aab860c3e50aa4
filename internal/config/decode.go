// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxDepth bounds how deep a file may nest.
const maxDepth = 16

// decoder sets options from a YAML document and goes on after a fault, so that one run finds all.
type decoder struct {
	*loader
	file string
}

func (d *decoder) document(data []byte, root reflect.Value) {
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		if at, ok := errors.AsType[yaml.Error](err); ok {
			d.fault(d.place(at.GetToken()), "%s", at.GetMessage())
		} else {
			d.fault(d.file, "%v", err)
		}
		return
	}
	for i, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case i > 0:
			d.faultAt(doc.Body, "a second document; a configuration is one")
		default:
			d.value(doc.Body, root, key{depth: 1})
		}
	}
}

// key is where in the options the decoder is.
type key struct {
	path  string // doors.amqp
	name  string // amqp
	depth int
}

func (k key) below(name string) key {
	path := name
	if k.path != "" {
		path = k.path + "." + name
	}
	return key{path: path, name: name, depth: k.depth + 1}
}

// place is FILE:LINE:COLUMN.
func (d *decoder) place(t *token.Token) string {
	if t == nil || t.Position == nil {
		return d.file
	}
	return fmt.Sprintf("%s:%d:%d", d.file, t.Position.Line, t.Position.Column)
}

func (d *decoder) faultAt(n ast.Node, format string, args ...any) {
	d.fault(d.place(start(n)), format, args...)
}

// start returns the token that a reader sees as the beginning of a node: a mapping's own token is
// the colon of its first entry.
func start(n ast.Node) *token.Token {
	switch n := n.(type) {
	case *ast.MappingNode:
		if len(n.Values) > 0 {
			return n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	}
	return n.GetToken()
}

// value sets v from a node.
func (d *decoder) value(n ast.Node, v reflect.Value, k key) {
	if k.depth > maxDepth {
		d.faultAt(n, "nested deeper than %d levels", maxDepth)
		return
	}
	if _, null := n.(*ast.NullNode); null {
		return // a key with nothing behind it keeps its default
	}
	if !isScalar(v.Type()) && k.path != "" {
		d.group[k.path] = d.place(start(n))
	}
	switch {
	case isScalar(v.Type()):
		d.scalar(n, v, k)
	case v.Kind() == reflect.Struct:
		d.mapping(n, v, k)
	case v.Kind() == reflect.Slice:
		d.list(n, v, k)
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String:
		d.table(n, v, k)
	default:
		d.faultAt(n, "%s cannot be set here", k.path)
	}
}

// scalar sets a single value from the text of the node, as it stands in the file.
func (d *decoder) scalar(n ast.Node, v reflect.Value, k key) {
	var text string
	switch n := n.(type) {
	case *ast.StringNode:
		text = n.Value
	case *ast.LiteralNode:
		text = n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		text = n.GetToken().Value
	default:
		d.faultAt(n, "%s takes one value, not a %s", k.path, describe(n))
		return
	}
	if err := setScalar(v, k.name, text); err != nil {
		d.faultAt(n, "%s: %v", k.path, err)
		return
	}
	d.origin[k.path] = d.place(n.GetToken())
}

func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "mapping"
	case *ast.SequenceNode:
		return "list"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "reference"
	case *ast.TagNode:
		return "tagged value"
	}
	return "single value"
}

// entries returns the entries of a mapping, or false after reporting that n is none. A repeated key
// is reported too.
func (d *decoder) entries(n ast.Node, k key) ([]*ast.MappingValueNode, bool) {
	var list []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		list = n.Values
	case *ast.MappingValueNode:
		list = []*ast.MappingValueNode{n}
	default:
		where := k.path
		if where == "" {
			where = "the file"
		}
		d.faultAt(n, "%s takes keys, not a %s", where, describe(n))
		return nil, false
	}
	seen := make(map[string]bool, len(list))
	for _, e := range list {
		name := e.Key.GetToken().Value
		if seen[name] {
			d.fault(d.place(e.Key.GetToken()), "%q stands here twice", k.below(name).path)
		}
		seen[name] = true
	}
	return list, true
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, k key) {
	list, ok := d.entries(n, k)
	if !ok {
		return
	}
	known := fields(v.Type())
	for _, e := range list {
		name := e.Key.GetToken().Value
		at := -1
		for _, f := range known {
			if f.name == name {
				at = f.index
			}
		}
		if at < 0 {
			d.fault(d.place(e.Key.GetToken()), "unknown key %q%s",
				k.below(name).path, suggest(name, names(known)))
			continue
		}
		d.value(e.Value, v.Field(at), k.below(name))
	}
}

func (d *decoder) list(n ast.Node, v reflect.Value, k key) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.faultAt(n, "%s takes a list, not a %s", k.path, describe(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, item := range seq.Values {
		d.value(item, out.Index(i), key{
			path: fmt.Sprintf("%s[%d]", k.path, i), name: k.name, depth: k.depth + 1,
		})
	}
	v.Set(out)
}

func (d *decoder) table(n ast.Node, v reflect.Value, k key) {
	list, ok := d.entries(n, k)
	if !ok {
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), len(list))
	for _, e := range list {
		name := e.Key.GetToken().Value
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(e.Value, item, k.below(name))
		out.SetMapIndex(reflect.ValueOf(name), item)
	}
	v.Set(out)
}
