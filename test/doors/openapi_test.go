// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/parley-ipc/parley/hub"
)

// described is a hub with the description that it gives of itself.
type described struct {
	at  string // http://HOST:PORT
	doc *openapi3.T
	ops map[string]operation
	id  string // stands for {id} in paths, from the answer before
}

// operation is one of the document, by its operationId.
type operation struct {
	*openapi3.Operation

	method, path string
	item         *openapi3.PathItem
}

func describe(t *testing.T) *described {
	t.Helper()
	h := start(t, func(o *hub.Options) {
		o.Doors.REST.Listen, o.Webhooks.Networks = free, []string{"127.0.0.1"}
	})
	d := &described{at: "http://" + h.Addr("rest").String(), ops: map[string]operation{}}
	res, err := http.Get(d.at + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if d.doc, err = openapi3.NewLoader().LoadFromData(data); err != nil {
		t.Fatal(err)
	}
	if err := d.doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Fatal(err)
	}
	for path, item := range d.doc.Paths.Map() {
		for method, o := range item.Operations() {
			if d.ops[o.OperationID].Operation != nil {
				t.Errorf("two operations are called %q", o.OperationID)
			}
			d.ops[o.OperationID] = operation{o, method, path, item}
		}
	}
	return d
}

// target returns the URL of an operation, with the examples of its parameters.
func (d *described) target(t *testing.T, o operation) string {
	t.Helper()
	path, query := o.path, []string{}
	for _, p := range slices.Concat(o.item.Parameters, o.Parameters) {
		value := fmt.Sprint(p.Value.Example)
		switch {
		case p.Value.Name == "id" && d.id != "":
			value = d.id
		case p.Value.Example == nil && p.Value.Required:
			t.Errorf("%s: %s has no example", o.OperationID, p.Value.Name)
			continue
		case p.Value.Example == nil:
			continue
		}
		switch p.Value.In {
		case "path":
			path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", value)
		case "query":
			query = append(query, p.Value.Name+"="+value)
		}
	}
	base := "/v1"
	if len(o.item.Servers) > 0 {
		base = strings.TrimSuffix(o.item.Servers[0].URL, "/")
	}
	if len(query) > 0 {
		path += "?" + strings.Join(query, "&")
	}
	return d.at + base + path
}

// answer is what came back, read to its end; a stream has no body here.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call calls an operation with its example, and checks that the answer is among those described.
func (d *described) call(t *testing.T, id string, headers ...string) answer {
	t.Helper()
	o, ok := d.ops[id]
	if !ok {
		t.Fatalf("no operation %q", id)
	}
	var body io.Reader
	contentType := ""
	if o.RequestBody != nil {
		content := o.RequestBody.Value.Content
		if m := content["application/json"]; m != nil {
			data, err := json.Marshal(m.Example)
			if err != nil {
				t.Fatal(err)
			}
			body, contentType = bytes.NewReader(data), "application/json"
		} else if m := content["*/*"]; m != nil {
			body, contentType = strings.NewReader(fmt.Sprint(m.Example)), "text/plain"
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, o.method, d.target(t, o), body)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out := answer{status: res.StatusCode, header: res.Header}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		if out.body, err = io.ReadAll(res.Body); err != nil {
			t.Fatal(err)
		}
	}
	d.check(t, o, out)
	return out
}

// check holds an answer against the document: its status and type are there, and JSON is as its schema
// says.
func (d *described) check(t *testing.T, o operation, got answer) {
	t.Helper()
	described := o.Responses.Value(strconv.Itoa(got.status))
	if described == nil {
		t.Errorf("%s: status %d is not described", o.OperationID, got.status)
		return
	}
	kind, _, _ := mime.ParseMediaType(got.header.Get("Content-Type"))
	media := described.Value.Content[kind]
	if media == nil {
		media = described.Value.Content["*/*"]
	}
	switch {
	case media == nil && (len(got.body) > 0 || kind != ""):
		t.Errorf("%s: %d of type %q is not described", o.OperationID, got.status, kind)
		return
	case media == nil || media.Schema == nil:
		return
	}
	var value any
	if err := json.Unmarshal(got.body, &value); err != nil {
		t.Fatalf("%s: %v", o.OperationID, err)
	}
	if err := media.Schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
		t.Errorf("%s: %d %s: %v", o.OperationID, got.status, got.body, err)
	}
}

// must calls an operation that has to succeed.
func (d *described) must(t *testing.T, status int, id string, headers ...string) answer {
	t.Helper()
	got := d.call(t, id, headers...)
	if got.status != status {
		t.Errorf("%s: status %d, want %d: %s", id, got.status, status, got.body)
	}
	return got
}

// leased calls the operation lease until it brings a message, and makes its id that of paths.
func (d *described) leased(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(wait); time.Now().Before(end); {
		got := d.call(t, "lease")
		if got.status == http.StatusNoContent {
			continue
		}
		var out struct{ Messages []struct{ Lease string } }
		if err := json.Unmarshal(got.body, &out); err != nil || len(out.Messages) != 1 {
			t.Fatalf("%+v, %v", out, err)
		}
		d.id = out.Messages[0].Lease
		return
	}
	t.Fatalf("nothing came to lease for %s", t.Name())
}

// answered calls an operation that waits for a service, and answers for it.
func (d *described) answered(t *testing.T, id string) {
	t.Helper()
	done := make(chan int, 1)
	other := *d
	go func() {
		status := http.StatusServiceUnavailable
		for end := time.Now().Add(wait); status == http.StatusServiceUnavailable &&
			time.Now().Before(end); { // nobody polls just now
			status = other.call(t, id).status
		}
		done <- status
	}()
	d.leased(t)
	d.must(t, http.StatusCreated, "reply")
	if status := <-done; status != http.StatusOK {
		t.Errorf("%s: status %d", id, status)
	}
}

// TestOpenAPI: the document is valid, its examples too, and the hub does what it says: every operation
// is called with its example, and every answer is one that is described (rest.md, The description).
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	d := describe(t)
	steps := []struct {
		status  int
		id      string
		headers []string
	}{
		{200, "links", nil},
		{200, "health", nil},
		{200, "ready", nil},
		{200, "problem", nil},
		{200, "openapi", nil},
		{200, "metrics", nil},
		{426, "webSocket", nil},
		{201, "declareQueue", nil},
		{204, "declareExchange", nil},
		{204, "bind", nil},
		{200, "getQueue", nil},
		{200, "getExchange", nil},
		{200, "listQueues", nil},
		{200, "listExchanges", nil},
		{200, "listBindings", nil},
		{201, "publish", nil},
		{200, "settleLeases", nil},
		{201, "send", nil},
		{201, "publishToTopic", nil},
		{200, "purgeQueue", nil},
	}
	called := map[string]bool{}
	must := func(status int, id string, headers ...string) answer {
		t.Helper()
		called[id] = true
		return d.must(t, status, id, headers...)
	}
	for _, s := range steps {
		must(s.status, s.id, s.headers...)
	}
	must(201, "send", "Parley-Reply-To: greeter")
	d.leased(t)
	must(200, "changeLease")
	must(204, "acknowledge")
	for _, id := range slices.Sorted(maps.Keys(d.ops)) {
		switch {
		case strings.HasPrefix(id, "callThrift"): // its examples would be bytes
			must(415, id)
		case strings.HasPrefix(id, "call"), strings.HasPrefix(id, "gather"):
			d.answered(t, id)
			called[id] = true
		}
	}
	called["lease"], called["reply"] = true, true
	for _, end := range []string{"answer", "cancel"} {
		request := must(202, "callPost", "Prefer: respond-async").header.Get("Location")
		d.id = request[strings.LastIndexByte(request, '/')+1:]
		must(200, "getRequest")
		asked := d.id
		d.leased(t)
		if end == "cancel" {
			d.id = asked
			must(204, "cancelRequest")
			continue
		}
		d.must(t, 201, "reply")
		d.id = asked
		must(303, "getRequest")
		must(200, "getResponse")
	}
	must(200, "streamQueue") // behind those who want its messages
	must(200, "streamTopic")
	must(200, "listServices")
	must(201, "putContract")
	must(200, "listContracts")
	must(200, "getContract")
	must(200, "serviceOpenapi")
	must(204, "deleteContract")
	d.id = "one"
	for _, id := range []string{
		"putInstance", "drainInstance", "removeInstance", "putSubscription", "getSubscription",
		"listSubscriptions", "deleteSubscription", "progress", "consent", "consentWithRate",
	} {
		d.call(t, id) // whether this hub calls others or not
		called[id] = true
	}
	must(204, "unbind")
	must(204, "deleteExchange")
	must(204, "deleteQueue")
	must(404, "getQueue")
	for id := range d.ops {
		if !called[id] {
			t.Errorf("%q was not called", id)
		}
	}
}
