// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// millisecondsMax bounds the times in parley's headers: ten years.
const millisecondsMax = expirationMaxMS

// callTerms reads the headers that make a message a call (parley-timeout, parley-deadline) or a
// gather (parley-gather, parley-gather-stall) to the hub. Without them it is neither, whatever its
// reply-to: it waits, and nobody answers for its receiver.
func (c *conn) callTerms(f *wire.Frame, p *broker.PublishParams) *fault {
	if rule, ok := f.Get(headerGather); ok {
		terms, valid := broker.GatherRule(string(rule))
		if stall, has := f.Get(headerGatherStall); has && valid {
			var ms int64
			ms, valid = number(stall, millisecondsMax)
			terms.Stall = time.Duration(ms) * time.Millisecond
		}
		if !valid {
			return invalidHeader(wire.Send, headerGather)
		}
		p.Gather = &terms
		return nil
	}
	timeout, hasTimeout := f.Get(headerTimeout)
	deadline, hasDeadline := f.Get(headerDeadline)
	if !hasTimeout && !hasDeadline {
		return nil // parley-gather-stall alone
	}
	terms := broker.CallTerms{}
	if hasDeadline {
		at, err := time.Parse(time.RFC3339Nano, string(deadline))
		if err != nil {
			return invalidHeader(wire.Send, headerDeadline)
		}
		terms.Deadline = at
	}
	if hasTimeout {
		ms, ok := number(timeout, millisecondsMax)
		if !ok || ms == 0 {
			return invalidHeader(wire.Send, headerTimeout)
		}
		terms.Timeout = time.Duration(ms) * time.Millisecond
	}
	p.Call = &terms
	return nil
}
