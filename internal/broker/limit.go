// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync/atomic"
)

// The limits that a virtual host or a user may have, by the names of RabbitMQ.
const (
	LimitConnections = "max-connections"
	LimitQueues      = "max-queues"   // of a virtual host
	LimitChannels    = "max-channels" // of a user
)

// UserLimiter is an Access that knows limits of single users too.
type UserLimiter interface {
	// UserLimit returns the limit of a user by its name, such as LimitConnections; negative: none.
	UserLimit(user, name string) int
}

// limitsKey is where a virtual host's limits are among its parameters.
//
//nolint:gochecknoglobals // a constant
var limitsKey = parameterKey{"vhost-limits", "limits"}

// vhostLimits are a virtual host's own limits, beside those of all.
type vhostLimits struct {
	connections, queues atomic.Int64
}

// set takes over what is set; what is not, or is negative, is no limit.
func (l *vhostLimits) set(to map[string]int64) {
	for name, field := range map[string]*atomic.Int64{
		LimitConnections: &l.connections, LimitQueues: &l.queues,
	} {
		n, ok := to[name]
		if !ok || n < 0 {
			n = math.MaxInt
		}
		field.Store(n)
	}
}

// Limits returns the limits that are set for the virtual host, by name.
func (v *VirtualHost) Limits() map[string]int64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	limits, err := limitsOf("limits", v.parameters[limitsKey])
	if err != nil {
		return nil // it was checked when it was set; nothing is set
	}
	return limits
}

// SetLimit sets a limit of the virtual host: LimitConnections or LimitQueues; a negative one is none.
// When the error is nil the log has it.
func (v *VirtualHost) SetLimit(name string, n int64) error {
	return v.changeLimits(func(l map[string]int64) { l[name] = n })
}

// ClearLimit takes a limit away; one that is not set is no error.
func (v *VirtualHost) ClearLimit(name string) error {
	return v.changeLimits(func(l map[string]int64) { delete(l, name) })
}

func (v *VirtualHost) changeLimits(change func(map[string]int64)) error {
	const op = "set limit"
	v.b.changing.Lock() // between what there is and what it becomes
	defer v.b.changing.Unlock()
	limits := maps.Clone(v.Limits())
	if limits == nil {
		limits = make(map[string]int64)
	}
	change(limits)
	value, err := json.Marshal(limits)
	if err != nil {
		return badParameter(op, err.Error())
	}
	p := Parameter{limitsKey.component, limitsKey.name, value}
	act, err := v.effectOf(op, p)
	if err != nil {
		return err
	}
	_, err = v.putParameter(op, p, act)
	return err
}

// limitsOf reads the value of the parameter.
func limitsOf(op string, value []byte) (map[string]int64, error) {
	limits := make(map[string]int64)
	if value == nil {
		return limits, nil
	}
	var raw map[string]any
	if err := decodeJSON(value, &raw); err != nil {
		return nil, invalid(op, "Could not parse JSON document")
	}
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		n, whole := wholeNumber(raw[name])
		switch {
		case name != LimitConnections && name != LimitQueues:
			return nil, invalid(op, fmt.Sprintf("Unrecognised terms [{%s,%s}] in limits",
				erlang(name), erlang(raw[name])))
		case !whole:
			return nil, invalid(op, fmt.Sprintf("%s should be a number, actually was %s", name,
				erlang(raw[name])))
		}
		limits[name] = n
	}
	return limits, nil
}

// limitsFor returns the limits that count for a new connection.
func (c *Connection) limitsFor() Limits {
	l := c.b.limits
	l.ConnectionsPerVHost = min(l.ConnectionsPerVHost, int(c.vh.limits.connections.Load()))
	if n := c.b.userLimit(c.User, LimitConnections); n >= 0 {
		l.ConnectionsPerUser = min(l.ConnectionsPerUser, n)
	}
	return l
}

// userLimit returns a limit of a user, negative: none.
func (b *Broker) userLimit(user, name string) int {
	if l, ok := b.access.(UserLimiter); ok {
		return l.UserLimit(user, name)
	}
	return -1
}
