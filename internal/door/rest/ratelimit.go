// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of the count of requests.
const (
	rateWindow   = time.Minute
	rateUsersMax = 10_000 // users with an open window; beyond them the ended ones are forgotten
)

// The names of the quotas in RateLimit-Policy.
const (
	quotaRequests = "requests"
	quotaStreams  = "streams"
	quotaLeases   = "leases"
)

// rateTable counts the requests of users in windows of a minute. Its lock is a leaf.
type rateTable struct {
	max int // 0: no limit

	mu     sync.Mutex
	byUser map[string]rateCount
}

// rateCount is a window: when it began, and the requests in it.
type rateCount struct {
	began time.Time
	n     int
}

// take counts a request; it returns how many are left, and when there are more.
func (t *rateTable) take(user string, now time.Time) (left int, reset time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, open := t.byUser[user]
	if !open || now.Sub(c.began) >= rateWindow {
		if !open && len(t.byUser) >= rateUsersMax {
			for name, other := range t.byUser {
				if now.Sub(other.began) >= rateWindow {
					delete(t.byUser, name)
				}
			}
		}
		c = rateCount{began: now}
	}
	if ok = c.n < t.max; ok {
		c.n++
	}
	t.byUser[user] = c
	return t.max - c.n, c.began.Add(rateWindow).Sub(now), ok
}

// admitRate counts the request and says so in RateLimit headers; it refuses what is too much.
func (d *Door) admitRate(v *visit, user string) error {
	if d.rates.max == 0 {
		return nil
	}
	left, reset, ok := d.rates.take(user, d.options.Broker.Now())
	seconds := int64((reset + time.Second - 1) / time.Second)
	v.quota(quota{
		name: quotaRequests, limit: d.rates.max, window: int64(rateWindow / time.Second), left: left,
		reset: seconds,
	})
	if ok {
		return nil
	}
	return &problem{
		word: "quota", detail: "too many requests of this user", violated: quotaRequests,
		retry: time.Duration(seconds) * time.Second,
	}
}

// quota is one row of the two headers of draft-ietf-httpapi-ratelimit-headers.
type quota struct {
	name          string
	limit         int
	window        int64 // in seconds; 0 is none: what is counted is concurrent
	left          int
	reset         int64 // in seconds
	isConcurrency bool
}

// quota adds a quota to the answer's headers.
func (v *visit) quota(q quota) {
	policy := structured{}
	policy.item(q.name)
	policy.number("q", int64(q.limit))
	if q.window > 0 {
		policy.number("w", q.window)
	}
	if q.isConcurrency {
		policy.text("qu", "concurrent-requests")
	}
	now := structured{}
	now.item(q.name)
	now.number("r", int64(max(q.left, 0)))
	if q.window > 0 {
		now.number("t", q.reset)
	}
	h := v.w.Header()
	appendField(h, "RateLimit-Policy", policy.String())
	appendField(h, "RateLimit", now.String())
}

// appendField makes a value a member of a list (RFC 9651 §3.1).
func appendField(h http.Header, name, member string) {
	if have := h.Get(name); have != "" {
		member = have + ", " + member
	}
	h.Set(name, member)
}

// structured writes an item with parameters (RFC 9651 §4.1). What is no printable ASCII is no string
// there and is left out.
type structured struct{ strings.Builder }

func (s *structured) item(value string) { s.quoted(value) }

func (s *structured) number(key string, n int64) {
	s.WriteString(";" + key + "=" + strconv.FormatInt(n, 10))
}

func (s *structured) text(key, value string) {
	s.WriteString(";" + key + "=")
	s.quoted(value)
}

// quoted writes a string (RFC 9651 §4.1.6).
func (s *structured) quoted(value string) {
	s.WriteByte('"')
	for i := range len(value) {
		switch c := value[i]; {
		case c == '"' || c == '\\':
			s.WriteByte('\\')
			s.WriteByte(c)
		case c >= ' ' && c <= '~':
			s.WriteByte(c)
		}
	}
	s.WriteByte('"')
}
