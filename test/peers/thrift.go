// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	apache "github.com/apache/thrift/lib/go/thrift"

	"github.com/parley-ipc/parley/test/harness"
)

const (
	nameThrift = "Thrift"
	// FormDeclared is the form of Thrift for what a service answers in the contract's own exception.
	FormDeclared = "exception Refused"
	// FormApplication is the form of Thrift for everything else, the hub's own errors among them.
	FormApplication = "TApplicationException 6"
	// FormUnknown is the form of Thrift for services and methods that there are not.
	FormUnknown = "TApplicationException 1"
)

const (
	// headerTimeout is the THeader in which a caller says how long it waits, in milliseconds.
	headerTimeout = "client_timeout"
	// thriftWait bounds what a test waits for on a socket.
	thriftWait = time.Minute
	// separator stands between service and request in a ticket: a request is one of a service.
	separator = "/"
)

// thriftPeer is what Apache's library makes of a contract: as a client a pool of connections, since
// each of the library's clients carries one call at a time, and servers as a service.
type thriftPeer struct {
	thriftServers

	addr string

	mu   sync.Mutex
	idle []*thriftConn
	all  map[*thriftConn]struct{}
}

// thriftConn is a connection of a client: binary messages in THeader frames.
type thriftConn struct {
	socket   *apache.TSocket
	protocol *apache.THeaderProtocol
	seq      int32
}

func dialThrift(ctx context.Context, hub *harness.Hub) (Peer, error) {
	p := &thriftPeer{addr: hub.Thrift, all: map[*thriftConn]struct{}{}}
	if err := p.thriftServers.open(ctx, hub); err != nil {
		return nil, err
	}
	return p, nil
}

// take returns the connection that was used last, or a new one.
func (p *thriftPeer) take() (*thriftConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle) - 1; n >= 0 {
		conn := p.idle[n]
		p.idle = p.idle[:n]
		return conn, nil
	}
	conf := &apache.TConfiguration{ConnectTimeout: closeWait, SocketTimeout: thriftWait}
	socket := apache.NewTSocketConf(p.addr, conf)
	if err := socket.Open(); err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	conn := &thriftConn{socket: socket, protocol: apache.NewTHeaderProtocolConf(socket, conf)}
	p.all[conn] = struct{}{}
	return conn, nil
}

func (p *thriftPeer) give(conn *thriftConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, conn)
}

// drop ends a connection on which nobody knows what comes next.
func (p *thriftPeer) drop(conn *thriftConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, conn)
	_ = conn.socket.Close()
}

// do calls a method of a service, and returns the headers of the answer; a nil result is that of a
// oneway method.
func (p *thriftPeer) do(ctx context.Context, call thriftCall) (apache.THeaderMap, error) {
	conn, err := p.take()
	if err != nil {
		return nil, err
	}
	if call.timeout > 0 {
		ctx = apache.SetHeader(ctx, headerTimeout, strconv.FormatInt(call.timeout.Milliseconds(), 10))
		ctx = apache.SetWriteHeaderList(ctx, []string{headerTimeout})
	}
	err = call.on(ctx, conn)
	if _, answered := errors.AsType[apache.TApplicationException](err); err != nil && !answered {
		p.drop(conn)
		return nil, fmt.Errorf("%s:%s: %w", call.service, call.method, err)
	}
	headers := conn.protocol.GetReadHeaders()
	p.give(conn)
	return headers, failureOfThrift(err)
}

// thriftCall is one call of a client.
type thriftCall struct {
	service, method, text string
	result                apache.TStruct
	timeout               time.Duration // in the header; 0: none
}

// on runs the call: what generated code does, with the name of the service before the method's.
func (c thriftCall) on(ctx context.Context, conn *thriftConn) error {
	conn.seq++
	client := apache.NewTStandardClient(conn.protocol, conn.protocol)
	// The library's decorator for multiplexed names hides THeader from its client, which then sets
	// no headers; so the name is put together here.
	name := c.method
	if c.service != "" {
		name = c.service + apache.MULTIPLEXED_SEPARATOR + name
	}
	err := client.Send(ctx, conn.protocol, conn.seq, name, &textArgs{c.text})
	if err != nil || c.result == nil {
		return err
	}
	return client.Recv(ctx, conn.protocol, conn.seq, c.method, c.result)
}

// failureOfThrift turns an answer that is no result into a Failure.
func failureOfThrift(err error) error {
	e, ok := errors.AsType[apache.TApplicationException](err)
	if !ok {
		return err
	}
	f := &Failure{Form: "TApplicationException " + strconv.Itoa(int(e.TypeId())), Body: e.Error()}
	if code, text, ok := strings.Cut(f.Body, ": "); ok {
		f.Code, f.Body = code, text
	}
	if f.Form == FormUnknown && strings.Contains(f.Body, "(no service '") {
		f.Code = "no-service" // the type has no room for a word of the hub's
	}
	return f
}

// text calls a method that returns a string.
func (p *thriftPeer) text(ctx context.Context, call thriftCall) (string, error) {
	var r textResult
	call.result = &r
	_, err := p.do(ctx, call)
	switch {
	case err != nil:
		return "", err
	case r.refused != nil:
		return "", &Failure{Form: FormDeclared, Code: "exception", Body: *r.refused}
	case r.success == nil:
		return "", fmt.Errorf("%s failed: unknown result", call.method)
	}
	return *r.success, nil
}

func (p *thriftPeer) Call(
	ctx context.Context, service, body string, timeout time.Duration,
) (string, error) {
	return p.text(ctx, thriftCall{
		service: service, method: methodDo, text: body, timeout: timeout,
	})
}

// Send implements Asker: nothing says when the hub has a oneway call, but all of one connection are
// taken in order.
func (p *thriftPeer) Send(ctx context.Context, queue, body string) error {
	_, err := p.do(ctx, thriftCall{service: queue, method: methodTell, text: body})
	return err
}

func (p *thriftPeer) Publish(ctx context.Context, topic, body string) error {
	_, err := p.do(ctx, thriftCall{
		service: topic, method: methodNews, text: body, result: &textResult{void: true},
	})
	return err
}

func (p *thriftPeer) Ask(ctx context.Context, service, body string) (string, error) {
	id, err := p.text(ctx, thriftCall{service: service, method: methodAsk, text: body})
	return service + separator + id, err
}

func (p *thriftPeer) Collect(ctx context.Context, ticket string) (string, error) {
	service, id, _ := strings.Cut(ticket, separator)
	return p.text(ctx, thriftCall{
		service: service, method: methodCollect, text: id, timeout: thriftWait,
	})
}

func (p *thriftPeer) Gather(
	ctx context.Context, topic, body string, rule Rule,
) (*Gathered, error) {
	var r textsResult
	call := thriftCall{
		service: topic, method: methodEveryone, text: body, result: &r, timeout: rule.Total,
	}
	switch {
	case rule.Sentinel:
		call.method = methodUntil
	case rule.Count == 2:
		call.method = methodTwo
	}
	if rule.Stall > 0 { // a contract knows no such rule: the time ends it
		call.timeout = gatherWait
	}
	headers, err := p.do(ctx, call)
	if err != nil {
		return nil, err
	}
	got := &Gathered{Answers: map[string]string{}}
	for i, text := range r.success {
		got.Answers[strconv.Itoa(i)] = text
	}
	got.Complete = headers["parley-gather-end"] == "complete"
	got.Missing = splitNames(headers["parley-missing"])
	return got, nil
}

// gatherWait is how long a gather goes on that not everybody answers.
const gatherWait = 2 * time.Second

// Strays implements Peer: a connection has one answer for each call, and the library holds its number
// against the call's.
func (p *thriftPeer) Strays() int { return 0 }

// Close implements Peer.
func (p *thriftPeer) Close() {
	p.thriftServers.close()
	p.end()
}

// end closes the client's connections.
func (p *thriftPeer) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.all {
		_ = conn.socket.Close()
	}
}
