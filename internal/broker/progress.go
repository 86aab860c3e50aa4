// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A service that works for long tells how far it is by messages to the reply address of its request
// that carry HeaderProgress: they are no answers. A request asks for them by the header HeaderWants
// with the word WantsProgress; those whose answer is kept do by themselves. A service sends none to
// who does not ask, since a client that knows nothing of them would take one for the answer.
const (
	HeaderProgress = "parley-progress"
	HeaderWants    = "parley-wants"
	WantsProgress  = "progress"
)

// maxProgressText bounds the bytes of the text of a progress.
const maxProgressText = 255

// Progress is how far a service is with a request: the last that it told.
type Progress struct {
	// Percent is 0 to 100, or -1 when the service does not say.
	Percent int
	Text    string
	// At is when it told; zero before it ever did.
	At time.Time
}

// ParseProgress reads the value of HeaderProgress: a number from 0 to 100, perhaps with a percent
// sign, or a text, or a number, a space and a text. A text that is too long is cut.
func ParseProgress(value string) Progress {
	p := Progress{Percent: -1, Text: strings.TrimSpace(strings.ToValidUTF8(value, "\uFFFD"))}
	number, rest, _ := strings.Cut(p.Text, " ")
	n, err := strconv.ParseUint(strings.TrimSuffix(number, "%"), 10, 8)
	if err == nil && n <= 100 {
		p.Percent, p.Text = int(n), strings.TrimSpace(rest)
	}
	if len(p.Text) > maxProgressText {
		cut := maxProgressText
		for !utf8.RuneStart(p.Text[cut]) {
			cut--
		}
		p.Text = p.Text[:cut]
	}
	return p
}

// String is the reverse of ParseProgress.
func (p Progress) String() string {
	if p.Percent < 0 {
		return p.Text
	}
	return strings.TrimSpace(strconv.Itoa(p.Percent) + " " + p.Text)
}

// progress returns what a message to a reply address tells of progress, if it is no answer. Most are
// answers, so the raw properties are looked at before they are decoded.
func (m *Message) progress() (Progress, bool) {
	if !m.mentions(HeaderProgress) {
		return Progress{}, false
	}
	switch v, _ := m.headers().Get(HeaderProgress); v := v.(type) {
	case string:
		return ParseProgress(v), true
	case []byte:
		return ParseProgress(string(v)), true
	default:
		if n, ok := integerOf(v); ok {
			return Progress{Percent: int(min(max(n, 0), 100))}, true
		}
	}
	return Progress{}, false
}

// wantsProgress reports whether a request asks for progress.
func (m *Message) wantsProgress() bool {
	if !m.mentions(HeaderWants) {
		return false
	}
	v, _ := m.headers().Get(HeaderWants)
	if raw, ok := v.([]byte); ok {
		v = string(raw)
	}
	return v == WantsProgress
}

// mentions reports whether a header of that name may be among the message's: every format has names
// as they are.
func (m *Message) mentions(name string) bool {
	if _, ok := m.Overlay.Get(name); ok {
		return true
	}
	return len(m.Props) > len(name) && bytes.Contains(m.Props, []byte(name))
}

// Progress returns how far the service is with the request, as far as it told. It does not outlive
// the process.
func (q *Request) Progress() Progress {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.progress
}

// Version grows with every change of the request's state or progress. Changed is closed at the next.
func (q *Request) Version() (version uint64, changed <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.changed == nil {
		q.changed = make(chan struct{})
	}
	return q.version, q.changed
}

// change tells who waits that the request's state or progress is another; its lock is held.
func (q *Request) change() {
	q.version++
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

// advance takes what the service told of its progress; the last counts.
func (q *Request) advance(p Progress) {
	p.At = q.b.clock.Wall()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.state != RequestQueued && q.state != RequestRunning {
		return
	}
	q.progress = p
	q.change()
}
