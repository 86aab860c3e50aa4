// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"slices"
	"strings"
)

// topicMatcher is a trie over the words of binding keys. `*` stands for one word, `#` for zero or
// more. Matching walks a set of nodes word by word, so it costs words times live nodes, whatever
// the number of `#` (security.md A9).
type topicMatcher struct{ root *topicNode }

type topicNode struct {
	words    map[string]*topicNode
	star     *topicNode
	hash     *topicNode
	isHash   bool
	parent   *topicNode
	word     string // under which the parent holds it
	bindings bindingList
}

func newTopicMatcher() *topicMatcher { return &topicMatcher{root: &topicNode{}} }

func (m *topicMatcher) dynamic() bool { return false }

// topicWords splits a key; the empty key has no words.
func topicWords(key string) []string {
	if key == "" {
		return nil
	}
	return strings.Split(key, ".")
}

func (m *topicMatcher) add(b *binding) error {
	n := m.root
	for _, w := range topicWords(b.Key) {
		n = n.child(w)
	}
	n.bindings.add(b)
	return nil
}

// child returns the node for one word of a binding key, making it when it is not there.
func (n *topicNode) child(w string) *topicNode {
	slot := func(at **topicNode) *topicNode {
		if *at == nil {
			*at = &topicNode{parent: n, word: w, isHash: w == "#"}
		}
		return *at
	}
	switch w {
	case "*":
		return slot(&n.star)
	case "#":
		return slot(&n.hash)
	}
	if n.words == nil {
		n.words = make(map[string]*topicNode)
	}
	c := n.words[w]
	if c == nil {
		c = &topicNode{parent: n, word: w}
		n.words[w] = c
	}
	return c
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
			n = n.words[w]
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
		default:
			delete(p.words, n.word)
		}
		n = p
	}
}

func (n *topicNode) empty() bool {
	return len(n.bindings) == 0 && len(n.words) == 0 && n.star == nil && n.hash == nil
}

// topicSet is a set of nodes in the order of insertion; it turns to a map when it grows.
type topicSet struct {
	nodes []*topicNode
	index map[*topicNode]struct{}
}

const topicSetScan = 32

func (s *topicSet) reset() {
	s.nodes = s.nodes[:0]
	clear(s.index)
}

// add puts a node into the set, with the `#` nodes below it that match no word at all.
func (s *topicSet) add(n *topicNode) {
	for ; n != nil; n = n.hash {
		if s.has(n) {
			return
		}
		s.nodes = append(s.nodes, n)
		if len(s.nodes) > topicSetScan {
			s.reindex()
		}
	}
}

func (s *topicSet) reindex() {
	if s.index == nil {
		s.index = make(map[*topicNode]struct{})
	}
	if len(s.index) == 0 {
		for _, n := range s.nodes {
			s.index[n] = struct{}{}
		}
		return
	}
	s.index[s.nodes[len(s.nodes)-1]] = struct{}{}
}

func (s *topicSet) has(n *topicNode) bool {
	if len(s.nodes) <= topicSetScan {
		return slices.Contains(s.nodes, n)
	}
	_, ok := s.index[n]
	return ok
}

func (m *topicMatcher) match(r *routed, visit func(*binding)) {
	for _, key := range r.keys {
		m.matchKey(key, visit)
	}
}

func (m *topicMatcher) matchKey(key string, visit func(*binding)) {
	var now, next topicSet
	now.add(m.root)
	for _, w := range topicWords(key) {
		next.reset()
		for _, n := range now.nodes {
			if n.isHash {
				next.add(n)
			}
			next.add(n.words[w])
			next.add(n.star)
		}
		now, next = next, now
		if len(now.nodes) == 0 {
			return
		}
	}
	for _, n := range now.nodes {
		for _, b := range n.bindings {
			visit(b)
		}
	}
}
