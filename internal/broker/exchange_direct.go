// SPDX-License-Identifier: Apache-2.0

package broker

// directMatcher finds the bindings with the message's key.
type directMatcher map[string]bindingList

func (m directMatcher) add(b *binding) error {
	list := m[b.Key]
	list.add(b)
	m[b.Key] = list
	return nil
}

func (m directMatcher) remove(b *binding) {
	list := m[b.Key]
	list.remove(b)
	if len(list) == 0 {
		delete(m, b.Key)
		return
	}
	m[b.Key] = list
}

func (m directMatcher) match(r *routed, visit func(*binding)) {
	for _, key := range r.keys {
		for _, b := range m[key] {
			visit(b)
		}
	}
}

func (directMatcher) dynamic() bool { return false }

// fanoutMatcher finds every binding.
type fanoutMatcher struct{ bindings bindingList }

func (m *fanoutMatcher) add(b *binding) error {
	m.bindings.add(b)
	return nil
}

func (m *fanoutMatcher) remove(b *binding) { m.bindings.remove(b) }

func (m *fanoutMatcher) match(_ *routed, visit func(*binding)) {
	for _, b := range m.bindings {
		visit(b)
	}
}

func (*fanoutMatcher) dynamic() bool { return false }
