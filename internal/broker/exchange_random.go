// SPDX-License-Identifier: Apache-2.0

package broker

import "math/rand/v2"

// randomMatcher picks one of all bindings, whatever their keys and the message's (RabbitMQ's
// x-random). The local kind (x-local-random) has queues only, bound with an empty key; on one
// machine every queue is local.
type randomMatcher struct {
	bindings bindingList
	local    bool
}

func (m *randomMatcher) add(b *binding) error {
	if m.local {
		if err := checkLocal(b); err != nil {
			return err
		}
	}
	m.bindings.add(b)
	return nil
}

// checkLocal refuses what RabbitMQ's x-local-random refuses, in its words.
func checkLocal(b *binding) error {
	switch {
	case b.Key != "":
		return errorf(CodeBadRequest, "bind", b.source.Name,
			"Non empty binding '%s' key not permitted", b.Key)
	case b.queue == nil:
		return errorf(CodeBadRequest, "bind", b.source.Name, "Destination not found")
	}
	if kind, _ := b.queue.Arguments.Text("x-queue-type"); kind != "" && kind != "classic" {
		return errorf(CodeBadRequest, "bind", b.source.Name,
			"Queue type rabbit_%s_queue not valid for this exchange type", kind)
	}
	return nil
}

func (m *randomMatcher) remove(b *binding) { m.bindings.remove(b) }

func (m *randomMatcher) match(_ *routed, visit func(*binding)) {
	if n := len(m.bindings); n > 0 {
		visit(m.bindings[rand.IntN(n)])
	}
}

func (*randomMatcher) dynamic() bool { return true }
