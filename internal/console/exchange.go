// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"slices"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
)

// defaultExchange stands for the exchange without a name in paths.
const defaultExchange = "amq.default"

// exchangeName returns the exchange that a path names.
func (v *visit) exchangeName(of string) string {
	if name := v.name(of); name != defaultExchange {
		return name
	}
	return ""
}

// scope lists the virtual hosts that a list is about: the one in the path, or all that the user may
// see.
func (v *visit) scope() []*broker.VirtualHost {
	if _, limited := v.values["vhost"]; !limited {
		all := v.vhosts()
		slices.SortFunc(all, func(a, b *broker.VirtualHost) int {
			return strings.Compare(a.Name(), b.Name())
		})
		return all
	}
	vh, err := v.theVHost()
	if err != nil {
		return nil // it was deleted just now
	}
	return []*broker.VirtualHost{vh}
}

func listExchanges(v *visit) error {
	var rows []row
	for _, vh := range v.scope() {
		for _, x := range vh.Exchanges() {
			rows = append(rows, row{x.Name, func() object { return showExchange(vh, x) }})
		}
	}
	return v.list(rows)
}

func showExchange(vh *broker.VirtualHost, x *broker.Exchange) object {
	o := object{
		"name": x.Name, "vhost": vh.Name(), "type": x.Type, "durable": x.Durable,
		"auto_delete": x.AutoDelete, "internal": x.Internal, "arguments": showTable(x.Arguments),
	}
	if n, ok := x.Delayed(); ok {
		o["messages_delayed"] = n
	}
	if policy := x.EffectivePolicy(); policy.User != "" {
		o["policy"] = policy.User
	}
	return o
}

// theExchange returns the exchange that the path names.
func (v *visit) theExchange() (*broker.VirtualHost, *broker.Exchange, error) {
	vh, err := v.theVHost()
	if err != nil {
		return nil, nil, err
	}
	x, ok := vh.Exchange(v.exchangeName("exchange"))
	if !ok {
		return nil, nil, errNotFound
	}
	return vh, x, nil
}

func getExchange(v *visit) error {
	vh, x, err := v.theExchange()
	if err != nil {
		return err
	}
	return v.one(showExchange(vh, x))
}

// one answers with an object, of which the query may want some columns only.
func (v *visit) one(o object) error {
	q, err := v.query()
	if err != nil {
		return err
	}
	return v.ok(q.cut(o))
}

// exchangeBody is an exchange in JSON, as requests and definitions have it.
type exchangeBody struct {
	Name       string    `json:"name"`
	VHost      string    `json:"vhost"`
	Type       string    `json:"type"`
	Durable    flag      `json:"durable"`
	AutoDelete flag      `json:"auto_delete"`
	Internal   flag      `json:"internal"`
	Arguments  arguments `json:"arguments"`
}

func (b *exchangeBody) params() broker.ExchangeParams {
	return broker.ExchangeParams{
		Name: b.Name, Type: cmp.Or(b.Type, "direct"), Durable: bool(b.Durable),
		AutoDelete: bool(b.AutoDelete), Internal: bool(b.Internal), Passive: false,
		Arguments: broker.Table(b.Arguments),
	}
}

func putExchange(v *visit) error {
	var body exchangeBody
	if err := v.read(&body); err != nil {
		return err
	}
	body.Name = v.exchangeName("exchange")
	created := false
	err := v.work(v.name("vhost"), func(w *worker) (err error) {
		created, err = w.DeclareExchange(body.params())
		return err
	})
	if err != nil {
		return err
	}
	return v.made(created)
}

// wants reads a switch from the query: if-unused, if-empty, dry_run.
func (v *visit) wants(condition string) bool {
	return v.r.URL.Query().Get(condition) == "true"
}

func deleteExchange(v *visit) error {
	_, x, err := v.theExchange()
	if err != nil {
		return err
	}
	err = v.work(v.name("vhost"), func(w *worker) error {
		return w.DeleteExchange(x.Name, v.wants("if-unused"))
	})
	if err != nil {
		return err
	}
	return v.noContent()
}
