// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"sync"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
)

// Kind calls members that speak HTTP. It is safe for concurrent use.
type Kind struct {
	options Options

	mu        sync.RWMutex
	upstreams map[endpoint.Target]*upstream
	closed    bool
}

var (
	_ endpoint.Kind = (*Kind)(nil)
	_ endpoint.Call = (*call)(nil)
)

var errClosed = errors.New("http: the kind is closed")

// New returns a kind, or what is wrong with its options.
func New(o Options) (*Kind, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	k := &Kind{options: o.withDefaults(), upstreams: make(map[endpoint.Target]*upstream)}
	var err error
	k.options.TLS, err = o.tlsConfig()
	return k, err
}

// Prepare implements endpoint.Kind.
func (k *Kind) Prepare(c *broker.EndpointCall) (endpoint.Call, error) { return k.prepare(c) }

// upstream returns the connections of a member.
func (k *Kind) upstream(t endpoint.Target) (*upstream, error) {
	k.mu.RLock()
	u := k.upstreams[t]
	k.mu.RUnlock()
	if u != nil {
		return u, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, errClosed
	}
	if u = k.upstreams[t]; u != nil {
		return u, nil
	}
	u, err := newUpstream(t, &k.options)
	if err == nil {
		k.upstreams[t] = u
	}
	return u, err
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
func (k *Kind) Forget(t endpoint.Target) {
	k.mu.Lock()
	u := k.upstreams[t]
	delete(k.upstreams, t)
	k.mu.Unlock()
	if u != nil {
		u.close()
	}
}

// Close implements endpoint.Kind.
func (k *Kind) Close() error {
	k.mu.Lock()
	all := k.upstreams
	k.upstreams, k.closed = nil, true
	k.mu.Unlock()
	for _, u := range all {
		u.close()
	}
	return nil
}
