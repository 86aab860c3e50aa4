// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"strconv"
)

// flag is a boolean that may come as text, as rabbitmqadmin sends it.
type flag bool

// UnmarshalJSON implements json.Unmarshaler.
func (f *flag) UnmarshalJSON(data []byte) error {
	switch string(bytes.Trim(data, `"`)) {
	case "true":
		*f = true
	case "false", "null":
		*f = false
	default:
		return badRequest("%.64s is neither true nor false", data)
	}
	return nil
}

// integer is a whole number that may come as text.
type integer int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *integer) UnmarshalJSON(data []byte) error {
	i, err := strconv.ParseInt(string(bytes.Trim(data, `"`)), 10, 64)
	if err != nil {
		return badRequest("%.64s is not a whole number", data)
	}
	*n = integer(i)
	return nil
}
