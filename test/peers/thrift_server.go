// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"

	apache "github.com/apache/thrift/lib/go/thrift"

	"github.com/parley-ipc/parley/test/harness"
)

// thriftServers are services that know nothing of the hub but that they were registered there, with
// their contract: a server of Apache's library for each queue.
type thriftServers struct {
	rest *restPeer // registers them
	hub  *harness.Hub

	mu      sync.Mutex
	servers []*thriftServer
}

func (p *thriftServers) open(ctx context.Context, hub *harness.Hub) error {
	peer, err := dialREST(ctx, hub)
	if err != nil {
		return err
	}
	rest, ok := peer.(*restPeer)
	if !ok {
		return errors.New("the REST peer is another one")
	}
	p.rest, p.hub = rest, hub
	return nil
}

// Serve implements Server.
func (p *thriftServers) Serve(ctx context.Context, service string, h Handler) error {
	if err := PutContract(ctx, p.hub, service); err != nil {
		return err
	}
	s, err := startThrift(ctx, h)
	if err != nil {
		return err
	}
	s.path = "/services/" + url.PathEscape(service) + "/instances/" + rand.Text()
	p.mu.Lock()
	p.servers = append(p.servers, s)
	p.mu.Unlock()
	_, err = p.rest.do(ctx, exchange{
		method: http.MethodPut, path: s.path,
		// One message at a time, as the other protocols' services.
		body:    fmt.Sprintf(`{"url":"thrift://%s","in_flight":1}`, s.Addr()),
		headers: map[string]string{"Content-Type": typeJSON},
		want:    []int{http.StatusCreated},
	})
	return err
}

// Join implements Server.
func (p *thriftServers) Join(ctx context.Context, topic, name string, h Handler) error {
	if err := p.rest.declareBound(ctx, topic, name); err != nil {
		return err
	}
	return p.Serve(ctx, name, h)
}

// Subscribe implements Server.
func (p *thriftServers) Subscribe(ctx context.Context, topic string, f func(string)) error {
	return p.Join(ctx, topic, "subscriber-"+rand.Text(), func(_ context.Context, r Request) Reply {
		f(r.Body)
		return Reply{}
	})
}

// close ends the servers; they leave before.
func (p *thriftServers) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	p.mu.Lock()
	servers := p.servers
	p.servers = nil
	p.mu.Unlock()
	for _, s := range servers {
		_, _ = p.rest.do(ctx, exchange{
			method: http.MethodDelete, path: s.path, want: []int{http.StatusNoContent},
		})
		s.stop()
	}
	p.rest.Close()
}

// thriftServer is a TSimpleServer: a goroutine for each connection, any of the library's protocols
// and transports that THeader tells apart.
type thriftServer struct {
	*apache.TSimpleServer
	net.Listener

	path    string // of the instance
	serving sync.WaitGroup

	mu     sync.Mutex
	ended  bool
	served map[net.Conn]struct{}
}

func startThrift(ctx context.Context, h Handler) (*thriftServer, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &thriftServer{Listener: l, served: map[net.Conn]struct{}{}}
	socket := apache.NewTServerSocketFromFactoryTimeout(
		func(net.Addr) (net.Listener, error) { return s, nil }, l.Addr(), thriftWait)
	s.TSimpleServer = apache.NewTSimpleServer4(&matrixProcessor{h: h}, socket,
		apache.NewTHeaderTransportFactoryConf(nil, nil), apache.NewTHeaderProtocolFactoryConf(nil))
	if err := s.TSimpleServer.Listen(); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s.serving.Go(func() { _ = s.Serve() })
	return s, nil
}

// Accept implements net.Listener: the library's server waits for its callers to hang up when it is
// stopped, so the connections are kept here.
func (s *thriftServer) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	s.served[conn] = struct{}{}
	return conn, nil
}

// stop ends the server and its connections.
func (s *thriftServer) stop() {
	_ = s.Listener.Close()
	s.mu.Lock()
	s.ended = true
	for conn := range s.served {
		_ = conn.Close()
	}
	s.mu.Unlock()
	_ = s.Stop()
	s.serving.Wait()
}
