// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"fmt"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// Format is the [broker.Format] of this door: raw properties are property flags and property list
// as they stand in a content header (§4.2.6.1). The zero value is ready.
type Format struct{}

var _ broker.Format = Format{}

// ID implements broker.Format.
func (Format) ID() broker.FormatID { return broker.FormatAMQP091 }

// Decode implements broker.Format.
func (Format) Decode(raw []byte, p *broker.Properties) error {
	var w wire.Properties
	if err := w.Decode(raw); err != nil {
		return fmt.Errorf("decode properties: %w", err)
	}
	*p = propertiesIn(&w)
	return nil
}

// Append implements broker.Format.
func (Format) Append(dst []byte, p *broker.Properties) ([]byte, error) {
	w := propertiesOut(p)
	return w.Append(dst), nil
}
