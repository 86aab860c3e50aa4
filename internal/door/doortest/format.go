// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/parley-ipc/parley/internal/broker"
)

// tableFormat is the format of plain sessions: JSON, with the type of each header value, so that a
// message of the heart's own is no format of any door.
type tableFormat struct{}

func newTableFormat() broker.Format { return tableFormat{} }

// ID implements broker.Format.
func (tableFormat) ID() broker.FormatID { return broker.FormatHub }

// record is the raw form.
type record struct {
	Properties broker.Properties
	Headers    []field
}

// field is a header with its type's name.
type field struct {
	Name, Type string
	Value      json.RawMessage
}

// Append implements broker.Format.
func (tableFormat) Append(dst []byte, p *broker.Properties) ([]byte, error) {
	r := record{Properties: *p}
	r.Properties.Headers = nil
	headers, err := fields(p.Headers)
	if err != nil {
		return dst, err
	}
	r.Headers = headers
	raw, err := json.Marshal(r)
	return append(dst, raw...), err
}

func fields(t broker.Table) ([]field, error) {
	out := make([]field, 0, len(t))
	for _, f := range t {
		var (
			raw []byte
			err error
		)
		switch v := f.Value.(type) {
		case broker.Table:
			var nested []field
			if nested, err = fields(v); err == nil {
				raw, err = json.Marshal(nested)
			}
		case broker.Array:
			var nested []field
			for i, item := range v {
				one, failed := fields(broker.Table{{Name: strconv.Itoa(i), Value: item}})
				nested, err = append(nested, one...), errors.Join(err, failed)
			}
			if err == nil {
				raw, err = json.Marshal(nested)
			}
		default:
			raw, err = json.Marshal(v)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, field{Name: f.Name, Type: fmt.Sprintf("%T", f.Value), Value: raw})
	}
	return out, nil
}

// Decode implements broker.Format.
func (tableFormat) Decode(raw []byte, p *broker.Properties) error {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("decode properties: %w", err)
	}
	*p = r.Properties
	var err error
	p.Headers, err = table(r.Headers)
	return err
}

func table(list []field) (broker.Table, error) {
	var out broker.Table
	for _, f := range list {
		value, err := f.decode()
		if err != nil {
			return nil, err
		}
		out = append(out, broker.Field{Name: f.Name, Value: value})
	}
	return out, nil
}

// decode returns the value with the type that it had.
func (f *field) decode() (any, error) {
	switch f.Type {
	case "<nil>":
		return nil, nil //nolint:nilnil // nil is a value of tables
	case "bool":
		return decodeAs[bool](f)
	case "string":
		return decodeAs[string](f)
	case "[]uint8":
		return decodeAs[[]byte](f)
	case "int8":
		return decodeAs[int8](f)
	case "uint8":
		return decodeAs[uint8](f)
	case "int16":
		return decodeAs[int16](f)
	case "uint16":
		return decodeAs[uint16](f)
	case "int32":
		return decodeAs[int32](f)
	case "uint32":
		return decodeAs[uint32](f)
	case "int64":
		return decodeAs[int64](f)
	case "float32":
		return decodeAs[float32](f)
	case "float64":
		return decodeAs[float64](f)
	case "broker.Decimal":
		return decodeAs[broker.Decimal](f)
	case "broker.Timestamp":
		return decodeAs[broker.Timestamp](f)
	}
	nested, err := decodeAs[[]field](f)
	if err != nil {
		return nil, err
	}
	list, _ := nested.([]field)
	t, err := table(list)
	if f.Type == "broker.Table" || err != nil {
		return t, err
	}
	array := make(broker.Array, len(t))
	for i := range t {
		array[i] = t[i].Value
	}
	return array, nil
}

func decodeAs[T any](f *field) (any, error) {
	var v T
	err := json.Unmarshal(f.Value, &v)
	return v, err
}
