// SPDX-License-Identifier: Apache-2.0

package broker

import "slices"

// subscriptionComponent is where push subscriptions are among the parameters, which do not list them:
// they hold secrets, and only who posts for them knows what they mean.
const subscriptionComponent = "parley-subscription"

// Subscriptions returns the push subscriptions of a virtual host, by name. Their values are JSON of
// who posts for them.
func (v *VirtualHost) Subscriptions() []Parameter { return v.listParameters(subscriptionComponent) }

// Subscription returns a push subscription by name.
func (v *VirtualHost) Subscription(name string) (value []byte, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	value, ok = v.parameters[parameterKey{subscriptionComponent, name}]
	return slices.Clone(value), ok
}

// SetSubscription adds a push subscription, or replaces the one of that name, and reports which. When
// the error is nil the log has it.
func (v *VirtualHost) SetSubscription(name string, value []byte) (created bool, err error) {
	const op = "set subscription"
	p := Parameter{subscriptionComponent, name, value}
	if err := checkParameter(op, p, maxParameterBytes); err != nil {
		return false, err
	}
	return v.putParameter(op, p, v.subscriptionEffect())
}

// DeleteSubscription takes a push subscription away; an absent one is CodeNotFound.
func (v *VirtualHost) DeleteSubscription(name string) error {
	const op = "delete subscription"
	err := v.dropParameter(op, parameterKey{subscriptionComponent, name})
	if e, ok := err.(*Error); ok && e.Code == CodeNotFound { //nolint:errorlint // made there
		return errorf(CodeNotFound, op, name, "no subscription '%s'", name)
	}
	return err
}

// SubscriptionsChanged holds a token when a subscription of any virtual host was set or deleted.
func (b *Broker) SubscriptionsChanged() <-chan struct{} { return b.subscriptions }

func (v *VirtualHost) subscriptionEffect() effect {
	return func(*turn) { poke(v.b.subscriptions) }
}

// notThisWay refuses a parameter of a component that has methods of its own, which check what is set.
func notThisWay(op, component, done string) error {
	switch component {
	case UserPolicy.component():
		return badParameter(op, "policies may not be "+done+" using this method")
	case subscriptionComponent:
		return badParameter(op, "subscriptions may not be "+done+" using this method")
	}
	return nil
}
