// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/parley-ipc/parley/test/harness"
)

// IDL is the contract of every service that a Thrift peer takes part in: it is what others see of
// Serve, Join and Subscribe. TOPIC stands for where news and gathers go.
const IDL = `
/** What a service says when it does not want to. */
exception Refused { 1: string why } (parley.status = "422")

service Matrix {
  string do(1: string text) throws (1: Refused refused)
  oneway void tell(1: string text)
  /** Returns what collect takes. */
  string ask(1: string text) (parley.request = "do")
  string collect(1: string id) throws (1: Refused refused) (parley.result = "do")
  void news(1: string text) (parley.publish = "TOPIC")
  list<string> everyone(1: string text) (parley.gather = "all", parley.publish = "TOPIC")
  list<string> two(1: string text) (parley.gather = "2", parley.publish = "TOPIC")
  list<string> until(1: string text) (parley.gather = "sentinel", parley.publish = "TOPIC")
}
`

// The methods of IDL.
const (
	methodDo       = "do"
	methodTell     = "tell"
	methodAsk      = "ask"
	methodCollect  = "collect"
	methodNews     = "news"
	methodEveryone = "everyone"
	methodTwo      = "two"
	methodUntil    = "until"
)

const (
	typeJSON    = "application/json"
	typeProblem = "application/problem+json"
)

// form is how what a peer sends looks: its media type, and the operation that is asked for. The
// zero value is text without an operation.
type form struct{ contentType, operation string }

type formKey struct{}

// PutContract tells a hub what a service promises: IDL, with the service's name as its topic.
func PutContract(ctx context.Context, hub *harness.Hub, service string) error {
	rest := newREST(hub, &http.Transport{})
	defer rest.Close()
	source := encode(map[string]map[string]string{
		"files":    {"matrix.thrift": strings.ReplaceAll(IDL, "TOPIC", service)},
		"services": {service: "Matrix"},
	})
	_, err := rest.do(ctx, exchange{
		method: http.MethodPut, path: "/contracts/" + url.PathEscape(service), body: source,
		headers: map[string]string{"Content-Type": typeJSON},
		want:    []int{http.StatusCreated, http.StatusOK},
	})
	return err
}

func withForm(ctx context.Context, operation string) context.Context {
	return context.WithValue(ctx, formKey{}, form{contentType: typeJSON, operation: operation})
}

// formOf returns the form of what is sent with a context.
func formOf(ctx context.Context) form {
	f, _ := ctx.Value(formKey{}).(form)
	return f
}

// Contracted returns a protocol whose peers speak JSON as the contract IDL has it: with Thrift on
// one end of a pair this is what the other end sees. Serve registers the contract.
func Contracted(p Protocol) Protocol {
	if p.Contract {
		return p
	}
	dial := p.Dial
	p.Contract = true
	p.Dial = func(ctx context.Context, hub *harness.Hub) (Peer, error) {
		peer, err := dial(ctx, hub)
		if err != nil {
			return nil, err
		}
		return contracted{Peer: peer, hub: hub}, nil
	}
	return p
}

type contracted struct {
	Peer

	hub *harness.Hub
}

// arguments is the JSON of every method's arguments.
type arguments struct {
	Text string `json:"text"`
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error() // a string, or a struct of strings
	}
	return string(text)
}

// decode reads what a method answered.
func decode(answer string, err error) (string, error) {
	if f, ok := errors.AsType[*Failure](err); ok {
		var p problem
		if json.Unmarshal([]byte(f.Body), &p) == nil && p.Exception != "" {
			f.Body = p.Data.Why
		}
		return "", f
	}
	if err != nil {
		return "", err
	}
	var text string
	if err := json.Unmarshal([]byte(answer), &text); err != nil {
		return "", fmt.Errorf("the answer %q is no JSON of a string: %w", answer, err)
	}
	return text, nil
}

// problem is a declared exception on its way through protocols that have none.
type problem struct {
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Exception string `json:"exception"`
	Data      struct {
		Why string `json:"why"`
	} `json:"data"`
}

// handler lets h answer in JSON.
func handler(h Handler) Handler {
	return func(ctx context.Context, r Request) Reply {
		var a arguments
		d := json.NewDecoder(strings.NewReader(r.Body))
		d.DisallowUnknownFields()
		if err := d.Decode(&a); err != nil {
			return Reply{Body: fmt.Sprintf("%q: %v", r.Body, err), Error: "bad-request"}
		}
		r.Body = a.Text
		reply := h(ctx, r)
		if reply.Error == "" {
			reply.Body, reply.ContentType = encode(reply.Body), typeJSON
			return reply
		}
		p := problem{
			Title: "Refused", Status: ErrorStatus, Code: reply.Error, Exception: "Refused",
		}
		p.Data.Why = reply.Body
		reply.Body, reply.ContentType = encode(p), typeProblem
		return reply
	}
}

func (p contracted) Call(
	ctx context.Context, service, body string, timeout time.Duration,
) (string, error) {
	return decode(p.Peer.Call(withForm(ctx, methodDo), service, encode(arguments{body}), timeout))
}

func (p contracted) Send(ctx context.Context, queue, body string) error {
	return p.Peer.Send(withForm(ctx, methodTell), queue, encode(arguments{body}))
}

func (p contracted) Ask(ctx context.Context, service, body string) (string, error) {
	return p.Peer.Ask(withForm(ctx, methodDo), service, encode(arguments{body}))
}

func (p contracted) Collect(ctx context.Context, ticket string) (string, error) {
	return decode(p.Peer.Collect(withForm(ctx, methodDo), ticket))
}

func (p contracted) Publish(ctx context.Context, topic, body string) error {
	return p.Peer.Publish(withForm(ctx, methodNews), topic, encode(arguments{body}))
}

func (p contracted) Gather(
	ctx context.Context, topic, body string, rule Rule,
) (*Gathered, error) {
	got, err := p.Peer.Gather(withForm(ctx, methodDo), topic, encode(arguments{body}), rule)
	if err != nil {
		return nil, err
	}
	for name, answer := range got.Answers {
		if got.Answers[name], err = decode(answer, nil); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return got, nil
}

func (p contracted) Serve(ctx context.Context, service string, h Handler) error {
	if err := PutContract(ctx, p.hub, service); err != nil {
		return err
	}
	return p.Peer.Serve(ctx, service, handler(h))
}

func (p contracted) Join(ctx context.Context, topic, name string, h Handler) error {
	return p.Peer.Join(ctx, topic, name, handler(h))
}

func (p contracted) Subscribe(ctx context.Context, topic string, f func(body string)) error {
	return p.Peer.Subscribe(ctx, topic, func(body string) {
		var a arguments
		if err := json.Unmarshal([]byte(body), &a); err != nil {
			a.Text = fmt.Sprintf("%q: %v", body, err)
		}
		f(a.Text)
	})
}
