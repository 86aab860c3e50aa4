// SPDX-License-Identifier: Apache-2.0

package contract

import "fmt"

// parser reads one file by recursive descent after thrifty.yy, one token ahead. It stops at the
// first fault: after one, what follows means little.
type parser struct {
	scan    *scanner
	tok     token // the token that is next
	program *Program
	opts    *Options
	tokens  int // how many more the set may have

	includes []include
	// types, values are what resolve has to look at, in the order of the file.
	types  []*Type
	values []typedValue
}

// include is an include statement.
type include struct {
	pos  Position
	path string
}

// typedValue is a constant or a default with the type that it must have.
type typedValue struct {
	value *Value
	typ   *Type
	what  string
}

// parseFile parses src, which may have so many tokens, into a program whose references are names.
func parseFile(path, src string, tokens int, o *Options) (*parser, *Error) {
	p := &parser{
		scan: newScanner(path, src),
		program: &Program{
			Path: path, Name: programName(path),
			types: map[string]definition{}, consts: map[string]*Const{},
		},
		opts: o, tokens: tokens,
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.headers(); err != nil {
		return nil, err
	}
	for p.tok.kind != tokenEnd {
		if err := p.definition(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *parser) advance() *Error {
	var err *Error
	if p.tok, err = p.scan.next(); err != nil {
		return err
	}
	if p.tokens--; p.tokens < 0 {
		return p.fault(p.tok.pos, "the files have more than %d tokens", p.opts.Limits.Tokens)
	}
	return nil
}

func (p *parser) fault(pos Position, format string, args ...any) *Error {
	return &Error{Pos: pos, Text: fmt.Sprintf(format, args...)}
}

// expected is the fault of a token that does not belong here.
func (p *parser) expected(what string) *Error {
	return p.fault(p.tok.pos, "expected %s, found %s", what, p.tok.shown())
}

func (p *parser) warn(pos Position, format string, args ...any) {
	if len(p.program.Warnings) < p.opts.Limits.Warnings {
		p.program.Warnings = append(p.program.Warnings,
			Warning{Pos: pos, Text: fmt.Sprintf(format, args...)})
	}
}

// accept passes over a symbol or a keyword, if it is next.
func (p *parser) accept(text string) (bool, *Error) {
	if !p.tok.is(text) {
		return false, nil
	}
	return true, p.advance()
}

// expect passes over a symbol or a keyword that must be next.
func (p *parser) expect(text string) *Error {
	if !p.tok.is(text) {
		return p.expected(fmt.Sprintf("%q", text))
	}
	return p.advance()
}

// identifier returns a name, dots included.
func (p *parser) identifier(what string) (string, *Error) {
	if !p.tok.name() {
		return "", p.expected(what)
	}
	name := p.tok.text
	return name, p.advance()
}

// simpleName returns a name that is declared: one without dots (validate_simple_identifier).
func (p *parser) simpleName(what string) (string, *Error) {
	pos := p.tok.pos
	name, err := p.identifier(what)
	if err != nil {
		return "", err
	}
	return name, p.simple(pos, name)
}

func (p *parser) simple(pos Position, name string) *Error {
	for i := range len(name) {
		if name[i] == '.' {
			return p.fault(pos, "the name %q is declared here and cannot have a dot", name)
		}
	}
	return nil
}

// literal returns a string.
func (p *parser) literal(what string) (string, *Error) {
	if p.tok.kind != tokenLiteral {
		return "", p.expected(what)
	}
	text := p.tok.text
	return text, p.advance()
}

// separator passes over a comma or a semicolon, if one is next (CommaOrSemicolonOptional).
func (p *parser) separator() *Error {
	if p.tok.is(",") || p.tok.is(";") {
		return p.advance()
	}
	return nil
}

// takeDoc returns the documentation comment before the element whose first token is next.
func (p *parser) takeDoc() string {
	doc := p.scan.doc
	p.scan.doc = ""
	return doc
}

// headers parses includes and namespaces, which stand before every definition. The first
// documentation comment is the file's, if it stands before them; others there document nothing.
func (p *parser) headers() *Error {
	file := p.scan.firstDoc
	for {
		var parse func() *Error
		switch {
		case p.tok.is("include"):
			parse = p.include
		case p.tok.is("namespace"):
			parse = p.namespace
		case p.tok.is("cpp_include"):
			parse = p.cppInclude
		default:
			return nil
		}
		p.program.Doc, p.scan.doc = file, ""
		if err := p.advance(); err != nil {
			return err
		}
		if err := parse(); err != nil {
			return err
		}
	}
}

func (p *parser) include() *Error {
	pos := p.tok.pos
	path, err := p.literal("the path of the file to include, in quotes")
	p.includes = append(p.includes, include{pos: pos, path: path})
	return err
}

func (p *parser) cppInclude() *Error {
	path, err := p.literal("a path in quotes")
	p.program.CppIncludes = append(p.program.CppIncludes, path)
	return err
}

// namespace parses what follows the keyword; any language will do. No annotations follow `*`.
func (p *parser) namespace() *Error {
	n := Namespace{Pos: p.tok.pos, Lang: "*"}
	all, err := p.accept("*")
	if err != nil {
		return err
	}
	if !all {
		if n.Lang, err = p.identifier(`a language or "*"`); err != nil {
			return err
		}
	}
	if n.Name, err = p.identifier("a namespace"); err != nil {
		return err
	}
	if !all {
		if n.Annotations, err = p.annotations(); err != nil {
			return err
		}
	}
	p.program.Namespaces = append(p.program.Namespaces, n)
	return nil
}

// annotations parses `( key = "value", flag )`, if a parenthesis is next.
func (p *parser) annotations() (Annotations, *Error) {
	open, err := p.accept("(")
	if err != nil || !open {
		return nil, err
	}
	var list Annotations
	for {
		if shut, err := p.accept(")"); err != nil || shut {
			return list, err
		}
		a := Annotation{Pos: p.tok.pos, Value: "1"}
		if a.Key, err = p.identifier(`the key of an annotation or ")"`); err != nil {
			return nil, err
		}
		given, err := p.accept("=")
		if err != nil {
			return nil, err
		}
		if given {
			if a.Value, err = p.literal("the annotation's value in quotes"); err != nil {
				return nil, err
			}
		}
		if err := p.separator(); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
}
