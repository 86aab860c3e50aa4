// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"math"
	"time"
)

// eject leaves a member out for a while, if the caps allow it; p.mu is held.
func (p *Pool) eject(m *member, reason string) {
	o := &p.options.Ejection
	if o.Percent < 0 || m.state != Healthy {
		return
	}
	members, healthy, ejected := 0, 0, 0
	for _, i := range p.instances {
		for _, other := range i.members {
			switch other.state {
			case Healthy:
				healthy++
			case Ejected:
				ejected++
			case Draining, Gone:
				continue
			case Joining, Unhealthy:
			}
			members++
		}
	}
	if healthy < 2 || ejected+1 > max(1, members*o.Percent/percent) {
		return // never the last one, and never more than the share
	}
	m.ejections++
	lasts := min(o.Base*time.Duration(m.ejections), o.Max)
	m.until = p.now() + int64(longer(lasts))
	m.good, m.bad = 0, 0
	p.counts.ejections.Add(1)
	p.turnTo(m, Ejected, reason)
	p.life.cancel(m.check)
	m.check = nil
	p.schedule(m, false)
}

// inARow takes the failure that made a row long enough. Where that was a connection that broke the
// member may have been killed and be back soon: a probe tells. Who breaks the next ones too after
// that is ejected.
func (p *Pool) inARow(m *member, n int32, last Outcome) {
	p.mu.Lock()
	if last.Class == ClassBroken && !p.relapsed(m) {
		p.mu.Unlock()
		p.unreachable(m, last.Err)
		return
	}
	defer p.changed()
	p.eject(m, fmt.Sprintf("%d failures in a row", n))
}

// count is what a member answered since the last sweep.
type count struct {
	m              *member
	calls, failed  uint64
	successPercent float64
}

// sweep compares the members of an interval, and plans the next one.
func (p *Pool) sweep() {
	p.latencies.age()
	p.mu.Lock()
	var counts []count
	var all uint64
	began := p.now() - int64(p.options.Ejection.Interval)
	for _, i := range p.instances {
		for _, m := range i.members {
			word, unreached := m.window.Swap(0), m.unreached.Swap(0)
			c := count{m: m, calls: word & (firstOne - 1), failed: word >> 32}
			m.successes += c.calls - c.failed
			m.failures += c.failed + unreached
			all += word + unreached*(firstOne+1)
			if m.state != Healthy {
				continue
			}
			if m.ejections > 0 && m.started.Load() < began {
				m.ejections-- // it was well for a whole interval
			}
			if c.calls > 0 {
				c.successPercent = percent * float64(c.calls-c.failed) / float64(c.calls)
				counts = append(counts, c)
			}
		}
	}
	p.lastSweep.Store(all)
	p.ejectUnlikely(counts)
	p.ejectFailing(counts)
	p.life.after(p.options.Ejection.Interval, p.sweep)
	p.changed()
}

// ejectUnlikely ejects who succeeds less often than chance explains; p.mu is held.
func (p *Pool) ejectUnlikely(all []count) {
	const tenth = 10
	o := &p.options.Ejection
	counts := enough(all, o.SuccessCalls, o.Hosts)
	if len(counts) == 0 {
		return
	}
	var mean, variance float64
	for _, c := range counts {
		mean += c.successPercent
	}
	mean /= float64(len(counts))
	for _, c := range counts {
		variance += (c.successPercent - mean) * (c.successPercent - mean)
	}
	least := mean - float64(o.StdevTenths)/tenth*math.Sqrt(variance/float64(len(counts)))
	for _, c := range counts {
		if c.successPercent < least {
			p.eject(c.m, fmt.Sprintf("%.0f%% of its calls succeed, %.0f%% of all", c.successPercent,
				mean))
		}
	}
}

// ejectFailing ejects who fails most of the time; p.mu is held.
func (p *Pool) ejectFailing(all []count) {
	o := &p.options.Ejection
	for _, c := range enough(all, o.FailureCalls, o.Hosts) {
		if c.failed*percent >= c.calls*uint64(o.FailurePercent) {
			p.eject(c.m, fmt.Sprintf("%.0f%% of its calls fail", percent-c.successPercent))
		}
	}
}

// enough returns the members with enough calls to be judged, none when they are too few to compare.
func enough(all []count, calls, hosts int) []count {
	if calls < 0 {
		return nil
	}
	var list []count
	for _, c := range all {
		if c.calls >= uint64(calls) {
			list = append(list, c)
		}
	}
	if len(list) < hosts {
		return nil
	}
	return list
}
