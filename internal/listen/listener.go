// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/metric"
)

// Pauses after an accept that failed though the socket is open: descriptors have run out.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// Listener is an open address. All methods may be called concurrently, Serve once.
type Listener struct {
	options  Options
	listener net.Listener
	tls      *secure // nil: none
	pace     pace    // of accepting; the accept loop's own
	accepted *metric.Counter
	paused   *metric.Counter
	openNow  *metric.Gauge
	logins   *metric.Histogram // time from accept to login
	refused  map[refusal]*metric.Counter
	lastLog  atomic.Int64  // ns since the epoch of the last refusal that was logged
	stopping chan struct{} // closed when it stops accepting
	deaf     atomic.Bool   // StopAccepting was called

	mu         sync.Mutex
	slots      map[*slot]struct{}
	pending    int                // slots that are not logged in
	sources    map[netip.Addr]int // of those: by address, where addresses count
	stopped    bool               // no longer accepting
	stopServe  context.CancelFunc // tells the handlers
	idle       chan struct{}      // closed when stopped and the last slot is gone
	idleClosed bool
}

// Listen opens the address of options. The caller has to call Shutdown or Close.
func Listen(ctx context.Context, options Options) (*Listener, error) {
	if err := options.Validate(); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	options.setDefaults()
	var secured *secure
	if options.TLS.On() {
		var err error
		report := options.Logger.With("door", options.Door).Warn
		if secured, err = newSecure(options.TLS, options.Protocols, report); err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	listener, err := open(ctx, options)
	if err != nil {
		return nil, err
	}
	l := newListener(options, listener)
	l.tls = secured
	return l, nil
}

func newListener(options Options, listener net.Listener) *Listener {
	l := &Listener{
		options: options, listener: listener, pace: newPace(options.AcceptRate),
		stopping: make(chan struct{}),
		slots:    make(map[*slot]struct{}), sources: make(map[netip.Addr]int),
		stopServe: func() {}, idle: make(chan struct{}),
	}
	l.register()
	return l
}

// register lists the listener's metrics.
func (l *Listener) register() {
	door := metric.Label{Name: "door", Value: l.options.Door}
	l.accepted = l.options.Metrics.Counter(metric.Desc{
		Name: "parley_connections_accepted_total", Help: "Connections accepted.",
		Labels: []metric.Label{door}, Scale: 0,
	})
	l.paused = l.options.Metrics.Counter(metric.Desc{
		Name:   "parley_accept_paused_total",
		Help:   "Times that accepting paused because connections came faster than accept_rate.",
		Labels: []metric.Label{door}, Scale: 0,
	})
	l.logins = l.options.Metrics.Histogram(metric.Desc{
		Name: "parley_handshake_seconds", Help: "Time from accept to login.",
		Labels: []metric.Label{door}, Scale: 1e-9,
	}, handshakeBounds()...)
	l.openNow = l.options.Metrics.Gauge(metric.Desc{
		Name: "parley_connections_open", Help: "Connections open now.",
		Labels: []metric.Label{door}, Scale: 0,
	})
	l.refused = make(map[refusal]*metric.Counter)
	for _, reason := range []refusal{
		tooMany, noRoom, tooManyPending, tooManyFromSource, tooLate, foreign, failed,
	} {
		l.refused[reason] = l.options.Metrics.Counter(metric.Desc{
			Name: "parley_connections_refused_total",
			Help: "Connections closed before login, by reason.",
			Labels: []metric.Label{
				door, {Name: "reason", Value: string(reason)},
			},
			Scale: 0,
		})
	}
}

// Addr returns the address that is listened on, with the port that was chosen.
func (l *Listener) Addr() net.Addr { return l.listener.Addr() }

// Serve accepts connections and serves each, until Shutdown, Close or the end of ctx. One route
// takes them all; of several, each with its matcher, the first that takes a client's first octets
// does. Serve does not wait for the handlers: Shutdown does. Their context is done when ctx is, or
// when Shutdown or Close begins.
func (l *Listener) Serve(ctx context.Context, routes ...Route) {
	ctx, cancel := context.WithCancel(ctx)
	l.mu.Lock()
	l.stopServe = cancel
	stopped := l.stopped
	l.mu.Unlock()
	if stopped {
		cancel()
	}
	release := context.AfterFunc(ctx, l.stop)
	defer release()
	for {
		slot := l.accept()
		if slot == nil {
			return
		}
		go l.serve(ctx, slot, routes)
	}
}

// StopAccepting takes no more connections; those that there are go on.
func (l *Listener) StopAccepting() {
	l.deaf.Store(true)
	l.listener.Close()
}

// accept returns the next connection that is within the limits, or nil when the listener has
// been closed.
func (l *Listener) accept() *slot {
	pause := minAcceptPause
	for {
		if !l.keepPace() {
			return nil
		}
		conn, err := l.listener.Accept()
		switch {
		case err == nil:
			l.pace.took(time.Now())
			pause = minAcceptPause
			if slot := l.admit(conn); slot != nil {
				return slot
			}
		case errors.Is(err, net.ErrClosed):
			if !l.deaf.Load() {
				l.stop()
			}
			return nil
		default:
			l.options.Logger.Warn("accept failed", "door", l.options.Door, "error", err)
			if !l.pauseAccept(pause) {
				return nil
			}
			pause = min(2*pause, maxAcceptPause)
		}
	}
}

// keepPace waits while connections come too fast; it reports false when the listener is closed.
func (l *Listener) keepPace() bool {
	wait := l.pace.wait(time.Now())
	if wait <= 0 {
		return true
	}
	l.paused.Inc()
	if l.mayLog() {
		l.options.Logger.Warn("connections come faster than they are accepted",
			"door", l.options.Door, "accept_rate", l.options.AcceptRate)
	}
	return l.pauseAccept(wait)
}

// pauseAccept waits, and reports false when the listener is closed meanwhile.
func (l *Listener) pauseAccept(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.stopping:
		return false
	}
}

// stop ends accepting and tells the handlers.
func (l *Listener) stop() {
	l.mu.Lock()
	first, tell := !l.stopped, l.stopServe
	l.stopped = true
	l.checkIdle()
	mute := l.mute()
	l.mu.Unlock()
	if first {
		close(l.stopping)
		l.listener.Close()
	}
	for _, conn := range mute {
		conn.Close()
	}
	tell()
}
