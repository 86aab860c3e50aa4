// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"net/http"

	"github.com/parley-ipc/parley/internal/broker"
	restdoor "github.com/parley-ipc/parley/internal/door/rest"
	thriftdoor "github.com/parley-ipc/parley/internal/door/thrift"
	"github.com/parley-ipc/parley/internal/listen"
)

// openThrift makes the door for Thrift callers, which has carriers on the REST door too.
func (h *Hub) openThrift() error {
	door, err := thriftdoor.New(thriftdoor.Options{
		Broker: h.broker, Auth: login{h.users}, User: h.options.Doors.Thrift.User,
		PeerUser: h.processOwner, Service: h.options.Doors.Thrift.Service, Rules: h.options.Thrift,
		Contracts: h.contracts, Thrift: h.called.bodies.wantsThrift, Oneway: h.called.bodies.isOneway,
		Upgrade: upgradeBinary, AllowedOrigins: h.options.Origins,
		Metrics: h.metrics, Logger: h.options.Logger,
	})
	h.thrift = door
	return err
}

// newThrift is the door with listeners of its own.
func (h *Hub) newThrift() service {
	return service{
		route: listen.Route{Match: thriftdoor.Match, Handler: h.thrift.Serve},
		run: func(ctx context.Context) error {
			<-ctx.Done()
			return h.thrift.Close() //nolint:contextcheck // it has a bound of its own
		},
		protocols: []string{"http/1.1"},
	}
}

// serveThrift answers calls of Thrift that come by the REST door.
func (h *Hub) serveThrift(w http.ResponseWriter, r *http.Request, from restdoor.ThriftCaller) {
	h.thrift.ServeHTTP(w, r, thriftdoor.Caller{
		Sessions: oneSession{from.Session}, User: from.User, VHost: from.VHost, Peer: from.Peer,
	})
}

// oneSession is a session that nobody else uses.
type oneSession struct{ s *broker.Session }

// Take implements thriftdoor.Sessions.
func (o oneSession) Take() (*broker.Session, error) { return o.s, nil }

// Give implements thriftdoor.Sessions.
func (o oneSession) Give(s *broker.Session) { s.Flush() }
