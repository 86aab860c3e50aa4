// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

// TestKeptAnswerOverRestarts asks in lines and over HTTP and kills the hub; a second
// one, killed too, gets the answer; a third has it for who reads lines, and for HTTP.
func TestKeptAnswerOverRestarts(t *testing.T) {
	t.Parallel()
	binary := harness.Build(t)
	ctx, cancel := context.WithTimeout(t.Context(), testWait)
	defer cancel()
	hub := harness.Start(t, binary, harness.Options{})
	tickets := map[string]string{}
	line, rest := protocol(t, "LINE"), protocol(t, "REST")
	for _, client := range []peers.Protocol{line, rest} {
		declarer := dial(ctx, t, client, hub)
		name := "kept-" + strings.ToLower(client.Name)
		silent := func(context.Context, peers.Request) peers.Reply { return peers.Reply{Silent: true} }
		if err := declarer.Serve(ctx, name, silent); err != nil {
			t.Fatal(err)
		}
		declarer.Close()
		ticket, err := dial(ctx, t, client, hub).Ask(ctx, name, "question")
		if err != nil {
			t.Fatal(err)
		}
		tickets[name] = ticket[strings.LastIndexByte(ticket, '/')+1:]
	}
	hub.Kill()

	hub = harness.Start(t, binary, harness.Options{Dir: hub.Dir})
	for name, ticket := range tickets {
		server := dial(ctx, t, line, hub)
		err := server.Serve(ctx, name, func(_ context.Context, r peers.Request) peers.Reply {
			return peers.Reply{Body: "late " + r.Body}
		})
		if err != nil {
			t.Fatal(err)
		}
		reader := dial(ctx, t, line, hub)
		if got, err := reader.Collect(ctx, ticket); err != nil || got != "late question" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		// The log is one: what is confirmed now lies behind the answer.
		if err := reader.Send(ctx, name, "more"); err != nil {
			t.Fatal(err)
		}
	}
	hub.Kill()

	hub = harness.Start(t, binary, harness.Options{Dir: hub.Dir})
	for name, ticket := range tickets {
		if got, err := dial(ctx, t, line, hub).Collect(ctx, ticket); err != nil || got != "late question" {
			t.Errorf("%s in lines: %q, %v", name, got, err)
		}
		if got := get(t, hub.URL("/v1/requests/"+ticket+"/response")); got != "200 OK late question" {
			t.Errorf("%s over HTTP: %q", name, got)
		}
	}
}

// protocol returns the protocol with a name.
func protocol(t *testing.T, name string) peers.Protocol {
	t.Helper()
	for _, p := range peers.Protocols() {
		if p.Name == name {
			return p
		}
	}
	t.Fatal("no protocol " + name)
	return peers.Protocol{}
}

// get returns status and body.
func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.Status + " " + string(body)
}
