// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
)

// queueDeclaration is the body of PUT /queues/{q}. Durable is the default.
type queueDeclaration struct {
	Durable    *bool          `json:"durable"`
	Exclusive  bool           `json:"exclusive"`
	AutoDelete bool           `json:"auto_delete"`
	Arguments  map[string]any `json:"arguments"`
}

// queueBody shows a queue.
type queueBody struct {
	Name          string         `json:"name"`
	VHost         string         `json:"vhost"`
	Durable       bool           `json:"durable"`
	AutoDelete    bool           `json:"auto_delete"`
	Exclusive     bool           `json:"exclusive"`
	Type          string         `json:"type"`
	Arguments     map[string]any `json:"arguments"`
	MessageCount  int            `json:"message_count"`
	Unsettled     int            `json:"unsettled_count"`
	ConsumerCount int            `json:"consumer_count"`
}

// exchangeDeclaration is the body of PUT /exchanges/{x}.
type exchangeDeclaration struct {
	Type       string         `json:"type"`
	Durable    *bool          `json:"durable"`
	AutoDelete bool           `json:"auto_delete"`
	Internal   bool           `json:"internal"`
	Arguments  map[string]any `json:"arguments"`
}

// exchangeBody shows an exchange.
type exchangeBody struct {
	Name       string         `json:"name"`
	VHost      string         `json:"vhost"`
	Type       string         `json:"type"`
	Durable    bool           `json:"durable"`
	AutoDelete bool           `json:"auto_delete"`
	Internal   bool           `json:"internal"`
	Arguments  map[string]any `json:"arguments"`
}

// checkName refuses names that no other door could write.
func checkName(what, name string) error {
	switch {
	case name == "":
		return badRequest("the %s needs a name", what)
	case len(name) > nameBytesMax:
		return badRequest("the %s's name is longer than %d bytes", what, nameBytesMax)
	case strings.ContainsAny(name, "\r\n\x00"):
		return badRequest("the %s's name must not contain CR, LF or NUL", what)
	}
	return nil
}

func yesUnless(b *bool) bool { return b == nil || *b }

// putQueue declares a queue: 201 when it is new, 200 when it was there with the same properties.
func (d *Door) putQueue(v *visit) error {
	var want queueDeclaration
	if err := v.decode(&want, true); err != nil {
		return err
	}
	var p broker.QueueParams
	p.Name, p.Durable, p.AutoDelete = v.path("q"), yesUnless(want.Durable), want.AutoDelete
	if err := checkName("queue", p.Name); err != nil {
		return err
	}
	if want.Exclusive {
		return badRequest("a queue cannot be exclusive: HTTP has no connection to hold it")
	}
	var err error
	if p.Arguments, err = tableIn(want.Arguments); err != nil {
		return err
	}
	var info broker.QueueInfo
	err = v.work(func(w *worker) error {
		info, err = w.DeclareQueue(p)
		return err
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if info.Created {
		status = http.StatusCreated
		v.w.Header().Set("Location", v.target())
	}
	return d.showQueue(v, status)
}

// getQueue shows a queue.
func (d *Door) getQueue(v *visit) error { return d.showQueue(v, http.StatusOK) }

func (d *Door) showQueue(v *visit, status int) error {
	var p broker.QueueParams
	p.Name, p.Passive = v.path("q"), true
	err := v.work(func(w *worker) error {
		_, err := w.DeclareQueue(p)
		return err
	})
	if err != nil {
		return err
	}
	q, ok := v.client.conn.VirtualHost().Queue(p.Name)
	if !ok { // a reply address exists, but is no queue; or it was deleted just now
		return problemf(wordNotFound, "no queue '%s'", p.Name)
	}
	return v.reply(status, showQueue(q))
}

func showQueue(q *broker.Queue) queueBody {
	stats := q.Stats()
	b := queueBody{
		Name: q.Name, VHost: q.VirtualHost().Name(), Durable: q.Durable, AutoDelete: q.AutoDelete,
		Exclusive: q.Exclusive, Type: "classic", Arguments: shown(q.Arguments),
		MessageCount: stats.Ready, Unsettled: stats.Unsettled, ConsumerCount: stats.Consumers,
	}
	if t, ok := q.Arguments.Text("x-queue-type"); ok {
		b.Type = t
	}
	return b
}

// shown is tableOut with an empty object instead of none.
func shown(t broker.Table) map[string]any {
	if out := tableOut(t, 1); out != nil {
		return out
	}
	return map[string]any{}
}

// deleteQueue deletes a queue; an absent one is no error.
func (d *Door) deleteQueue(v *visit) error {
	p := broker.DeleteParams{Name: v.path("q"), IfUnused: false, IfEmpty: false}
	var err error
	if p.IfUnused, err = v.flag("if_unused"); err != nil {
		return err
	}
	if p.IfEmpty, err = v.flag("if_empty"); err != nil {
		return err
	}
	err = v.work(func(w *worker) error {
		_, err := w.DeleteQueue(p)
		return err
	})
	if err != nil {
		return err
	}
	return v.noContent()
}

// purgedBody answers a purge.
type purgedBody struct {
	MessageCount int `json:"message_count"`
}

// purgeQueue drops the ready messages of a queue.
func (d *Door) purgeQueue(v *visit) error {
	var n int
	err := v.work(func(w *worker) (err error) {
		n, err = w.PurgeQueue(v.path("q"))
		return err
	})
	if err != nil {
		return err
	}
	return v.reply(http.StatusOK, purgedBody{MessageCount: n})
}

// putExchange declares an exchange.
func (d *Door) putExchange(v *visit) error {
	want := exchangeDeclaration{Type: "direct"}
	if err := v.decode(&want, true); err != nil {
		return err
	}
	var p broker.ExchangeParams
	p.Name, p.Type, p.Durable = v.path("x"), want.Type, yesUnless(want.Durable)
	p.AutoDelete, p.Internal = want.AutoDelete, want.Internal
	if err := checkName("exchange", p.Name); err != nil {
		return err
	}
	if !slices.Contains(broker.ExchangeTypes(), p.Type) {
		return badRequest("unknown exchange type %.40q", p.Type)
	}
	var err error
	if p.Arguments, err = tableIn(want.Arguments); err != nil {
		return err
	}
	err = v.work(func(w *worker) error {
		_, err := w.DeclareExchange(p)
		return err
	})
	if err != nil {
		return err
	}
	return v.noContent()
}

// getExchange shows an exchange.
func (d *Door) getExchange(v *visit) error {
	var p broker.ExchangeParams
	p.Name, p.Passive = exchangeName(v.path("x")), true
	err := v.work(func(w *worker) error {
		_, err := w.DeclareExchange(p)
		return err
	})
	if err != nil {
		return err
	}
	x, ok := v.client.conn.VirtualHost().Exchange(p.Name)
	if !ok {
		return problemf(wordNotFound, "no exchange '%s'", p.Name)
	}
	return v.reply(http.StatusOK, showExchange(x, v.client.key.vhost))
}

func showExchange(x *broker.Exchange, vhost string) exchangeBody {
	return exchangeBody{
		Name: x.Name, VHost: vhost, Type: x.Type, Durable: x.Durable, AutoDelete: x.AutoDelete,
		Internal: x.Internal, Arguments: shown(x.Arguments),
	}
}

// deleteExchange deletes an exchange; an absent one is no error.
func (d *Door) deleteExchange(v *visit) error {
	unused, err := v.flag("if_unused")
	if err != nil {
		return err
	}
	err = v.work(func(w *worker) error {
		return w.DeleteExchange(exchangeName(v.path("x")), unused)
	})
	if err != nil {
		return err
	}
	return v.noContent()
}
