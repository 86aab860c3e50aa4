// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// hashWeightMax bounds the weight of one binding. RabbitMQ has no bound, and makes so many buckets.
const hashWeightMax = 1_000_000

// modulusMatcher picks one of all bindings by the hash of the routing key modulo their number
// (RabbitMQ's x-modulus-hash). A message with several keys goes by the first.
type modulusMatcher struct{ bindings []*binding } // by id, so that a restart changes nothing

func (m *modulusMatcher) find(b *binding) (int, bool) {
	return slices.BinarySearchFunc(m.bindings, b, func(x, y *binding) int {
		return cmp.Compare(x.id, y.id)
	})
}

func (m *modulusMatcher) add(b *binding) error {
	i, _ := m.find(b)
	m.bindings = slices.Insert(m.bindings, i, b)
	return nil
}

func (m *modulusMatcher) remove(b *binding) {
	if i, ok := m.find(b); ok {
		m.bindings = slices.Delete(m.bindings, i, i+1)
	}
}

func (m *modulusMatcher) match(r *routed, visit func(*binding)) {
	if n := uint64(len(m.bindings)); n > 0 {
		visit(m.bindings[hashText(r.keys[0])%n])
	}
}

func (*modulusMatcher) dynamic() bool { return false }

// hashMatcher picks one of all bindings by a hash of the message (RabbitMQ's x-consistent-hash). Each
// binding's key is its weight, and it gets messages in proportion to that. The pick is weighted
// rendezvous hashing: every destination has a score for the hash, and the highest wins, so a
// destination that comes takes messages from the others and one that goes leaves its own to them,
// and no other message changes its place. Weights cost no memory; a pick costs one step a binding.
type hashMatcher struct {
	header, property string // what is hashed instead of the routing key; one at most is set
	bindings         bindingList
	scores           []hashScore // of the bindings, in the same order
}

type hashScore struct {
	weight float64
	hash   uint64 // of the destination
}

func newHashMatcher(x *Exchange) (*hashMatcher, error) {
	r := argumentReader{
		args: x.Arguments, op: "declare exchange", entity: exchangeEntity(x.vh.name, x.Name),
	}
	m := &hashMatcher{}
	var byHeader, byProperty bool
	m.header, byHeader = r.exchange("hash-header")
	m.property, byProperty = r.exchange("hash-property")
	switch {
	case r.err != nil:
	case byHeader && byProperty:
		r.fail2("hash-header and hash-property are mutually exclusive")
	case !byProperty:
	case !slices.Contains([]string{"correlation_id", "message_id", "timestamp"}, m.property):
		r.fail2("Unsupported property: " + m.property)
	}
	return m, r.err
}

func (m *hashMatcher) add(b *binding) error {
	weight, err := hashWeight(b)
	if err != nil {
		return err
	}
	m.bindings.add(b)
	m.scores = append(m.scores, hashScore{
		weight: float64(weight), hash: hashText(b.destination()),
	})
	return nil
}

func (m *hashMatcher) remove(b *binding) {
	last := len(m.scores) - 1
	m.scores[b.at] = m.scores[last]
	m.scores = m.scores[:last]
	m.bindings.remove(b)
}

// hashWeight reads a binding's weight, and refuses a bad one in RabbitMQ's words.
func hashWeight(b *binding) (int64, error) {
	n, err := strconv.ParseInt(b.Key, 10, 64) // out of range it is the nearest number
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, errorf(CodeBadRequest, "bind", b.source.Name,
			"The binding key must be an integer: %s", erlang(b.Key))
	case n < 1:
		return 0, errorf(CodeBadRequest, "bind", b.source.Name,
			"The binding key must be greater than 0")
	case n > hashWeightMax:
		return 0, errorf(CodeBadRequest, "bind", b.source.Name,
			"The binding key must not be greater than %d", hashWeightMax)
	}
	return n, nil
}

func (m *hashMatcher) match(r *routed, visit func(*binding)) {
	if len(m.bindings) == 0 {
		return
	}
	hash, best, most := hashText(m.hashed(r)), 0, math.Inf(-1)
	for i, s := range m.scores {
		// A uniform number in (0, 1]: with it the score is largest with probability weight/sum.
		u := (float64(mix(hash^s.hash)>>11) + 1) / (1 << 53)
		if score := -s.weight / math.Log(u); score > most {
			best, most = i, score
		}
	}
	visit(m.bindings[best])
}

// hashed returns what the hash is taken of; messages that lack it go to one destination.
func (m *hashMatcher) hashed(r *routed) string {
	switch {
	case m.header != "":
		switch v, _ := r.properties().Headers.Get(m.header); v := v.(type) {
		case nil:
			return ""
		case string:
			return v
		default:
			return fmt.Sprint(v)
		}
	case m.property == "correlation_id":
		return r.properties().CorrelationID
	case m.property == "message_id":
		return r.properties().MessageID
	case m.property == "timestamp":
		if p := r.properties(); p.Set&HasTimestamp != 0 {
			return strconv.FormatUint(p.Timestamp, 10)
		}
		return ""
	}
	return r.keys[0]
}

func (m *hashMatcher) dynamic() bool { return m.header != "" || m.property != "" }

// hashText is FNV-1a with its bits mixed: the same in every process, so that a restart moves nothing.
func hashText(s string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * prime
	}
	return mix(h)
}

// mix spreads every bit over all others (the finalizer of SplitMix64).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
