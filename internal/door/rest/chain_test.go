// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// party is a process that serves and calls over one connection: HTTP/2 without TLS.
type party struct {
	tb   testing.TB
	http *http.Client
	base string
}

func (h *hub) party(base string) *party {
	h.tb.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols, MaxConnsPerHost: 1}
	h.tb.Cleanup(transport.CloseIdleConnections)
	return &party{tb: h.tb, http: &http.Client{Transport: transport}, base: base}
}

// post returns the status and body of an answer; a cancelled context gives 0.
func (p *party) post(ctx context.Context, path, body string) (int, string) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+path, strings.NewReader(body))
	if err != nil {
		p.tb.Error(err)
		return 0, ""
	}
	r, err := p.http.Do(q)
	if err != nil {
		if ctx.Err() == nil {
			p.tb.Error(err)
		}
		return 0, ""
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil && ctx.Err() == nil {
		p.tb.Error(err)
	}
	return r.StatusCode, string(data)
}

// serve leases one message at a time and answers what reply makes of it, until ctx ends.
func (p *party) serve(ctx context.Context, service string, reply func(body string) string) {
	for ctx.Err() == nil {
		status, body := p.post(ctx, "/v1/queues/"+service+"/leases", `{"wait_ms":20000}`)
		if status != http.StatusOK {
			continue
		}
		var leased leasesBody
		if err := json.Unmarshal([]byte(body), &leased); err != nil {
			p.tb.Error(err)
			return
		}
		m := leased.Messages[0]
		answer := reply(m.text())
		if status, text := p.post(ctx, "/v1/leases/"+m.Lease+"/reply", answer); status !=
			http.StatusCreated && ctx.Err() == nil {
			p.tb.Errorf("reply: %d %s", status, text)
		}
	}
}

// A process that serves and calls over one connection never waits for itself: passenger calls trip,
// trip calls driver, driver calls passenger, 64 at a time.
func TestChainOverOneConnection(t *testing.T) {
	t.Parallel()
	const atOnce, rounds = 64, 1
	h := newHub(t)
	one := h.party("http://" + serveTCP(t, h))
	ctx, cancel := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	next := map[string]string{"trip": "driver", "driver": "passenger", "passenger": ""}
	for name := range next {
		h.queue(name)
	}
	for name, then := range next {
		for range atOnce {
			workers.Go(func() {
				one.serve(ctx, name, func(body string) string {
					if then == "" {
						return body + ">passenger"
					}
					_, answer := one.post(ctx, "/v1/services/"+then+"/go", body+">"+name)
					return answer
				})
			})
		}
	}
	for name := range next {
		h.eventually(name+" polls", func() bool { return h.stats(name).Consumers == atOnce })
	}
	var calls sync.WaitGroup
	for range atOnce {
		calls.Go(func() {
			for range rounds {
				status, body := one.post(ctx, "/v1/services/trip/go", "me")
				if status != http.StatusOK || body != "me>trip>driver>passenger" {
					t.Errorf("%d %s", status, body)
				}
			}
		})
	}
	calls.Wait()
	cancel()
	workers.Wait()
}
