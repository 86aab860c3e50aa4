// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
)

// Bounds of a page of a list (security.md, H6 and H9).
const (
	pageDefault = 100
	pageMax     = 1_000
)

// page is a part of a list in the order of its keys. Next is the link to the part behind it.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// entry is one row of a list before it is shown.
type listEntry[T any] struct {
	key  string
	show func() T
}

// paged answers with the rows behind ?after, at most ?page_size.
func paged[T any](v *visit, rows []listEntry[T]) error {
	q := v.r.URL.Query()
	size := pageDefault
	if text := q.Get("page_size"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > pageMax {
			return badRequest("page_size must be 1 to %d", pageMax)
		}
		size = n
	}
	after := q.Get("after")
	if q.Has("after") {
		rows = slices.DeleteFunc(rows, func(e listEntry[T]) bool { return e.key <= after })
	}
	slices.SortFunc(rows, func(a, b listEntry[T]) int { return strings.Compare(a.key, b.key) })
	out := page[T]{Items: make([]T, 0, min(size, len(rows)))}
	for _, row := range rows[:min(size, len(rows))] {
		out.Items = append(out.Items, row.show())
	}
	if len(rows) > size {
		q.Set("after", rows[size-1].key)
		out.Next = v.target() + "?" + q.Encode()
		v.w.Header().Add("Link", "<"+out.Next+`>; rel="next"`)
	}
	return v.reply(http.StatusOK, out)
}

// listQueues lists the queues that the user may see.
func (d *Door) listQueues(v *visit) error {
	return v.work(func(w *worker) error {
		var rows []listEntry[queueBody]
		for _, q := range v.client.conn.VirtualHost().Queues() {
			if w.Visible("queue", q.Name) {
				rows = append(rows, listEntry[queueBody]{
					key: q.Name, show: func() queueBody { return showQueue(q) },
				})
			}
		}
		return paged(v, rows)
	})
}

// listExchanges lists the exchanges that the user may see. The default exchange has an empty name.
func (d *Door) listExchanges(v *visit) error {
	return v.work(func(w *worker) error {
		var rows []listEntry[exchangeBody]
		for _, x := range v.client.conn.VirtualHost().Exchanges() {
			if w.Visible("exchange", x.Name) {
				rows = append(rows, listEntry[exchangeBody]{
					key:  x.Name,
					show: func() exchangeBody { return showExchange(x, v.client.key.vhost) },
				})
			}
		}
		return paged(v, rows)
	})
}

// listBindings lists bindings, of a source, a destination or a key when the query names them.
func (d *Door) listBindings(v *visit) error {
	q := v.r.URL.Query()
	return v.work(func(w *worker) error {
		var rows []listEntry[bindingBody]
		for _, b := range v.client.conn.VirtualHost().Bindings() {
			kind := "queue"
			if b.ToExchange {
				kind = "exchange"
			}
			if !matches(&b, q) || !w.Visible(kind, b.Destination) ||
				!w.Visible("exchange", b.Source) {
				continue
			}
			rows = append(rows, listEntry[bindingBody]{
				key:  bindingLocation(&b),
				show: func() bindingBody { return showBinding(&b, v.base()) },
			})
		}
		return paged(v, rows)
	})
}

// matches reports whether a binding is among those that a query asks for.
func matches(b *broker.BindingParams, q url.Values) bool {
	is := func(name, value string) bool { return !q.Has(name) || q.Get(name) == value }
	return is("src", b.Source) && is("key", b.Key) &&
		(!q.Has("dstq") || (!b.ToExchange && q.Get("dstq") == b.Destination)) &&
		(!q.Has("dste") || (b.ToExchange && q.Get("dste") == b.Destination))
}
