// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
)

// tableDepthMax bounds how deep arguments and headers nest (security.md).
const tableDepthMax = 32

// arguments is a JSON object on its way to a field table: whole numbers are 64 bits wide, all
// others are doubles.
type arguments broker.Table

// UnmarshalJSON implements json.Unmarshaler.
func (a *arguments) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("[]")) { // what an empty table is in Erlang's JSON
		*a = nil
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var members map[string]any
	if err := d.Decode(&members); err != nil {
		return badRequest("arguments must be an object")
	}
	t, err := readTable(members, 1)
	*a = arguments(t)
	return err
}

func readTable(members map[string]any, depth int) (broker.Table, error) {
	if depth > tableDepthMax {
		return nil, badRequest("arguments nest deeper than %d", tableDepthMax)
	}
	t := make(broker.Table, 0, len(members))
	for name, v := range members {
		value, err := readValue(v, depth)
		if err != nil {
			return nil, err
		}
		t = append(t, broker.Field{Name: name, Value: value})
	}
	slices.SortFunc(t, func(a, b broker.Field) int {
		return strings.Compare(a.Name, b.Name)
	})
	return t, nil
}

func readValue(v any, depth int) (any, error) {
	switch x := v.(type) {
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return n, nil
		}
		f, err := x.Float64()
		if err != nil {
			return nil, badRequest("the number %s is out of range", x)
		}
		return f, nil
	case []any:
		if depth >= tableDepthMax {
			return nil, badRequest("arguments nest deeper than %d", tableDepthMax)
		}
		out := make(broker.Array, len(x))
		for i := range x {
			var err error
			if out[i], err = readValue(x[i], depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		return readTable(x, depth+1)
	}
	return v, nil // null, bool, string
}
