// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

const (
	// queuePrefix begins the names of the queues of topics, as those of durable streams.
	queuePrefix = "subscription."
	// Pauses before a subscription that could not begin, or lost its consumer, begins again.
	firstPause = time.Second
	lastPause  = time.Minute
)

// The states of a subscription.
const (
	stateStarting = "starting" // its target has not consented yet
	stateActive   = "active"
	statePaused   = "paused"   // the target asked to wait
	stateFailing  = "failing"  // it cannot consume, or the target does not consent
	stateDisabled = "disabled" // the target wants nothing any more
)

func states() []string {
	return []string{stateStarting, stateActive, statePaused, stateFailing, stateDisabled}
}

// status is how a subscription is.
type status struct {
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Window is how many posts may be under way, Inflight how many are, Waiting how many messages wait
	// for another attempt.
	Window   int `json:"window"`
	Inflight int `json:"inflight"`
	Waiting  int `json:"waiting"`
	// Taken, Failed, DeadLettered count messages and attempts since the hub started.
	Taken        uint64 `json:"taken"`
	Failed       uint64 `json:"failed"`
	DeadLettered uint64 `json:"dead_lettered"`
	// FormatRefused says that the target once refused the format (415).
	FormatRefused bool `json:"format_refused,omitempty"`
	// AllowedRate is what the target grants, in posts a minute.
	AllowedRate int `json:"allowed_rate,omitempty"`
}

// runner is one subscription that runs, in a goroutine of its own.
type runner struct {
	p           *Pusher
	vhost, name string
	value       string // the JSON that it was made from
	kept        kept
	target      *url.URL
	key         []byte
	cancel      context.CancelFunc
	done        chan struct{}

	mu     sync.Mutex
	status status
}

// read reads the subscription's value.
func (r *runner) read() (err error) {
	if r.kept, err = decodeKept([]byte(r.value)); err != nil {
		return err
	}
	if r.key, err = r.kept.Push.key(); err != nil {
		return err
	}
	r.target, err = r.p.rules.parseTarget(r.kept.Push.URL)
	return err
}

// now returns how the subscription is.
func (r *runner) now() status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// note changes how the subscription is.
func (r *runner) note(change func(*status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.status)
}

// run posts until ctx ends. What fails as a whole is tried again after a pause.
func (r *runner) run(ctx context.Context) {
	defer close(r.done)
	log := r.p.options.Logger.With("door", Name, "vhost", r.vhost, "subscription", r.name)
	var disabled *disabledError
	if r.kept.Disabled != "" {
		disabled = &disabledError{r.kept.Disabled}
	}
	if r.kept.asks() { // who grants it writes the subscription anew
		r.note(func(s *status) { s.Reason = "the target has not consented yet" })
		<-ctx.Done()
		return
	}
	for pause := firstPause; disabled == nil; pause = min(2*pause, lastPause) {
		r.note(func(s *status) { s.State, s.Inflight = stateStarting, 0 })
		began := time.Now()
		err := r.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.As(err, &disabled) {
			log.Warn("subscription disabled", "reason", disabled.why)
			r.disable(disabled.why)
			break
		}
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		log.Info("subscription interrupted", "error", err, "again_in", pause)
		r.note(func(s *status) { s.State, s.Reason = stateFailing, err.Error() })
		if !sleep(ctx, pause) {
			return
		}
	}
	r.note(func(s *status) { s.State, s.Reason = stateDisabled, disabled.why })
	<-ctx.Done()
}

// disabledError ends a subscription for good.
type disabledError struct{ why string }

// Error says why.
func (e *disabledError) Error() string { return e.why }

var errTarget = errors.New("the target is not allowed")

// serve posts from the handshake on until the consumer is lost or ctx ends.
func (r *runner) serve(ctx context.Context) error {
	switch {
	case r.target == nil:
		return errTarget
	case !r.allowed():
		return errNotAllowed
	}
	agreed, err := r.agreed(ctx)
	if err != nil {
		return err
	}
	closed := make(chan struct{})
	var once sync.Once
	var params broker.ConnectionParams
	params.Name, params.User = "webhook "+r.name, r.kept.By
	params.VHost, params.Door = r.vhost, Name
	params.Close = func(string) { once.Do(func() { close(closed) }) }
	conn, err := r.p.options.Broker.Open(params)
	if err != nil {
		return err
	}
	defer conn.Close()
	u := newPump(r, agreed)
	if u.session, err = conn.OpenSession(u.sink); err != nil {
		return err
	}
	if err := u.consume(); err != nil {
		return err
	}
	r.note(func(s *status) {
		s.State, s.Reason, s.AllowedRate = stateActive, "", agreed.perMinute
	})
	return u.run(ctx, closed)
}

// agreed returns the consent of the target: the one that it gave later, or else it is asked.
func (r *runner) agreed(ctx context.Context) (consent, error) {
	if n := r.kept.Granted; n != nil {
		return consent{perMinute: *n}, nil
	}
	return r.p.agreed(ctx, r.target, r.kept.Push.Rate)
}

// allowed reports whether the user may still say where the hub posts to.
func (r *runner) allowed() bool { return r.p.options.Administrator(r.kept.By) }

// disable keeps that the subscription is disabled, so that it still is after a restart.
func (r *runner) disable(why string) {
	r.p.consents.forget(r.target.String())
	k := r.kept
	k.Disabled = why
	if err := r.keep(&k); err != nil {
		r.p.options.Logger.Error("subscription not kept", "door", Name, "vhost", r.vhost,
			"subscription", r.name, "error", err)
	}
}

// keep writes the subscription anew, unless it was changed or deleted meanwhile.
func (r *runner) keep(k *kept) error {
	value, err := k.encode()
	if err != nil {
		return err
	}
	v, ok := r.p.options.Broker.VirtualHost(r.vhost)
	if !ok {
		return nil
	}
	if now, ok := v.Subscription(r.name); !ok || string(now) != r.value {
		return nil
	}
	_, err = v.SetSubscription(r.name, value)
	return err
}
