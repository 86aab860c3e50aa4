// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	// detectTime is how long the first octets may take.
	detectTime = 5 * time.Second
	// detectBytes is how many of them are looked at: the preface of HTTP/2 has as many.
	detectBytes = 24
	// shownBytes is how many of them are logged.
	shownBytes = 16
)

// Matcher reports whether a connection whose first octets these are is for its route, and whether
// more octets are needed to tell.
type Matcher func(first []byte) (ours, more bool)

// helloTLS matches the record of a ClientHello (RFC 8446 §5.1).
func helloTLS(first []byte) (ours, more bool) {
	const handshake, major = 0x16, 3
	if len(first) > 0 && first[0] != handshake {
		return false, false
	}
	if len(first) < 2 {
		return false, true
	}
	return first[1] == major, false
}

// detect reads the first octets of c until one matcher takes them, and returns which, or -1 when
// none of them does.
func (s *slot) detect(c *conn, matchers ...Matcher) (int, error) {
	// It fails only on a connection that is gone.
	_ = s.conn.SetReadDeadline(s.deadline(detectTime))
	for {
		undecided := false
		for i, match := range matchers {
			ours, more := match(c.first)
			if ours {
				s.limitRead()
				return i, nil
			}
			undecided = undecided || more
		}
		if !undecided || len(c.first) >= detectBytes {
			return -1, nil
		}
		if err := c.peek(detectBytes); err != nil {
			return -1, beginning(c.first, err)
		}
	}
}

// choose returns the route whose protocol a client speaks.
func (s *slot) choose(c *conn, routes []Route) (Route, error) {
	matchers := make([]Matcher, len(routes))
	for i := range routes {
		matchers[i] = routes[i].Match
	}
	i, err := s.detect(c, matchers...)
	if err != nil {
		return Route{}, err
	}
	if i < 0 {
		return Route{}, fmt.Errorf("no protocol begins with %x", c.first[:min(len(c.first), shownBytes)])
	}
	return routes[i], nil
}

// beginning is why a connection did not get as far as its protocol.
func beginning(first []byte, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("no protocol in time after %x: %w", first, err)
	}
	return fmt.Errorf("ended after %x: %w", first, err)
}
