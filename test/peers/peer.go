// SPDX-License-Identifier: Apache-2.0

// Package peers drives a hub with third-party clients: amqp091-go, go-stomp,
// net/http, Apache's Thrift, and encoding/json over a socket, each behind the same small interface, so
// that one test serves every pair of protocols.
//
// Basics: a Peer is one connection (for HTTP one client) that can ask and serve
// at the same time. What a protocol says in its own form, an error, a missed
// deadline, comes back as a Failure that keeps that form, so that a test can
// check it. All of it is what a user of these libraries would write: there is no
// knowledge of the hub here but its documented headers and routes.
//
// Caveats: a handler runs on the goroutine that receives for its service, one
// message at a time (prefetch 1), which is what tests of deadlocks need.
package peers

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/test/harness"
)

// A Request is what a service received.
type Request struct {
	Body        string
	Redelivered bool // delivered before, to an instance that did not settle it
	// Left is how long the caller still waits, where the protocol says it: Thrift's headers. 0: it
	// does not say.
	Left time.Duration
}

type methodKey struct{}

// WithMethod returns a context whose calls have a method of HTTP's, which servers that
// the hub calls get: PUT may be tried again. Without it they get POST.
func WithMethod(ctx context.Context, method string) context.Context {
	return context.WithValue(ctx, methodKey{}, method)
}

// methodOf returns the method of a context's calls, "" for none.
func methodOf(ctx context.Context) string {
	method, _ := ctx.Value(methodKey{}).(string)
	return method
}

// A Reply is what a service makes of a request.
type Reply struct {
	Body        string
	ContentType string // its media type; empty: the protocol's for plain text
	// Error is an error code of the service's own; it travels as parley-error beside
	// the status that HTTP callers get.
	Error string
	// Keep asks for an answer that outlives a restart of the hub. HTTP's always do.
	Keep bool
	// Silent settles the request and never answers it.
	Silent bool
}

// ErrorStatus is the HTTP status that a service's error asks for.
const ErrorStatus = 422

// A Handler answers requests, one at a time.
type Handler func(context.Context, Request) Reply

// A Rule ends a gather.
type Rule struct {
	All   bool          // everybody who was asked
	Count int           // or so many answers
	Stall time.Duration // or so much silence after an answer
	Total time.Duration // at the latest
	// Sentinel: or an answer with an empty body.
	Sentinel bool
}

// Gathered is the outcome of a gather.
type Gathered struct {
	Answers  map[string]string // by who answered, or by number where the protocol does not say
	Complete bool
	Missing  []string
}

// A Peer speaks one protocol on one connection. Its methods may be called at the
// same time.
type Peer interface {
	Asker
	Server
	// Strays counts answers that nobody waited for: late ones, second ones.
	Strays() int
	// Close ends the connection and waits for the peer's goroutines.
	Close()
}

// An Asker uses what others serve.
type Asker interface {
	// Call asks a service and waits for the answer. An answer that is an error is
	// a *Failure.
	Call(ctx context.Context, service, body string, timeout time.Duration) (string, error)
	// Send returns when the hub has taken the message.
	Send(ctx context.Context, queue, body string) error
	// Ask sends a request whose answer is fetched later, maybe by another peer,
	// with the ticket it returns.
	Ask(ctx context.Context, service, body string) (ticket string, err error)
	// Collect waits for the answer that belongs to ticket.
	Collect(ctx context.Context, ticket string) (string, error)
	// Publish returns when the hub has taken the message.
	Publish(ctx context.Context, topic, body string) error
	// Gather asks everybody on a topic.
	Gather(ctx context.Context, topic, body string, rule Rule) (*Gathered, error)
}

// A Server is used by others.
type Server interface {
	// Serve answers the requests in a service's queue, which it declares, until
	// the peer is closed. It returns when the service is attached.
	Serve(ctx context.Context, service string, h Handler) error
	// Join answers gathers on a topic under a name.
	Join(ctx context.Context, topic, name string, h Handler) error
	// Subscribe hands what is published on a topic to f.
	Subscribe(ctx context.Context, topic string, f func(body string)) error
}

// A Protocol opens peers.
type Protocol struct {
	Name string
	Dial func(ctx context.Context, hub *harness.Hub) (Peer, error)
	// Answers says that a service answers whatever it is sent, also what nobody waits for.
	Answers bool
	// Anonymous says that a client is not told who answered a gather.
	Anonymous bool
	// Contract says that bodies are those of the contract IDL.
	Contract bool
}

// Protocols lists those in which one connection asks and serves.
func Protocols() []Protocol {
	return []Protocol{
		{Name: "AMQP", Dial: dialAMQP},
		{Name: "STOMP", Dial: dialSTOMP},
		{Name: "REST", Dial: dialREST},
		{Name: nameLine, Dial: dialLine},
	}
}

// Thrift is the protocol whose clients and services need a contract.
func Thrift() Protocol {
	return Protocol{
		Name: nameThrift, Dial: dialThrift, Answers: true, Anonymous: true, Contract: true,
	}
}

// Clients lists the protocols that clients speak.
func Clients() []Protocol { return append(Protocols(), Thrift()) }

// Services lists the protocols that services speak: HTTP's and Thrift's are called by the hub.
func Services() []Protocol {
	return append(Protocols(), Protocol{Name: nameHTTP, Dial: dialHTTP, Answers: true}, Thrift())
}

// Pair returns how a client and a service speak to each other: by a contract where one of them is of
// Thrift, in plain text otherwise.
func Pair(client, service Protocol) (Protocol, Protocol) {
	if client.Name == nameThrift || service.Name == nameThrift {
		return Contracted(client), Contracted(service)
	}
	return client, service
}

// A Failure is an answer that is an error, in the form of the caller's protocol.
type Failure struct {
	Form   string // what carried it: header:parley-error, or a status line and media type
	Code   string // word of the catalogue of error codes
	Status int    // HTTP only
	Body   string
}

// Error implements error.
func (f *Failure) Error() string {
	return fmt.Sprintf("answered by %s: %s (%s)", f.Form, f.Code, f.Body)
}

// FormHeader is the form of AMQP and STOMP: a reply with the error in its headers.
const FormHeader = "header parley-error"

// answer is a reply on its way to who waits for it.
type answer struct {
	body    string
	headers map[string]string
}

// result turns an answer with parley's headers into what Call returns.
func (a answer) result() (string, error) {
	if code := a.headers["parley-error"]; code != "" {
		body := a.body
		if body == "" {
			body = a.headers["parley-error-message"]
		}
		return "", &Failure{Form: FormHeader, Code: code, Body: body}
	}
	return a.body, nil
}

// waiting matches answers to who asked, by correlation id.
type waiting struct {
	mu     sync.Mutex
	next   int
	chans  map[string]chan answer
	strays atomic.Int64
}

// answersMax is how many answers to one question may wait to be read.
const answersMax = 64

// add opens a place and returns its correlation id.
func (w *waiting) add() (id string, answers <-chan answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.chans == nil {
		w.chans = map[string]chan answer{}
	}
	w.next++
	id = "c" + strconv.Itoa(w.next)
	ch := make(chan answer, answersMax)
	w.chans[id] = ch
	return id, ch
}

// drop closes a place: what comes later is a stray.
func (w *waiting) drop(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.chans, id)
}

// idle says whether nobody waits for an answer.
func (w *waiting) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.chans) == 0
}

// deliver hands an answer over.
func (w *waiting) deliver(id string, a answer) {
	w.mu.Lock()
	ch := w.chans[id]
	w.mu.Unlock()
	select {
	case ch <- a: // a nil channel is never ready
	default:
		w.strays.Add(1)
	}
}

// Strays implements Peer.
func (w *waiting) Strays() int { return int(w.strays.Load()) }

// collect reads answers until the message that says how the gather ended.
func collect(ctx context.Context, answers <-chan answer) (*Gathered, error) {
	got := &Gathered{Answers: map[string]string{}}
	for {
		select {
		case <-ctx.Done():
			return got, ctx.Err()
		case a := <-answers:
			if end := a.headers["parley-gather-end"]; end != "" {
				got.Complete = end == "complete"
				got.Missing = splitNames(a.headers["parley-missing"])
				return got, nil
			}
			if _, err := a.result(); err != nil {
				return got, err
			}
			got.Answers[a.headers["parley-from"]] = a.body
		}
	}
}
