// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strings"
	"sync"
)

// topicMatcher is a trie over the words of binding keys. `*` stands for one word, `#` for zero or
// more. Matching walks a set of nodes word by word, so it costs words times live nodes, whatever
// the number of `#` (security.md A9).
type topicMatcher struct {
	root *topicNode
	// hashes is one more than the highest number of a node of `#`; free are those not in use.
	hashes int
	free   []int32
	walks  sync.Pool // of *topicWalk
}

type topicNode struct {
	only     *topicNode            // the one child of a word, or
	words    map[string]*topicNode // several
	star     *topicNode
	hash     *topicNode
	isHash   bool
	number   int32 // of a node of `#`, unique in the trie
	parent   *topicNode
	word     string // under which the parent holds it
	bindings bindingList
}

func newTopicMatcher() *topicMatcher { return &topicMatcher{root: &topicNode{}} }

func (m *topicMatcher) dynamic() bool { return false }

// topicWords splits a binding key; the empty key has no words. Of words that stand for any, next to
// each other, one `#` at most is left, behind those of `*`: that means the same (`#.*.#` is `*.#`), and
// there is less to stand on.
func topicWords(key string) []string {
	if key == "" {
		return nil
	}
	var out []string
	hash := false
	for word := range strings.SplitSeq(key, ".") {
		if word == "#" {
			hash = true
			continue
		}
		if hash && word != "*" {
			out, hash = append(out, "#"), false
		}
		out = append(out, word)
	}
	if hash {
		out = append(out, "#")
	}
	return out
}

func (m *topicMatcher) add(b *binding) error {
	n := m.root
	for _, w := range topicWords(b.Key) {
		n = m.child(n, w)
	}
	n.bindings.add(b)
	return nil
}

// child returns the node for one word of a binding key, making it when it is not there.
func (m *topicMatcher) child(n *topicNode, w string) *topicNode {
	switch w {
	case "*":
		if n.star == nil {
			n.star = &topicNode{parent: n, word: w}
		}
		return n.star
	case "#":
		if n.hash == nil {
			n.hash = &topicNode{parent: n, word: w, isHash: true, number: m.number()}
		}
		return n.hash
	}
	c := n.at(w)
	if c == nil {
		c = &topicNode{parent: n, word: w}
		n.put(c)
	}
	return c
}

// at returns the child for a word, or nil.
func (n *topicNode) at(word string) *topicNode {
	switch {
	case n.words != nil:
		return n.words[word]
	case n.only != nil && n.only.word == word:
		return n.only
	}
	return nil
}

func (n *topicNode) put(c *topicNode) {
	switch {
	case n.words != nil:
		n.words[c.word] = c
	case n.only != nil:
		n.words = map[string]*topicNode{n.only.word: n.only, c.word: c}
		n.only = nil
	default:
		n.only = c
	}
}

func (n *topicNode) drop(c *topicNode) {
	if n.only == c {
		n.only = nil
		return
	}
	delete(n.words, c.word)
	if len(n.words) == 0 {
		n.words = nil
	}
}

// number gives a number to a node of `#`.
func (m *topicMatcher) number() int32 {
	if n := len(m.free); n > 0 {
		number := m.free[n-1]
		m.free = m.free[:n-1]
		return number
	}
	m.hashes++
	return int32(m.hashes - 1)
}

func (m *topicMatcher) remove(b *binding) {
	n := m.root
	for _, w := range topicWords(b.Key) {
		switch w {
		case "*":
			n = n.star
		case "#":
			n = n.hash
		default:
			n = n.at(w)
		}
		if n == nil {
			return
		}
	}
	n.bindings.remove(b)
	for n.parent != nil && n.empty() {
		p := n.parent
		switch {
		case p.star == n:
			p.star = nil
		case p.hash == n:
			p.hash = nil
			m.free = append(m.free, n.number)
		default:
			p.drop(n)
		}
		n = p
	}
}

func (n *topicNode) empty() bool {
	return len(n.bindings) == 0 && n.only == nil && n.words == nil && n.star == nil && n.hash == nil
}

// topicWalk is one match under way: the nodes that it stands on. Only a node of `#` can be reached
// twice at one word, from itself and from its parent, so only these are marked.
type topicWalk struct {
	now, next []*topicNode
	// marks holds, for each node of `#` in the trie, the step at which it was added last.
	marks []uint32
	step  uint32
}

// topicWalkKept bounds the marks that a walk keeps for the next one.
const topicWalkKept = 1 << 20

// begin makes room for the trie's nodes of `#`.
func (w *topicWalk) begin(hashes int) {
	if len(w.marks) < hashes {
		w.marks, w.step = make([]uint32, hashes+hashes/2), 0
	}
	w.now = w.now[:0]
}

// enter begins the next word.
func (w *topicWalk) enter() {
	if w.step++; w.step == 0 {
		clear(w.marks)
		w.step = 1
	}
	w.next = w.next[:0]
}

// add puts a node into the next set, with the `#` nodes below it that match no word at all.
func (w *topicWalk) add(n *topicNode) {
	for ; n != nil; n = n.hash {
		if n.isHash {
			if w.marks[n.number] == w.step {
				return
			}
			w.marks[n.number] = w.step
		}
		w.next = append(w.next, n)
	}
}

func (m *topicMatcher) match(r *routed, visit func(*binding)) {
	w, _ := m.walks.Get().(*topicWalk)
	if w == nil {
		w = &topicWalk{}
	}
	w.begin(m.hashes)
	for _, key := range r.keys {
		for _, n := range m.walk(w, key) {
			for _, b := range n.bindings {
				visit(b)
			}
		}
	}
	clear(w.now[:cap(w.now)]) // the pool must not hold what is deleted
	clear(w.next[:cap(w.next)])
	if len(w.marks) <= topicWalkKept {
		m.walks.Put(w)
	}
}

// walk returns the nodes where a key ends.
func (m *topicMatcher) walk(w *topicWalk, key string) []*topicNode {
	w.enter()
	w.add(m.root)
	w.now, w.next = w.next, w.now
	if key == "" {
		return w.now
	}
	for word := range strings.SplitSeq(key, ".") {
		w.enter()
		for _, n := range w.now {
			if n.isHash {
				w.add(n)
			}
			w.add(n.at(word))
			w.add(n.star)
		}
		if w.now, w.next = w.next, w.now; len(w.now) == 0 {
			break
		}
	}
	return w.now
}
