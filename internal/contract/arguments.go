// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"sync"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// checker is the scratch of one check.
type checker struct {
	t   Transcoder
	out []byte
}

var checkers = sync.Pool{New: func() any { return new(checker) }} //nolint:gochecknoglobals // a pool

// CheckArguments says what is wrong with an object of arguments, which stays as it is: a *ConvertError
// with the place. Lenient ignores members that the IDL does not know. An empty body is `{}`.
func CheckArguments(m *Method, json []byte, lenient bool) error {
	c, _ := checkers.Get().(*checker)
	defer checkers.Put(c)
	c.t.Lenient = lenient
	out, err := c.t.ArgumentsFromJSON(c.out[:0], m, thrift.Binary, json)
	if cap(out) <= keepBytes {
		c.out = out
	}
	return err
}
