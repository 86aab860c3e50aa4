// SPDX-License-Identifier: Apache-2.0

package amqp091

import "fmt"

//go:generate go run gen.go

// unknownMethod returns the 503 that answers a class or method that is none (§1.2).
func unknownMethod(id MethodID) error {
	text := fmt.Sprintf("unknown method (%d, %d)", id.Class(), id.Method())
	return &Error{Code: CommandInvalid, Text: text}
}

func unnamed(id MethodID) string { return fmt.Sprintf("method(%d,%d)", id.Class(), id.Method()) }
