// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"fmt"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
)

// Check implements endpoint.Kind: a call of the method that the check names, whose answer is good
// unless it is an exception that nobody declared; or a connection. The connection is one of its own,
// and stays for calls when there is no other.
func (k *Kind) Check(ctx context.Context, t endpoint.Target, h endpoint.Health) error {
	u, err := k.upstream(t)
	if err != nil {
		return err
	}
	if h.Method == "" {
		raw, err := u.dial(ctx)
		if err != nil {
			return err
		}
		return raw.Close()
	}
	r := k.probe(h.Method)
	a := endpoint.Attempt{Target: t, Number: 1}
	a.Until, _ = ctx.Deadline()
	a.Deadline = a.Until
	if u.web != nil {
		return checked(r.post(ctx, u, a))
	}
	c, err := u.conns.take(ctx, want{fresh: true, until: a.Until})
	if err != nil {
		return err
	}
	c.spare = true
	return checked(r.exchange(ctx, c, a))
}

// probe is a call without arguments.
func (k *Kind) probe(method string) *request {
	r := &request{
		kind: k, of: &broker.EndpointCall{Message: &broker.Message{}}, method: []byte(method),
		asker: form{protocol: k.protocol}, service: k.name,
	}
	r.args = k.empty()
	r.name = k.wireName(r.method)
	return r
}

// checked judges the answer to a check.
func checked(reply *broker.Reply, o endpoint.Outcome) error {
	switch {
	case reply == nil:
		return fmt.Errorf("%v: %w", o.Class, o.Err)
	case reply.Failure != "" && reply.Failure != wordException:
		return fmt.Errorf("the service answered an exception (%s)", reply.Failure)
	}
	return nil
}
