// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
)

// Kind calls members that speak HTTP. It is safe for concurrent use.
type Kind struct {
	options Options

	upstreams endpoint.Upstreams[*upstream]
}

var (
	_ endpoint.Kind = (*Kind)(nil)
	_ endpoint.Call = (*call)(nil)
)

// New returns a kind, or what is wrong with its options.
func New(o Options) (*Kind, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	k := &Kind{options: o.withDefaults()}
	var err error
	k.options.TLS, err = o.tlsConfig()
	return k, err
}

// Prepare implements endpoint.Kind.
func (k *Kind) Prepare(c *broker.EndpointCall) (endpoint.Call, error) { return k.prepare(c) }

// upstream returns the connections of a member.
func (k *Kind) upstream(t endpoint.Target) (*upstream, error) {
	return k.upstreams.Get(t, k.newUpstream)
}

// Check implements endpoint.Kind: a GET of the path that the check names, or a connection.
func (k *Kind) Check(ctx context.Context, t endpoint.Target, h endpoint.Health) error {
	u, err := k.upstream(t)
	if err != nil {
		return err
	}
	if h.Path == "" {
		conn, err := u.dial(ctx)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	r, err := u.request(ctx, nethttp.MethodGet, h.Path)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "parley-health")
	answer, err := u.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	// The rest is read, within reason, so that the connection can be used again.
	_, err = io.CopyN(io.Discard, answer.Body, checkBodyBytes)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return err
	}
	if answer.StatusCode >= nethttp.StatusBadRequest {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return nil
}

// checkBodyBytes is how much of a check's answer is read.
const checkBodyBytes = 64 << 10

// Forget implements endpoint.Kind.
func (k *Kind) Forget(t endpoint.Target) { k.upstreams.Forget(t) }

// Close implements endpoint.Kind.
func (k *Kind) Close() error {
	k.upstreams.Close()
	return nil
}
