// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a list (security.md, H6 and H9).
const (
	pageSizeDefault = 100
	pageSizeMax     = 500
	filterBytesMax  = 256 // of a regular expression, or of a part of a name
	columnsMax      = 100
)

// row is one entry of a list before it is shown: a list of a million rows that shows a hundred
// makes a hundred objects.
type row struct {
	name string
	show func() object
}

// query is how a list is cut, sorted and shown.
type query struct {
	page, size int // page 0: the whole list, as a plain array
	filter     func(name string) bool
	filtered   bool
	columns    []string
	sort       string
	reverse    bool
}

func (v *visit) query() (query, error) {
	values := v.r.URL.Query()
	q := query{size: pageSizeDefault, sort: values.Get("sort")}
	q.reverse = values.Get("sort_reverse") == "true"
	if len(q.sort) > filterBytesMax {
		return q, badRequest("sort is longer than %d bytes", filterBytesMax)
	}
	if text := values.Get("columns"); text != "" {
		q.columns = strings.Split(text, ",")
		if len(q.columns) > columnsMax {
			return q, badRequest("more than %d columns", columnsMax)
		}
	}
	if page := values.Get("page"); page != "" {
		invalid := &fault{
			status: http.StatusBadRequest, word: "invalid_pagination_parameters",
			reason: fmt.Sprintf("Invalid pagination parameters: page number %.20s, page size %.20s",
				page, cmp.Or(values.Get("page_size"), "undefined")),
		}
		var err error
		if q.page, err = strconv.Atoi(page); err != nil || q.page < 1 {
			return q, invalid
		}
		if size := values.Get("page_size"); size != "" {
			if q.size, err = strconv.Atoi(size); err != nil || q.size < 1 || q.size > pageSizeMax {
				return q, invalid
			}
		}
	}
	var err error
	q.filter, err = nameFilter(values.Get("name"), values.Get("use_regex") == "true")
	q.filtered = values.Get("name") != ""
	return q, err
}

// nameFilter returns what a name must be like: it has a part, whatever its case, or matches a
// regular expression (RE2, so that no expression takes long).
func nameFilter(text string, regex bool) (func(string) bool, error) {
	switch {
	case text == "":
		return func(string) bool { return true }, nil
	case len(text) > filterBytesMax:
		return nil, badRequest("name is longer than %d bytes", filterBytesMax)
	case regex:
		// Without regard to case, as in RabbitMQ.
		e, err := regexp.Compile("(?i)" + text)
		if err != nil {
			return nil, badRequest("name is no regular expression")
		}
		return e.MatchString, nil
	}
	text = strings.ToLower(text)
	return func(name string) bool { return strings.Contains(strings.ToLower(name), text) }, nil
}

// list answers with rows as the query asks for them.
func (v *visit) list(rows []row) error {
	q, err := v.query()
	if err != nil {
		return err
	}
	total := len(rows)
	if q.page > 0 && q.filtered {
		rows = slices.DeleteFunc(rows, func(r row) bool { return !q.filter(r.name) })
	}
	if err := q.order(rows); err != nil {
		return err
	}
	if q.page == 0 {
		return v.stream(rows, &q)
	}
	filtered := len(rows)
	pages := (filtered + q.size - 1) / q.size
	if q.page > max(1, pages) {
		return &fault{
			status: http.StatusBadRequest, word: "page_out_of_range",
			reason: fmt.Sprintf("Page out of range, page: %d page size: %d, len: %d",
				q.page, q.size, filtered),
		}
	}
	from := (q.page - 1) * q.size
	rows = rows[from:min(from+q.size, filtered)]
	items := make([]object, len(rows))
	for i := range rows {
		items[i] = q.cut(rows[i].show())
	}
	return v.ok(object{
		"total_count": total, "filtered_count": filtered, "item_count": len(items), "items": items,
		"page": q.page, "page_size": q.size, "page_count": pages,
	})
}

// stream writes a whole list, one object after the other.
func (v *visit) stream(rows []row, q *query) error {
	v.w.Header().Set("Content-Type", "application/json")
	w := bufio.NewWriter(v.w)
	_ = w.WriteByte('[')
	for i := range rows {
		if i > 0 {
			_ = w.WriteByte(',')
		}
		data, err := json.Marshal(q.cut(rows[i].show()))
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return ignoreWrite(err) // the client is gone: the rest is not made
		}
	}
	_ = w.WriteByte(']')
	return ignoreWrite(w.Flush())
}

// order sorts rows by name, or by a column. A column that no row has is a fault.
func (q *query) order(rows []row) error {
	if q.sort == "" || q.sort == "name" {
		slices.SortStableFunc(rows, func(a, b row) int {
			return q.direction(strings.Compare(a.name, b.name))
		})
		return nil
	}
	type keyed struct {
		row
		key any
	}
	keys := make([]keyed, len(rows))
	known := len(rows) == 0
	path := strings.Split(q.sort, ".")
	for i, r := range rows {
		value, ok := r.show().at(path)
		known = known || ok
		keys[i] = keyed{r, value}
	}
	if !known {
		return badRequest("there is no column %.64q to sort by", q.sort)
	}
	slices.SortStableFunc(keys, func(a, b keyed) int {
		return q.direction(compareValues(a.key, b.key))
	})
	for i := range keys {
		rows[i] = keys[i].row
	}
	return nil
}

func (q *query) direction(c int) int {
	if q.reverse {
		return -c
	}
	return c
}

// compareValues orders what is not there before numbers, and those before texts.
func compareValues(a, b any) int {
	x, isNumber := number(a)
	y, other := number(b)
	if isNumber && other {
		return cmp.Compare(x, y)
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(fmt.Sprint(a), fmt.Sprint(b)))
}

func rank(v any) int {
	if v == nil {
		return 0
	}
	if _, ok := number(v); ok {
		return 1
	}
	return 2
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	case uint32:
		return float64(n), true
	case int32:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// at returns the value at a path of names: message_stats.publish_details.rate.
func (o object) at(path []string) (any, bool) {
	value, ok := o[path[0]]
	if len(path) == 1 || !ok {
		return value, ok
	}
	inner, ok := value.(object)
	if !ok {
		return nil, false
	}
	return inner.at(path[1:])
}

// cut leaves the columns that were asked for.
func (q *query) cut(o object) object {
	if len(q.columns) == 0 {
		return o
	}
	out := make(object)
	for _, column := range q.columns {
		path := strings.Split(column, ".")
		value, ok := o.at(path)
		if !ok {
			continue
		}
		at := out
		for _, name := range path[:len(path)-1] {
			inner, ok := at[name].(object)
			if !ok {
				inner = make(object)
				at[name] = inner
			}
			at = inner
		}
		at[path[len(path)-1]] = value
	}
	return out
}

// emptyList answers with nothing: the hub has no such thing.
func emptyList(v *visit) error { return v.list(nil) }
