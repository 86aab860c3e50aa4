// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"

	"github.com/parley-ipc/parley/internal/broker"
)

// bindingBody is the body of POST /bindings, and a row of GET /bindings.
type bindingBody struct {
	Source              string         `json:"source"`
	DestinationQueue    string         `json:"destination_queue,omitempty"`
	DestinationExchange string         `json:"destination_exchange,omitempty"`
	BindingKey          string         `json:"binding_key"`
	Arguments           map[string]any `json:"arguments,omitempty"`
	Location            string         `json:"location,omitempty"`
}

// bind adds a binding; adding it again changes nothing.
func (d *Door) bind(v *visit) error {
	var want bindingBody
	if err := v.decode(&want, false); err != nil {
		return err
	}
	p, err := bindingParams(want.Source, want.DestinationQueue, want.DestinationExchange)
	if err != nil {
		return err
	}
	p.Key = want.BindingKey
	if len(p.Key) > nameBytesMax {
		return badRequest("the binding key is longer than %d bytes", nameBytesMax)
	}
	if p.Arguments, err = tableIn(want.Arguments); err != nil {
		return err
	}
	if err := v.work(func(w *worker) error { return w.Bind(p) }); err != nil {
		return err
	}
	v.w.Header().Set("Location", v.base()+bindingLocation(&p))
	return v.noContent()
}

// unbind takes a binding away; an absent one is no error. The query names it: src, dstq or dste,
// key, and args when it has arguments, as the binding's location shows them.
func (d *Door) unbind(v *visit) error {
	q := v.r.URL.Query()
	p, err := bindingParams(q.Get("src"), q.Get("dstq"), q.Get("dste"))
	if err != nil {
		return err
	}
	p.Key = q.Get("key")
	if hash := q.Get("args"); hash != "" {
		found := false
		for _, b := range v.client.conn.VirtualHost().Bindings() {
			if b.Source == p.Source && b.Destination == p.Destination && b.Key == p.Key &&
				b.ToExchange == p.ToExchange && argumentsHash(b.Arguments) == hash {
				p.Arguments, found = b.Arguments, true
				break
			}
		}
		if !found {
			return v.noContent()
		}
	}
	if err := v.work(func(w *worker) error { return w.Unbind(p) }); err != nil {
		return err
	}
	return v.noContent()
}

func bindingParams(source, queue, exchange string) (broker.BindingParams, error) {
	var p broker.BindingParams
	switch {
	case source == "":
		return p, badRequest("the source is missing")
	case queue == "" && exchange == "":
		return p, badRequest("the destination queue or exchange is missing")
	case queue != "" && exchange != "":
		return p, badRequest("the destination is a queue or an exchange, not both")
	}
	p.Source, p.Destination = source, queue
	if exchange != "" {
		p.Destination, p.ToExchange = exchange, true
	}
	return p, nil
}

// bindingLocation returns the query that unbind takes.
func bindingLocation(b *broker.BindingParams) string {
	q := url.Values{}
	q.Set("src", b.Source)
	if b.ToExchange {
		q.Set("dste", b.Destination)
	} else {
		q.Set("dstq", b.Destination)
	}
	q.Set("key", b.Key)
	if hash := argumentsHash(b.Arguments); hash != "" {
		q.Set("args", hash)
	}
	return "/bindings?" + q.Encode()
}

// hashBytes is how much of the hash tells bindings apart that differ in their arguments alone.
const hashBytes = 8

// argumentsHash names the arguments of a binding in its location; empty without arguments.
func argumentsHash(t broker.Table) string {
	if len(t) == 0 {
		return ""
	}
	text, err := json.Marshal(tableOut(t, 1)) // its names are sorted
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:hashBytes])
}

func showBinding(b *broker.BindingParams, base string) bindingBody {
	out := bindingBody{
		Source: b.Source, DestinationQueue: b.Destination, BindingKey: b.Key,
		Arguments: tableOut(b.Arguments, 1), Location: base + bindingLocation(b),
	}
	if b.ToExchange {
		out.DestinationQueue, out.DestinationExchange = "", b.Destination
	}
	return out
}
