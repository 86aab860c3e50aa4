// SPDX-License-Identifier: Apache-2.0

package broker

// Component is what somebody outside of the heart has to say about parameters that mean something to
// him. What is in the log counts, whatever he says: only what is set is checked.
type Component struct {
	// Bytes bounds a value, Total the values of a virtual host together; 0: as of other parameters, and
	// no bound.
	Bytes, Total int
	// Check says why a value may not be set. It is called under no lock. Nil: any JSON may.
	Check func(vhost, name string, value []byte) error
}

// component is one, with the token that says that something has changed.
type component struct {
	Component

	changed chan struct{}
}

func (b *Broker) setComponents(all map[string]Component) {
	b.components = make(map[string]*component, len(all))
	for name, c := range all {
		b.components[name] = &component{Component: c, changed: make(chan struct{}, 1)}
	}
}

// ComponentChanged holds a token when a parameter of a component, one of Options.Components, was set
// or deleted in any virtual host. It is nil for others.
func (b *Broker) ComponentChanged(name string) <-chan struct{} {
	if c := b.components[name]; c != nil {
		return c.changed
	}
	return nil
}

// checkComponent asks whose the component is.
func (b *Broker) checkComponent(op, vhost string, p Parameter) error {
	c := b.components[p.Component]
	if c == nil || c.Check == nil || len(p.Value) > b.valueMost(p.Component) {
		return nil // the size is refused later
	}
	if err := c.Check(vhost, p.Name, p.Value); err != nil {
		return invalid(op, err.Error())
	}
	return nil
}

// valueMost bounds the value of a parameter.
func (b *Broker) valueMost(component string) int {
	if c := b.components[component]; c != nil && c.Bytes != 0 {
		return c.Bytes
	}
	return maxParameterBytes
}

// overTotal reports whether a component's values would have too many bytes together; the virtual
// host's lock is held.
func (v *VirtualHost) overTotal(p Parameter) bool {
	c := v.b.components[p.Component]
	if c == nil || c.Total == 0 {
		return false
	}
	total := len(p.Value)
	for key, value := range v.parameters {
		if key.component == p.Component && key.name != p.Name {
			total += len(value)
		}
	}
	return total > c.Total
}
