// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"

	"github.com/parley-ipc/parley/internal/broker"
)

// Put keeps a subscription, JSON, under a name and lets it run, or replaces the one of that name, and
// reports which. Its target has consented and the log has it when Put returns nil. The hub consumes
// as the user of c, who has to be an administrator: it posts from where it stands (security.md H10).
func (p *Pusher) Put(
	ctx context.Context, c *broker.Connection, name string, definition []byte,
) (created bool, err error) {
	if err := p.mayManage(c); err != nil {
		return false, err
	}
	if name == "" || len(name) > nameBytesMax {
		return false, badRequest("the name of a subscription has 1 to %d bytes", nameBytesMax)
	}
	d, err := decodeDefinition(definition)
	if err != nil {
		return false, err
	}
	target, err := p.rules.parseTarget(d.Push.URL)
	if err != nil {
		return false, badRequest("push.url: %v", err)
	}
	if q := d.Source.Queue; q != "" {
		if _, ok := c.VirtualHost().Queue(q); !ok {
			return false, fault(broker.CodeNotFound, "no queue '%s'", q)
		}
	}
	k := kept{Definition: d, By: c.User}
	if k.Asked, err = p.ask(ctx, target, d.Push.Rate); err != nil {
		return false, fault(broker.CodeInequivalent, "%v", err)
	}
	value, err := k.encode()
	if err != nil {
		return false, err
	}
	return c.VirtualHost().SetSubscription(name, value)
}

// ask asks the target of a subscription for its consent. Where targets can reach the hub, one that does
// not answer that may consent later, by the token that is returned.
func (p *Pusher) ask(ctx context.Context, target *url.URL, rate int) (token string, err error) {
	q := question{rate: rate}
	if p.options.PublicURL != "" {
		token = newID()
		q.callback = p.options.PublicURL + consentPath + token
	}
	_, err = p.handshake(ctx, target, q)
	if r, ok := errors.AsType[*refusal](err); ok && r.later && token != "" {
		return token, nil
	}
	return "", err
}

// consentPath is where targets consent, at the REST door.
const consentPath = "/v1/webhooks/consents/"

// Grant takes the consent of a target that was asked for it with a token, and the rate that it grants,
// as the header WebHook-Allowed-Rate has it. The subscription runs from then on.
func (p *Pusher) Grant(token, rate string) error {
	r := p.asked(token)
	if r == nil {
		return fault(broker.CodeNotFound, "nobody was asked for consent with this token")
	}
	k := r.kept
	perMinute := k.Push.Rate
	if n, err := strconv.ParseUint(rate, 10, 31); err == nil && n > 0 {
		perMinute = int(n)
	} else if rate != "" && rate != "*" {
		return badRequest("WebHook-Allowed-Rate must be a number of posts a minute above 0, or *")
	}
	k.Granted = &perMinute
	p.handshakes[0].Inc()
	return r.keep(&k)
}

// asked returns the subscription whose target was asked with a token.
func (p *Pusher) asked(token string) *runner {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.running {
		if r.kept.asks() && subtle.ConstantTimeCompare([]byte(r.kept.Asked), []byte(token)) == 1 {
			return r
		}
	}
	return nil
}

// mayManage refuses who is no administrator.
func (p *Pusher) mayManage(c *broker.Connection) error {
	if p.options.Administrator(c.User) {
		return nil
	}
	return fault(broker.CodeForbidden, "only administrators may manage push subscriptions")
}

// shownSubscription is a subscription as its users see it.
type shownSubscription struct {
	Name   string    `json:"name"`
	Source Source    `json:"source"`
	Push   shownPush `json:"push"`
	By     string    `json:"by"`
	status
}

// Show returns a subscription of c's virtual host and how it is, as JSON, without its secrets.
func (p *Pusher) Show(c *broker.Connection, name string) ([]byte, error) {
	if err := p.mayManage(c); err != nil {
		return nil, err
	}
	value, ok := c.VirtualHost().Subscription(name)
	if !ok {
		return nil, fault(broker.CodeNotFound, "no subscription '%s'", name)
	}
	out, err := p.show(c.VHost, name, value)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

func (p *Pusher) show(vhost, name string, value []byte) (shownSubscription, error) {
	k, err := decodeKept(value)
	out := shownSubscription{Name: name, Source: k.Source, Push: k.Push.show(), By: k.By}
	if r := p.find(subscriptionKey{vhost, name}); r != nil && r.value == string(value) {
		out.status = r.now()
	} else {
		out.status.State = stateStarting
	}
	return out, err
}

// List returns the subscriptions of c's virtual host by name, as Show does.
func (p *Pusher) List(c *broker.Connection) ([]byte, error) {
	if err := p.mayManage(c); err != nil {
		return nil, err
	}
	items := []shownSubscription{}
	for _, s := range c.VirtualHost().Subscriptions() {
		out, err := p.show(c.VHost, s.Name, s.Value)
		if err != nil {
			return nil, err
		}
		items = append(items, out)
	}
	return json.Marshal(map[string]any{"items": items})
}

// Delete ends a subscription. The queue of its topic goes with it.
func (p *Pusher) Delete(c *broker.Connection, name string) error {
	if err := p.mayManage(c); err != nil {
		return err
	}
	value, ok := c.VirtualHost().Subscription(name)
	if !ok {
		return fault(broker.CodeNotFound, "no subscription '%s'", name)
	}
	if err := c.VirtualHost().DeleteSubscription(name); err != nil {
		return err
	}
	if r := p.find(subscriptionKey{c.VHost, name}); r != nil {
		r.cancel()
		<-r.done
	}
	if k, err := decodeKept(value); err != nil || k.Source.Topic == "" {
		return nil // what cannot be read has no queue that is known
	}
	s, err := c.OpenSession(newSink())
	if err != nil {
		return err
	}
	defer s.Close()
	var of broker.DeleteParams
	of.Name = queuePrefix + name
	_, err = s.DeleteQueue(of)
	return err
}

// mayCall reports whether a user may have results posted to a target.
func (p *Pusher) mayCall(user string, target *url.URL) bool {
	return p.rules.origins[originOf(target)] || p.options.Administrator(user)
}

// Consent asks the target of a callback whether it takes results of requests of c's user, who may not
// name any: see Rules.
func (p *Pusher) Consent(ctx context.Context, c *broker.Connection, callback string) error {
	target, err := p.rules.parseTarget(callback)
	if err != nil {
		return badRequest("Parley-Callback: %v", err)
	}
	if !p.mayCall(c.User, target) {
		return fault(broker.CodeForbidden, "results may not be posted to this origin: the"+
			" configuration lists those that may")
	}
	if _, err := p.agreed(ctx, target, 0); err != nil {
		return fault(broker.CodeInequivalent, "%v", err)
	}
	return nil
}
