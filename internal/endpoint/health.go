// SPDX-License-Identifier: Apache-2.0

package endpoint

import "time"

const (
	// checkJitter is by how much checks are spread, in percent.
	checkJitter = 10
	// probeInterval is the time between two probes of a member that could not be connected to.
	probeInterval = time.Second
	// relapse is the time after a recovery in which another failure to connect is not probed at once.
	relapse = 10 * time.Second
)

// schedule sets when a member is checked next; p.mu is held. A check that waits already stays,
// unless it is to be at once.
func (p *Pool) schedule(m *member, atOnce bool) {
	var wait time.Duration
	switch {
	case m.state == Draining || m.state == Gone:
		p.life.cancel(m.check)
		m.check = nil
		return
	case atOnce:
	case m.check != nil:
		return
	case m.connecting:
		wait = longer(probeInterval)
	case m.instance.health.active():
		wait = jitter(m.instance.health.Interval, checkJitter)
	case m.state == Ejected:
		wait = max(0, time.Duration(m.until-p.now()))
		if wait == 0 {
			wait = longer(probeInterval)
		}
	}
	if !m.instance.health.active() && !m.connecting && m.state != Ejected {
		return // failed calls alone tell
	}
	p.life.cancel(m.check)
	var t *task
	t = p.life.after(wait, func() {
		p.mu.Lock()
		health, due := m.instance.health, m.check == t
		p.mu.Unlock()
		if due {
			p.checkUp(m, t, health)
		}
	})
	m.check = t
}

// checkUp checks a member once and plans the next time, unless somebody did. Checks count nowhere
// else.
func (p *Pool) checkUp(m *member, t *task, health Health) {
	ctx, cancel := p.life.within(health.Timeout)
	defer cancel()
	err := p.kind.Check(ctx, m.target, health)
	p.mu.Lock()
	defer p.changed()
	if err != nil {
		p.sick(m, err)
	} else {
		p.well(m, health)
	}
	if m.check == t {
		m.check = nil
		p.schedule(m, false)
	}
}

// well takes a good check; p.mu is held.
func (p *Pool) well(m *member, health Health) {
	m.bad = 0
	m.good++
	switch m.state {
	case Joining:
		p.turnTo(m, Healthy, "first check succeeded")
	case Unhealthy:
		if m.connecting || m.good >= health.Up {
			m.healedAt = p.now()
			p.turnTo(m, Healthy, "checks succeeded")
		}
	case Ejected:
		switch {
		case health.active() && m.good >= health.Up:
			p.turnTo(m, Healthy, "checks succeeded")
		case p.now() >= m.until:
			p.turnTo(m, Healthy, "ejection is over")
		}
	case Healthy, Draining, Gone:
	}
}

// sick takes a bad check; p.mu is held.
func (p *Pool) sick(m *member, err error) {
	m.good = 0
	m.bad++
	switch m.state {
	case Joining:
		p.turnTo(m, Unhealthy, "first check failed: "+err.Error())
	case Healthy:
		if m.bad >= m.instance.health.Down {
			p.turnTo(m, Unhealthy, "checks failed: "+err.Error())
		}
	case Unhealthy:
		m.reason = "checks failed: " + err.Error()
	case Ejected, Draining, Gone:
	}
}

// unreachable takes a failed connection: nobody goes there until it answers. It is probed at once,
// unless it has just recovered, and then each second.
func (p *Pool) unreachable(m *member, err error) {
	p.mu.Lock()
	p.resolveSoon(m.instance)
	if m.state != Healthy {
		p.mu.Unlock()
		return
	}
	defer p.changed()
	reason := "connections fail"
	if err != nil {
		reason += ": " + err.Error()
	}
	m.connecting, m.good = true, 0
	p.turnTo(m, Unhealthy, reason)
	p.life.cancel(m.check)
	m.check = nil
	p.schedule(m, !p.relapsed(m))
}

// relapsed reports whether a member has recovered only just now; p.mu is held.
func (p *Pool) relapsed(m *member) bool {
	return m.healedAt != 0 && p.now()-m.healedAt <= int64(relapse)
}
