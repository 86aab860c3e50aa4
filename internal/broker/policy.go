// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// PolicyKind tells a user's policies from the operator's. Of each kind at most one acts on a queue or
// exchange, and the two are merged: the operator's bounds what users may set.
type PolicyKind uint8

// The kinds of policies.
const (
	UserPolicy PolicyKind = iota
	OperatorPolicy
	policyKinds
)

// component is what parameters of this kind are called.
func (k PolicyKind) component() string {
	if k == OperatorPolicy {
		return "operator_policy"
	}
	return "policy"
}

// Policy sets optional arguments of the exchanges and queues of a virtual host by their names.
type Policy struct {
	Name string
	// Pattern is a regular expression (RE2, at most 1,024 bytes) that has to match somewhere in the
	// name of an exchange or queue.
	Pattern string
	// ApplyTo is all, exchanges, queues, classic_queues, quorum_queues or streams. Default all.
	ApplyTo string
	// Priority: of several that match, the highest acts; of equals, the first by name.
	Priority int
	// Definition holds what it sets, with the keys and values of RabbitMQ: numbers are whole.
	Definition map[string]any
}

// maxPolicies bounds the policies of one kind in a virtual host: each is tried on every new name.
const maxPolicies = 1_000

// storedPolicy is a Policy's value as a parameter.
type storedPolicy struct {
	Pattern    any            `json:"pattern"`
	ApplyTo    any            `json:"apply-to,omitempty"`
	Priority   any            `json:"priority"`
	Definition map[string]any `json:"definition"`
}

// compiledPolicy is a Policy that acts. It is never changed after it was made.
type compiledPolicy struct {
	Policy
	pattern *regexp.Regexp // nil in what only names a policy
}

// SetPolicy adds a policy or replaces the one of that name, and reports which. It acts at once on
// everything that it matches. What is wrong with it is CodeBadRequest, in RabbitMQ's words. When the
// error is nil the log has it.
func (v *VirtualHost) SetPolicy(kind PolicyKind, p Policy) (created bool, err error) {
	const op = "set policy"
	if p.ApplyTo == "" {
		p.ApplyTo = applyToAll
	}
	value, err := json.Marshal(storedPolicy{p.Pattern, p.ApplyTo, p.Priority, p.Definition})
	if err != nil {
		return false, badParameter(op, "Could not parse JSON document")
	}
	stored := Parameter{kind.component(), p.Name, value}
	policy, err := policyOf(op, kind, stored)
	if err != nil {
		return false, err
	}
	return v.putParameter(op, stored, v.policyEffect(kind, policy))
}

// DeletePolicy takes a policy away; an absent one is CodeNotFound. What it set ends at once.
func (v *VirtualHost) DeletePolicy(kind PolicyKind, name string) error {
	return v.dropParameter("delete policy", parameterKey{kind.component(), name})
}

// Policies lists the policies of a kind, those that come first when they match first.
func (v *VirtualHost) Policies(kind PolicyKind) []Policy {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := make([]Policy, 0, len(v.policies[kind]))
	for _, p := range v.policies[kind] {
		out = append(out, p.copy())
	}
	return out
}

// Policy returns a policy by name.
func (v *VirtualHost) Policy(kind PolicyKind, name string) (Policy, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, p := range v.policies[kind] {
		if p.Name == name {
			return p.copy(), true
		}
	}
	return Policy{}, false
}

func (p *compiledPolicy) copy() Policy {
	out := p.Policy
	out.Definition = maps.Clone(out.Definition)
	return out
}

// policyOf reads a policy from its parameter and checks it.
func policyOf(op string, kind PolicyKind, p Parameter) (*compiledPolicy, error) {
	if err := checkParameter(op, p, maxParameterBytes); err != nil {
		return nil, err
	}
	var stored storedPolicy
	if err := decodeJSON(p.Value, &stored); err != nil {
		return nil, badParameter(op, "Could not parse JSON document")
	}
	return stored.compile(op, kind, p.Name)
}

// policyEffect puts a policy in the place of the one of its name, or takes that one away when the
// policy has no pattern, and has it act.
func (v *VirtualHost) policyEffect(kind PolicyKind, p *compiledPolicy) effect {
	return func(t *turn) {
		v.listPolicy(kind, p)
		v.applyPolicies(t)
	}
}

// listPolicy keeps the list in the order in which policies are tried; the virtual host's lock is
// held.
func (v *VirtualHost) listPolicy(kind PolicyKind, p *compiledPolicy) {
	list := slices.DeleteFunc(slices.Clone(v.policies[kind]), func(have *compiledPolicy) bool {
		return have.Name == p.Name
	})
	if p.pattern != nil {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *compiledPolicy) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), strings.Compare(a.Name, b.Name))
	})
	v.policies[kind] = list
}

// hasMaxPolicies reports whether no policy of this component may be added; the virtual host's lock is
// held.
func (v *VirtualHost) hasMaxPolicies(component string) bool {
	for kind := range policyKinds {
		if kind.component() == component {
			return len(v.policies[kind]) >= maxPolicies
		}
	}
	return false
}

// inForce is what acts on a queue or exchange: one policy of each kind, or nil.
type inForce [policyKinds]*compiledPolicy

// EffectivePolicy tells which policies act on a queue or exchange, and what they set together.
type EffectivePolicy struct {
	// User and Operator are names; empty: none.
	User, Operator string
	Definition     map[string]any
}

func (f *inForce) effective() EffectivePolicy {
	var e EffectivePolicy
	if p := f[UserPolicy]; p != nil {
		e.User = p.Name
	}
	if p := f[OperatorPolicy]; p != nil {
		e.Operator = p.Name
	}
	e.Definition = f.definition()
	return e
}

// definition merges the two: of numbers that both set the least counts, of other values the
// operator's.
func (f *inForce) definition() map[string]any {
	merged := make(map[string]any)
	if p := f[UserPolicy]; p != nil {
		maps.Copy(merged, p.Definition)
	}
	if p := f[OperatorPolicy]; p != nil {
		for key, value := range p.Definition {
			n, isNumber := value.(int64)
			if have, ok := merged[key].(int64); ok && isNumber {
				value = min(n, have)
			}
			merged[key] = value
		}
	}
	return merged
}

// EffectivePolicy tells which policies act on the queue.
func (q *Queue) EffectivePolicy() EffectivePolicy {
	q.vh.mu.RLock()
	defer q.vh.mu.RUnlock()
	return q.policies.effective()
}

// EffectivePolicy tells which policies act on the exchange.
func (x *Exchange) EffectivePolicy() EffectivePolicy {
	x.vh.mu.RLock()
	defer x.vh.mu.RUnlock()
	return x.policies.effective()
}

// What a policy may apply to.
const (
	applyToAll       = "all"
	applyToExchanges = "exchanges"
	applyToQueues    = "queues"
	applyToClassic   = "classic_queues"
	applyToQuorum    = "quorum_queues"
	applyToStreams   = "streams"
)

// forQueue returns what acts on a queue; the virtual host's lock is held.
func (v *VirtualHost) forQueue(name string, kind queueKind) (f inForce) {
	of := applyToClassic
	if kind == quorumQueue {
		of = applyToQuorum
	}
	return v.match(name, applyToQueues, of)
}

// forExchange returns what acts on an exchange. The default exchange has no policies.
func (v *VirtualHost) forExchange(name string) (f inForce) {
	if name == "" {
		return f
	}
	return v.match(name, applyToExchanges)
}

// match finds the first policy of each kind for a name and what it is.
func (v *VirtualHost) match(name string, of ...string) (f inForce) {
	for kind, list := range v.policies {
		i := slices.IndexFunc(list, func(p *compiledPolicy) bool {
			return (p.ApplyTo == applyToAll || slices.Contains(of, p.ApplyTo)) &&
				p.pattern.MatchString(name)
		})
		if i >= 0 {
			f[kind] = list[i]
		}
	}
	return f
}
