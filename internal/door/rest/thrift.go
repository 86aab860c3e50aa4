// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"net/http"

	"github.com/parley-ipc/parley/internal/broker"
)

// thriftPath is where calls of Thrift over HTTP are taken; below it are services.
const thriftPath = "/thrift"

// ThriftCaller is who sent a request with a call of Thrift.
type ThriftCaller struct {
	User, VHost, Peer string
	// Session is the caller's while the request lasts.
	Session *broker.Session
}

// thrift is POST /thrift and /thrift/{svc}: the door for Thrift answers, this one says who asks.
func (d *Door) thrift(v *visit) error {
	ctx, cancel := context.WithCancel(v.r.Context())
	defer cancel()
	go func() {
		select {
		case <-v.client.gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	return v.work(func(w *worker) error {
		v.status = http.StatusOK
		d.options.Thrift(v.w, v.r.WithContext(ctx), ThriftCaller{
			User: v.client.key.user, VHost: v.client.key.vhost, Peer: v.peer.String(), Session: w.Session,
		})
		return nil
	})
}
