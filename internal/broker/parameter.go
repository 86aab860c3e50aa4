// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Bounds of what a virtual host, or the hub, keeps of runtime parameters.
const (
	// maxParameters bounds their number, policies included.
	maxParameters = 10_000
	// maxParameterBytes bounds the value of one.
	maxParameterBytes = 64 << 10
	// maxParameterName bounds the bytes of a component and of a name.
	maxParameterName = 255
)

// Parameter is a runtime parameter: a JSON value that is set while the hub runs, and kept. Policies
// and limits are parameters too, as in RabbitMQ; those of other components mean nothing to the hub.
type Parameter struct {
	// Component groups parameters; a global one has none.
	Component string
	Name      string
	// Value is JSON.
	Value []byte
}

// parameterKey names a parameter within its virtual host.
type parameterKey struct{ component, name string }

func (p *Parameter) key() parameterKey { return parameterKey{p.Component, p.Name} }

// textNoParameter is RabbitMQ's text for what is not there.
const textNoParameter = "Parameter does not exist"

// Parameters lists the parameters of a virtual host by component and name, without the policies. With
// a component it lists those of that one only.
func (v *VirtualHost) Parameters(component string) []Parameter {
	if component == subscriptionComponent {
		return nil // they hold secrets
	}
	return v.listParameters(component)
}

func (v *VirtualHost) listParameters(component string) []Parameter {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := make([]Parameter, 0, len(v.parameters))
	for k, value := range v.parameters {
		if k.component == component || component == "" && !hidden(k.component) {
			out = append(out, Parameter{k.component, k.name, slices.Clone(value)})
		}
	}
	slices.SortFunc(out, func(a, b Parameter) int {
		return cmp.Or(strings.Compare(a.Component, b.Component), strings.Compare(a.Name, b.Name))
	})
	return out
}

// hidden reports whether what is in a component is listed elsewhere only.
func hidden(component string) bool {
	return component == UserPolicy.component() || component == metadataKey.component ||
		component == subscriptionComponent
}

// SetParameter adds a parameter or replaces the one of that name, and reports which. Those that mean
// something to the hub are checked and act at once. When the error is nil the log has it.
func (v *VirtualHost) SetParameter(p Parameter) (created bool, err error) {
	const op = "set parameter"
	if err := notThisWay(op, p.Component, "set"); err != nil {
		return false, err
	}
	if err := v.b.checkComponent(op, v.name, p); err != nil {
		return false, err
	}
	effect, err := v.effectOf(op, p)
	if err != nil {
		return false, err
	}
	return v.putParameter(op, p, effect)
}

// DeleteParameter takes a parameter away; an absent one is CodeNotFound. What it did ends at once.
func (v *VirtualHost) DeleteParameter(component, name string) error {
	const op = "delete parameter"
	if err := notThisWay(op, component, "cleared"); err != nil {
		return err
	}
	return v.dropParameter(op, parameterKey{component, name})
}

func badParameter(op, text string) error { return errorf(CodeBadRequest, op, "", "%s", text) }

// invalid is the error of a value that means something to the hub, and may not be.
func invalid(op, text string) error {
	return badParameter(op, "Validation failed\n\n"+text+"\n")
}

// effect is what a parameter does once it is set; the virtual host's lock is held.
type effect func(*turn)

// effectOf returns what a parameter means to the hub, or why it may not be.
func (v *VirtualHost) effectOf(op string, p Parameter) (effect, error) {
	for kind := range policyKinds {
		if p.Component == kind.component() {
			policy, err := policyOf(op, kind, p)
			if err != nil {
				return nil, err
			}
			return v.policyEffect(kind, policy), nil
		}
	}
	if err := checkParameter(op, p, v.b.valueMost(p.Component)); err != nil {
		return nil, err
	}
	if c := v.b.components[p.Component]; c != nil {
		return func(*turn) { poke(c.changed) }, nil
	}
	switch p.key() {
	case limitsKey:
		limits, err := limitsOf(op, p.Value)
		return func(*turn) { v.limits.set(limits) }, err
	case metadataKey:
		return v.metadataEffect(op, p)
	}
	return nil, nil
}

// effectOfLoss returns what it means that a parameter is gone.
func (v *VirtualHost) effectOfLoss(key parameterKey) effect {
	for kind := range policyKinds {
		if key.component == kind.component() {
			return v.policyEffect(kind, &compiledPolicy{Policy: Policy{Name: key.name}})
		}
	}
	if key.component == subscriptionComponent {
		return v.subscriptionEffect()
	}
	if c := v.b.components[key.component]; c != nil {
		return func(*turn) { poke(c.changed) }
	}
	return func(*turn) {
		switch key {
		case limitsKey:
			v.limits.set(nil)
		case metadataKey:
			v.metadata = Metadata{}
		}
	}
}

// checkParameter checks names and the value, which has at most so many bytes.
func checkParameter(op string, p Parameter, most int) error {
	switch {
	case p.Component == "" || p.Name == "" ||
		max(len(p.Component), len(p.Name)) > maxParameterName:
		return badParameter(op, "component and name of a parameter have 1 to 255 bytes")
	case len(p.Value) > most:
		return badParameter(op, fmt.Sprintf("the value of a parameter has at most %d bytes", most))
	case !json.Valid(p.Value):
		return badParameter(op, "Could not parse JSON document")
	}
	return nil
}

// putParameter sets a parameter that was checked, lets it act, and waits until the log has it.
func (v *VirtualHost) putParameter(op string, p Parameter, act effect) (created bool, err error) {
	t := newTurn(v.b)
	v.mu.Lock()
	_, had := v.parameters[p.key()]
	switch {
	case v.deleted:
		err = noVirtualHost(op, v.name)
	case !had && len(v.parameters) >= maxParameters:
		err = errorf(CodeLimit, op, "vhost "+v.name,
			"parameter limit in vhost '%s' (%d) is reached", v.name, maxParameters)
	case v.overTotal(p):
		err = errorf(CodeLimit, op, "vhost "+v.name, "%s parameters of vhost '%s' have %d bytes at most",
			p.Component, v.name, v.b.components[p.Component].Total)
	case !had && v.hasMaxPolicies(p.Component):
		err = errorf(CodeLimit, op, "vhost "+v.name, "%s limit in vhost '%s' (%d) is reached",
			p.Component, v.name, maxPolicies)
	default:
		v.parameters[p.key()] = slices.Clone(p.Value)
		if act != nil {
			act(t)
		}
		err = v.logMeta(true, Meta{Kind: MetaParameterPut, Parameter: p})
	}
	v.mu.Unlock()
	t.finish()
	return !had, v.b.durable(err)
}

// dropParameter takes a parameter away, and what it did.
func (v *VirtualHost) dropParameter(op string, key parameterKey) error {
	t := newTurn(v.b)
	v.mu.Lock()
	_, had := v.parameters[key]
	if !had {
		v.mu.Unlock()
		return errorf(CodeNotFound, op, key.name, textNoParameter)
	}
	delete(v.parameters, key)
	v.effectOfLoss(key)(t)
	err := v.logMeta(true, Meta{
		Kind: MetaParameterDelete, Parameter: Parameter{Component: key.component, Name: key.name},
	})
	v.mu.Unlock()
	t.finish()
	return v.b.durable(err)
}

// durable waits for a change of structure that was logged, unless it failed.
func (b *Broker) durable(err error) error {
	if err != nil {
		return err
	}
	return structureError(b.log.Wait(true))
}

// clearParameters drops them all because the virtual host goes; its lock is held.
func (v *VirtualHost) clearParameters() error {
	var first error
	for key := range v.parameters {
		err := v.logMeta(true, Meta{
			Kind:      MetaParameterDelete,
			Parameter: Parameter{Component: key.component, Name: key.name},
		})
		if first == nil {
			first = err
		}
	}
	clear(v.parameters)
	poke(v.b.subscriptions)
	for _, c := range v.b.components {
		poke(c.changed)
	}
	v.policies = [policyKinds][]*compiledPolicy{}
	return first
}

// recallParameter takes over a parameter of the log. The policies act when everything is there.
func (v *VirtualHost) recallParameter(p Parameter) error {
	v.parameters[p.key()] = p.Value
	if p.Component == subscriptionComponent {
		poke(v.b.subscriptions)
		return nil
	}
	for kind := range policyKinds {
		if p.Component == kind.component() {
			policy, err := policyOf("recover", kind, p)
			if err != nil {
				return err
			}
			v.listPolicy(kind, policy)
			return nil
		}
	}
	act, err := v.effectOf("recover", p)
	if act != nil {
		act(nil)
	}
	return err
}

// GlobalParameters returns the parameters that are in no virtual host, by name.
func (b *Broker) GlobalParameters() []Parameter {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := make([]Parameter, 0, len(b.globals))
	for name, value := range b.globals {
		out = append(out, Parameter{Name: name, Value: slices.Clone(value)})
	}
	slices.SortFunc(out, func(a, b Parameter) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// SetGlobalParameter adds a global parameter, JSON, or replaces the one of that name, and reports
// which. When the error is nil the log has it.
func (b *Broker) SetGlobalParameter(name string, value []byte) (created bool, err error) {
	const op = "set global parameter"
	if err := checkParameter(op, Parameter{"global", name, value}, maxParameterBytes); err != nil {
		return false, err
	}
	b.changing.Lock()
	defer b.changing.Unlock()
	b.mu.Lock()
	_, had := b.globals[name]
	if !had && len(b.globals) >= maxParameters {
		b.mu.Unlock()
		return false, errorf(CodeLimit, op, name, "global parameter limit (%d) is reached",
			maxParameters)
	}
	b.globals[name] = slices.Clone(value)
	b.mu.Unlock()
	return !had, b.durable(b.logMeta(Meta{
		Kind: MetaParameterPut, Parameter: Parameter{Name: name, Value: value},
	}))
}

// DeleteGlobalParameter takes a global parameter away; an absent one is CodeNotFound.
func (b *Broker) DeleteGlobalParameter(name string) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	b.mu.Lock()
	_, had := b.globals[name]
	delete(b.globals, name)
	b.mu.Unlock()
	if !had {
		return errorf(CodeNotFound, "delete global parameter", name, textNoParameter)
	}
	return b.durable(b.logMeta(Meta{
		Kind: MetaParameterDelete, Parameter: Parameter{Name: name},
	}))
}
