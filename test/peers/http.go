// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/parley-ipc/parley/test/harness"
)

// nameHTTP is the protocol of services that the hub calls.
const nameHTTP = "HTTP"

// httpPeer is a service that knows nothing of the hub but that it was registered there: an HTTP server
// for each queue. It asks as any client of REST.
type httpPeer struct {
	*restPeer

	mu      sync.Mutex
	servers []httpServer
}

type httpServer struct {
	*http.Server

	path string // of the instance
}

func dialHTTP(ctx context.Context, hub *harness.Hub) (Peer, error) {
	rest, err := dialREST(ctx, hub)
	if err != nil {
		return nil, err
	}
	own, ok := rest.(*restPeer)
	if !ok {
		return nil, errors.New("the REST peer is another one")
	}
	return &httpPeer{restPeer: own}, nil
}

// Serve implements Peer.
func (p *httpPeer) Serve(ctx context.Context, service string, h Handler) error {
	return p.attach(ctx, service, h)
}

// Join implements Peer.
func (p *httpPeer) Join(ctx context.Context, topic, name string, h Handler) error {
	if err := p.declareBound(ctx, topic, name); err != nil {
		return err
	}
	return p.attach(ctx, name, h)
}

// Subscribe implements Peer.
func (p *httpPeer) Subscribe(ctx context.Context, topic string, f func(string)) error {
	var mu sync.Mutex // f is called by one request at a time
	return p.Join(ctx, topic, "subscriber-"+rand.Text(), func(_ context.Context, r Request) Reply {
		mu.Lock()
		defer mu.Unlock()
		f(r.Body)
		return Reply{}
	})
}

// attach starts a server and registers it.
func (p *httpPeer) attach(ctx context.Context, queue string, h Handler) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s := httpServer{
		Server: &http.Server{
			ReadHeaderTimeout: time.Minute,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				answerHTTP(w, r, h)
			}),
		},
		path: "/services/" + url.PathEscape(queue) + "/instances/" + rand.Text(),
	}
	p.wg.Go(func() { _ = s.Serve(l) })
	p.mu.Lock()
	p.servers = append(p.servers, s)
	p.mu.Unlock()
	_, err = p.do(ctx, exchange{
		method: http.MethodPut, path: s.path,
		// One message at a time, as the other protocols' services.
		body:    fmt.Sprintf(`{"url":"http://%s","in_flight":1}`, l.Addr()),
		headers: map[string]string{"Content-Type": typeJSON},
		want:    []int{http.StatusCreated},
	})
	return err
}

// answerHTTP lets a handler answer a request. One that is silent answers when nobody waits any more.
func answerHTTP(w http.ResponseWriter, r *http.Request, h Handler) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAnswerBytes))
	if err != nil {
		return
	}
	reply := h(r.Context(), Request{
		Body: string(body), Redelivered: r.Header.Get("Parley-Attempt") != "",
	})
	w.Header().Set("Content-Type", cmp.Or(reply.ContentType, plain))
	switch {
	case reply.Silent:
		<-r.Context().Done()
	case reply.Error != "":
		w.WriteHeader(ErrorStatus)
	}
	_, _ = io.WriteString(w, reply.Body)
}

// Close implements Peer: the servers leave before they end.
func (p *httpPeer) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	p.mu.Lock()
	servers := p.servers
	p.servers = nil
	p.mu.Unlock()
	for _, s := range servers {
		_, _ = p.do(ctx, exchange{
			method: http.MethodDelete, path: s.path, want: []int{http.StatusNoContent},
		})
		_ = s.Close()
	}
	p.restPeer.Close()
}

// closeWait bounds the end of a peer.
const closeWait = 5 * time.Second
