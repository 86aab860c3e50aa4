// SPDX-License-Identifier: Apache-2.0

package contract

import "strconv"

// tokenKind is what the scanner tells apart. Keywords are words: where a name may stand, most of
// them are names.
type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenSymbol
	tokenWord
	tokenInt
	tokenDouble
	tokenLiteral
)

// token is one of them. text is a symbol, a word, a number as it is written, or a literal's value.
type token struct {
	kind tokenKind
	text string
	pos  Position
	num  int64
	real float64
}

func (t *token) is(text string) bool {
	return (t.kind == tokenSymbol || t.kind == tokenWord) && t.text == text
}

// name reports whether the token is a tok_identifier: a word that is no keyword.
func (t *token) name() bool { return t.kind == tokenWord && !keyword(t.text) }

// shown is the token as messages quote it.
func (t *token) shown() string {
	const longest = 40
	text := t.text
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	switch t.kind {
	case tokenEnd:
		return "the end of the file"
	case tokenLiteral:
		return "the string " + strconv.Quote(text)
	case tokenSymbol, tokenInt, tokenDouble:
	case tokenWord:
		if keyword(t.text) {
			return "the keyword " + strconv.Quote(text)
		}
	}
	return strconv.Quote(text)
}

// keyword reports whether a word is one of thriftl.ll's keywords. true and false are not among
// them: they are the integers 1 and 0.
func keyword(word string) bool {
	switch word {
	case "namespace", "cpp_include", "cpp_type", "xsd_all", "xsd_optional", "xsd_nillable",
		"xsd_attrs", "include", "void", "bool", "byte", "i8", "i16", "i32", "i64", "double", "string",
		"binary", "uuid", "map", "list", "set", "oneway", "typedef", "struct", "union", "exception",
		"extends", "throws", "service", "enum", "const", "required", "optional", "async":
		return true
	}
	return false
}

// fieldName reports whether a field may be called so: thrifty.yy FieldName is any word but cpp_type
// and those of XSD, which may follow a name.
func (t *token) fieldName() bool {
	switch t.text {
	case "cpp_type", "xsd_all", "xsd_optional", "xsd_nillable", "xsd_attrs":
		return false
	}
	return t.kind == tokenWord
}
