// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds of the times that a client may ask for.
const (
	timeoutMax     = time.Hour
	requestWaitMax = 60 * time.Second // how long a request for a request's state is held
)

// preferences are what RFC 7240's Prefer asks for, as far as this door knows it. What it does not
// know is ignored, and the first of a repeated preference counts.
type preferences struct {
	async   bool
	hasWait bool
	wait    time.Duration
	lenient bool
}

func parsePrefer(h http.Header) preferences {
	var p preferences
	seen := map[string]bool{}
	for _, line := range h.Values("Prefer") {
		for part := range strings.SplitSeq(line, ",") {
			part, _, _ = strings.Cut(part, ";") // parameters
			name, value, _ := strings.Cut(part, "=")
			name = strings.ToLower(strings.TrimSpace(name))
			value = strings.Trim(strings.TrimSpace(value), `"`)
			if seen[name] {
				continue
			}
			seen[name] = true
			switch name {
			case "respond-async":
				p.async = true
			case "wait":
				if n, err := strconv.ParseUint(value, 10, 31); err == nil {
					p.hasWait, p.wait = true, min(time.Duration(n)*time.Second, timeoutMax)
				}
			case "handling":
				p.lenient = strings.EqualFold(value, "lenient")
			}
		}
	}
	return p
}

// waits tells the client that its wait=N is obeyed (RFC 7240 §3), if it asked for one.
func (v *visit) waits(p preferences) {
	if p.hasWait {
		v.w.Header().Set("Preference-Applied", p.waiting())
	}
}

// waiting is the preference wait as it is obeyed.
func (p preferences) waiting() string {
	return "wait=" + strconv.FormatInt(int64(p.wait/time.Second), 10)
}

// grpcUnits are the units of grpc-timeout.
const grpcUnits = "HMSmun"

// grpcTimeout reads a grpc-timeout: at most 8 digits and a unit.
func grpcTimeout(s string) (time.Duration, bool) {
	if len(s) < 2 || len(s) > 9 {
		return 0, false
	}
	unit := [...]time.Duration{
		time.Hour, time.Minute, time.Second, time.Millisecond, time.Microsecond, time.Nanosecond,
	}
	i := strings.IndexByte(grpcUnits, s[len(s)-1])
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 31)
	if i < 0 || err != nil {
		return 0, false
	}
	if time.Duration(n) > timeoutMax/unit[i] {
		return timeoutMax, true
	}
	return time.Duration(n) * unit[i], true
}

// timeoutOf returns how long a call may take: the least that the request says, or the default. ok
// is false when the request says nothing.
func timeoutOf(r *http.Request, p preferences) (timeout time.Duration, ok bool, err error) {
	least := func(d time.Duration) {
		if d = min(d, timeoutMax); !ok || d < timeout {
			timeout, ok = d, true
		}
	}
	if p.hasWait && !p.async {
		least(p.wait)
	}
	for _, name := range [...]string{"Parley-Timeout-Ms", "Connect-Timeout-Ms"} {
		text := r.Header.Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 40)
		if err != nil || n == 0 {
			return 0, false, badRequest("%s must be a number of milliseconds above 0", name)
		}
		least(time.Duration(min(n, uint64(timeoutMax/time.Millisecond))) * time.Millisecond)
	}
	if text := r.Header.Get("Grpc-Timeout"); text != "" {
		d, valid := grpcTimeout(text)
		if !valid {
			return 0, false, badRequest("grpc-timeout must be 1 to 8 digits and one of HMSmun")
		}
		least(d)
	}
	return timeout, ok, nil
}
