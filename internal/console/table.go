// SPDX-License-Identifier: Apache-2.0

package console

import (
	"slices"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// showTable turns a field table into JSON.
func showTable(t broker.Table) object {
	out := make(object, len(t))
	for _, f := range slices.Backward(t) { // the first of a repeated name counts
		out[f.Name] = showValue(f.Value)
	}
	return out
}

func showValue(v any) any {
	switch x := v.(type) {
	case []byte:
		return string(x)
	case broker.Timestamp:
		return uint64(x)
	case broker.Decimal:
		value := float64(x.Value)
		for range x.Scale {
			value /= 10
		}
		return value
	case broker.Array:
		out := make([]any, len(x))
		for i := range x {
			out[i] = showValue(x[i])
		}
		return out
	case broker.Table:
		return showTable(x)
	}
	return v
}

// showTime is how the API writes a moment: milliseconds since 1970.
func showTime(t time.Time) int64 { return t.UnixMilli() }
