// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"fmt"
)

// Metadata is what a virtual host says about itself.
type Metadata struct {
	Description string   `json:"description"`
	Tags        []string `json:"tags"`
	// DefaultQueueType is the type of durable queues that are declared without one: classic or
	// quorum. Empty: classic.
	DefaultQueueType string `json:"default_queue_type,omitempty"`
}

// metadataKey is where it is among the parameters, which do not list it.
//
//nolint:gochecknoglobals // a constant
var metadataKey = parameterKey{"vhost-metadata", "metadata"}

// Metadata returns what the virtual host says about itself.
func (v *VirtualHost) Metadata() Metadata {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.metadata
}

// SetMetadata changes it. When the error is nil the log has it.
func (v *VirtualHost) SetMetadata(m Metadata) error {
	const op = "set metadata"
	value, err := json.Marshal(m)
	if err != nil {
		return badParameter(op, err.Error())
	}
	p := Parameter{metadataKey.component, metadataKey.name, value}
	act, err := v.metadataEffect(op, p)
	if err != nil {
		return err
	}
	_, err = v.putParameter(op, p, act)
	return err
}

func (v *VirtualHost) metadataEffect(op string, p Parameter) (effect, error) {
	var m Metadata
	if err := json.Unmarshal(p.Value, &m); err != nil {
		return nil, badParameter(op, "Could not parse JSON document")
	}
	switch m.DefaultQueueType {
	case "", "undefined", typeClassic, typeQuorum:
	default:
		return nil, badParameter(op, fmt.Sprintf("Unsupported default queue type '%s'",
			m.DefaultQueueType))
	}
	return func(*turn) { v.metadata = m }, nil
}

// defaultType gives a declaration the virtual host's queue type when it has none and may be of it.
func (v *VirtualHost) defaultType(p *QueueParams) {
	if _, has := p.Arguments.Get(argQueueType); has || !p.Durable || p.Exclusive || p.AutoDelete {
		return
	}
	if v.Metadata().DefaultQueueType == typeQuorum {
		p.Arguments = p.Arguments.With(argQueueType, typeQuorum)
	}
}
