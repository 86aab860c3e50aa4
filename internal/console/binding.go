// SPDX-License-Identifier: Apache-2.0

package console

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"

	"github.com/parley-ipc/parley/internal/broker"
)

// hashBytes is how much of a hash tells bindings apart that differ in their arguments alone.
const hashBytes = 8

// noProperties is the key of a binding without routing key and arguments.
const noProperties = "~"

// propertiesKey names a binding among those of the same source and destination: the routing key,
// quoted as in a form, and behind a tilde a hash of the arguments, if there are any.
func propertiesKey(b *broker.BindingParams) string {
	key := url.QueryEscape(b.Key) // it leaves ~ as it is, which has a meaning here
	quoted := make([]byte, 0, len(key))
	for i := range len(key) {
		if key[i] == '~' {
			quoted = append(quoted, "%7E"...)
		} else {
			quoted = append(quoted, key[i])
		}
	}
	switch {
	case len(b.Arguments) > 0:
		return string(quoted) + noProperties + argumentsHash(b.Arguments)
	case b.Key == "":
		return noProperties
	}
	return string(quoted)
}

func argumentsHash(t broker.Table) string {
	text, err := json.Marshal(showTable(t)) // its names are sorted
	if err != nil {                         // a number that JSON has not
		return "0"
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:hashBytes])
}

func showBinding(vhost string, b *broker.BindingParams) object {
	kind := "queue"
	if b.ToExchange {
		kind = "exchange"
	}
	return object{
		"source": b.Source, "vhost": vhost, "destination": b.Destination,
		"destination_type": kind, "routing_key": b.Key, "arguments": showTable(b.Arguments),
		"properties_key": propertiesKey(b),
	}
}

// bindings lists what is bound in a virtual host, and what the default exchange does by itself.
func bindings(vh *broker.VirtualHost) []broker.BindingParams {
	all := vh.Bindings()
	for _, q := range vh.Queues() {
		all = append(all, implicitBinding(q.Name))
	}
	return all
}

func implicitBinding(queue string) broker.BindingParams {
	return broker.BindingParams{
		Source: "", Destination: queue, Key: queue, Arguments: nil, ToExchange: false,
	}
}

func (v *visit) listBindings(which func(*broker.BindingParams) bool) error {
	var rows []row
	for _, vh := range v.scope() {
		for _, b := range bindings(vh) {
			if which(&b) {
				rows = append(rows, row{
					b.Source + "\x00" + b.Destination + "\x00" + b.Key,
					func() object { return showBinding(vh.Name(), &b) },
				})
			}
		}
	}
	return v.list(rows)
}

func listBindings(v *visit) error {
	return v.listBindings(func(*broker.BindingParams) bool { return true })
}

func listFromExchange(v *visit) error {
	_, x, err := v.theExchange()
	if err != nil {
		return err
	}
	return v.listBindings(func(b *broker.BindingParams) bool { return b.Source == x.Name })
}

func listToExchange(v *visit) error {
	_, x, err := v.theExchange()
	if err != nil {
		return err
	}
	return v.listBindings(func(b *broker.BindingParams) bool {
		return b.ToExchange && b.Destination == x.Name
	})
}

func listToQueue(v *visit) error {
	q, err := v.theQueue()
	if err != nil {
		return err
	}
	return v.listBindings(func(b *broker.BindingParams) bool {
		return !b.ToExchange && b.Destination == q.Name
	})
}

// ends returns the binding that the path names, but for its key and arguments. Both sides exist.
func (v *visit) ends() (broker.BindingParams, error) {
	var p broker.BindingParams
	vh, x, err := v.theExchange()
	if err != nil {
		return p, err
	}
	p.Source = x.Name
	if _, toQueue := v.values["queue"]; toQueue {
		p.Destination = v.name("queue")
		if _, ok := vh.Queue(p.Destination); !ok {
			return p, errNotFound
		}
		return p, nil
	}
	p.Destination, p.ToExchange = v.exchangeName("destination"), true
	if _, ok := vh.Exchange(p.Destination); !ok {
		return p, errNotFound
	}
	return p, nil
}

func listBetween(v *visit) error {
	ends, err := v.ends()
	if err != nil {
		return err
	}
	return v.listBindings(func(b *broker.BindingParams) bool { return between(&ends, b) })
}

func between(ends, b *broker.BindingParams) bool {
	return b.Source == ends.Source && b.Destination == ends.Destination &&
		b.ToExchange == ends.ToExchange
}

// bindingBody is a binding in JSON, as requests and definitions have it.
type bindingBody struct {
	Source      string    `json:"source"`
	VHost       string    `json:"vhost"`
	Destination string    `json:"destination"`
	Kind        string    `json:"destination_type"`
	Key         string    `json:"routing_key"`
	Arguments   arguments `json:"arguments"`
}

func (b *bindingBody) params() (broker.BindingParams, error) {
	p := broker.BindingParams{
		Source: b.Source, Destination: b.Destination, Key: b.Key,
		Arguments: broker.Table(b.Arguments), ToExchange: b.Kind == "exchange",
	}
	if b.Kind != "exchange" && b.Kind != "queue" {
		return p, badRequest("destination_type is neither queue nor exchange, but %.64q", b.Kind)
	}
	return p, nil
}

func postBinding(v *visit) error {
	p, err := v.ends()
	if err != nil {
		return err
	}
	var body bindingBody
	if err := v.read(&body); err != nil {
		return err
	}
	p.Key, p.Arguments = body.Key, broker.Table(body.Arguments)
	err = v.work(v.name("vhost"), func(w *worker) error { return w.Bind(p) })
	if err != nil {
		return err
	}
	last := p.Destination
	if p.ToExchange && last == "" {
		last = defaultExchange
	}
	v.w.Header().Set("Location", url.PathEscape(last)+"/"+url.PathEscape(propertiesKey(&p)))
	return v.made(true)
}

// theBinding returns the binding that the path names by its properties key.
func (v *visit) theBinding() (broker.BindingParams, error) {
	ends, err := v.ends()
	if err != nil {
		return ends, err
	}
	vh, err := v.theVHost()
	if err != nil {
		return ends, err
	}
	for _, b := range bindings(vh) {
		if between(&ends, &b) && propertiesKey(&b) == v.name("props") {
			return b, nil
		}
	}
	return ends, errNotFound
}

func getBinding(v *visit) error {
	b, err := v.theBinding()
	if err != nil {
		return err
	}
	return v.one(showBinding(v.name("vhost"), &b))
}

func deleteBinding(v *visit) error {
	b, err := v.theBinding()
	if err != nil {
		return err
	}
	err = v.work(v.name("vhost"), func(w *worker) error { return w.Unbind(b) })
	if err != nil {
		return err
	}
	return v.noContent()
}
