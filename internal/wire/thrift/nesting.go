// SPDX-License-Identifier: Apache-2.0

package thrift

// jsonLevels is how many brackets of TJSON may be open: the message's, and two for each level of
// values (a struct and its field, a map's array and object, a list's array alone).
const jsonLevels = 1 + 2*MaxDepth

// What stands before the next value of an open bracket.
const (
	inObject uint8 = 1 << iota // keys and values in turn
	inField                    // the object around a field's value
	begun                      // something stands in it: a comma is due
	valueDue                   // an object's key stands: a colon is due
)

// nesting is the stack of open brackets of TJSON, in a Reader and a Writer alike.
type nesting struct {
	levels [jsonLevels]uint8
	depth  int
}

// push opens a bracket, unless too many are open.
func (n *nesting) push(flags uint8) bool {
	if n.depth == jsonLevels {
		return false
	}
	n.levels[n.depth] = flags
	n.depth++
	return true
}

// top returns the innermost open bracket.
func (n *nesting) top() *uint8 { return &n.levels[max(n.depth, 1)-1] }

// before notes that a value begins, and returns what stands before it (0 for nothing) and whether it
// is an object's key, where numbers stand in quotes.
func (n *nesting) before() (separator byte, key bool) {
	if n.depth == 0 {
		return 0, false
	}
	top := n.top()
	was := *top
	*top |= begun
	if was&inObject == 0 {
		if was&begun != 0 {
			separator = ','
		}
		return separator, false
	}
	*top ^= valueDue
	switch {
	case was&valueDue != 0:
		return ':', false
	case was&begun != 0:
		return ',', true
	default:
		return 0, true
	}
}
