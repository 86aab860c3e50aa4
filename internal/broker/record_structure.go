// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"fmt"
	"slices"
)

// Structure is what a sequence of Meta records leaves standing: the last value of each key, be it a
// virtual host, an exchange, a queue, a binding, a user, a stored request or a parameter. A log keeps one to know
// which of its Meta records still count, and recovery one to know what to build. It is for one goroutine.
type Structure struct {
	items map[string]PlacedMeta
	// bound lists the bindings that go with a queue or an exchange, by its key.
	bound map[string]map[string]struct{}
}

// PlacedMeta is a Meta that still counts, and where the log has it.
type PlacedMeta struct {
	Meta
	At LSN
}

// NewStructure returns an empty structure.
func NewStructure() *Structure {
	return &Structure{
		items: make(map[string]PlacedMeta), bound: make(map[string]map[string]struct{}),
	}
}

// Apply takes the next change and returns the places of the records that do not count any more
// because of it. counts says whether the change itself is a record to keep.
func (s *Structure) Apply(m *Meta, at LSN) (gone []LSN, counts bool) {
	switch m.Kind {
	case MetaQueueDeclare, MetaExchangeDeclare, MetaVHostAdd, MetaUserPut, MetaParameterPut:
		return s.set(m.owner(), m, at), true
	case MetaRequestPut:
		return s.set(m.owner(), m.placed(at), at), true
	case MetaVHostDelete, MetaUserDelete, MetaRequestDelete, MetaParameterDelete:
		gone = s.remove(m.owner(), gone)
	case MetaQueueDelete, MetaExchangeDelete:
		key := m.owner()
		gone = s.remove(key, gone)
		for b := range s.bound[key] {
			gone = s.unbind(b, gone)
		}
		delete(s.bound, key)
	case MetaBind:
		key := m.bindingKey()
		gone = s.set(key, m, at)
		for _, end := range m.ends() {
			if s.bound[end] == nil {
				s.bound[end] = make(map[string]struct{})
			}
			s.bound[end][key] = struct{}{}
		}
		return gone, true
	case MetaUnbind:
		gone = s.unbind(m.bindingKey(), gone)
	}
	return gone, false
}

// set gives a key its value, and returns the place of the one before.
func (s *Structure) set(key string, m *Meta, at LSN) (gone []LSN) {
	if old, ok := s.items[key]; ok {
		gone = append(gone, old.At)
	}
	s.items[key] = PlacedMeta{*m, at}
	return gone
}

func (s *Structure) remove(key string, gone []LSN) []LSN {
	if old, ok := s.items[key]; ok {
		delete(s.items, key)
		gone = append(gone, old.At)
	}
	return gone
}

func (s *Structure) unbind(key string, gone []LSN) []LSN {
	old, ok := s.items[key]
	if !ok {
		return gone
	}
	for _, end := range old.ends() {
		delete(s.bound[end], key)
		if len(s.bound[end]) == 0 {
			delete(s.bound, end)
		}
	}
	return s.remove(key, gone)
}

// All returns what stands, in the order in which it was made.
func (s *Structure) All() []PlacedMeta {
	out := make([]PlacedMeta, 0, len(s.items))
	for _, m := range s.items {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b PlacedMeta) int { return cmp.Compare(a.At, b.At) })
	return out
}

// placed returns a request's row with the place of its answer, which is not in the record that came
// with it.
func (m *Meta) placed(at LSN) *Meta {
	if !m.Request.State.Answered() || m.Request.Answer != 0 {
		return m
	}
	out, request := *m, *m.Request
	request.Answer = at - 1 // parts of a transaction follow each other
	out.Request = &request
	return &out
}

// owner returns the key of what a change is about, unless that is a binding.
func (m *Meta) owner() string {
	switch m.Kind {
	case MetaQueueDeclare, MetaQueueDelete:
		return queueKey(m.VHost, m.Queue.Name)
	case MetaVHostAdd, MetaVHostDelete:
		return "v\x00" + m.VHost
	case MetaUserPut, MetaUserDelete:
		return "u\x00" + m.User.Name
	case MetaRequestPut, MetaRequestDelete:
		return "r\x00" + m.Request.ID
	case MetaParameterPut, MetaParameterDelete:
		return "p\x00" + m.VHost + "\x00" + m.Parameter.Component + "\x00" + m.Parameter.Name
	case MetaExchangeDeclare, MetaExchangeDelete, MetaBind, MetaUnbind:
	}
	return exchangeKey(m.VHost, m.Exchange.Name)
}

func queueKey(vhost, name string) string    { return "q\x00" + vhost + "\x00" + name }
func exchangeKey(vhost, name string) string { return "x\x00" + vhost + "\x00" + name }

// ends returns the keys of a binding's source and destination.
func (m *Meta) ends() [2]string {
	b := &m.Binding
	if b.ToExchange {
		return [2]string{exchangeKey(m.VHost, b.Source), exchangeKey(m.VHost, b.Destination)}
	}
	return [2]string{exchangeKey(m.VHost, b.Source), queueKey(m.VHost, b.Destination)}
}

// bindingKey tells the bindings of a virtual host apart.
func (m *Meta) bindingKey() string {
	return fmt.Sprintf("b\x00%s\x00%s\x00%s", m.VHost, m.Binding.Source, m.Binding.id())
}
