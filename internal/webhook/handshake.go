// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// handshakeTime bounds one handshake.
	handshakeTime = 10 * time.Second
	// consentTime is how long a consent to callbacks is remembered, consentsMax how many are.
	consentTime = 10 * time.Minute
	consentsMax = 1_000
)

// consent is what a target has agreed to.
type consent struct {
	// perMinute bounds the posts; 0 is no bound.
	perMinute int
	at        time.Time
}

// consents remembers who has agreed, so that a target is not asked before each result.
type consents struct {
	mu    sync.Mutex
	byURL map[string]consent
}

func (c *consents) get(target string) (consent, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got, ok := c.byURL[target]
	return got, ok && time.Since(got.at) < consentTime
}

func (c *consents) put(target string, got consent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.byURL) >= consentsMax {
		clear(c.byURL) // they are asked again
	}
	c.byURL[target] = got
}

func (c *consents) forget(target string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byURL, target)
}

// refusal is a target that does not want to be posted to, or does not say that it does.
type refusal struct {
	why string
	// later says that it was asked, and may still consent.
	later bool
}

// Error says why.
func (r *refusal) Error() string { return r.why }

// agreed returns the consent of a target, which is asked unless it has consented lately.
func (p *Pusher) agreed(ctx context.Context, target *url.URL, rate int) (consent, error) {
	if got, ok := p.consents.get(target.String()); ok {
		return got, nil
	}
	return p.handshake(ctx, target, question{rate: rate})
}

// question is what a target is asked for beside its consent.
type question struct {
	rate     int    // posts a minute; 0 is nothing
	callback string // where it may consent later; empty is nowhere
}

// handshake asks a target whether it takes posts from this hub (CloudEvents webhook §4). Consent is
// the header WebHook-Allowed-Origin and nothing else: the status says nothing.
func (p *Pusher) handshake(ctx context.Context, target *url.URL, q question) (consent, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodOptions, target.String(), http.NoBody)
	if err != nil {
		return consent{}, &refusal{why: reason(err)}
	}
	req.Header.Set("WebHook-Request-Origin", p.name)
	req.Header.Set("User-Agent", userAgent)
	if q.rate > 0 {
		req.Header.Set("WebHook-Request-Rate", strconv.Itoa(q.rate))
	}
	if q.callback != "" {
		req.Header.Set("WebHook-Request-Callback", q.callback)
	}
	res, err := p.client.Do(req)
	if err != nil {
		p.handshakes[1].Inc()
		return consent{}, &refusal{why: "the target did not answer the handshake: " + reason(err)}
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, drainedBytesMax) // only the headers count
	got, err := readConsent(res.Header, p.name, q.rate)
	if err != nil {
		p.handshakes[1].Inc()
		return consent{}, err
	}
	p.handshakes[0].Inc()
	got.at = time.Now()
	p.consents.put(target.String(), got)
	return got, nil
}

// readConsent reads the answer to a handshake.
func readConsent(h http.Header, name string, rate int) (consent, error) {
	var got consent
	origin := strings.TrimSpace(h.Get("WebHook-Allowed-Origin"))
	allowed := strings.TrimSpace(h.Get("WebHook-Allowed-Rate"))
	n, err := strconv.ParseUint(allowed, 10, 31)
	switch {
	case origin != "*" && !strings.EqualFold(origin, name):
		return got, &refusal{
			why:   "the target did not consent: WebHook-Allowed-Origin is not * and not " + name,
			later: origin == "",
		}
	case allowed == "*", allowed == "" && rate == 0:
		return got, nil
	case allowed == "":
		return got, &refusal{why: "the target did not grant a rate"}
	case err != nil || n == 0:
		return got, &refusal{why: "the target granted an unusable rate"}
	}
	got.perMinute = int(n)
	return got, nil
}
