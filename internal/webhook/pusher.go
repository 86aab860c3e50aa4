// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/metric"
)

// subscriptionsMax bounds the subscriptions of the hub that run.
const subscriptionsMax = 1_000

// Pusher posts for all subscriptions of a hub, and for its requests with callbacks. Its methods are
// safe for concurrent use.
type Pusher struct {
	options  Options
	rules    rules
	name     string // of the hub, as targets are told
	client   *http.Client
	consents consents

	posts      [verdicts]*metric.Counter
	handshakes [2]*metric.Counter // granted, refused

	mu      sync.Mutex
	running map[subscriptionKey]*runner
}

type subscriptionKey struct{ vhost, name string }

// New returns a pusher that posts nothing until Run, or what is wrong with its options.
func New(o Options) (*Pusher, error) {
	if o.Broker == nil || o.Writer == nil || o.Administrator == nil {
		return nil, errors.New("webhook: Broker, Writer and Administrator are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	rules, err := o.compile()
	if err != nil {
		return nil, err
	}
	p := &Pusher{
		options: o, rules: rules, name: o.Broker.Name(), client: rules.newClient(),
		consents: consents{byURL: make(map[string]consent)},
		running:  make(map[subscriptionKey]*runner),
	}
	p.count()
	return p, nil
}

// count names the pusher's metrics.
func (p *Pusher) count() {
	counter := func(name, help, label, value string) *metric.Counter {
		return p.options.Metrics.Counter(metric.Desc{
			Name: name, Help: help, Labels: []metric.Label{{Name: label, Value: value}},
		})
	}
	for v := range verdicts {
		p.posts[v] = counter("parley_webhook_posts_total", "Posts to webhooks by what the answer"+
			" means.", "outcome", v.word())
	}
	for _, state := range states() {
		p.options.Metrics.GaugeFunc(metric.Desc{
			Name: "parley_webhook_subscriptions", Help: "Push subscriptions by how they are.",
			Labels: []metric.Label{{Name: "state", Value: state}},
		}, func() int64 { return p.inState(state) })
	}
	for i, word := range [...]string{"granted", "refused"} {
		p.handshakes[i] = counter("parley_webhook_handshakes_total", "Handshakes with webhooks.",
			"outcome", word)
	}
}

// Run posts until ctx ends; then it lets the posts under way end, and gives back what waits.
func (p *Pusher) Run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() { p.postResults(ctx) })
	changed := p.options.Broker.SubscriptionsChanged()
	for ctx.Err() == nil {
		p.reconcile(ctx)
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
	p.mu.Lock()
	all := p.running
	p.running = make(map[subscriptionKey]*runner)
	p.mu.Unlock()
	for _, r := range all {
		<-r.done
	}
	work.Wait()
	p.client.CloseIdleConnections()
}

// reconcile lets those subscriptions run that there are. One that was changed starts anew, when what
// ran before has let go.
func (p *Pusher) reconcile(ctx context.Context) {
	want := make(map[subscriptionKey]string)
	for _, v := range p.options.Broker.VirtualHosts() {
		for _, s := range v.Subscriptions() {
			want[subscriptionKey{v.Name(), s.Name}] = string(s.Value)
		}
	}
	p.mu.Lock()
	var over []*runner
	for key, r := range p.running {
		if value, ok := want[key]; !ok || value != r.value {
			over = append(over, r)
			delete(p.running, key)
		}
	}
	p.mu.Unlock()
	for _, r := range over {
		r.cancel()
	}
	for _, r := range over {
		<-r.done
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, value := range want {
		if p.running[key] != nil {
			continue
		}
		if len(p.running) >= subscriptionsMax {
			p.options.Logger.Error("too many subscriptions", "door", Name, "limit", subscriptionsMax)
			return
		}
		p.start(ctx, key, value)
	}
}

// start lets one subscription run; the lock is held.
func (p *Pusher) start(ctx context.Context, key subscriptionKey, value string) {
	r := &runner{
		p: p, vhost: key.vhost, name: key.name, value: value, done: make(chan struct{}),
		status: status{State: stateStarting},
	}
	if err := r.read(); err != nil { // written by another version
		p.options.Logger.Error("subscription not read", "door", Name, "vhost", key.vhost,
			"subscription", key.name, "error", err)
	}
	ctx, r.cancel = context.WithCancel(ctx)
	p.running[key] = r
	go r.run(ctx)
}

// inState returns how many subscriptions are in a state.
func (p *Pusher) inState(state string) (n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.running {
		if r.now().State == state {
			n++
		}
	}
	return n
}

// find returns the subscription that runs under a name.
func (p *Pusher) find(key subscriptionKey) *runner {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running[key]
}

// sleep waits, and reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
